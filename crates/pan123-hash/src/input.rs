//! Where bytes come from: anything that can be read at an offset.

use std::{fs::File, io, ops::Range, path::Path, sync::Arc};

use rustix::{
    fs::{FileType, Mode, OFlags, Stat},
    io::{Errno, retry_on_intr},
};

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
    /// one that hashes if there is much to read, on one after the other.
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

/// Up to so many bytes, a file is small: read in a moment.
pub(crate) const SMALL_MAX: u64 = 256 << 10;

/// A regular file, open for reading.
#[derive(Debug)]
pub struct FileInput {
    file: File,
    linked: bool,
    /// Device and inode.
    id: (u64, u64),
}

impl FileInput {
    /// Opens the file of this name. A pipe or a device is opened without waiting, seen for what it is and closed;
    /// to look first would cost a third of what it takes to read a small file, and be no surer. To some devices that
    /// alone means something: a tape rewinds, a watchdog starts. Whoever takes names from a directory knows from it
    /// which are those of regular files, and had better pass no others. Waits for a program that holds a
    /// lease on the file, as any open does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotAFile`] for whatever is not a regular file, and
    /// [`ErrorKind::Read`] when the system refuses.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with_stat(path).map(|(input, _)| input).map_err(|error| error.at(path))
    }

    /// Takes a file that is open for reading. Its position is neither used nor moved.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotAFile`] for whatever is not a regular file, and [`ErrorKind::Read`] when the
    /// system does not say.
    pub fn new(file: File) -> Result<Self, Error> {
        Self::with_stat(file).map(|(input, _)| input)
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    #[inline(always)]
    pub(crate) fn open_with_stat(path: &Path) -> Result<(Self, Stat), Error> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        let open = |flags| retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()));
        // Without NONBLOCK the open of a pipe waits for a writer, perhaps for ever. Regular files ignore it,
        // unless somebody holds a lease.
        let opened = match open(flags | OFlags::NONBLOCK) {
            Err(Errno::WOULDBLOCK) => open(flags),
            opened => opened,
        };
        match opened {
            Ok(file) => Self::with_stat(file.into()),
            // A socket cannot be opened at all.
            Err(error) => {
                rustix::fs::stat(path).map_or(Ok(()), |stat| check_regular(&stat))?;
                Err(open_error(error.into()))
            }
        }
    }

    #[inline(always)]
    fn with_stat(file: File) -> Result<(Self, Stat), Error> {
        let mut input = Self { file, linked: true, id: (0, 0) };
        let stat = input.stat()?;
        check_regular(&stat)?;
        (input.linked, input.id) = (stat.st_nlink > 0, id(&stat));
        Ok((input, stat))
    }

    #[inline(always)]
    pub(crate) fn stat(&self) -> Result<Stat, Error> {
        rustix::fs::fstat(&self.file).map_err(|error| read_error(error.into(), "look at the open file"))
    }

    /// Tells the system that the file will be read from one end to the other.
    pub(crate) fn read_ahead(&self) {
        // Only advice: where it is not taken, the file is read all the same.
        #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::Sequential);
    }

    /// Fails if the small file does not [hold still](Self::holds_still).
    pub(crate) fn check_small(&self, before: Before, path: &Path) -> Result<(), Error> {
        if self.holds_still(before) {
            return Ok(());
        }
        before.check(self.look_again(Some(path))?)
    }

    /// Whether the small file is what it was `before`: it was not written to, and if it had a name, it has one. To look
    /// up the path as well would take a quarter as long as all of the reading.
    ///
    /// It tells of a file that is replaced, too, where a rename sets the time of the last change, which local
    /// file systems of Unix do.
    #[inline(always)]
    pub(crate) fn holds_still(&self, before: Before) -> bool {
        self.stat().is_ok_and(|stat| Before::of_file(&stat) == before && (!self.linked || stat.st_nlink > 0))
    }

    /// What the file is like now. Fails if it had a name when it was opened and has none now, and if `path`
    /// is given and names another file.
    #[cold]
    pub(crate) fn look_again(&self, path: Option<&Path>) -> Result<Before, Error> {
        let gone = || Error::new(ErrorKind::NotFound, "was removed or replaced while it was read");
        let Some(path) = path else {
            let stat = self.stat()?;
            let is_linked = !self.linked || stat.st_nlink > 0;
            return is_linked.then(|| Before::of_file(&stat)).ok_or_else(gone);
        };
        match rustix::fs::stat(path) {
            Ok(stat) if id(&stat) == self.id => Ok(Before::of_file(&stat)),
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => Err(gone()),
            Err(error) => Err(read_error(error.into(), "look at the file again")),
        }
    }
}

