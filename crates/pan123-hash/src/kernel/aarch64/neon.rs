//! Four chains to a vector, with NEON, which every AArch64 CPU has.
//!
//! A step is seven instructions and, at two cycles for each, ten cycles deep: select, add, shift, insert,
//! add. Cores with two vector units issue three groups in that time, those with four units six, so groups of
//! two and four vectors are interleaved. By the same count a lane has a third to a half of the speed of a
//! scalar chain.

use std::arch::{aarch64::*, asm};

use crate::kernel::lanes::{Vector, compress, instructions};

/// Compresses `blocks` blocks into each of `4 * DEPTH` states.
///
/// # Safety
///
/// As for [`compress`].
#[target_feature(enable = "neon")]
pub(in crate::kernel) unsafe fn lanes<const DEPTH: usize>(
    states: *mut u32,
    places: *const *const u8,
    blocks: usize,
) {
    // SAFETY: the caller's promise is the same.
    unsafe { compress::<Neon, DEPTH>(states, places, blocks) }
}

#[derive(Clone, Copy)]
struct Neon(uint32x4_t);

impl Vector for Neon {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(number: u32) -> Self {
        instructions!(Self(vdupq_n_u32(number)))
    }
    #[inline(always)]
    unsafe fn load(from: *const u32) -> Self {
        instructions!(Self(vld1q_u32(from)))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u32) {
        instructions!(vst1q_u32(to, self.0))
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        instructions!(Self(vaddq_u32(self.0, other.0)))
    }
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn hidden(mut self) -> Self {
        instructions!(
            asm!("/* {0:v} */", inout(vreg) self.0, options(pure, nomem, nostack, preserves_flags))
        );
        self
    }
    #[inline(always)]
    unsafe fn f(b: Self, c: Self, d: Self) -> Self {
        instructions!(Self(vbslq_u32(b.0, c.0, d.0)))
    }
    #[inline(always)]
    unsafe fn g(b: Self, c: Self, d: Self) -> Self {
        instructions!(Self(vbslq_u32(d.0, b.0, c.0)))
    }
    #[inline(always)]
    unsafe fn h(b: Self, c: Self, d: Self) -> Self {
        instructions!(Self(veorq_u32(b.0, veorq_u32(c.0, d.0))))
    }
    #[inline(always)]
    unsafe fn i(b: Self, c: Self, d: Self) -> Self {
        instructions!(Self(veorq_u32(c.0, vornq_u32(b.0, d.0))))
    }
    #[inline(always)]
    unsafe fn rotate<const BITS: i32, const REST: i32>(self) -> Self {
        instructions!(Self(vsriq_n_u32::<REST>(vshlq_n_u32::<BITS>(self.0), self.0)))
    }
    #[inline(always)]
    unsafe fn transpose(places: *const *const u8, offset: usize) -> [Self; 16] {
        instructions!({
            let mut words = [Self(vdupq_n_u32(0)); 16];
            for quarter in 0..4 {
                macro_rules! row {
                    ($i:expr) => {
                        // Read as bytes, because the address need not be a multiple of four.
                        vreinterpretq_u32_u8(vld1q_u8((*places.add($i)).add(offset + 16 * quarter)))
                    };
                }
                let (r0, r1, r2, r3) = (row!(0), row!(1), row!(2), row!(3));
                let (even01, odd01) = (vtrn1q_u32(r0, r1), vtrn2q_u32(r0, r1));
                let (even23, odd23) = (vtrn1q_u32(r2, r3), vtrn2q_u32(r2, r3));
                macro_rules! halves {
                    ($zip:ident, $a:expr, $b:expr) => {
                        Self(vreinterpretq_u32_u64($zip(
                            vreinterpretq_u64_u32($a),
                            vreinterpretq_u64_u32($b),
                        )))
                    };
                }
                words[4 * quarter] = halves!(vtrn1q_u64, even01, even23);
                words[4 * quarter + 1] = halves!(vtrn1q_u64, odd01, odd23);
                words[4 * quarter + 2] = halves!(vtrn2q_u64, even01, even23);
                words[4 * quarter + 3] = halves!(vtrn2q_u64, odd01, odd23);
            }
            words
        })
    }
}
