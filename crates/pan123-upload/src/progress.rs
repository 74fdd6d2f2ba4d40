//! How far an upload is, readable from any thread at any time.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

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
    /// Bytes sent again do not count twice.
    pub bytes_sent: u64,
    /// Bytes of slices that the service has acknowledged.
    pub bytes_acknowledged: u64,
    /// Slices acknowledged.
    pub slices_done: u32,
    /// Slices of the file; 0 before the service has named a slice size.
    pub slices_total: u32,
    /// Requests sent again so far.
    pub retries: u32,
}

/// The counters behind [`Progress`].
#[derive(Debug)]
pub(crate) struct Counters {
    bytes_total: u64,
    stage: AtomicU8,
    hashed: AtomicU64,
    sent: AtomicU64,
    acknowledged: AtomicU64,
    slices_done: AtomicU32,
    slices_total: AtomicU32,
    retries: AtomicU32,
}

const STAGES: [Stage; 5] = [Stage::Hashing, Stage::Creating, Stage::Sending, Stage::Completing, Stage::Done];

impl Counters {
    pub(crate) fn new(bytes_total: u64) -> Self {
        Self {
            bytes_total,
            stage: AtomicU8::new(0),
            hashed: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            slices_done: AtomicU32::new(0),
            slices_total: AtomicU32::new(0),
            retries: AtomicU32::new(0),
        }
    }

    pub(crate) fn snapshot(&self) -> Progress {
        // Read in this order, so that a snapshot never shows more acknowledged than sent.
        let bytes_acknowledged = self.acknowledged.load(Relaxed);
        let bytes_sent = self.sent.load(Relaxed).max(bytes_acknowledged);
        Progress {
            stage: STAGES[usize::from(self.stage.load(Relaxed))],
            bytes_total: self.bytes_total,
            bytes_hashed: self.hashed.load(Relaxed),
            bytes_sent,
            bytes_acknowledged,
            slices_done: self.slices_done.load(Relaxed),
            slices_total: self.slices_total.load(Relaxed),
            retries: self.retries.load(Relaxed),
        }
    }

    pub(crate) fn stage(&self, stage: Stage) {
        let index = STAGES.iter().position(|&s| s == stage).unwrap_or(0);
        self.stage.fetch_max(index as u8, Relaxed);
    }

    pub(crate) fn hashed(&self, bytes: u64) {
        self.hashed.fetch_max(bytes.min(self.bytes_total), Relaxed);
    }

    /// `in_flight`: bytes that connections have taken of what is not acknowledged yet.
    pub(crate) fn sent(&self, acknowledged: u64, in_flight: u64) {
        self.acknowledged.fetch_max(acknowledged.min(self.bytes_total), Relaxed);
        self.sent.fetch_max((acknowledged + in_flight).min(self.bytes_total), Relaxed);
    }

    pub(crate) fn slices(&self, done: u32, total: u32) {
        self.slices_done.fetch_max(done, Relaxed);
        self.slices_total.store(total, Relaxed);
    }

    pub(crate) fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }
}
