//! The default resume store: one file per upload in a directory.
//!
//! Rules that keep it sound after `kill -9` and power cuts:
//! - A file is only ever appended to, with one `write` per call, or emptied.
//! - A durable append ends with `fdatasync`, the first one also with `fsync` of the directory. Others
//!   are synced at most once a second, by a thread that nobody waits for; losing one to a power cut costs
//!   one slice sent twice.
//! - A write that does not get in whole is taken back. If even that fails, or the machine dies in the
//!   middle, the line's CRC tells, and the next reader cuts it off. That also covers the first line,
//!   so that a file needs no temporary name while it is made.
//! - The file itself carries an advisory lock while it is open, which dies with its process.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    error::{Error, ErrorKind, io_text},
    journal, private_dir,
    store::{ResumeLog, ResumeStore, StoredLog},
};

/// Unsynced records wait at most this long for the next append to sync them.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// How long to wait for a lock: a killed process may take a moment to let go.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// Larger files are not ours: the log of a file of 10 GB in slices of 1 MiB has less than 2 MiB.
const LEN_MAX: u64 = 64 << 20;

/// A directory of logs, each a file named `<key>.journal`.
#[derive(Clone, Debug)]
pub struct JournalDir {
    dir: PathBuf,
}

impl JournalDir {
    /// Keeps logs in this directory, which is made (for this user alone) when the first log is opened.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    fn file(&self, key: &str) -> Result<PathBuf, Error> {
        let fits = (1..=64).contains(&key.len())
            && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !fits {
            let message = format!("{key:?} is no key of a journal");
            return Err(Error::new(ErrorKind::Usage, "open journal", message)
                .with_advice("Take the key from the list of unfinished uploads."));
        }
        Ok(self.dir.join(format!("{key}.journal")))
    }
}

impl ResumeStore for JournalDir {
    fn open(&self, key: &str) -> Result<Box<dyn ResumeLog>, Error> {
        let path = self.file(key)?;
        private_dir::create(&self.dir)?;
        let file = lock(&path, true)?.expect("a missing file is made");
        Ok(Box::new(JournalFile {
            dir: self.dir.clone(),
            path,
            file,
            len: None,
            unsynced_since: None,
            syncing: None,
            dir_synced: false,
        }))
    }

    fn list(&self) -> Result<Vec<StoredLog>, Error> {
        let fail = |error: io::Error| store_error("list journals", &self.dir, &error);
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fail(error)),
        };
        let mut logs = Vec::new();
        for entry in entries {
            let path = entry.map_err(fail)?.path();
            let Some(key) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".journal")) else {
                continue;
            };
            match look(&path) {
                Ok((bytes, busy)) if !bytes.is_empty() => {
                    logs.push(StoredLog { key: key.to_owned(), bytes, busy });
                }
                Ok(_) => {}
                // Gone between the listing and the look is no news.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(path = %path.display(), %error, "cannot read this journal"),
            }
        }
        Ok(logs)
    }

    fn remove(&self, key: &str) -> Result<(), Error> {
        let path = self.file(key)?;
        // Removed under its lock, so that nobody loses a file that is in use.
        let Some(_locked) = lock(&path, false)? else { return Ok(()) };
        fs::remove_file(&path).map_err(|error| store_error("remove journal", &path, &error))
    }
}

/// An open log. Its lock goes when the file is closed.
struct JournalFile {
    dir: PathBuf,
    path: PathBuf,
    file: File,
    /// Length of what is sound, once it is known.
    len: Option<u64>,
    unsynced_since: Option<Instant>,
    /// Syncs what was appended last.
    syncing: Option<JoinHandle<()>>,
    /// The file's name is on disk.
    dir_synced: bool,
}

impl JournalFile {
    /// Reads the file and cuts off what is not whole.
    fn load(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = read_all(&mut self.file)?;
        let sound = journal::sound_len(&bytes);
        bytes.truncate(sound);
        let damaged = self.file.metadata()?.len() - sound as u64;
        if damaged > 0 {
            tracing::warn!(path = %self.path.display(), bytes = damaged, "dropped the damaged end of a journal");
            self.file.set_len(sound as u64)?;
        }
        self.len = Some(sound as u64);
        Ok(bytes)
    }

