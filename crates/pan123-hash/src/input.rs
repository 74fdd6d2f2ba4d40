//! Where bytes come from: anything that can be read at an offset.

use std::{
    fs::{File, Metadata, OpenOptions},
    io,
    os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use rustix::fs::OFlags;

use crate::{Error, ErrorKind};

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

    fn version(&self) -> io::Result<u128> {
        (**self).version()
    }
}

/// A regular file, open for reading.
#[derive(Debug)]
pub struct FileInput {
    file: File,
    linked: bool,
}

impl FileInput {
    /// Opens the file of this name. Never waits for the other end of a pipe.
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
        let metadata = file.metadata().map_err(|error| read_error(error, "look at the open file"))?;
        check_regular(&metadata)?;
        Ok(Self { file, linked: metadata.nlink() > 0 })
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn open_with_metadata(path: &Path) -> Result<(Self, Metadata), Error> {
        // Without NONBLOCK the open of a pipe waits for a writer, perhaps for ever. Regular files ignore it.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let opened = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
        let file = opened.map_err(|error| open_error(path, error))?;
        let metadata = file.metadata().map_err(|error| read_error(error, "look at the open file"))?;
        check_regular(&metadata)?;
        Ok((Self { file, linked: metadata.nlink() > 0 }, metadata))
    }

    /// Tells the system that the file will be read from one end to the other.
    pub(crate) fn read_ahead(&self) {
        // Only advice: where it is not taken, the file is read all the same.
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::Sequential);
    }

    /// Fails if the file had a name when it was opened and has none now.
    pub(crate) fn check_linked(&self, metadata: &Metadata) -> Result<(), Error> {
        if self.linked && metadata.nlink() == 0 {
            let message = "was removed or replaced while it was read";
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        Ok(())
    }
}

impl Input for FileInput {
    fn size(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    /// The time of the last write. A file system may keep it no finer than a few milliseconds, so two writes
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
            let message = "was written to while it was read; hash it again when nobody writes to it";
            return Err(Error::new(ErrorKind::Changed, message));
        }
        Ok(())
    }

    pub(crate) fn shrunk(self, size_now: u64) -> Error {
        let message = format!(
            "shrank from {} to {size_now} bytes while it was read; hash it again when nobody writes to it",
            self.size
        );
        Error::new(ErrorKind::Shrunk, message)
    }

    pub(crate) fn grown(self, size_now: u64) -> Error {
        let message = format!(
            "grew from {} to {size_now} bytes while it was read; hash it again when nobody writes to it",
            self.size
        );
        Error::new(ErrorKind::Grown, message)
    }
}

/// Reads until `buf` is full or the input ends; returns how many bytes there were.
pub(crate) fn read_full<I: Input + ?Sized>(input: &I, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
    let mut len = 0;
    while len < buf.len() {
        match input.read_at(offset + len as u64, &mut buf[len..]) {
            Ok(0) => break,
            Ok(more) => len += more.min(buf.len() - len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(error, &format!("read at byte {}", offset + len as u64))),
        }
    }
    Ok(len)
}

pub(crate) fn read_error(error: io::Error, doing: &str) -> Error {
    Error::new(ErrorKind::Read, format!("could not {doing}: {error}")).with_source(error)
}

/// The time of the last write, in seconds and nanoseconds.
fn version(metadata: &Metadata) -> u128 {
    u128::from(metadata.mtime() as u64) << 64 | u128::from(metadata.mtime_nsec() as u64)
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

fn open_error(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        return Error::new(ErrorKind::NotFound, "no such file").with_source(error);
    }
    // A socket cannot be opened at all; say what it is rather than how the open failed.
    match std::fs::metadata(path).map(|metadata| check_regular(&metadata)) {
        Ok(Err(not_a_file)) => not_a_file,
        _ => read_error(error, "open the file"),
    }
}
