//! Four chains to a vector, with SSE2, which every x86-64 CPU has.

use std::arch::{asm, x86_64::*};

use crate::kernel::lanes::{Vector, compress, instructions};

/// Compresses `blocks` blocks into each of `4 * DEPTH` states.
///
/// # Safety
///
/// As for [`compress`].
pub(in crate::kernel) unsafe fn lanes<const DEPTH: usize>(
    states: *mut u32,
    places: *const *const u8,
    blocks: usize,
) {
    // SAFETY: the caller's promise is the same.
    unsafe { compress::<Xmm, DEPTH>(states, places, blocks) }
}

#[derive(Clone, Copy)]
struct Xmm(__m128i);

impl Vector for Xmm {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(number: u32) -> Self {
        instructions!(Self(_mm_set1_epi32(number as i32)))
    }
    #[inline(always)]
    unsafe fn load(from: *const u32) -> Self {
        instructions!(Self(_mm_loadu_si128(from.cast())))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u32) {
        instructions!(_mm_storeu_si128(to.cast(), self.0))
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        instructions!(Self(_mm_add_epi32(self.0, other.0)))
    }
    #[inline(always)]
    unsafe fn hidden(mut self) -> Self {
        instructions!(
            asm!("/* {0} */", inout(xmm_reg) self.0, options(pure, nomem, nostack, preserves_flags))
        );
        self
    }
    #[inline(always)]
    unsafe fn f(b: Self, c: Self, d: Self) -> Self {
        instructions!(Self(_mm_xor_si128(d.0, _mm_and_si128(b.0, _mm_xor_si128(c.0, d.0)))))
    }
    #[inline(always)]
    unsafe fn g(b: Self, c: Self, d: Self) -> Self {
        instructions!(Self(_mm_or_si128(_mm_and_si128(d.0, b.0), _mm_andnot_si128(d.0, c.0))))
    }
    #[inline(always)]
    unsafe fn h(b: Self, c: Self, d: Self) -> Self {
        instructions!(Self(_mm_xor_si128(b.0, _mm_xor_si128(c.0, d.0))))
    }
    #[inline(always)]
    unsafe fn i(b: Self, c: Self, d: Self) -> Self {
        instructions!({
            let not_d = _mm_xor_si128(d.0, _mm_set1_epi32(-1));
            Self(_mm_xor_si128(c.0, _mm_or_si128(b.0, not_d)))
        })
    }
    #[inline(always)]
    unsafe fn rotate<const BITS: i32, const REST: i32>(self) -> Self {
        instructions!(Self(_mm_or_si128(_mm_slli_epi32::<BITS>(self.0), _mm_srli_epi32::<REST>(self.0))))
    }
    #[inline(always)]
    unsafe fn transpose(places: *const *const u8, offset: usize) -> [Self; 16] {
        instructions!({
            let mut words = [Self(_mm_setzero_si128()); 16];
            for quarter in 0..4 {
                macro_rules! row {
                    ($i:expr) => {
                        _mm_loadu_si128((*places.add($i)).add(offset + 16 * quarter).cast())
                    };
                }
                let (r0, r1, r2, r3) = (row!(0), row!(1), row!(2), row!(3));
                let (low01, high01) = (_mm_unpacklo_epi32(r0, r1), _mm_unpackhi_epi32(r0, r1));
                let (low23, high23) = (_mm_unpacklo_epi32(r2, r3), _mm_unpackhi_epi32(r2, r3));
                words[4 * quarter] = Self(_mm_unpacklo_epi64(low01, low23));
                words[4 * quarter + 1] = Self(_mm_unpackhi_epi64(low01, low23));
                words[4 * quarter + 2] = Self(_mm_unpacklo_epi64(high01, high23));
                words[4 * quarter + 3] = Self(_mm_unpackhi_epi64(high01, high23));
            }
            words
        })
    }
}
