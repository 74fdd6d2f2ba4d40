//! Many chains at once: lane `i` of each vector belongs to chain `i`.
//!
//! The algorithm is the same for every vector width, so it is written once over [`Vector`]:
//!
//! ```text
//! for each block:
//!     for each group of vectors: load one block per lane and transpose, so that vector w holds word w of each
//!     for each of the 64 steps:
//!         for each group: the step
//! ```
//!
//! A step waits for the one before it, so `DEPTH` groups take turns to fill the wait.

/// How far ahead of each lane to ask the memory for data. So many streams are more than the CPU foresees by
/// itself: without it, AVX2 lanes lose a fifth of their speed when the data is not in the cache, and lanes of
/// random lengths a third.
const PREFETCH_BYTES: usize = 256;

/// As many 32-bit numbers as a register holds.
///
/// # Safety
///
/// The methods are inlined into functions that enable the instructions they need, and are called from nowhere
/// else; a safe trait method could not enable them by itself.
pub(super) trait Vector: Copy {
    /// How many numbers.
    const LANES: usize;

    /// The same number in each lane.
    unsafe fn splat(number: u32) -> Self;
    /// Reads `LANES` numbers, at any alignment.
    unsafe fn load(from: *const u32) -> Self;
    /// Writes `LANES` numbers, at any alignment.
    unsafe fn store(self, to: *mut u32);
    /// Wrapping sum, lane by lane.
    unsafe fn add(self, other: Self) -> Self;
    /// The same vector, which the optimiser takes for another one and so does not move sums across it.
    unsafe fn hidden(self) -> Self;
    /// `b ? c : d`, bit by bit.
    unsafe fn f(b: Self, c: Self, d: Self) -> Self;
    /// `d ? b : c`, bit by bit.
    unsafe fn g(b: Self, c: Self, d: Self) -> Self;
    /// `b ^ c ^ d`
    unsafe fn h(b: Self, c: Self, d: Self) -> Self;
    /// `c ^ (b | !d)`
    unsafe fn i(b: Self, c: Self, d: Self) -> Self;
    /// Rotates each lane left by `BITS`; `REST` is `32 - BITS`, which a constant expression may not say.
    unsafe fn rotate<const BITS: i32, const REST: i32>(self) -> Self;
    /// One block from each of `LANES` places, `offset` bytes in: vector `w` of the result holds word `w` of
    /// each.
    unsafe fn transpose(places: *const *const u8, offset: usize) -> [Self; 16];
}

/// The body of a method of [`Vector`].
macro_rules! instructions {
    ($body:expr) => {{
        // SAFETY: such a method is called from `compress` alone and inlined into a function that enables the
        // instructions it uses, on a CPU that has them; the addresses are those that the caller of `compress`
        // vouches for.
        unsafe { $body }
    }};
}
pub(super) use instructions;

/// Compresses `blocks` blocks into each of `DEPTH * V::LANES` states.
///
/// `states` holds the first word of each chain, then the second word of each, and so on.
///
/// # Safety
///
/// * The CPU runs the instructions of `V`, and the caller enables them.
/// * `states` is `4 * DEPTH * V::LANES` numbers that may be written.
/// * `places` is `DEPTH * V::LANES` addresses, each of `64 * blocks` bytes that may be read.
#[inline(always)]
pub(super) unsafe fn compress<V: Vector, const DEPTH: usize>(
    states: *mut u32,
    places: *const *const u8,
    blocks: usize,
) {
    // SAFETY: each address is one of those that the caller vouches for.
    unsafe {
        let width = DEPTH * V::LANES;
        // No closures from here on: one does not inherit the instructions that its function enables.
        let mut state = [[V::splat(0); 4]; DEPTH];
        for (group, state) in state.iter_mut().enumerate() {
            for (word, vector) in state.iter_mut().enumerate() {
                *vector = V::load(states.add(word * width + group * V::LANES));
            }
        }
        for block in 0..blocks {
            let mut words = [[V::splat(0); 16]; DEPTH];
            for lane in 0..width {
                prefetch((*places.add(lane)).wrapping_add(64 * block + PREFETCH_BYTES));
            }
            for (group, words) in words.iter_mut().enumerate() {
                *words = V::transpose(places.add(group * V::LANES), 64 * block);
            }
            let mut s = state;
            macro_rules! step {
                ($f:ident, $a:literal $b:literal $c:literal $d:literal, $w:literal, $r:literal, $k:literal) => {
                    for (s, words) in s.iter_mut().zip(&words) {
                        let early = s[$a].add(words[$w]).add(V::splat($k)).hidden();
                        let function = V::$f(s[$b], s[$c], s[$d]);
                        s[$a] = early.add(function).rotate::<$r, { 32 - $r }>().add(s[$b]);
                    }
                };
            }
            crate::kernel::steps::steps!(step);
            for (state, s) in state.iter_mut().zip(s) {
                for (word, new) in state.iter_mut().zip(s) {
                    *word = word.add(new);
                }
            }
        }
        for (group, state) in state.into_iter().enumerate() {
            for (word, vector) in state.into_iter().enumerate() {
                vector.store(states.add(word * width + group * V::LANES));
            }
        }
    }
}

/// Asks for the line of the cache that this address is in. It need not be one that may be read.
#[inline(always)]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, part of SSE, which every x86-64 CPU has; a bad address does nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a hint that touches neither memory nor flags; a bad address does nothing.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
}
