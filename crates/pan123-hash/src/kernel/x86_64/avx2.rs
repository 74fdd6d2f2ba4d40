//! Eight chains to a vector, with AVX2.

use std::arch::{asm, x86_64::*};

use crate::kernel::lanes::{Vector, compress, instructions};

/// Compresses `blocks` blocks into each of `8 * DEPTH` states.
///
/// # Safety
///
/// As for [`compress`].
#[target_feature(enable = "avx2")]
pub(in crate::kernel) unsafe fn lanes<const DEPTH: usize>(
    states: *mut u32,
    places: *const *const u8,
    blocks: usize,
) {
    // SAFETY: the caller's promise is the same.
    unsafe { compress::<Ymm, DEPTH>(states, places, blocks) }
}

#[derive(Clone, Copy)]
struct Ymm(__m256i);

impl Vector for Ymm {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(number: u32) -> Self {
        instructions!(Self(_mm256_set1_epi32(number as i32)))
    }
    #[inline(always)]
    unsafe fn load(from: *const u32) -> Self {
        instructions!(Self(_mm256_loadu_si256(from.cast())))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u32) {
        instructions!(_mm256_storeu_si256(to.cast(), self.0))
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        instructions!(Self(_mm256_add_epi32(self.0, other.0)))
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn hidden(mut self) -> Self {
        instructions!(
            asm!("/* {0} */", inout(ymm_reg) self.0, options(pure, nomem, nostack, preserves_flags))
        );
        self
    }
    #[inline(always)]
    unsafe fn f(b: Self, c: Self, d: Self) -> Self {
        instructions!(Self(_mm256_xor_si256(d.0, _mm256_and_si256(b.0, _mm256_xor_si256(c.0, d.0)))))
    }
    #[inline(always)]
    unsafe fn g(b: Self, c: Self, d: Self) -> Self {
        instructions!(Self(_mm256_or_si256(_mm256_and_si256(d.0, b.0), _mm256_andnot_si256(d.0, c.0))))
    }
    #[inline(always)]
    unsafe fn h(b: Self, c: Self, d: Self) -> Self {
        instructions!(Self(_mm256_xor_si256(b.0, _mm256_xor_si256(c.0, d.0))))
    }
    #[inline(always)]
    unsafe fn i(b: Self, c: Self, d: Self) -> Self {
        instructions!({
            let not_d = _mm256_xor_si256(d.0, _mm256_set1_epi32(-1));
            Self(_mm256_xor_si256(c.0, _mm256_or_si256(b.0, not_d)))
        })
    }
    #[inline(always)]
    unsafe fn rotate<const BITS: i32, const REST: i32>(self) -> Self {
        instructions!(Self(_mm256_or_si256(
            _mm256_slli_epi32::<BITS>(self.0),
            _mm256_srli_epi32::<REST>(self.0)
        )))
    }
    #[inline(always)]
    unsafe fn transpose(places: *const *const u8, offset: usize) -> [Self; 16] {
        instructions!({
            let mut words = [Self(_mm256_setzero_si256()); 16];
            for half in 0..2 {
                for quarter in 0..2 {
                    // Rows r and r + 4 in the two halves of one vector, so that no later step crosses the
                    // halves.
                    macro_rules! row {
                        ($i:expr) => {{
                            let byte = offset + 32 * half + 16 * quarter;
                            let low = _mm_loadu_si128((*places.add($i)).add(byte).cast());
                            let high = _mm_loadu_si128((*places.add($i + 4)).add(byte).cast());
                            _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high)
                        }};
                    }
                    let (r0, r1, r2, r3) = (row!(0), row!(1), row!(2), row!(3));
                    let (low01, high01) = (_mm256_unpacklo_epi32(r0, r1), _mm256_unpackhi_epi32(r0, r1));
                    let (low23, high23) = (_mm256_unpacklo_epi32(r2, r3), _mm256_unpackhi_epi32(r2, r3));
                    let first = 8 * half + 4 * quarter;
                    words[first] = Self(_mm256_unpacklo_epi64(low01, low23));
                    words[first + 1] = Self(_mm256_unpackhi_epi64(low01, low23));
                    words[first + 2] = Self(_mm256_unpacklo_epi64(high01, high23));
                    words[first + 3] = Self(_mm256_unpackhi_epi64(high01, high23));
                }
            }
            words
        })
    }
}
