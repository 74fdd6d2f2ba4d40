//! What to compute, and whom to tell.

use std::{
    fmt,
    num::NonZeroU64,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{Error, Kernel, OnePass};

/// How to hash files, inputs and buffers.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    slice_size: NonZeroU64,
    sha1: bool,
    kernel: Option<Kernel>,
    progress: Option<&'a (dyn Fn(u64) + Sync)>,
    cancel: Option<&'a AtomicBool>,
}

impl<'a> Options<'a> {
    /// Etag and slice MD5s, without SHA-1. `slice_size` is the length of a slice in bytes.
    pub fn new(slice_size: NonZeroU64) -> Self {
        Self { slice_size, sha1: false, kernel: None, progress: None, cancel: None }
    }

    /// Computes the SHA-1 of the whole as well. It costs about half as much time as the etag.
    #[must_use]
    pub fn sha1(mut self, wanted: bool) -> Self {
        self.sha1 = wanted;
        self
    }

    /// Uses this kernel rather than the one that [`Kernel::from_env`] picks.
    #[must_use]
    pub fn kernel(mut self, kernel: Kernel) -> Self {
        self.kernel = Some(kernel);
        self
    }

    /// Calls `progress` with the number of bytes hashed so far, over all files of the call.
    ///
    /// The number never falls. The call comes on the thread that called, about every MiB or more often, and at the
    /// end.
    #[must_use]
    pub fn progress(mut self, progress: &'a (dyn Fn(u64) + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Stops with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) within a few MiB after `flag` turns
    /// true.
    #[must_use]
    pub fn cancel(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Length of a slice in bytes.
    pub fn slice_size(&self) -> NonZeroU64 {
        self.slice_size
    }

    pub(crate) fn wants_sha1(&self) -> bool {
        self.sha1
    }

    pub(crate) fn chosen_kernel(&self) -> Result<Kernel, Error> {
        self.kernel.map_or_else(Kernel::from_env, Ok)
    }

    pub(crate) fn one_pass(&self) -> Result<OnePass, Error> {
        Ok(self.one_pass_with(self.chosen_kernel()?))
    }

    pub(crate) fn one_pass_with(&self, kernel: Kernel) -> OnePass {
        let pass = OnePass::with_kernel(self.slice_size, kernel);
        if self.sha1 { pass.sha1() } else { pass }
    }

    pub(crate) fn report(&self, bytes_hashed: u64) {
        if let Some(progress) = self.progress {
            progress(bytes_hashed);
        }
    }

    pub(crate) fn check_cancelled(&self) -> Result<(), Error> {
        match self.cancel {
            Some(flag) if flag.load(Ordering::Relaxed) => Err(Error::cancelled()),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("slice_size", &self.slice_size)
            .field("sha1", &self.sha1)
            .field("kernel", &self.kernel)
            .finish_non_exhaustive()
    }
}
