//! Small files by the shortest way.
//!
//! Their digests take less time than the system takes to open them, so what else is done is no more than to read them
//! and to see that they held still.

use std::mem::MaybeUninit;

use crate::{Digests, FileInput, Kernel, Options, chain::md5, input::Before};

/// Up to so many bytes, a file that comes alone takes this way.
pub(crate) const TINY_ALONE: usize = 4 << 10;

/// Up to so many bytes, a file that comes with a few others is hashed in less time than it takes to share the work out.
pub(crate) const TINY_AMONG_FEW: usize = 512;

/// As much as two blocks hold. Longer files that come with many others are better off in lanes.
pub(crate) const TINY_AMONG_MANY: usize = 119;

/// Hashes the file, if it has no more than so many bytes and all goes well. If not, somebody has to look closer, and to
/// find the words for what is wrong.
#[inline(always)]
pub(crate) fn hash_tiny(
    input: &FileInput,
    before: Before,
    len_max: usize,
    kernel: Kernel,
    options: &Options,
) -> Option<Digests> {
    let (size, slice_size) = (before.size, options.slice_size());
    if size > slice_size.get().min(len_max.min(TINY_ALONE) as u64)
        || options.wants_sha1()
        || options.check_cancelled().is_err()
    {
        return None;
    }
    // One byte more than there should be: if it does not come, one call has read the file and seen its end.
    let mut space = [MaybeUninit::uninit(); TINY_ALONE + 1];
    let (data, _) = rustix::io::pread(input.file(), &mut space[..=size as usize], 0).ok()?;
    // What has no bytes has none that could have changed.
    let held_still = data.len() as u64 == size && (size == 0 || input.holds_still(before));
    held_still.then(|| {
        let etag = md5(kernel, data);
        Digests { etag, slices: vec![etag], size, slice_size, sha1: None }
    })
}
