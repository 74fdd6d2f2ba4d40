//! Digests of a source, made on a thread of their own.

use std::{
    io,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use pan123_hash::{Input, Options};
use pan123_proto::{Md5, machine::Digests};
use pan123_transport::ReadAt;
use tokio::sync::oneshot;

use crate::{
    error::{Error, ErrorKind},
    source::{Source, SourceRead},
};

/// A hash pass under way. Dropping it stops the thread soon; nobody waits for it.
pub(crate) struct Hashing {
    result: oneshot::Receiver<Result<Digests, Error>>,
    cancel: Arc<AtomicBool>,
}

impl Hashing {
    /// Starts to hash; `progress` is called with the bytes hashed so far.
    ///
    /// A thread rather than a task, because a custom source may block in a read for as long as it likes.
    pub(crate) fn start(source: Source, slice_size: NonZeroU64, progress: impl Fn(u64) + Send + Sync + 'static) -> Self {
        let cancel = Arc::new(AtomicBool::new(false));
        let (sender, result) = oneshot::channel();
        let flag = cancel.clone();
        let spawned = std::thread::Builder::new().name("pan123-hash".into()).spawn(move || {
            let options = Options::new(slice_size).progress(&progress).cancel(&flag);
            let digests = pan123_hash::hash_input(&SourceInput(&source), &options);
            let _ = sender.send(digests.map(from_hash).map_err(|error| hash_error(&source, &error)));
        });
        if let Err(error) = spawned {
            // The sender is gone with the closure, which `finished` reports.
            tracing::error!(%error, "no thread to hash on");
        }
        Self { result, cancel }
    }

    /// The digests, once they are there.
    pub(crate) async fn finished(&mut self) -> Result<Digests, Error> {
        (&mut self.result).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Internal, "hash", "the hashing thread could not be started or died"))
        })
    }
}

impl Drop for Hashing {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
    }
}

/// A source as the hashing crate wants it.
struct SourceInput<'a>(&'a Source);

impl Input for SourceInput<'_> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.identity()?.size)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        ReadAt::read_at(self.0, offset, buf)
    }

    fn version(&self) -> io::Result<u128> {
        let identity = self.0.identity()?;
        Ok(u128::from(identity.mtime_ns as u64) << 64 | u128::from(identity.inode))
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
    let kind = match error.kind() {
        Hash::Cancelled => ErrorKind::Cancelled,
        Hash::Kernel => ErrorKind::Usage,
        Hash::Shrunk | Hash::Grown | Hash::Changed | Hash::NotFound => ErrorKind::SourceChanged,
        _ => ErrorKind::Source,
    };
    Error::new(kind, "hash", format!("{}: {error}", source.describe()))
        .with_advice("Upload again once nothing writes to the file any more.")
}

/// MD5 of a part of a source, for a slice that comes without one.
pub(crate) async fn range(source: Source, offset: u64, len: u64) -> Result<Md5, Error> {
    struct Range(Source, u64, u64);
    impl Input for Range {
        fn size(&self) -> io::Result<u64> {
            Ok(self.2)
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            let left = usize::try_from(self.2.saturating_sub(offset)).unwrap_or(usize::MAX);
            let len = buf.len().min(left);
            ReadAt::read_at(&self.0, self.1 + offset, &mut buf[..len])
        }
    }
    let work = move || {
        let input = Range(source.clone(), offset, len);
        let whole = NonZeroU64::new(len).unwrap_or(NonZeroU64::MIN);
        pan123_hash::hash_input(&input, &Options::new(whole)).map_err(|error| hash_error(&source, &error))
    };
    let digests = tokio::task::spawn_blocking(work).await;
    match digests {
        Ok(digests) => digests.map(|digests| Md5(digests.etag)),
        Err(_) => Err(Error::new(ErrorKind::Internal, "hash", "the hashing thread died")),
    }
}
