//! Kernels: the code that turns blocks into MD5 states, one file per instruction set.
//!
//! A [`Kernel`] is a token that only detection hands out, so whoever holds one may run it. It has two halves:
//! the *pair* takes two chains through a stream at the speed of one, the *lanes* take many chains at once,
//! each more slowly.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod lanes;
mod portable;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod steps;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use std::{fmt, sync::OnceLock, time::Instant};

use crate::{
    Error, ErrorKind,
    chain::{BLOCK, START},
};

/// The most chains that any kernel takes at once.
pub(crate) const LANES_MAX: usize = 32;

/// Names a kernel that is to be used instead of the best one.
const VARIABLE: &str = "PAN123_HASH_KERNEL";

/// A way to compute MD5 that this CPU can run.
///
/// | name | two digests of one stream | many streams |
/// |---|---|---|
/// | `portable` | the `md-5` crate | the `md-5` crate |
/// | `scalar` | two chains in general registers | two chains in general registers |
/// | `sse2` (x86-64) | as `scalar` | 16 chains in SSE2 registers |
/// | `avx2` (x86-64) | as `scalar` | 24 chains in AVX2 registers |
/// | `avx512-scalar` (x86-64) | as `scalar` | 32 chains in AVX-512 registers |
/// | `avx512` (x86-64) | two lanes of one register, with AVX-512VL | 32 chains in AVX-512 registers |
/// | `neon` (AArch64) | as `scalar` | 16 chains in NEON registers |
///
/// All of them compute the same digests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    pair: Pair,
    lanes: Lanes,
}

/// Code for one or two chains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pair {
    Portable,
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx512vl,
}

/// Code for many chains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lanes {
    /// None: they go through the pair, two by two.
    Pairs,
    #[cfg(target_arch = "x86_64")]
    Sse2,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

/// Every kernel of this architecture, from the slowest to the fastest, whether or not this CPU can run it.
#[rustfmt::skip]
const NAMED: &[(&str, Kernel)] = &[
    ("portable", Kernel { pair: Pair::Portable, lanes: Lanes::Pairs }),
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    ("scalar", Kernel { pair: Pair::Scalar, lanes: Lanes::Pairs }),
    #[cfg(target_arch = "x86_64")]
    ("sse2", Kernel { pair: Pair::Scalar, lanes: Lanes::Sse2 }),
    #[cfg(target_arch = "x86_64")]
    ("avx2", Kernel { pair: Pair::Scalar, lanes: Lanes::Avx2 }),
    #[cfg(target_arch = "x86_64")]
    ("avx512-scalar", Kernel { pair: Pair::Scalar, lanes: Lanes::Avx512 }),
    #[cfg(target_arch = "x86_64")]
    ("avx512", Kernel { pair: Pair::Avx512vl, lanes: Lanes::Avx512 }),
    #[cfg(target_arch = "aarch64")]
    ("neon", Kernel { pair: Pair::Scalar, lanes: Lanes::Neon }),
];

impl Kernel {
    /// All kernels that this CPU can run; the portable one is always among them.
    pub fn available() -> impl Iterator<Item = Self> {
        NAMED.iter().map(|&(_, kernel)| kernel).filter(|kernel| kernel.runs_here())
    }

    /// The fastest kernel on this CPU.
    ///
    /// Found once per process. Where AVX-512 is at hand, that takes 0.1 ms: its two-lane kernel is the
    /// fastest on CPUs whose vector units answer in one cycle, and far from it on others (Zen 5), so it is
    /// tried out.
    pub fn best() -> Self {
        static BEST: OnceLock<Kernel> = OnceLock::new();
        *BEST.get_or_init(|| {
            let Some(best) = Self::available().last() else {
                unreachable!("the portable kernel runs everywhere")
            };
            // Of two kernels with the same lanes, the one whose pair is faster.
            let rivals =
                Self::available().filter(|rival| rival.lanes == best.lanes && rival.pair != best.pair);
            rivals.fold(best, |best, rival| if rival.pair_is_faster_than(best) { rival } else { best })
        })
    }

    /// The kernel that the environment variable `PAN123_HASH_KERNEL` names, or the best one if it is not set.
    ///
    /// The variable is read once per process, or until it names a kernel that can be used.
    ///
    /// # Errors
    ///
    /// As [`by_name`](Self::by_name).
    pub fn from_env() -> Result<Self, Error> {
        static CHOSEN: OnceLock<Kernel> = OnceLock::new();
        if let Some(chosen) = CHOSEN.get() {
            return Ok(*chosen);
        }
        let kernel = match std::env::var_os(VARIABLE) {
            Some(name) if !name.is_empty() => Self::by_name(&name.to_string_lossy())
                .map_err(|error| Error::new(error.kind(), format!("{VARIABLE}: {error}")))?,
            _ => Self::best(),
        };
        Ok(*CHOSEN.get_or_init(|| kernel))
    }

