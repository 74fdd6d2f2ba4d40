//! Who uploads.

use std::{collections::BTreeMap, time::Duration};

use pan123_proto::machine::{Action, Input, Link, LinkPolicy, Policy, Record, Upload, UploadSpec};

/// The client side of a simulation: uploads by number, and what they share.
pub trait Uploader {
    /// Begins an upload, or goes on with it if there are records of an earlier process.
    fn start(&mut self, now: Duration, upload: usize, spec: UploadSpec, records: &[Record]);
    /// As [`Upload::poll`].
    fn poll(&mut self, now: Duration, upload: usize) -> Option<Action>;
    /// As [`Upload::handle`].
    fn handle(&mut self, now: Duration, upload: usize, input: Input);
    /// As [`Upload::wake_at`].
    fn wake_at(&self, upload: usize) -> Option<Duration>;
    /// Bytes acknowledged.
    fn bytes_acknowledged(&self, upload: usize) -> u64;
    /// Forgets an upload that is over.
    fn forget(&mut self, upload: usize);
    /// The process dies: everything is forgotten.
    fn die(&mut self);
}

/// What the product runs: the state machine of `pan123-proto`.
#[derive(Debug)]
pub struct Machine {
    policy: Policy,
    link_policy: LinkPolicy,
    seed: u64,
    link: Link,
    uploads: BTreeMap<usize, Upload>,
}

impl Machine {
    /// Uploads with these policies; `seed` decides the random part of pauses.
    pub fn new(policy: Policy, link_policy: LinkPolicy, seed: u64) -> Self {
        let link = Link::new(link_policy.clone());
        Self { policy, link_policy, seed, link, uploads: BTreeMap::new() }
    }

    /// What the uploads share.
    pub fn link(&self) -> &Link {
        &self.link
    }
}

impl Uploader for Machine {
    fn start(&mut self, now: Duration, upload: usize, spec: UploadSpec, records: &[Record]) {
        let seed = self.seed.wrapping_add(upload as u64);
        self.uploads.insert(upload, Upload::resume(spec, self.policy.clone(), seed, now, records));
    }

    fn poll(&mut self, now: Duration, upload: usize) -> Option<Action> {
        self.uploads.get_mut(&upload)?.poll(now, &mut self.link)
    }

    fn handle(&mut self, now: Duration, upload: usize, input: Input) {
        if let Some(upload) = self.uploads.get_mut(&upload) {
            upload.handle(now, &mut self.link, input);
        }
    }

    fn wake_at(&self, upload: usize) -> Option<Duration> {
        self.uploads.get(&upload)?.wake_at(&self.link)
    }

    fn bytes_acknowledged(&self, upload: usize) -> u64 {
        self.uploads.get(&upload).map_or(0, Upload::bytes_acknowledged)
    }

    fn forget(&mut self, upload: usize) {
        self.uploads.remove(&upload);
    }

    fn die(&mut self) {
        self.uploads.clear();
        self.link = Link::new(self.link_policy.clone());
        self.seed = self.seed.wrapping_mul(31).wrapping_add(7);
    }
}
