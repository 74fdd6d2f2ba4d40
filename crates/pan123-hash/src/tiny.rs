//! A file of a few bytes, by the shortest way.
//!
//! Its digest takes a twentieth of the time that the system takes to open it, so what else has to be done is no more
//! than to read it and to see that it held still.

use std::path::Path;

use crate::{
    Digests, Error, FileInput, Kernel, Options,
    chain::md5,
    input::{Before, read_full},
};

/// Up to so many bytes, one file is hashed in less time than it takes to share the work of several out.
const TINY_MAX: usize = 256;

/// Whether [`hash_tiny`] is for a file that was like this.
pub(crate) fn is_tiny(before: Before, options: &Options) -> bool {
    before.size <= options.slice_size().get().min(TINY_MAX as u64) && !options.wants_sha1()
}

/// Hashes a [tiny](is_tiny) file.
#[inline(always)]
pub(crate) fn hash_tiny(
    input: &FileInput,
    before: Before,
    path: &Path,
    kernel: Kernel,
    options: &Options,
) -> Result<Digests, Error> {
    let mut buf = [0; TINY_MAX + 1];
    let len = before.size as usize;
    // One byte more than there should be: if it does not come, one call has read the file and seen its end.
    let got = read_full(input, 0, &mut buf[..=len], len, options)?;
    if got < len {
        return Err(before.ended(got as u64, input.look_again(Some(path))?));
    }
    // What has no bytes has none that could have changed.
    if got > 0 {
        input.check_small(before, path)?;
    }
    if got > len {
        return Err(before.went_on(input.look_again(Some(path))?));
    }
    let etag = md5(kernel, &buf[..len]);
    let (size, slice_size) = (before.size, options.slice_size());
    Ok(Digests { etag, slices: vec![etag], size, slice_size, sha1: None })
}
