//! The whole-file MD5, which follows the slices as they come.

use std::{
    fs::File,
    io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use md5::{Digest, Md5};

use super::{Drive, positioned};

/// How much is read back at once.
const READ_LEN: usize = 1 << 20;

/// Digest of the first slices of one upload, as far as they are there without a gap.
///
/// Slices come in any order and several at a time, so they are read back rather than hashed on their way in:
/// they are in the page cache, and reading costs a tenth of the MD5. By the time of `upload_complete` little is left.
#[derive(Debug)]
pub(crate) struct Whole {
    progress: Mutex<(u32, Md5)>,
}

impl Default for Whole {
    fn default() -> Self {
        Self { progress: Mutex::new((1, Md5::new())) }
    }
}

impl Whole {
    /// Hashes on, as far as slices are there, unless somebody is at it.
    pub(crate) fn follow(&self, drive: &Drive, upload: &str) {
        if let Ok(progress) = self.progress.try_lock() {
            // A failed read is met again, and told, at the end.
            let _ = Self::advance(progress, drive, upload);
        }
    }

    /// Hashes to the end. `None` if slices are missing or the drive is closing.
    pub(crate) fn finish(&self, drive: &Drive, upload: &str) -> io::Result<Option<[u8; 16]>> {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        Self::advance(progress, drive, upload)
    }

    fn advance(
        mut progress: MutexGuard<'_, (u32, Md5)>,
        drive: &Drive,
        upload: &str,
    ) -> io::Result<Option<[u8; 16]>> {
        while let Some((part, slice)) = drive.stored_slice(upload, progress.0)? {
            let mut state = progress.1.clone();
            if !hash_range(&part, slice.offset, slice.len, &mut state, drive.closing())? {
                return Ok(None);
            }
            *progress = (slice.no + 1, state);
        }
        let is_whole = drive.is_last_slice(upload, progress.0 - 1);
        Ok(is_whole.then(|| progress.1.clone().finalize().into()))
    }
}

/// Feeds a range of a file. False when told to stop.
fn hash_range(file: &File, offset: u64, len: u64, state: &mut Md5, stop: &AtomicBool) -> io::Result<bool> {
    let mut buffer = vec![0; usize::try_from(len).map_or(READ_LEN, |len| len.min(READ_LEN))];
    let mut at = offset;
    while at < offset + len {
        if stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let piece = buffer.len().min(usize::try_from(offset + len - at).unwrap_or(READ_LEN));
        positioned::read_exact_at(file, &mut buffer[..piece], at)?;
        state.update(&buffer[..piece]);
        at += piece as u64;
    }
    Ok(true)
}
