//! Digests of a source, made on a thread of their own.

use std::{
    io,
    num::NonZeroU64,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use pan123_hash::{Input, Options, cache::Cache};
use pan123_proto::{Md5, machine::Digests};
use pan123_transport::ReadAt;

use crate::{
    blocking::blocking,
    error::{Error, ErrorKind},
    source::{Identity, Source, SourceRead, changed, unreadable},
};

/// Stops the hashing that it was given to, soon, when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct HashGuard(Arc<AtomicBool>);

impl Drop for HashGuard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Hashes a source that has to be in the state `identity` before and after. `progress` is called with the
/// bytes hashed so far. A file is looked up in `cache` first. Dropping the future stops the hashing.
pub(crate) async fn hash(
    cache: Option<Cache>,
    source: Source,
    identity: Identity,
    slice_size: NonZeroU64,
    progress: impl Fn(u64) + Send + Sync + 'static,
) -> Result<Digests, Error> {
    let guard = HashGuard::default();
    let cancel = guard.0.clone();
    let digests = blocking("hash", move || {
        let options = Options::new(slice_size).progress(&progress).cancel(&cancel);
        let digests = match (cache, source.path()) {
            (Some(cache), Some(path)) => cache.hash_file(path, &options),
            _ => pan123_hash::hash_input(&source, &options),
        };
        let digests = digests.map_err(|error| hash_error(&source, &error))?;
        // What was hashed by its name has to be what is open.
        source.check(&identity)?;
        Ok(from_hash(digests))
    });
    let digests = digests.await;
    drop(guard);
    digests
}

/// So that the hashing crate reads sources as they are.
impl Input for Source {
    fn size(&self) -> io::Result<u64> {
        Ok(self.identity()?.size)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        ReadAt::read_at(self, offset, buf)
    }

    fn read_owned(&self, offset: u64, buf: &mut Vec<u8>, range: Range<usize>) -> io::Result<usize> {
        ReadAt::read_owned(self, offset, buf, range)
    }

    fn version(&self) -> io::Result<u128> {
        let identity = self.identity()?;
        let changed = identity.mtime_ns.rotate_left(32) ^ identity.ctime_ns;
        Ok(u128::from(changed as u64) << 64 | u128::from(identity.inode))
    }
}

fn from_hash(digests: pan123_hash::Digests) -> Digests {
    Digests {
        etag: Md5(digests.etag),
        slice_size: digests.slice_size.get(),
        slices: digests.slices.into_iter().map(Md5).collect(),
    }
}

fn hash_error(source: &Source, error: &pan123_hash::Error) -> Error {
    use pan123_hash::ErrorKind as Hash;
    // It names a file by itself.
    let message = match error.path() {
        Some(_) => error.to_string().trim_start_matches("hash ").to_owned(),
        None => format!("{}: {error}", source.describe()),
    };
    match error.kind() {
        Hash::Cancelled => Error::new(ErrorKind::Cancelled, "hash", message),
        Hash::Kernel => Error::new(ErrorKind::Usage, "hash", message)
            .with_advice("Unset PAN123_HASH_KERNEL, or name a kernel that this machine has."),
        Hash::Shrunk | Hash::Grown | Hash::Changed | Hash::NotFound => changed("hash", message),
        // It was longer when it was opened.
        _ if ends_early(error) => changed("hash", message),
        _ => unreadable("hash", message),
    }
}

fn ends_early(error: &pan123_hash::Error) -> bool {
    error.io_error().is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
}

/// MD5 of a part of a source, for a slice that comes without one.
pub(crate) async fn range(source: Source, offset: u64, len: u64) -> Result<Md5, Error> {
    struct Part(Source, u64, u64);
    impl Input for Part {
        fn size(&self) -> io::Result<u64> {
            Ok(self.2)
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            let left = usize::try_from(self.2.saturating_sub(offset)).unwrap_or(usize::MAX);
            let len = buf.len().min(left);
            ReadAt::read_at(&self.0, self.1 + offset, &mut buf[..len])
        }
    }
    blocking("hash", move || {
        let input = Part(source.clone(), offset, len);
        let whole = NonZeroU64::new(len).unwrap_or(NonZeroU64::MIN);
        let digests = pan123_hash::hash_input(&input, &Options::new(whole));
        digests.map(|digests| Md5(digests.etag)).map_err(|error| hash_error(&source, &error))
    })
    .await
}
