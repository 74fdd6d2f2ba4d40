//! Two chains in the first two lanes of the same XMM registers, with AVX-512VL.
//!
//! `vpternlogd` is any function of three bits and `vprold` a rotation, so a step is four instructions deep:
//! function, addition, rotation, addition. The second lane costs nothing. A compiler that may reorder `a +
//! word + constant + f(b, c, d)` makes it five deep, so the part that does not need `b` goes through an empty
//! `asm!` that it cannot look into.

use std::arch::{asm, x86_64::*};

use crate::kernel::steps::steps;

/// What `vpternlogd` wants to know of a function: its value for each of the eight combinations of three bits.
macro_rules! truth_table {
    (f) => {
        0xca
    }; // b ? c : d
    (g) => {
        0xe4
    }; // d ? b : c
    (h) => {
        0x96
    }; // b ^ c ^ d
    (i) => {
        0x39
    }; // c ^ (b | !d)
}
pub(super) use truth_table;

macro_rules! step {
    ($s:ident, $words:expr, $f:ident, $a:literal $b:literal $c:literal $d:literal, $w:literal, $r:literal, $k:literal) => {
        let mut early = _mm_add_epi32(_mm_add_epi32($s[$a], $words[$w]), _mm_set1_epi32($k as i32));
        // SAFETY: no instruction at all; the value is only hidden from the optimiser.
        unsafe { asm!("/* {0} */", inout(xmm_reg) early, options(pure, nomem, nostack, preserves_flags)) };
        let function = _mm_ternarylogic_epi32::<{ truth_table!($f) }>($s[$b], $s[$c], $s[$d]);
        $s[$a] = _mm_add_epi32($s[$b], _mm_rol_epi32::<$r>(_mm_add_epi32(early, function)));
    };
}

/// Compresses as many blocks into each of two states.
#[target_feature(enable = "avx512f,avx512vl")]
pub(in crate::kernel) fn pair(a: &mut [u32; 4], b: &mut [u32; 4], for_a: &[[u8; 64]], for_b: &[[u8; 64]]) {
    let mut state: [__m128i; 4] = std::array::from_fn(|i| _mm_set_epi32(0, 0, b[i] as i32, a[i] as i32));
    let same = for_a.as_ptr() == for_b.as_ptr();
    for (block_a, block_b) in for_a.iter().zip(for_b) {
        let mut s = state;
        let words: [__m128i; 16] = if same { broadcast(block_a) } else { interleave(block_a, block_b) };
        macro_rules! both {
            ($($step:tt)*) => { step!(s, words, $($step)*) };
        }
        steps!(both);
        for i in 0..4 {
            state[i] = _mm_add_epi32(state[i], s[i]);
        }
    }
    for i in 0..4 {
        a[i] = _mm_extract_epi32::<0>(state[i]) as u32;
        b[i] = _mm_extract_epi32::<1>(state[i]) as u32;
    }
}

/// Each word of the block in every lane.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn broadcast(block: &[u8; 64]) -> [__m128i; 16] {
    std::array::from_fn(|i| _mm_set1_epi32(word(block, i)))
}

/// The words of one block in the first lane, those of the other in the second.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn interleave(a: &[u8; 64], b: &[u8; 64]) -> [__m128i; 16] {
    std::array::from_fn(|i| _mm_mask_set1_epi32(_mm_set1_epi32(word(a, i)), 2, word(b, i)))
}

#[inline]
fn word(block: &[u8; 64], i: usize) -> i32 {
    i32::from_le_bytes([block[4 * i], block[4 * i + 1], block[4 * i + 2], block[4 * i + 3]])
}
