//! Two chains in the general registers of any AArch64 CPU.
//!
//! The registers are plenty: eight words, both addresses and all temporaries stay in them. Each constant
//! takes two instructions to build, which the chains share. Against two lanes of a NEON register this wins by
//! arithmetic: vector operations take two or more cycles where scalar ones take one, and NEON has no
//! rotation.

use std::arch::asm;

use crate::kernel::steps::steps;

/// Compresses `blocks` into `state`.
pub(in crate::kernel) fn single(state: &mut [u32; 4], blocks: &[[u8; 64]]) {
    for block in blocks {
        let mut s = *state;
        macro_rules! one {
            ($f:ident, $a:literal $b:literal $c:literal $d:literal, $w:literal, $r:literal, $k:literal) => {
                s[$a] = step(
                    s[$a].wrapping_add(word::<$w>(block)).wrapping_add($k),
                    $f(s[$b], s[$c], s[$d]),
                    $r,
                    s[$b],
                );
            };
        }
        steps!(one);
        add(state, s);
    }
}

/// Compresses as many blocks into each of two states.
pub(in crate::kernel) fn pair(a: &mut [u32; 4], b: &mut [u32; 4], for_a: &[[u8; 64]], for_b: &[[u8; 64]]) {
    for (block_a, block_b) in for_a.iter().zip(for_b) {
        let (mut s, mut t) = (*a, *b);
        macro_rules! both {
            ($f:ident, $a:literal $b:literal $c:literal $d:literal, $w:literal, $r:literal, $k:literal) => {
                s[$a] = step(
                    s[$a].wrapping_add(word::<$w>(block_a)).wrapping_add($k),
                    $f(s[$b], s[$c], s[$d]),
                    $r,
                    s[$b],
                );
                t[$a] = step(
                    t[$a].wrapping_add(word::<$w>(block_b)).wrapping_add($k),
                    $f(t[$b], t[$c], t[$d]),
                    $r,
                    t[$b],
                );
            };
        }
        steps!(both);
        add(a, s);
        add(b, t);
    }
}

/// The end of a step: what needs `b` comes as `function`, in up to two summands, and what does not as `early`.
#[inline(always)]
fn step(mut early: u32, function: (u32, u32), bits: u32, b: u32) -> u32 {
    early = early.wrapping_add(function.0);
    // SAFETY: no instruction at all; the sum is only hidden from the optimiser, which would otherwise move
    // the addition of a constant behind the function and so make the chain longer.
    unsafe { asm!("/* {0:w} */", inout(reg) early, options(pure, nomem, nostack, preserves_flags)) };
    early.wrapping_add(function.1).rotate_left(bits).wrapping_add(b)
}

#[inline(always)]
fn f(b: u32, c: u32, d: u32) -> (u32, u32) {
    (0, ((c ^ d) & b) ^ d)
}

/// The halves share no bit, so they may be added; the one without `b` is early.
#[inline(always)]
fn g(b: u32, c: u32, d: u32) -> (u32, u32) {
    (c & !d, b & d)
}

#[inline(always)]
fn h(b: u32, c: u32, d: u32) -> (u32, u32) {
    (0, b ^ (c ^ d))
}

#[inline(always)]
fn i(b: u32, c: u32, d: u32) -> (u32, u32) {
    (0, c ^ (b | !d))
}

#[inline(always)]
fn word<const W: usize>(block: &[u8; 64]) -> u32 {
    u32::from_le_bytes([block[4 * W], block[4 * W + 1], block[4 * W + 2], block[4 * W + 3]])
}

#[inline(always)]
fn add(state: &mut [u32; 4], s: [u32; 4]) {
    for (word, new) in state.iter_mut().zip(s) {
        *word = word.wrapping_add(new);
    }
}
