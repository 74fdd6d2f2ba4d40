//! The drive on disk: `files/` holds the stored files at their drive paths, `parts/` the uploads under way, and
//! `index.jsonl` what they are.
//!
//! A finished part file is renamed into place, so completing an upload copies nothing; and a file is only ever
//! replaced by a rename, so that hard links can serve instant uploads.

mod index;
mod names;
mod positioned;
mod state;
mod tree;
mod upload;
mod whole;
mod writer;

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use pan123_proto::Slice;

use crate::{
    error::{Error, ErrorKind},
    reply::Refusal,
};
pub(crate) use index::{Duplicate, Node, Record, TokenKind, UploadRecord};
pub(crate) use names::{check_name, hex, split_path};
pub(crate) use state::ROOT;
use state::{End, State};
pub(crate) use tree::Target;
pub(crate) use upload::{Begun, Completion};
pub(crate) use writer::Scratch;

/// The drive. All methods may be called from any thread; those that touch files block.
#[derive(Debug)]
pub(crate) struct Drive {
    dir: PathBuf,
    keep_bytes: bool,
    state: Mutex<State>,
    index: index::Index,
    closing: AtomicBool,
    lock: File,
}

impl Drive {
    /// Opens or makes the drive in `dir`. Also gives the token lines of the index, oldest first.
    pub(crate) fn open(dir: &Path, keep_bytes: bool) -> Result<(Self, Vec<Record>), Error> {
        for folder in [dir.to_owned(), dir.join("files"), dir.join("parts")] {
            fs::create_dir_all(&folder).map_err(Error::storage("make folder", &folder))?;
        }
        let lock = lock(&dir.join("lock"))?;
        let path = dir.join("index.jsonl");
        let (mut state, mut tokens) = (State::default(), Vec::new());
        for record in index::Index::read(&path)? {
            match record {
                Record::Token { .. } | Record::Revoke { .. } => tokens.push(record),
                record => state.apply(record),
            }
        }
        heal(&mut state, dir)?;
        let records = [state.records(), tokens.clone()].concat();
        let index = index::Index::rewrite(&path, &records)?;
        let drive = Self {
            dir: dir.to_owned(),
            keep_bytes,
            state: Mutex::new(state),
            index,
            closing: AtomicBool::new(false),
            lock,
        };
        Ok((drive, tokens))
    }

    /// Stops long work.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Lets another emulator use the folder.
    pub(crate) fn unlock(&self) {
        let _ = self.lock.unlock();
    }

    fn closing(&self) -> &AtomicBool {
        &self.closing
    }

    pub(crate) fn keeps_bytes(&self) -> bool {
        self.keep_bytes
    }

    /// Writes a line to the index without any other effect.
    pub(crate) fn note(&self, record: &Record) -> Result<(), Refusal> {
        self.index.append(record).map_err(|error| Refusal::internal("write index", error))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A handler that panicked left whole records behind: `apply` is the only writer.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line to the index, then takes it in.
    fn commit(&self, state: &mut State, record: Record) -> Result<(), Refusal> {
        self.note(&record)?;
        state.apply(record);
        Ok(())
    }

    fn part_path(&self, upload: &str) -> PathBuf {
        part_path(&self.dir, upload)
    }

    /// Where the bytes of a stored file are.
    pub(crate) fn file_path(&self, id: i64) -> Option<PathBuf> {
        let state = self.state();
        let kept = state.nodes.get(&id).is_some_and(|node| node.kept && !node.is_folder);
        if kept { self.disk_path(&state, id) } else { None }
    }

    fn disk_path(&self, state: &State, id: i64) -> Option<PathBuf> {
        disk_path(&self.dir, state, id)
    }

    fn stored_slice(&self, upload: &str, no: u32) -> io::Result<Option<(Arc<File>, Slice)>> {
        let mut state = self.state();
        // The part file of an upload that ended has moved; opening it would make an empty one.
        let Some(found) = state.uploads.get_mut(upload).filter(|upload| upload.end == End::Open) else {
            return Ok(None);
        };
        let Some(slice) = found.plan.slice(no).filter(|_| found.done.contains_key(&no)) else {
            return Ok(None);
        };
        let part = self.open_part(found)?;
        Ok(Some((part, slice)))
    }

    /// Whether the file ends with this slice; 0 stands for no slice at all.
    fn is_last_slice(&self, upload: &str, no: u32) -> bool {
        let is_last = |upload: &state::Upload| upload.plan.count() == no || upload.plan.size() == 0;
        self.state().uploads.get(upload).is_some_and(is_last)
    }
}

fn part_path(dir: &Path, upload: &str) -> PathBuf {
    dir.join("parts").join(upload)
}

fn disk_path(dir: &Path, state: &State, id: i64) -> Option<PathBuf> {
    let names = state.path(id)?;
    Some(names.into_iter().fold(dir.join("files"), |path, name| path.join(names::disk_name(name))))
}

/// Takes the lock file, which the system lets go when the process dies.
fn lock(path: &Path) -> Result<File, Error> {
    let step = "lock folder";
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(Error::storage(step, path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let folder = path.parent().unwrap_or(path).display();
            let detail = format!("{folder} is in use by another emulator; stop it or choose another folder");
            Err(Error::new(ErrorKind::Storage, step, detail))
        }
        Err(TryLockError::Error(error)) => Err(Error::storage(step, path)(error)),
    }
}

/// Brings index and disk together after a kill: finishes renames that were written down, drops entries whose
/// file is gone, and removes parts that nobody knows.
fn heal(state: &mut State, dir: &Path) -> Result<(), Error> {
    let ids: Vec<i64> = state.nodes.keys().copied().collect();
    for id in ids {
        let Some(path) = disk_path(dir, state, id) else {
            state.remove(id);
            continue;
        };
        let node = state.nodes[&id].clone();
        if node.is_folder {
            fs::create_dir_all(&path).map_err(Error::storage("make folder", &path))?;
            continue;
        }
        if let Some(upload) = &node.upload {
            let part = part_path(dir, upload);
            if part.exists() {
                fs::rename(&part, &path).map_err(Error::storage("move finished file", &part))?;
            }
        }
        let len = fs::metadata(&path).map(|metadata| metadata.len());
        if node.kept && len.ok() != Some(node.size) {
            tracing::warn!(path = %path.display(), "the stored file is gone or was changed; dropping its entry");
            state.remove(id);
        }
    }
    let parts = dir.join("parts");
    for entry in fs::read_dir(&parts).map_err(Error::storage("list folder", &parts))? {
        let entry = entry.map_err(Error::storage("list folder", &parts))?;
        let is_open = entry.file_name().to_str().and_then(|name| state.uploads.get(name));
        if is_open.is_none_or(|upload| upload.end != End::Open) {
            fs::remove_file(entry.path()).map_err(Error::storage("remove part", &entry.path()))?;
        }
    }
    Ok(())
}
