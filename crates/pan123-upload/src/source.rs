//! What an upload reads its bytes from.

mod file;
mod identity;

pub use identity::Identity;

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use pan123_transport::{ReadAt, ReadStarted};

use crate::error::{Error, ErrorKind, io_text};

/// Bytes of a known size that can be read at any offset, by several threads at once.
///
/// [`ReadAt::read_at`] may block and may be short only at the end.
pub trait SourceRead: ReadAt {
    /// Size in bytes when it was opened. Never changes.
    fn size(&self) -> u64;

    /// The source's state right now. May block.
    ///
    /// One that tells nothing but the size (zeros for the rest) means that another run, which goes on with an upload,
    /// hashes the source again to see that it is the same.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] when the source is gone; otherwise whatever the storage says.
    fn identity(&self) -> io::Result<Identity>;

    /// What it is, for people: a path, for example. No secrets.
    fn describe(&self) -> String;

    /// Whether reads have been under way for a while without one of them coming back. The slices that wait for them
    /// then leave their places to others.
    fn is_waiting(&self) -> bool {
        false
    }

    /// Whether a read may take as long as somebody else's code likes. How many sources of which none does are hashed at a
    /// time is bounded; the others each have a thread, so that one that hangs holds up nobody.
    fn may_hang(&self) -> bool {
        true
    }

    /// What names this source in another run of the program, so that an upload can be resumed.
    /// `None`: it cannot.
    fn resume_name(&self) -> Option<String> {
        None
    }
}

/// A source to upload. Cheap to clone; the clones share what is open.
#[derive(Clone)]
pub struct Source {
    inner: Arc<dyn SourceRead>,
    path: Option<Arc<Path>>,
}

impl Source {
    /// A local file. Opens it; links are followed. It stays open as long as the source lives, but of many files no more
    /// than 128 do: the others are opened again by their path when they are read, and have to be the same ones then.
    ///
    /// Blocks for as long as the file system takes to open a file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Source`] when the path names nothing, names something else than a file (a directory, a
    /// pipe, a device; none of them is opened), or may not be read.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let file = file::FileSource::open(path.as_ref())?;
        let path = Arc::from(file.path());
        Ok(Self { inner: Arc::new(file), path: Some(path) })
    }

    /// Bytes in memory. Such an upload cannot be resumed by another run of the program.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self { inner: Arc::new(MemorySource(bytes.into())), path: None }
    }

    /// Whatever the caller has.
    pub fn custom(source: Arc<dyn SourceRead>) -> Self {
        Self { inner: source, path: None }
    }

    /// The path that [`file`](Self::file) was given, made absolute; links in it are not resolved.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The last part of the path, to serve as the name in the drive.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Name`] when it is not UTF-8, as the service wants it, or when there is no path.
    pub fn file_name(&self) -> Result<&str, Error> {
        let advice = "Give the name that the file is to have in the drive.";
        let Some(name) = self.path().and_then(Path::file_name) else {
            let message = format!("{} has no name of its own", self.describe());
            return Err(Error::new(ErrorKind::Name, "name file", message).with_advice(advice));
        };
        name.to_str().ok_or_else(|| {
            let message = format!("the name of {} is not UTF-8", self.describe());
            Error::new(ErrorKind::Name, "name file", message).with_advice(advice)
        })
    }

    /// Checks that the source is what it was.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SourceChanged`] when it changed, was replaced, or is gone; [`ErrorKind::Source`] when it
    /// cannot be told. May block.
    pub fn check(&self, before: &Identity) -> Result<(), Error> {
        let now = match self.identity() {
            Ok(now) => now,
            Err(error) => return Err(self.error("check source", &error)),
        };
        let what = if now == *before {
            return Ok(());
        } else if now.size != before.size {
            format!("changed its size from {} to {} bytes", before.size, now.size)
        } else if (now.inode, now.device) != (before.inode, before.device) {
            "was replaced by another file".to_owned()
        } else if now.mtime_ns != before.mtime_ns {
            "was written to".to_owned()
        } else {
            "was written to and its time put back, or its owner, permissions or links changed".to_owned()
        };
        Err(changed("check source", format!("{} {what} during the upload", self.describe())))
    }

    /// An error of this source in this step, with the right kind for what the storage said.
    pub fn error(&self, step: &'static str, error: &io::Error) -> Error {
        let name = self.describe();
        match error.kind() {
            io::ErrorKind::UnexpectedEof => changed(step, format!("{name}: {error}")),
            io::ErrorKind::NotFound => {
                changed(step, format!("{name} was removed or renamed during the upload"))
            }
            _ => Error::new(ErrorKind::Source, step, format!("{name}: {}", io_text(error)))
                .with_advice("Check the disk or network share that holds the file, then upload again."),
        }
    }
}

