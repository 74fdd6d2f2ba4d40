//! Sixteen chains to a vector, with AVX-512.

use std::arch::{asm, x86_64::*};

use super::avx512vl::truth_table;
use crate::kernel::lanes::{Vector, compress, instructions};

/// Compresses `blocks` blocks into each of `16 * DEPTH` states.
///
/// # Safety
///
/// As for [`compress`].
#[target_feature(enable = "avx512f,avx512vl")]
pub(in crate::kernel) unsafe fn lanes<const DEPTH: usize>(
    states: *mut u32,
    places: *const *const u8,
    blocks: usize,
) {
    // SAFETY: the caller's promise is the same.
    unsafe { compress::<Zmm, DEPTH>(states, places, blocks) }
}

#[derive(Clone, Copy)]
struct Zmm(__m512i);

impl Vector for Zmm {
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn splat(number: u32) -> Self {
        instructions!(Self(_mm512_set1_epi32(number as i32)))
    }
    #[inline(always)]
    unsafe fn load(from: *const u32) -> Self {
        instructions!(Self(_mm512_loadu_si512(from.cast())))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u32) {
        instructions!(_mm512_storeu_si512(to.cast(), self.0))
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        instructions!(Self(_mm512_add_epi32(self.0, other.0)))
    }
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn hidden(mut self) -> Self {
        instructions!(
            asm!("/* {0} */", inout(zmm_reg) self.0, options(pure, nomem, nostack, preserves_flags))
        );
        self
    }
    #[inline(always)]
    unsafe fn f(b: Self, c: Self, d: Self) -> Self {
        instructions!(Self(_mm512_ternarylogic_epi32::<{ truth_table!(f) }>(b.0, c.0, d.0)))
    }
    #[inline(always)]
    unsafe fn g(b: Self, c: Self, d: Self) -> Self {
        instructions!(Self(_mm512_ternarylogic_epi32::<{ truth_table!(g) }>(b.0, c.0, d.0)))
    }
    #[inline(always)]
    unsafe fn h(b: Self, c: Self, d: Self) -> Self {
        instructions!(Self(_mm512_ternarylogic_epi32::<{ truth_table!(h) }>(b.0, c.0, d.0)))
    }
    #[inline(always)]
    unsafe fn i(b: Self, c: Self, d: Self) -> Self {
        instructions!(Self(_mm512_ternarylogic_epi32::<{ truth_table!(i) }>(b.0, c.0, d.0)))
    }
    #[inline(always)]
    unsafe fn rotate<const BITS: i32, const REST: i32>(self) -> Self {
        instructions!(Self(_mm512_rol_epi32::<BITS>(self.0)))
    }
    #[inline(always)]
    unsafe fn transpose(places: *const *const u8, offset: usize) -> [Self; 16] {
        instructions!({
            macro_rules! row {
                ($i:expr) => {
                    _mm512_loadu_si512((*places.add($i)).add(offset).cast())
                };
            }
            // Four rows at a time, so that after the first two rounds each vector holds, in each of its four
            // quarters, one word of four rows.
            let mut quads = [_mm512_setzero_si512(); 16];
            for i in 0..4 {
                let (r0, r1, r2, r3) = (row!(4 * i), row!(4 * i + 1), row!(4 * i + 2), row!(4 * i + 3));
                let (low01, high01) = (_mm512_unpacklo_epi32(r0, r1), _mm512_unpackhi_epi32(r0, r1));
                let (low23, high23) = (_mm512_unpacklo_epi32(r2, r3), _mm512_unpackhi_epi32(r2, r3));
                quads[i] = _mm512_unpacklo_epi64(low01, low23);
                quads[4 + i] = _mm512_unpackhi_epi64(low01, low23);
                quads[8 + i] = _mm512_unpacklo_epi64(high01, high23);
                quads[12 + i] = _mm512_unpackhi_epi64(high01, high23);
            }
            // quads[4 * j + i], quarter q: word 4 * q + j of rows 4 * i ..= 4 * i + 3. Gather the quarters of
            // equal q.
            let mut words = [Self(_mm512_setzero_si512()); 16];
            for j in 0..4 {
                let [q0, q1, q2, q3] = [quads[4 * j], quads[4 * j + 1], quads[4 * j + 2], quads[4 * j + 3]];
                let (even01, odd01) =
                    (_mm512_shuffle_i32x4::<0x88>(q0, q1), _mm512_shuffle_i32x4::<0xdd>(q0, q1));
                let (even23, odd23) =
                    (_mm512_shuffle_i32x4::<0x88>(q2, q3), _mm512_shuffle_i32x4::<0xdd>(q2, q3));
                words[j] = Self(_mm512_shuffle_i32x4::<0x88>(even01, even23));
                words[4 + j] = Self(_mm512_shuffle_i32x4::<0x88>(odd01, odd23));
                words[8 + j] = Self(_mm512_shuffle_i32x4::<0xdd>(even01, even23));
                words[12 + j] = Self(_mm512_shuffle_i32x4::<0xdd>(odd01, odd23));
            }
            words
        })
    }
}
