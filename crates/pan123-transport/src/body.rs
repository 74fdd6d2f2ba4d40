//! Request bodies that can be read at any offset, any number of times.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

/// Random access to bytes that do not change while they are sent.
pub trait ReadAt: Send + Sync {
    /// Reads into `buf` from `offset` on and returns how many bytes it read; fewer than asked for
    /// only at the end of the data. May block.
    ///
    /// # Errors
    ///
    /// Whatever the storage says. [`io::ErrorKind::Interrupted`] is not retried by the caller.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Like [`read_at`](Self::read_at), but returns `None` rather than block.
    fn try_read_at(&self, _offset: u64, _buf: &mut [u8]) -> Option<io::Result<usize>> {
        None
    }

    /// The bytes themselves, if they are in memory, so that they need not be copied.
    fn as_bytes(&self) -> Option<&Bytes> {
        None
    }
}

impl ReadAt for Bytes {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let n = buf.len().min(self.len() - start);
        buf[..n].copy_from_slice(&self[start..start + n]);
        Ok(n)
    }

    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> Option<io::Result<usize>> {
        Some(self.read_at(offset, buf))
    }

    fn as_bytes(&self) -> Option<&Bytes> {
        Some(self)
    }
}

/// A body: some bytes, a range of a [`ReadAt`], some bytes. Cheap to clone.
#[derive(Clone)]
pub struct Body {
    prologue: Bytes,
    range: Option<Range>,
    epilogue: Bytes,
}

#[derive(Clone)]
struct Range {
    data: Arc<dyn ReadAt>,
    offset: u64,
    len: u64,
}

impl Body {
    /// No body at all.
    pub fn empty() -> Self {
        Self::from_bytes(Bytes::new())
    }

    /// A body held in memory.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self { prologue: bytes.into(), range: None, epilogue: Bytes::new() }
    }

    /// `prologue`, then `len` bytes of `data` from `offset` on, then `epilogue`.
    pub fn framed(prologue: Bytes, data: Arc<dyn ReadAt>, offset: u64, len: u64, epilogue: Bytes) -> Self {
        Self { prologue, range: Some(Range { data, offset, len }), epilogue }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.prologue.len() as u64 + self.range.as_ref().map_or(0, |r| r.len) + self.epilogue.len() as u64
    }

    /// True for a body without a byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Counts the body bytes of one request as the connection takes them.
///
/// The count runs ahead of the wire by what the HTTP library and the kernel hold.
#[derive(Debug, Default)]
pub struct Meter(AtomicU64);

impl Meter {
    /// Bytes taken so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds `n` bytes. Called by transports.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
}

/// Decides when the next frame of a body may go.
pub trait Pace: Send + Sync {
    /// Asks for `len` bytes; returns how long to wait before they may be handed over.
    fn take(&self, len: usize) -> Duration;
}
