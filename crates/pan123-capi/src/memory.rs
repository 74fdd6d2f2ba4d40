//! What one upload remembers: always in memory, for export and for going on after a pause, and in a store if there is
//! one.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pan123_upload::{Error, ResumeLog, ResumeStore, StoredLog};

/// The log of one upload, as it stands. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(bytes)))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store for one run of one upload.
pub(crate) struct MemoryStore {
    pub(crate) memory: Memory,
    pub(crate) behind: Option<Arc<dyn ResumeStore>>,
    /// Told when the store behind is given up.
    pub(crate) warn: Warn,
}

/// Takes a sentence for the host.
pub(crate) type Warn = Arc<dyn Fn(String) + Send + Sync>;

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("behind", &self.behind).finish_non_exhaustive()
    }
}

impl ResumeStore for MemoryStore {
    fn open(&self, key: &str) -> Result<Box<dyn ResumeLog>, Error> {
        let behind = self.behind.as_ref().map(|store| store.open(key)).transpose()?;
        Ok(Box::new(MemoryLog { memory: self.memory.clone(), behind, warn: self.warn.clone() }))
    }

    fn may_block(&self) -> bool {
        self.behind.as_ref().is_some_and(|store| store.may_block())
    }

    fn list(&self) -> Result<Vec<StoredLog>, Error> {
        self.behind.as_ref().map_or_else(|| Ok(Vec::new()), |store| store.list())
    }

    fn remove(&self, key: &str) -> Result<(), Error> {
        self.behind.as_ref().map_or(Ok(()), |store| store.remove(key))
    }
}

struct MemoryLog {
    memory: Memory,
    behind: Option<Box<dyn ResumeLog>>,
    warn: Warn,
}

impl ResumeLog for MemoryLog {
    /// What is in memory comes first: it was imported, or is of an earlier run of the same upload.
    fn read(&mut self) -> Result<Vec<u8>, Error> {
        let kept = self.behind.as_mut().map(|log| log.read()).transpose()?.unwrap_or_default();
        let bytes = self.memory.bytes();
        if bytes.is_empty() {
            *self.memory.lock() = kept.clone();
            return Ok(kept);
        }
        if let Some(log) = self.behind.as_mut().filter(|_| kept != bytes) {
            log.clear()?;
            log.append(&bytes, true)?;
        }
        Ok(bytes)
    }

    fn append(&mut self, lines: &[u8], durable: bool) -> Result<(), Error> {
        self.memory.lock().extend_from_slice(lines);
        // The memory is worth having without the store behind it.
        if let Some(error) = self.behind.as_mut().and_then(|log| log.append(lines, durable).err()) {
            (self.warn)(format!("this upload can not be resumed by another run: {error}"));
            self.behind = None;
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Error> {
        self.memory.lock().clear();
        if let Some(error) = self.behind.as_mut().and_then(|log| log.clear().err()) {
            (self.warn)(format!(
                "the store may still hold this upload, which is of no use any more: {error}"
            ));
            self.behind = None;
        }
        Ok(())
    }
}