impl ReadAt for Source {
    /// As [`ReadAt::read_at`]: full up to the size, and [`io::ErrorKind::UnexpectedEof`] if the source turns
    /// out shorter. What was added behind the size is never read.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let size = self.size();
        let want = within(size, offset, buf.len());
        let got = if want == 0 { 0 } else { self.inner.read_at(offset, &mut buf[..want])? };
        if got == want { Ok(got) } else { Err(cut_short(size, offset + got as u64)) }
    }

    fn read_owned(&self, offset: u64, buf: &mut Vec<u8>, range: Range<usize>) -> io::Result<usize> {
        let size = self.size();
        let want = within(size, offset, range.len());
        let range = range.start..range.start + want;
        let got = if want == 0 { 0 } else { self.inner.read_owned(offset, buf, range)? };
        if got == want { Ok(got) } else { Err(cut_short(size, offset + got as u64)) }
    }

    fn start_read(&self, offset: u64, buf: Vec<u8>) -> Result<ReadStarted, Vec<u8>> {
        let (size, want) = (self.size(), buf.len());
        if within(size, offset, want) < want {
            return Err(buf);
        }
        let started = self.inner.start_read(offset, buf)?;
        Ok(Box::pin(async move {
            let (buf, got) = started.await?;
            if got == want { Ok((buf, got)) } else { Err(cut_short(size, offset + got as u64)) }
        }))
    }

    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> Option<io::Result<usize>> {
        let want = within(self.size(), offset, buf.len());
        // No byte where there should be one: whether the source has ended is for `read_at` to find out.
        self.inner
            .try_read_at(offset, &mut buf[..want])
            .filter(|answer| want == 0 || !matches!(answer, Ok(0)))
    }

    fn as_bytes(&self) -> Option<&Bytes> {
        self.inner.as_bytes()
    }
}

impl SourceRead for Source {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn identity(&self) -> io::Result<Identity> {
        self.inner.identity()
    }

    fn is_waiting(&self) -> bool {
        self.inner.is_waiting()
    }

    fn may_hang(&self) -> bool {
        self.inner.may_hang()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn resume_name(&self) -> Option<String> {
        self.inner.resume_name()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("what", &self.describe()).field("size", &self.size()).finish()
    }
}

impl From<Bytes> for Source {
    fn from(bytes: Bytes) -> Self {
        Self::bytes(bytes)
    }
}

impl TryFrom<PathBuf> for Source {
    type Error = Error;

    fn try_from(path: PathBuf) -> Result<Self, Error> {
        Self::file(path)
    }
}

struct MemorySource(Bytes);

impl ReadAt for MemorySource {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buf)
    }

    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> Option<io::Result<usize>> {
        self.0.try_read_at(offset, buf)
    }

    fn as_bytes(&self) -> Option<&Bytes> {
        Some(&self.0)
    }
}

impl SourceRead for MemorySource {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity { size: self.size(), mtime_ns: 0, ctime_ns: 0, inode: 0, device: 0 })
    }

    fn may_hang(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        format!("{} bytes in memory", self.0.len())
    }
}

/// How many of `len` bytes from `offset` on lie within `size`.
fn within(size: u64, offset: u64, len: usize) -> usize {
    usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX).min(len)
}

fn cut_short(size: u64, end: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("ends after {end} bytes, but had {size} when it was opened"),
    )
}

/// The source is no longer what it was.
pub(crate) fn changed(step: &'static str, message: String) -> Error {
    Error::new(ErrorKind::SourceChanged, step, message).with_advice(
        "Upload again once nothing writes to the file any more; a copy or a snapshot serves too. Of a source of your own, check the size that it was given.",
    )
}

/// The storage does not give the bytes, and says why.
pub(crate) fn unreadable(step: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Source, step, message)
        .with_advice("Check what the file is on, a disk or a share, and run the same command again.")
}
