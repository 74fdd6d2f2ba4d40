//! Where an upload keeps what a resume needs.
//!
//! A store holds one log per upload, under a key that [`journal::key`](crate::journal::key) makes
//! from the source and the target. What is in a log is opaque to the store; the codec is
//! [`journal`](crate::journal), with its own version and checksums.

use std::fmt;

use crate::error::Error;

/// Holds the logs of unfinished uploads. The default is [`JournalDir`](crate::JournalDir).
///
/// All calls may block; the engine makes them on threads that may.
pub trait ResumeStore: Send + Sync + fmt::Debug {
    /// Opens the log with this key, empty if there is none yet.
    ///
    /// `key` is 1 to 64 characters of `a-z`, `0-9` and `-`. Until the log is dropped nobody else may open it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`](crate::ErrorKind::Store), for example when another process has it open.
    fn open(&self, key: &str) -> Result<Box<dyn ResumeLog>, Error>;

    /// Whether calls of this store and of its logs may take longer than a few copies in memory. One of which none does
    /// needs no threads.
    fn may_block(&self) -> bool {
        true
    }

    /// All logs that are not empty, in no particular order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) when the store itself cannot be read. A log that cannot be
    /// read is left out.
    fn list(&self) -> Result<Vec<StoredLog>, Error>;

    /// Forgets the log with this key. Nothing happens if there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`](crate::ErrorKind::Store), for example when somebody has it open.
    fn remove(&self, key: &str) -> Result<(), Error>;
}

/// The log of one upload, open for this process alone. All calls may block.
pub trait ResumeLog: Send {
    /// Everything appended so far, except for a last line that did not get in whole.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`](crate::ErrorKind::Store).
    fn read(&mut self) -> Result<Vec<u8>, Error>;

    /// Adds whole lines, each with its line feed. With `durable` they survive a power cut once this
    /// returns; without it they survive the end of the process, and a power cut soon after.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`](crate::ErrorKind::Store), for example on a full disk. What was there before stays
    /// good, and a later append may succeed. An upload can go on without its log.
    fn append(&mut self, lines: &[u8], durable: bool) -> Result<(), Error>;

    /// Empties the log, for good once this returns. An empty log does not show up in
    /// [`list`](ResumeStore::list).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`](crate::ErrorKind::Store).
    fn clear(&mut self) -> Result<(), Error>;
}

/// One entry of [`ResumeStore::list`].
#[derive(Clone, Debug)]
pub struct StoredLog {
    /// The key to open or remove it with.
    pub key: String,
    /// What [`ResumeLog::read`] would return.
    pub bytes: Vec<u8>,
    /// Somebody has it open, so the upload is running.
    pub busy: bool,
}