    /// The kernel of this name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Kernel`] when there is none of that name on this CPU. The message lists those that there are.
    pub fn by_name(name: &str) -> Result<Self, Error> {
        Self::available().find(|kernel| kernel.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::available().map(Self::name).collect();
            let message = format!("no kernel \"{name}\" on this CPU; there are {}", names.join(", "));
            Error::new(ErrorKind::Kernel, message)
        })
    }

    /// Its name, as in the table above.
    pub fn name(self) -> &'static str {
        NAMED.iter().find(|(_, kernel)| *kernel == self).map_or("portable", |(name, _)| name)
    }

    fn runs_here(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        let avx512 = || {
            std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512vl")
        };
        let pair = match self.pair {
            #[cfg(target_arch = "x86_64")]
            Pair::Avx512vl => avx512(),
            _ => true,
        };
        let lanes = match self.lanes {
            #[cfg(target_arch = "x86_64")]
            Lanes::Avx2 => std::arch::is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Lanes::Avx512 => avx512(),
            #[cfg(target_arch = "aarch64")]
            Lanes::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            _ => true,
        };
        // Miri runs no assembly, which all kernels but the portable one are made of.
        pair && lanes && (!cfg!(miri) || self.pair == Pair::Portable)
    }

    fn pair_is_faster_than(self, other: Self) -> bool {
        let blocks = [[0x5a; BLOCK]; 64];
        let nanos = |kernel: Self| {
            let started = Instant::now();
            let (mut a, mut b) = (START, START);
            kernel.pair(&mut a, &mut b, &blocks, &blocks);
            std::hint::black_box((a, b));
            started.elapsed().as_nanos()
        };
        // Taken in turns; the least of several is the one that nothing interrupted.
        let tries: Vec<_> = (0..8).map(|_| (nanos(self), nanos(other))).collect();
        tries.iter().map(|(mine, _)| mine).min() < tries.iter().map(|(_, theirs)| theirs).min()
    }

    /// Compresses `blocks` into one state.
    pub(crate) fn single(self, state: &mut [u32; 4], blocks: &[[u8; BLOCK]]) {
        match self.pair {
            Pair::Portable => portable::single(state, blocks),
            #[cfg(target_arch = "x86_64")]
            Pair::Scalar => x86_64::scalar::single(state, blocks),
            #[cfg(target_arch = "x86_64")]
            Pair::Avx512vl if self.pair_is_free() => self.pair(state, &mut START.clone(), blocks, blocks),
            #[cfg(target_arch = "x86_64")]
            Pair::Avx512vl => x86_64::scalar::single(state, blocks),
            #[cfg(target_arch = "aarch64")]
            Pair::Scalar => aarch64::scalar::single(state, blocks),
        }
    }

    /// Whether a pair takes no longer than one chain does. It does where this kernel was named though another is the
    /// best: then one chain is better off with the other one's code.
    pub(crate) fn pair_is_free(self) -> bool {
        match self.pair {
            Pair::Portable => false,
            #[cfg(target_arch = "x86_64")]
            Pair::Avx512vl => Self::best().pair == self.pair,
            #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
            Pair::Scalar => true,
        }
    }

    /// Compresses as many blocks into each of two states.
    pub(crate) fn pair(
        self,
        a: &mut [u32; 4],
        b: &mut [u32; 4],
        for_a: &[[u8; BLOCK]],
        for_b: &[[u8; BLOCK]],
    ) {
        assert_eq!(for_a.len(), for_b.len(), "a pair advances in step");
        match self.pair {
            Pair::Portable => {
                portable::single(a, for_a);
                portable::single(b, for_b);
            }
            #[cfg(target_arch = "x86_64")]
            Pair::Scalar => x86_64::scalar::pair(a, b, for_a, for_b),
            // SAFETY: a kernel with this pair exists only after `runs_here` saw AVX-512F and VL on this CPU.
            #[cfg(target_arch = "x86_64")]
            Pair::Avx512vl => unsafe { x86_64::avx512vl::pair(a, b, for_a, for_b) },
            #[cfg(target_arch = "aarch64")]
            Pair::Scalar => aarch64::scalar::pair(a, b, for_a, for_b),
        }
    }

    /// How many chains [`lanes`](Self::lanes) can take at once, in rising order.
    pub(crate) fn widths(self) -> &'static [usize] {
        match self.lanes {
            Lanes::Pairs => &[],
            #[cfg(target_arch = "x86_64")]
            Lanes::Sse2 => &[8, 16],
            #[cfg(target_arch = "x86_64")]
            Lanes::Avx2 => &[8, 16, 24],
            #[cfg(target_arch = "x86_64")]
            Lanes::Avx512 => &[16, 32],
            #[cfg(target_arch = "aarch64")]
            Lanes::Neon => &[8, 16],
        }
    }

    /// From how many chains on the lanes are faster than the pair.
    ///
    /// Measured on Zen 5 as a ratio to the pair: one lane of SSE2 or AVX2 has 0.37 of the speed of one chain
    /// of the pair, one of AVX-512 has 0.55.
    pub(crate) fn crossover(self) -> usize {
        match self.lanes {
            Lanes::Pairs => usize::MAX,
            #[cfg(target_arch = "x86_64")]
            Lanes::Sse2 | Lanes::Avx2 => 6,
            #[cfg(target_arch = "x86_64")]
            Lanes::Avx512 => 4,
            // Not measured on hardware; the arithmetic is in the kernel's file.
            #[cfg(target_arch = "aarch64")]
            Lanes::Neon => 6,
        }
    }

    /// Compresses the first `count` blocks of each of `data` into the states of as many chains.
    ///
    /// `states` holds the first word of each chain, then the second word of each, and so on. The number of
    /// chains is one of [`widths`](Self::widths).
    pub(crate) fn lanes(self, states: &mut [u32], data: &[&[[u8; BLOCK]]], count: usize) {
        let width = data.len();
        assert!(self.widths().contains(&width) && states.len() == 4 * width, "a width of this kernel");
        let mut places = [std::ptr::null::<u8>(); LANES_MAX];
        for (place, blocks) in places.iter_mut().zip(data) {
            *place = blocks[..count].as_ptr().cast();
        }
        // SAFETY: detection made this token, and `states` and `places` are as long as was checked above; each
        // place is `count` blocks long.
        unsafe { self.lanes_at(width)(states.as_mut_ptr(), places.as_ptr(), count) }
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn lanes_at(self, width: usize) -> unsafe fn(*mut u32, *const *const u8, usize) {
        match (self.lanes, width) {
            #[cfg(target_arch = "x86_64")]
            (Lanes::Sse2, 8) => x86_64::sse2::lanes::<2>,
            #[cfg(target_arch = "x86_64")]
            (Lanes::Sse2, 16) => x86_64::sse2::lanes::<4>,
            #[cfg(target_arch = "x86_64")]
            (Lanes::Avx2, 8) => x86_64::avx2::lanes::<1>,
            #[cfg(target_arch = "x86_64")]
            (Lanes::Avx2, 16) => x86_64::avx2::lanes::<2>,
            #[cfg(target_arch = "x86_64")]
            (Lanes::Avx2, 24) => x86_64::avx2::lanes::<3>,
            #[cfg(target_arch = "x86_64")]
            (Lanes::Avx512, 16) => x86_64::avx512::lanes::<1>,
            #[cfg(target_arch = "x86_64")]
            (Lanes::Avx512, 32) => x86_64::avx512::lanes::<2>,
            #[cfg(target_arch = "aarch64")]
            (Lanes::Neon, 8) => aarch64::neon::lanes::<2>,
            #[cfg(target_arch = "aarch64")]
            (Lanes::Neon, 16) => aarch64::neon::lanes::<4>,
            _ => unreachable!("not a width of this kernel"),
        }
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn lanes_at(self, _width: usize) -> unsafe fn(*mut u32, *const *const u8, usize) {
        unreachable!("the portable kernel has no widths")
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The whole blocks at the front of `data`, and what follows them.
pub(crate) fn blocks(data: &[u8]) -> (&[[u8; BLOCK]], &[u8]) {
    let (whole, rest) = data.split_at(data.len() / BLOCK * BLOCK);
    // SAFETY: `whole` is `whole.len() / BLOCK` arrays of `BLOCK` bytes, which need no alignment, under the
    // same borrow.
    let blocks = unsafe { std::slice::from_raw_parts(whole.as_ptr().cast(), whole.len() / BLOCK) };
    (blocks, rest)
}

#[cfg(test)]
mod tests;
