//! A local file as a source.

use std::{
    collections::VecDeque,
    fs::{self, File, FileType, Metadata},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use pan123_transport::{FileAt, ReadAt};

use super::{Identity, SourceRead};
use crate::error::{Error, ErrorKind, io_text};

/// A file that any number of slices can share.
pub(super) struct FileSource {
    open: Arc<Slot>,
    /// Absolute, so that it stays right when the program changes its directory.
    path: PathBuf,
    size: u64,
    /// What it was when it was opened first.
    first: Identity,
}

/// A file, while it is open.
type Slot = Mutex<Option<Arc<FileAt>>>;

/// So many files are open at a time; of more, those that were opened first are closed until somebody reads them. A
/// program that starts thousands of uploads would run out of descriptors otherwise, and with it all else that it does.
const OPEN_MAX: usize = 128;

/// The files that are open, those opened first in front.
static OPEN: Mutex<VecDeque<Weak<Slot>>> = Mutex::new(VecDeque::new());

/// Notes that a file is open, and closes others where there are too many.
fn opened(slot: &Arc<Slot>) {
    let mut open = lock(&OPEN);
    open.retain(|other| other.strong_count() > 0);
    open.push_back(Arc::downgrade(slot));
    let too_many = open.len().saturating_sub(OPEN_MAX);
    let closed: Vec<_> = open.drain(..too_many).collect();
    drop(open);
    for slot in closed.iter().filter_map(Weak::upgrade) {
        // Whoever reads it at this moment holds on to it.
        lock(&slot).take();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FileSource {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let fail = |error: io::Error| open_error(path, &error);
        // Looking first keeps pipes and devices closed; looking again catches what came in between.
        check_type(path, fs::metadata(path).map_err(fail)?.file_type())?;
        let file = open_without_waiting(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        check_type(path, metadata.file_type())?;
        let (file, size) = (FileAt::new(file), metadata.len());
        if size == 0 && file.read_at(0, &mut [0]).map_err(fail)? > 0 {
            let message = format!("{} says that it is empty, but is not", path.display());
            return Err(Error::new(ErrorKind::Source, "open source", message)
                .with_advice("Files under /proc and /sys have no size. Copy the content to a file first."));
        }
        let path = std::path::absolute(path).map_err(fail)?;
        let open = Arc::new(Mutex::new(Some(Arc::new(file))));
        opened(&open);
        Ok(Self { open, path, size, first: platform::identity(&metadata) })
    }

    /// The file, opened again if it was closed meanwhile.
    fn file(&self) -> io::Result<Arc<FileAt>> {
        let mut open = lock(&self.open);
        if let Some(file) = &*open {
            return Ok(file.clone());
        }
        let file = open_without_waiting(&self.path)?;
        let now = platform::identity(&file.metadata()?);
        if (now.inode, now.device) != (self.first.inode, self.first.device) {
            // As if it were gone: what has its name is another file.
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = Arc::new(FileAt::new(file));
        *open = Some(file.clone());
        drop(open);
        opened(&self.open);
        Ok(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl ReadAt for FileSource {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file()?.read_at(offset, buf)
    }

    /// None of a file that would have to be opened, which may take a while.
    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> Option<io::Result<usize>> {
        let file = self.open.try_lock().ok()?.clone();
        file?.try_read_at(offset, buf)
    }
}

impl SourceRead for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    /// The open file's state, or that of the file which has taken its place at the path.
    fn identity(&self) -> io::Result<Identity> {
        let named = platform::identity(&fs::metadata(&self.path)?);
        let file = lock(&self.open).clone();
        let Some(file) = file else { return Ok(named) };
        let open = platform::identity(&file.file().metadata()?);
        Ok(if (named.inode, named.device) == (open.inode, open.device) { open } else { named })
    }

    fn may_hang(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    fn resume_name(&self) -> Option<String> {
        // The Debug form keeps apart names that differ only in bytes that are not UTF-8.
        let canonical = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        Some(format!("file:{canonical:?}"))
    }
}

fn open_error(path: &Path, error: &io::Error) -> Error {
    let (text, advice) = match error.kind() {
        io::ErrorKind::NotFound => ("no such file".to_owned(), "Check the path."),
        io::ErrorKind::PermissionDenied => (
            "permission denied".to_owned(),
            "Make the file readable for this user, or run as a user who may read it.",
        ),
        _ => (io_text(error), "Check the path and the disk that holds the file."),
    };
    Error::new(ErrorKind::Source, "open source", format!("{}: {text}", path.display())).with_advice(advice)
}

fn check_type(path: &Path, file_type: FileType) -> Result<(), Error> {
    if file_type.is_file() {
        return Ok(());
    }
    let (what, advice) = if file_type.is_dir() {
        ("a directory", "Upload the files in it one by one.")
    } else {
        (
            platform::type_name(file_type),
            "Write what comes out of it to a file first; its size must be known.",
        )
    };
    let message = format!("{} is {what}, not a file", path.display());
    Err(Error::new(ErrorKind::Source, "open source", message).with_advice(advice))
}

/// Opens for reading. Should the path have become a pipe by now, this does not wait for its writer.
fn open_without_waiting(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
    }
    options.open(path)
}

mod platform {
    use super::{FileType, Identity, Metadata};

    #[cfg(unix)]
    pub(super) fn identity(metadata: &Metadata) -> Identity {
        use std::os::unix::fs::MetadataExt;
        Identity {
            size: metadata.len(),
            mtime_ns: nanos(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanos(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    #[cfg(unix)]
    fn nanos(secs: i64, nsecs: i64) -> i64 {
        secs.saturating_mul(1_000_000_000).saturating_add(nsecs)
    }

    /// Windows tells the file index only of open files and outside of `std`; size and time must do.
    #[cfg(windows)]
    pub(super) fn identity(metadata: &Metadata) -> Identity {
        use std::os::windows::fs::MetadataExt;
        // 100 ns since 1601 and 1 ns since 1970 differ in the start, which only has to be the same each time.
        let ticks = i64::try_from(metadata.last_write_time()).unwrap_or(i64::MAX);
        let mtime_ns = ticks.saturating_sub(116_444_736_000_000_000).saturating_mul(100);
        Identity { size: metadata.len(), mtime_ns, ctime_ns: 0, inode: 0, device: 0 }
    }

    #[cfg(unix)]
    pub(super) fn type_name(file_type: FileType) -> &'static str {
        use std::os::unix::fs::FileTypeExt;
        if file_type.is_fifo() {
            "a named pipe"
        } else if file_type.is_socket() {
            "a socket"
        } else {
            "a device"
        }
    }

    #[cfg(windows)]
    pub(super) fn type_name(_file_type: FileType) -> &'static str {
        "a device"
    }
}
