//! A file as the source of a body.

use std::{fs::File, io};

use crate::ReadAt;

/// A file that is read at offsets, without moving a shared position; any number of threads may.
#[derive(Debug)]
pub struct FileAt {
    file: File,
}

impl FileAt {
    /// Reads from this open file. It should be a regular file.
    pub fn new(file: File) -> Self {
        Self { file }
    }

    /// The file itself, for its metadata.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl ReadAt for FileAt {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match pread(&self.file, &mut buf[filled..], offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }

    /// Reads what the page cache holds. `None` where it holds nothing, and on systems or file systems
    /// that cannot tell.
    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> Option<io::Result<usize>> {
        cached::pread(&self.file, buf, offset)
    }
}

#[cfg(unix)]
fn pread(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(windows)]
fn pread(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, offset)
}

#[cfg(target_os = "linux")]
mod cached {
    use std::{fs::File, io};

    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    pub(super) fn pread(file: &File, buf: &mut [u8], offset: u64) -> Option<io::Result<usize>> {
        match preadv2(file, &mut [io::IoSliceMut::new(buf)], offset, ReadWriteFlags::NOWAIT) {
            Ok(n) => Some(Ok(n)),
            // Not cached, interrupted, or this file system or kernel knows no such read (a seccomp
            // filter may say EPERM): the blocking read decides.
            Err(
                Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::PERM,
            ) => None,
            Err(e) => Some(Err(e.into())),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod cached {
    use std::{fs::File, io};

    pub(super) fn pread(_: &File, _: &mut [u8], _: u64) -> Option<io::Result<usize>> {
        None
    }
}
