//! Two chains in the general registers of any x86-64 CPU.
//!
//! One chain is a string of dependent instructions that leaves most of the execution units idle, so a second
//! one that shares nothing with it fits in between at little cost. The steps are written in assembly because
//! a compiler that is free to reorder `a + word + constant + f(b, c, d)` puts one more addition on the path
//! from `b` to the result; here everything that does not need `b` comes first.

use std::arch::asm;

use crate::kernel::steps::steps;

/// One step of one chain. `$s` holds its four words, `$m` the address of the block.
macro_rules! step {
    // (b & c) | (!b & d), as ((c ^ d) & b) ^ d
    ($s:ident, $m:ident, f, $a:literal $b:literal $c:literal $d:literal, $w:literal, $r:literal, $k:literal) => {
        asm!("mov {t:e}, {c:e}", "add {a:e}, dword ptr [{m} + 4 * {w}]", "xor {t:e}, {d:e}", "add {a:e}, {k}",
             "and {t:e}, {b:e}", "xor {t:e}, {d:e}", "add {a:e}, {t:e}", "rol {a:e}, {r}", "add {a:e}, {b:e}",
             t = out(reg) _, a = inout(reg) $s[$a], b = in(reg) $s[$b], c = in(reg) $s[$c], d = in(reg) $s[$d],
             m = in(reg) $m, w = const $w, k = const $k as i32, r = const $r, options(nostack, readonly))
    };
    // (d & b) | (!d & c): the halves share no bit, so they may be added, and the one without b is added early
    ($s:ident, $m:ident, g, $a:literal $b:literal $c:literal $d:literal, $w:literal, $r:literal, $k:literal) => {
        asm!("mov {t:e}, {d:e}", "add {a:e}, dword ptr [{m} + 4 * {w}]", "not {t:e}", "mov {u:e}, {d:e}", "add {a:e}, {k}",
             "and {t:e}, {c:e}", "and {u:e}, {b:e}", "add {a:e}, {t:e}", "add {a:e}, {u:e}", "rol {a:e}, {r}", "add {a:e}, {b:e}",
             t = out(reg) _, u = out(reg) _, a = inout(reg) $s[$a], b = in(reg) $s[$b], c = in(reg) $s[$c], d = in(reg) $s[$d],
             m = in(reg) $m, w = const $w, k = const $k as i32, r = const $r, options(nostack, readonly))
    };
    // b ^ c ^ d
    ($s:ident, $m:ident, h, $a:literal $b:literal $c:literal $d:literal, $w:literal, $r:literal, $k:literal) => {
        asm!("mov {t:e}, {c:e}", "add {a:e}, dword ptr [{m} + 4 * {w}]", "xor {t:e}, {d:e}", "add {a:e}, {k}",
             "xor {t:e}, {b:e}", "add {a:e}, {t:e}", "rol {a:e}, {r}", "add {a:e}, {b:e}",
             t = out(reg) _, a = inout(reg) $s[$a], b = in(reg) $s[$b], c = in(reg) $s[$c], d = in(reg) $s[$d],
             m = in(reg) $m, w = const $w, k = const $k as i32, r = const $r, options(nostack, readonly))
    };
    // c ^ (b | !d)
    ($s:ident, $m:ident, i, $a:literal $b:literal $c:literal $d:literal, $w:literal, $r:literal, $k:literal) => {
        asm!("mov {t:e}, {d:e}", "add {a:e}, dword ptr [{m} + 4 * {w}]", "not {t:e}", "add {a:e}, {k}",
             "or {t:e}, {b:e}", "xor {t:e}, {c:e}", "add {a:e}, {t:e}", "rol {a:e}, {r}", "add {a:e}, {b:e}",
             t = out(reg) _, a = inout(reg) $s[$a], b = in(reg) $s[$b], c = in(reg) $s[$c], d = in(reg) $s[$d],
             m = in(reg) $m, w = const $w, k = const $k as i32, r = const $r, options(nostack, readonly))
    };
}

/// Compresses `blocks` into `state`.
pub(in crate::kernel) fn single(state: &mut [u32; 4], blocks: &[[u8; 64]]) {
    for block in blocks {
        let (mut s, p) = (*state, block.as_ptr());
        macro_rules! one {
            ($($step:tt)*) => { step!(s, p, $($step)*) };
        }
        // SAFETY: each step reads four bytes of the block that `p` points to, and changes registers.
        unsafe {
            steps!(one);
        }
        for (word, new) in state.iter_mut().zip(s) {
            *word = word.wrapping_add(new);
        }
    }
}

/// Compresses as many blocks into each of two states.
pub(in crate::kernel) fn pair(a: &mut [u32; 4], b: &mut [u32; 4], for_a: &[[u8; 64]], for_b: &[[u8; 64]]) {
    let (mut state_a, mut state_b) = (*a, *b);
    for (block_a, block_b) in for_a.iter().zip(for_b) {
        let (mut s, mut t) = (state_a, state_b);
        let (p, q) = (block_a.as_ptr(), block_b.as_ptr());
        macro_rules! both {
            ($($step:tt)*) => { step!(s, p, $($step)*); step!(t, q, $($step)*); };
        }
        // SAFETY: each step reads four bytes of the blocks that `p` and `q` point to, and changes registers.
        unsafe {
            steps!(both);
        }
        for i in 0..4 {
            state_a[i] = state_a[i].wrapping_add(s[i]);
            state_b[i] = state_b[i].wrapping_add(t[i]);
        }
    }
    (*a, *b) = (state_a, state_b);
}
