//! Small files by the shortest way.
//!
//! Their digests take less time than the system takes to open them, so what else is done is no more than to read them
//! and to see that they held still. The functions on the way are inlined and errors are built elsewhere: after a
//! system call the caches hold the system's code and the returns are guessed wrong, so that both count.

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

#[cfg(test)]
mod tests {
    use std::{fs, num::NonZeroU64, path::Path};

    use super::*;

    /// Whether a file is hashed by the shortest way if it was like what `before` makes of what it is.
    fn is_hashed(path: &Path, slice_size: u64, before: impl Fn(Before) -> Before) -> bool {
        let (input, stat) = FileInput::open_with_stat(path).expect("it is there");
        let options = Options::new(NonZeroU64::new(slice_size).expect("slices are not empty"));
        let before = before(Before::of_file(&stat));
        let hashed = hash_tiny(&input, before, 100, Kernel::best(), &options);
        hashed.inspect(|digests| assert_eq!(digests.size, before.size)).is_some()
    }

    #[test]
    fn only_a_small_file_that_is_as_it_was_takes_the_shortest_way() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = |len: usize| {
            fs::write(dir.path().join("file"), vec![1; len]).expect("a temporary file");
            dir.path().join("file")
        };
        for len in [0, 1, 99, 100] {
            assert!(is_hashed(&file(len), 100, |before| before), "{len}");
        }
        assert!(!is_hashed(&file(101), 1000, |before| before), "too long");
        assert!(!is_hashed(&file(6), 5, |before| before), "two slices");
        assert!(!is_hashed(&file(5), 100, |before| Before { size: 6, ..before }), "shrank");
        assert!(!is_hashed(&file(5), 100, |before| Before { size: 4, ..before }), "grew");
        assert!(!is_hashed(&file(5), 100, |before| Before { size: 0, ..before }), "was empty");
        assert!(!is_hashed(&file(5), 100, |before| Before { version: 1, ..before }), "was written to");
        if cfg!(target_os = "linux") {
            assert!(!is_hashed(Path::new("/proc/version"), 100, |before| before), "has bytes and no size");
        }
    }
}
