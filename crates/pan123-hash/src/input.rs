//! Where bytes come from: anything that can be read at an offset.

use std::{
    fs::{File, Metadata, OpenOptions},
    io,
    os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

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

impl<T: Input + Send + ?Sized> Input for std::sync::Arc<T> {
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
}

impl FileInput {
    /// Opens the file of this name. Never waits for the other end of a pipe.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotAFile`] for whatever is not a regular file, and
    /// [`ErrorKind::Read`] when the system refuses.
    pub fn open(path: &Path) -> Result<Self, Error> {
        // Without O_NONBLOCK the open of a pipe waits for a writer, perhaps for ever. Regular files ignore it.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = opened.map_err(|error| open_error(path, error).at(path))?;
        Self::new(file).map_err(|error| error.at(path))
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
        Ok(Self { file })
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
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
        let metadata = self.file.metadata()?;
        Ok((metadata.mtime() as u64 as u128) << 64 | metadata.mtime_nsec() as u64 as u128)
    }
}

/// Fails for whatever is not a regular file.
pub(crate) fn check_regular(metadata: &Metadata) -> Result<(), Error> {
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

pub(crate) fn read_error(error: io::Error, doing: &str) -> Error {
    Error::new(ErrorKind::Read, format!("could not {doing}: {error}")).with_source(error)
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
