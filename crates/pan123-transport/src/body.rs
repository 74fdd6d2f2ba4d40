//! Request bodies that can be read at any offset, any number of times.

use std::{
    fmt,
    future::Future,
    io,
    ops::Range,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

/// A read under way: the buffer, and how many bytes of it were read.
pub type ReadStarted = Pin<Box<dyn Future<Output = io::Result<(Vec<u8>, usize)>> + Send + Sync>>;

/// Random access to bytes that do not change while they are sent.
pub trait ReadAt: Send + Sync {
    /// Reads into `buf` from `offset` on and returns how many bytes it read; fewer than asked for
    /// only at the end of the data. May block.
    ///
    /// # Errors
    ///
    /// Whatever the storage says. [`io::ErrorKind::Interrupted`] is not retried by the caller.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Like [`read_at`](Self::read_at), but returns `None` rather than block. May read less than
    /// asked for anywhere; 0 bytes mean the end of the data.
    fn try_read_at(&self, _offset: u64, _buf: &mut [u8]) -> Option<io::Result<usize>> {
        None
    }

    /// As [`read_at`](Self::read_at), into `range` of `buf`. Data that is read on a thread of its own takes `buf` over
    /// meanwhile, so that nothing is copied and nobody has to wait for a read that hangs. After a failure `buf` may be
    /// empty.
    ///
    /// # Errors
    ///
    /// Those of [`read_at`](Self::read_at).
    fn read_owned(&self, offset: u64, buf: &mut Vec<u8>, range: Range<usize>) -> io::Result<usize> {
        self.read_at(offset, &mut buf[range])
    }

    /// As [`read_owned`](Self::read_owned) for the whole of `buf`, but returns at once; the buffer comes back with what
    /// was read. To be called in a tokio runtime; dropping the future leaves the read to itself.
    ///
    /// # Errors
    ///
    /// Gives `buf` back if there is no such way to read. [`read_at`](Self::read_at) is then called on a thread that may
    /// block.
    fn start_read(&self, _offset: u64, buf: Vec<u8>) -> Result<ReadStarted, Vec<u8>> {
        Err(buf)
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
    range: Option<Stretch>,
    epilogue: Bytes,
}

#[derive(Clone)]
struct Stretch {
    data: Arc<dyn ReadAt>,
    offset: u64,
    len: u64,
}

/// One stretch of a body, in the order in which it is sent. Never empty.
pub(crate) enum Segment {
    Memory(Bytes),
    Source { data: Arc<dyn ReadAt>, offset: u64, len: u64 },
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
    ///
    /// A source that ends before `offset + len` makes the request fail with
    /// [`ErrorKind::Source`](crate::ErrorKind::Source) when the sending gets there.
    pub fn framed(prologue: Bytes, data: Arc<dyn ReadAt>, offset: u64, len: u64, epilogue: Bytes) -> Self {
        Self { prologue, range: Some(Stretch { data, offset, len }), epilogue }
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.prologue.len() as u64 + self.range.as_ref().map_or(0, |r| r.len) + self.epilogue.len() as u64
    }

    /// True for a body without a byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads into `buf` from `offset` of the whole body on, and returns how many bytes it read:
    /// fewer than asked for only at the body's end, 0 from there on. May block.
    ///
    /// # Errors
    ///
    /// Whatever the source says; [`io::ErrorKind::UnexpectedEof`] when it ends before its range does.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        let mut start = 0; // of the segment, in the body
        for segment in self.segments() {
            let end = start + segment.len();
            let at = offset + filled as u64;
            if at < end && filled < buf.len() {
                let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buf.len() - filled);
                segment.read_exact_at(at - start, &mut buf[filled..filled + want])?;
                filled += want;
            }
            start = end;
        }
        Ok(filled)
    }

    /// The stretches of the body in order, without empty ones.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Segment> {
        let range = self.range.clone().map(|range| Segment::new(range.data, range.offset, range.len));
        [Some(Segment::Memory(self.prologue.clone())), range, Some(Segment::Memory(self.epilogue.clone()))]
            .into_iter()
            .flatten()
            .filter(|segment| segment.len() > 0)
    }
}

impl Segment {
    /// A range of a source, or of its memory where the source is in memory as far as the range goes.
    fn new(data: Arc<dyn ReadAt>, offset: u64, len: u64) -> Self {
        let in_memory = data.as_bytes().and_then(|bytes| {
            let start = usize::try_from(offset).ok()?;
            let end = start.checked_add(usize::try_from(len).ok()?)?;
            (end <= bytes.len()).then(|| bytes.slice(start..end))
        });
        match in_memory {
            Some(bytes) => Self::Memory(bytes),
            None => Self::Source { data, offset, len },
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Source { len, .. } => *len,
        }
    }

    fn read_exact_at(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Memory(bytes) => bytes.read_at(at, buf).map(drop),
            Self::Source { data, offset, .. } => read_exact_at(&**data, offset + at, buf),
        }
    }
}

/// Fills `buf` from `offset` on, over as many reads as it takes.
pub(crate) fn read_exact_at(data: &dyn ReadAt, offset: u64, buf: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buf.len() {
        let at = offset.saturating_add(filled as u64);
        match data.read_at(at, &mut buf[filled..])? {
            0 => return Err(ended_early(at)),
            n if n > buf.len() - filled => return Err(overrun(at)),
            n => filled += n,
        }
    }
    Ok(())
}

/// The source has no byte at `offset`, although its range goes on.
pub(crate) fn ended_early(offset: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("the source ends at byte {offset}, before its range does"),
    )
}

/// The source claims to have read more than it was asked for.
pub(crate) fn overrun(offset: u64) -> io::Error {
    io::Error::other(format!("the source claims more bytes than it was asked for at byte {offset}"))
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Counts the body bytes of one request as the connection takes them.
///
/// A byte counts when the HTTP library has written it out; the count runs ahead of the wire by what
/// the kernel's send buffer holds, up to some MiB.
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
    /// Asks for `len` bytes, which are always granted; returns how long to wait before they may be
    /// handed over. Asked once per frame, in the order of the frames.
    fn take(&self, len: usize) -> Duration;
}
