//! How far an upload is, readable from any thread at any time.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pan123_proto::machine::Stage;
use serde::Serialize;

/// A snapshot of an upload. No figure ever falls from one snapshot to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The furthest stage reached.
    pub stage: Stage,
    /// File size in bytes.
    pub bytes_total: u64,
    /// Bytes whose digests are known.
    pub bytes_hashed: u64,
    /// Bytes that a connection has taken; ahead of `bytes_acknowledged` by what is in flight and in buffers.
    /// Bytes sent again do not count twice. All of the file once the upload is done, also when the service had
    /// them already.
    pub bytes_sent: u64,
    /// Bytes of slices that the service has acknowledged; all of the file once the upload is done.
    pub bytes_acknowledged: u64,
    /// Slices acknowledged.
    pub slices_done: u32,
    /// Slices of the file; 0 before the service has named a slice size, and for an upload without slices.
    pub slices_total: u32,
    /// Requests sent again so far.
    pub retries: u32,
}

/// What [`Progress`] is taken from, as one, so that its figures fit each other.
#[derive(Debug)]
pub(crate) struct Counters(Mutex<Progress>);

impl Counters {
    pub(crate) fn new(bytes_total: u64) -> Self {
        Self(Mutex::new(Progress {
            stage: Stage::Hashing,
            bytes_total,
            bytes_hashed: 0,
            bytes_sent: 0,
            bytes_acknowledged: 0,
            slices_done: 0,
            slices_total: 0,
            retries: 0,
        }))
    }

    fn now(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn snapshot(&self) -> Progress {
        *self.now()
    }

    /// Goes on from where an earlier run of the same upload was, so that no figure falls.
    pub(crate) fn raise(&self, earlier: &Progress) {
        self.stage(earlier.stage);
        self.hashed(earlier.bytes_hashed);
        let mut now = self.now();
        now.bytes_sent = now.bytes_sent.max(earlier.bytes_sent);
        now.bytes_acknowledged = now.bytes_acknowledged.max(earlier.bytes_acknowledged);
        now.slices_done = now.slices_done.max(earlier.slices_done);
        now.slices_total = now.slices_total.max(earlier.slices_total);
        now.retries += earlier.retries;
    }

    pub(crate) fn stage(&self, stage: Stage) {
        let mut now = self.now();
        now.stage = now.stage.max(stage);
    }

    pub(crate) fn hashed(&self, bytes: u64) {
        let mut now = self.now();
        now.bytes_hashed = now.bytes_hashed.max(bytes.min(now.bytes_total));
    }

    /// `slices`: how many are done, and of how many, once that is known. `in_flight`: bytes that connections
    /// have taken of what is not acknowledged yet.
    pub(crate) fn sent(&self, slices: Option<(u32, u32)>, acknowledged: u64, in_flight: u64) {
        let mut now = self.now();
        if let Some((done, total)) = slices {
            now.slices_done = now.slices_done.max(done);
            now.slices_total = total;
        }
        now.bytes_acknowledged = now.bytes_acknowledged.max(acknowledged.min(now.bytes_total));
        let sent = (acknowledged + in_flight).min(now.bytes_total);
        now.bytes_sent = now.bytes_sent.max(sent).max(now.bytes_acknowledged);
    }

    pub(crate) fn retry(&self) {
        self.now().retries += 1;
    }
}