    fn write(&mut self, lines: &[u8], durable: bool) -> io::Result<()> {
        let len = match self.len {
            Some(len) => len,
            None => self.load()?.len() as u64,
        };
        self.len = None;
        let written = self.file.seek(SeekFrom::Start(len)).and_then(|_| self.file.write_all(lines));
        if let Err(error) = written {
            // With the length unknown, the next call reads the file again if this does not work.
            if self.file.set_len(len).is_ok() {
                self.len = Some(len);
            }
            return Err(error);
        }
        self.len = Some(len + lines.len() as u64);
        let since = *self.unsynced_since.get_or_insert_with(Instant::now);
        if durable {
            self.sync()?;
        } else if since.elapsed() >= SYNC_EVERY {
            self.sync_soon();
        }
        Ok(())
    }

    /// Syncs on another thread, unless that is still at it from the last time.
    fn sync_soon(&mut self) {
        if self.syncing.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let Ok(file) = self.file.try_clone() else { return };
        let path = self.path.clone();
        let thread = std::thread::Builder::new().name("pan123-sync".into()).spawn(move || {
            if let Err(error) = file.sync_data() {
                tracing::warn!(path = %path.display(), %error, "a power cut may cost slices of this journal");
            }
        });
        self.unsynced_since = None;
        self.syncing = thread.ok();
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        if !self.dir_synced {
            private_dir::sync(&self.dir)?;
            self.dir_synced = true;
        }
        self.unsynced_since = None;
        Ok(())
    }
}

impl ResumeLog for JournalFile {
    fn read(&mut self) -> Result<Vec<u8>, Error> {
        self.load().map_err(|error| store_error("read journal", &self.path, &error))
    }

    fn append(&mut self, lines: &[u8], durable: bool) -> Result<(), Error> {
        debug_assert!(lines.ends_with(b"\n"), "a log holds whole lines");
        self.write(lines, durable).map_err(|error| store_error("write journal", &self.path, &error))
    }

    fn clear(&mut self) -> Result<(), Error> {
        let cleared = self.file.set_len(0).and_then(|()| {
            self.len = Some(0);
            self.sync()
        });
        cleared.map_err(|error| store_error("clear journal", &self.path, &error))
    }
}

impl Drop for JournalFile {
    /// Leaves no empty file behind. It goes while the lock is held, so nobody else has begun to use it.
    fn drop(&mut self) {
        let empty = self.file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        if empty && let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "an empty journal stays behind");
        }
        // The thread that syncs may have the file open for a moment longer.
        let _ = self.file.unlock();
    }
}

/// Opens and locks a file; `None` if there is none and it is not to be made.
fn lock(path: &Path, create: bool) -> Result<Option<File>, Error> {
    let fail = |error: io::Error| store_error("open journal", path, &error);
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create);
        let file = match private_dir::private(&mut options).open(path) {
            Ok(file) => file,
            Err(error) if !create && error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        match file.try_lock() {
            // The one who held it before may have removed it, and then this is not the file of that name.
            Ok(()) if private_dir::is_at(&file, path).map_err(fail)? => return Ok(Some(file)),
            Ok(()) => {}
            Err(fs::TryLockError::Error(error)) => return Err(fail(error)),
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(fs::TryLockError::WouldBlock) => {
                let message = "the same file is being uploaded to the same place already, by this process or another one";
                return Err(Error::new(ErrorKind::Store, "open journal", message)
                    .with_advice("Wait until it has finished, or stop it; then run this again."));
            }
        }
    }
}

/// A log's content and whether somebody has it open.
fn look(path: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(path)?;
    let mut bytes = read_all(&mut file)?;
    bytes.truncate(journal::sound_len(&bytes));
    let busy = matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock));
    Ok((bytes, busy))
}

/// The whole file, or nothing of one that is too large to be a log.
fn read_all(file: &mut File) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(LEN_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LEN_MAX {
        bytes.clear();
    }
    Ok(bytes)
}

fn store_error(step: &'static str, path: &Path, error: &io::Error) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "Free some space where the state directory is, or choose another state directory."
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "Make the state directory writable for this user, or choose another state directory."
        }
        _ => "Check the disk that holds the state directory, or choose another state directory.",
    };
    Error::new(ErrorKind::Store, step, format!("{}: {}", path.display(), io_text(error))).with_advice(advice)
}