impl Input for FileInput {
    fn size(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.file)?.st_size as u64)
    }

    #[inline(always)]
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::pread(&self.file, buf, offset)?)
    }

    /// The times of the last write and the last change. A file system may keep it no finer than a few milliseconds, so two writes
    /// within that time look like one.
    fn version(&self) -> io::Result<u128> {
        Ok(version(&rustix::fs::fstat(&self.file)?))
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

    pub(crate) fn of_file(stat: &Stat) -> Self {
        Self { size: stat.st_size as u64, version: version(stat) }
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

    #[cold]
    fn shrunk(self, size_now: u64) -> Error {
        let message = format!(
            "shrank from {} to {size_now} bytes while it was read; hash it again when nobody writes to it",
            self.size
        );
        Error::new(ErrorKind::Shrunk, message)
    }

    #[cold]
    fn grown(self, size_now: u64) -> Error {
        let message = format!(
            "grew from {} to {size_now} bytes while it was read; hash it again when nobody writes to it",
            self.size
        );
        Error::new(ErrorKind::Grown, message)
    }

    /// Why it ended after so many bytes, now that it is like this.
    #[cold]
    pub(crate) fn ended(self, at: u64, now: Self) -> Error {
        if now.size < self.size {
            return self.shrunk(now.size);
        }
        let message = format!("ended after {at} bytes, but its size is told as {}; {COPY_IT}", self.size);
        Error::new(ErrorKind::Shrunk, message)
    }

    /// Why it went on after its end, now that it is like this.
    #[cold]
    pub(crate) fn went_on(self, now: Self) -> Error {
        if now.size > self.size {
            return self.grown(now.size);
        }
        let message =
            format!("goes on after its {} bytes: the system does not know its size; {COPY_IT}", self.size);
        Error::new(ErrorKind::Grown, message)
    }
}

/// What to do with an input whose size is wrong for good.
const COPY_IT: &str = "a file that the system makes up, as under /proc and /sys, has to be copied elsewhere, and the copy taken";

/// Reads until `least` bytes of `buf` are filled or the input ends; returns how many bytes there were. A read asks
/// for all of `buf`, so it may bring more.
///
/// Looks at the cancel flag before each read.
#[inline(always)]
pub(crate) fn read_full<I: Input + ?Sized>(
    input: &I,
    offset: u64,
    buf: &mut [u8],
    least: usize,
    options: &Options,
) -> Result<usize, Error> {
    let want = buf.len();
    full(offset, want, least, options, |at, done| input.read_at(at, &mut buf[done..]))
}

/// As [`read_full`], into a range of a buffer that the input may take over meanwhile.
pub(crate) fn read_full_owned<I: Input + ?Sized>(
    input: &I,
    offset: u64,
    buf: &mut Vec<u8>,
    range: Range<usize>,
    least: usize,
    options: &Options,
) -> Result<usize, Error> {
    let Range { start, end } = range;
    full(offset, end - start, least, options, |at, done| input.read_owned(at, buf, start + done..end))
}

/// Reads `want` bytes from `offset` on; `read` is told where to read, and how many bytes there are already.
#[inline(always)]
fn full(
    offset: u64,
    want: usize,
    least: usize,
    options: &Options,
    mut read: impl FnMut(u64, usize) -> io::Result<usize>,
) -> Result<usize, Error> {
    let mut len = 0;
    while len < want {
        options.check_cancelled()?;
        match read(offset + len as u64, len) {
            Ok(0) => break,
            Ok(more) => {
                len += more.min(want - len);
                if len >= least {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(error, &format!("read at byte {}", offset + len as u64))),
        }
    }
    Ok(len)
}

#[cold]
pub(crate) fn read_error(error: io::Error, doing: &str) -> Error {
    Error::because_of(ErrorKind::Read, &format!("could not {doing}"), error)
}

/// The times of the last write and the last change, in nanoseconds. Nobody can set the latter back.
fn version(stat: &Stat) -> u128 {
    let [written, changed] = times(stat).map(|(seconds, nanos)| {
        u128::from((seconds as u64).wrapping_mul(1_000_000_000).wrapping_add(nanos as u64))
    });
    written << 64 | changed
}

/// The times of the last write and the last change, in seconds and nanoseconds.
#[allow(clippy::unnecessary_cast, reason = "the types differ from system to system")]
pub(crate) fn times(stat: &Stat) -> [(i64, i64); 2] {
    [(stat.st_mtime as i64, stat.st_mtime_nsec as i64), (stat.st_ctime as i64, stat.st_ctime_nsec as i64)]
}

/// Device and inode.
#[allow(clippy::unnecessary_cast, reason = "the types differ from system to system")]
pub(crate) fn id(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// Fails for whatever is not a regular file.
fn check_regular(stat: &Stat) -> Result<(), Error> {
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a directory; name the files in it",
        FileType::Fifo => "a pipe; write its bytes to a file first",
        FileType::Socket => "a socket",
        FileType::BlockDevice | FileType::CharacterDevice => {
            "a device; copy what is to be hashed to a file first"
        }
        _ => "not a regular file",
    };
    Err(Error::new(ErrorKind::NotAFile, format!("this is {what}")))
}

#[cold]
fn open_error(error: io::Error) -> Error {
    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
        return Error::new(ErrorKind::NotFound, "no such file");
    }
    let doing = match Errno::from_io_error(&error) {
        Some(Errno::MFILE) => {
            "open the file, as this process has too many open; close some, or raise its limit (ulimit -n)"
        }
        Some(Errno::NFILE) => {
            "open the file, as the system has too many open; end a program that holds many, or raise the system's limit"
        }
        _ => "open the file",
    };
    read_error(error, doing)
}

/// Whether it failed because this process or the system can have no more files open.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests;
