//! Where bytes come from: anything that can be read at an offset.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use rustix::fs::OFlags;

use crate::{Error, ErrorKind, Options};

/// Bytes of a known size that can be read at any offset.
///
/// Implemented for regular files ([`FileInput`]) and for bytes in memory; implement it for anything
/// else to hash it with [`hash_input`](crate::hash_input).
pub trait Input: Sync {
    /// The size in bytes. Asked before the first read and after the last one.
    ///
    /// # Errors
    ///
    /// Whatever the storage says.
    fn size(&self) -> io::Result<u64>;

    /// Reads into `buf` from `offset` on and returns how many bytes it read: 0 at the end, and any
    /// other number up to the length of `buf` elsewhere. May block. Called on another thread than the
    /// one that hashes.
    ///
    /// # Errors
    ///
    /// Whatever the storage says. [`io::ErrorKind::Interrupted`] is tried again.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// As [`read_at`](Self::read_at), into `range` of `buf`. An input that reads on a thread of its own takes `buf` over
    /// meanwhile, so that nothing is copied and nobody has to wait for a read that hangs. After a failure `buf` may be
    /// empty.
    ///
    /// # Errors
    ///
    /// Those of [`read_at`](Self::read_at). Whoever fails with [`io::ErrorKind::Interrupted`] leaves `buf` as it is.
    fn read_owned(&self, offset: u64, buf: &mut Vec<u8>, range: Range<usize>) -> io::Result<usize> {
        self.read_at(offset, &mut buf[range])
    }

    /// A number that is another one when the bytes have been written to. Asked before the first read
    /// and after the last one; bytes that never change keep the default.
    ///
    /// # Errors
    ///
    /// Whatever the storage says.
    fn version(&self) -> io::Result<u128> {
        Ok(0)
    }
}

impl Input for [u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let len = buf.len().min(self.len() - start);
        buf[..len].copy_from_slice(&self[start..start + len]);
        Ok(len)
    }
}

impl<T: Input + Send + ?Sized> Input for Arc<T> {
    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(offset, buf)
    }

    fn read_owned(&self, offset: u64, buf: &mut Vec<u8>, range: Range<usize>) -> io::Result<usize> {
        (**self).read_owned(offset, buf, range)
    }

    fn version(&self) -> io::Result<u128> {
        (**self).version()
    }
}

/// A regular file, open for reading.
#[derive(Debug)]
pub struct FileInput {
    file: File,
    linked: bool,
    /// Device and inode.
    id: (u64, u64),
}

impl FileInput {
    /// Opens the file of this name, after a look at what it is: pipes and devices are left alone. Waits for a
    /// program that holds a lease on it, as any open does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotAFile`] for whatever is not a regular file, and
    /// [`ErrorKind::Read`] when the system refuses.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with_metadata(path).map(|(input, _)| input).map_err(|error| error.at(path))
    }

    /// Takes a file that is open for reading. Its position is neither used nor moved.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotAFile`] for whatever is not a regular file, and [`ErrorKind::Read`] when the
    /// system does not say.
    pub fn new(file: File) -> Result<Self, Error> {
        Self::with_metadata(file).map(|(input, _)| input)
    }

    fn with_metadata(file: File) -> Result<(Self, Metadata), Error> {
        let metadata = file.metadata().map_err(|error| read_error(error, "look at the open file"))?;
        check_regular(&metadata)?;
        let id = (metadata.dev(), metadata.ino());
        Ok((Self { file, linked: metadata.nlink() > 0, id }, metadata))
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn open_with_metadata(path: &Path) -> Result<(Self, Metadata), Error> {
        let open = |flags: OFlags| OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
        // To open a pipe or a device is to use it.
        check_regular(&fs::metadata(path).map_err(open_error)?)?;
        // Should a pipe take its place now: without NONBLOCK its open waits for a writer, perhaps for ever.
        // Regular files ignore it, unless somebody holds a lease.
        let opened = match open(OFlags::NONBLOCK | OFlags::NOCTTY) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => open(OFlags::NOCTTY),
            opened => opened,
        };
        Self::with_metadata(opened.map_err(open_error)?)
    }

    /// Tells the system that the file will be read from one end to the other.
    pub(crate) fn read_ahead(&self) {
        // Only advice: where it is not taken, the file is read all the same.
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::Sequential);
    }

    /// What the file is like now. Fails if it had a name when it was opened and has none now, and if `path`
    /// is given and names another file.
    pub(crate) fn look_again(&self, path: Option<&Path>) -> Result<Before, Error> {
        let gone = || Error::new(ErrorKind::NotFound, "was removed or replaced while it was read");
        let Some(path) = path else {
            let metadata =
                self.file.metadata().map_err(|error| read_error(error, "look at the open file"))?;
            let is_linked = !self.linked || metadata.nlink() > 0;
            return is_linked.then(|| Before::of_file(&metadata)).ok_or_else(gone);
        };
        match fs::metadata(path) {
            Ok(metadata) if (metadata.dev(), metadata.ino()) == self.id => Ok(Before::of_file(&metadata)),
            Ok(_) => Err(gone()),
            Err(error) if is_not_found(&error) => Err(gone()),
            Err(error) => Err(read_error(error, "look at the file again")),
        }
    }
}

impl Input for FileInput {
    fn size(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    /// The times of the last write and the last change. A file system may keep it no finer than a few milliseconds, so two writes
    /// within that time look like one.
    fn version(&self) -> io::Result<u128> {
        self.file.metadata().map(|metadata| version(&metadata))
    }
}

/// What an input was like before the first read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Before {
    pub(crate) size: u64,
    pub(crate) version: u128,
}

impl Before {
    pub(crate) fn of<I: Input + ?Sized>(input: &I) -> Result<Self, Error> {
        let size = input.size().map_err(|error| read_error(error, "learn the size"))?;
        let version =
            input.version().map_err(|error| read_error(error, "learn the time of the last write"))?;
        Ok(Self { size, version })
    }

    pub(crate) fn of_file(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), version: version(metadata) }
    }

    /// Fails if the input is not what it was.
    pub(crate) fn check(self, now: Self) -> Result<(), Error> {
        if now.size < self.size {
            return Err(self.shrunk(now.size));
        }
        if now.size > self.size {
            return Err(self.grown(now.size));
        }
        if now.version != self.version {
            let message = "was changed while it was read; hash it again when nobody changes it";
            return Err(Error::new(ErrorKind::Changed, message));
        }
        Ok(())
    }

    fn shrunk(self, size_now: u64) -> Error {
        let message = format!(
            "shrank from {} to {size_now} bytes while it was read; hash it again when nobody writes to it",
            self.size
        );
        Error::new(ErrorKind::Shrunk, message)
    }

    fn grown(self, size_now: u64) -> Error {
        let message = format!(
            "grew from {} to {size_now} bytes while it was read; hash it again when nobody writes to it",
            self.size
        );
        Error::new(ErrorKind::Grown, message)
    }

    /// Why it ended after so many bytes, now that it is like this.
    pub(crate) fn ended(self, at: u64, now: Self) -> Error {
        if now.size < self.size {
            return self.shrunk(now.size);
        }
        let message = format!(
            "ended after {at} bytes, but its size is told as {}; copy it to a file of a known size",
            self.size
        );
        Error::new(ErrorKind::Shrunk, message)
    }

    /// Why it went on after its end, now that it is like this.
    pub(crate) fn went_on(self, now: Self) -> Error {
        if now.size > self.size {
            return self.grown(now.size);
        }
        let message = format!(
            "goes on after its {} bytes: the system does not know its size; copy it to a file first",
            self.size
        );
        Error::new(ErrorKind::Grown, message)
    }
}

/// Reads until `buf` is full or the input ends; returns how many bytes there were.
///
/// Looks at the cancel flag before each read.
pub(crate) fn read_full<I: Input + ?Sized>(
    input: &I,
    offset: u64,
    buf: &mut [u8],
    options: &Options,
) -> Result<usize, Error> {
    let want = buf.len();
    full(offset, want, options, |at, done| input.read_at(at, &mut buf[done..]))
}

/// As [`read_full`], into a range of a buffer that the input may take over meanwhile.
pub(crate) fn read_full_owned<I: Input + ?Sized>(
    input: &I,
    offset: u64,
    buf: &mut Vec<u8>,
    range: Range<usize>,
    options: &Options,
) -> Result<usize, Error> {
    let Range { start, end } = range;
    full(offset, end - start, options, |at, done| input.read_owned(at, buf, start + done..end))
}

/// Reads `want` bytes from `offset` on; `read` is told where to read, and how many bytes there are already.
fn full(
    offset: u64,
    want: usize,
    options: &Options,
    mut read: impl FnMut(u64, usize) -> io::Result<usize>,
) -> Result<usize, Error> {
    let mut len = 0;
    while len < want {
        options.check_cancelled()?;
        match read(offset + len as u64, len) {
            Ok(0) => break,
            Ok(more) => len += more.min(want - len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(error, &format!("read at byte {}", offset + len as u64))),
        }
    }
    Ok(len)
}

pub(crate) fn read_error(error: io::Error, doing: &str) -> Error {
    Error::new(ErrorKind::Read, format!("could not {doing}: {error}")).with_source(error)
}

/// The times of the last write and the last change, in nanoseconds. Nobody can set the latter back.
fn version(metadata: &Metadata) -> u128 {
    let nanos =
        |seconds: i64, nanos: i64| (seconds as u64).wrapping_mul(1_000_000_000).wrapping_add(nanos as u64);
    let written = nanos(metadata.mtime(), metadata.mtime_nsec());
    let changed = nanos(metadata.ctime(), metadata.ctime_nsec());
    u128::from(written) << 64 | u128::from(changed)
}

/// Fails for whatever is not a regular file.
fn check_regular(metadata: &Metadata) -> Result<(), Error> {
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a directory; name the files in it",
        () if kind.is_fifo() => "a pipe; write its bytes to a file first",
        () if kind.is_socket() => "a socket",
        () if kind.is_block_device() || kind.is_char_device() => {
            "a device; copy what is to be hashed to a file first"
        }
        () => "not a regular file",
    };
    Err(Error::new(ErrorKind::NotAFile, format!("this is {what}")))
}

fn is_not_found(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn open_error(error: io::Error) -> Error {
    if is_not_found(&error) {
        return Error::new(ErrorKind::NotFound, "no such file").with_source(error);
    }
    read_error(error, "open the file")
}
