//! A client with a fixed number of slices in flight, as many uploaders are.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use pan123_proto::{
    Class, Endpoint, Failure, Slice, SlicePlan,
    machine::{
        Action, Call, Completed, Digests, Failed, FailedKind, Input, Outcome, Record, Reply, TryId,
        UploadSpec,
    },
};

use crate::machine::Uploader;

/// Sends this many slices at once, whatever the link carries, over servers in turn. Tries each request five times, with
/// pauses of 1, 2, 4 and 8 s, and then gives up. Knows nothing of the gateway's line.
#[derive(Debug)]
pub struct Fixed {
    slices: u32,
    in_flight: u32,
    /// When the next `create` may go.
    create_at: Duration,
    uploads: BTreeMap<usize, Simple>,
}

#[derive(Debug)]
struct Simple {
    spec: UploadSpec,
    out: VecDeque<Action>,
    digests: Option<Digests>,
    remote: Option<(Arc<str>, Vec<Arc<str>>)>,
    /// Slices to send, with the number of tries so far and when they may go.
    due: VecDeque<(Slice, u32, Duration)>,
    flights: BTreeMap<TryId, (Slice, u32)>,
    /// When `create` goes next, if it is its turn and it is not under way.
    create_at: Option<Duration>,
    /// When `upload_complete` goes next, if it is its turn and it is not under way.
    complete_at: Option<Duration>,
    missing: usize,
    acknowledged: u64,
    failures: u32,
    next_id: u64,
    over: bool,
}

const TRIES: u32 = 5;
const POLL_EVERY: Duration = Duration::from_secs(1);
const CREATE_EVERY: Duration = Duration::from_secs(1);

impl Fixed {
    /// A client with so many slices in flight, over all uploads.
    pub fn new(slices: u32) -> Self {
        Self { slices, in_flight: 0, create_at: Duration::ZERO, uploads: BTreeMap::new() }
    }
}

impl Uploader for Fixed {
    fn start(&mut self, now: Duration, upload: usize, spec: UploadSpec, _: &[Record]) {
        let hash = Action::Hash { slice_size: pan123_proto::SLICE_SIZE_ASSUMED, again: false };
        let simple = Simple {
            spec,
            out: [hash].into(),
            digests: None,
            remote: None,
            due: VecDeque::new(),
            flights: BTreeMap::new(),
            create_at: None,
            complete_at: None,
            missing: 0,
            acknowledged: 0,
            failures: 0,
            next_id: now.as_nanos() as u64,
            over: false,
        };
        self.uploads.insert(upload, simple);
    }

    fn poll(&mut self, now: Duration, upload: usize) -> Option<Action> {
        let place = self.in_flight < self.slices;
        let simple = self.uploads.get_mut(&upload)?;
        if let Some(action) = simple.out.pop_front() {
            return Some(action);
        }
        if simple.over {
            return None;
        }
        if simple.create_at.is_some_and(|at| at.max(self.create_at) <= now) {
            self.create_at = now + CREATE_EVERY;
            simple.create_at = None;
            let etag = simple.digests.as_ref()?.etag;
            return Some(simple.send(Call::Create { etag }));
        }
        if simple.complete_at.is_some_and(|at| at <= now) {
            simple.complete_at = None;
            let (preupload_id, _) = simple.remote.clone()?;
            return Some(simple.send(Call::Complete { preupload_id }));
        }
        let index = simple.due.iter().position(|(_, _, ready_at)| place && *ready_at <= now)?;
        let (slice, tries, _) = simple.due.remove(index)?;
        let (preupload_id, servers) = simple.remote.clone()?;
        let server = servers[(slice.no + tries) as usize % servers.len()].clone();
        let md5 = simple.digests.as_ref()?.slices[slice.no as usize - 1];
        let id = TryId(simple.next_id);
        simple.flights.insert(id, (slice, tries));
        self.in_flight += 1;
        Some(simple.send(Call::Slice { server, preupload_id, slice, md5 }))
    }

    fn handle(&mut self, now: Duration, upload: usize, input: Input) {
        let Some(simple) = self.uploads.get_mut(&upload).filter(|simple| !simple.over) else { return };
        match input {
            Input::Hashed(digests) => {
                simple.digests = Some(digests);
                simple.create_at = Some(now);
            }
            Input::Replied { id, reply } => {
                self.in_flight -= u32::from(simple.flights.contains_key(&id));
                simple.replied(now, id, reply);
            }
            Input::Failed { id, failure, .. } => {
                self.in_flight -= u32::from(simple.flights.contains_key(&id));
                simple.failed(now, id, failure);
            }
            Input::SourceFailed(_) | Input::Moved { .. } | Input::Stop(_) => {}
        }
        if simple.over {
            self.in_flight -= simple.flights.len() as u32;
            simple.flights.clear();
        }
    }

    fn wake_at(&self, upload: usize) -> Option<Duration> {
        let simple = self.uploads.get(&upload)?;
        let due = simple.due.iter().filter(|_| self.in_flight < self.slices).map(|due| due.2).min();
        let create = simple.create_at.map(|at| at.max(self.create_at));
        simple.complete_at.into_iter().chain(due).chain(create).min()
    }

    fn bytes_acknowledged(&self, upload: usize) -> u64 {
        self.uploads.get(&upload).map_or(0, |simple| simple.acknowledged)
    }

    fn forget(&mut self, upload: usize) {
        self.uploads.remove(&upload);
    }

    fn die(&mut self) {
        self.uploads.clear();
        self.in_flight = 0;
    }
}

impl Simple {
    fn send(&mut self, call: Call) -> Action {
        let id = TryId(self.next_id);
        self.next_id += 1;
        Action::Send { id, call }
    }

    fn replied(&mut self, now: Duration, id: TryId, reply: Reply) {
        match reply {
            Reply::Created { preupload_id, slice_size, servers } => {
                let plan = slice_size.try_into().ok().and_then(|size| SlicePlan::new(self.spec.size, size));
                let Some(plan) = plan else { return };
                self.missing = plan.count() as usize;
                self.due = plan.iter().map(|slice| (slice, 0, Duration::ZERO)).collect();
                self.remote = Some((preupload_id, servers));
            }
            Reply::SliceTaken => {
                let Some((slice, _)) = self.flights.remove(&id) else { return };
                self.missing -= 1;
                self.acknowledged += slice.len;
                self.complete_at = (self.missing == 0).then_some(now);
            }
            Reply::Stored { file_id } => {
                let Some(digests) = &self.digests else { return };
                let done = Completed {
                    file_id,
                    etag: digests.etag,
                    slices: digests.slices.len() as u32,
                    reused: false,
                };
                self.finish(Outcome::Completed(done));
            }
            Reply::NotYet | Reply::Nameless | Reply::Hosts(_) => self.complete_at = Some(now + POLL_EVERY),
        }
    }

    fn failed(&mut self, now: Duration, id: TryId, failure: Failure) {
        let slice = self.flights.remove(&id);
        let tries = match &slice {
            Some((_, tries)) => tries + 1,
            None => {
                self.failures += 1;
                self.failures
            }
        };
        if tries >= TRIES || failure.class == Class::Auth {
            let flights: Vec<TryId> = self.flights.keys().copied().collect();
            self.out.extend(flights.into_iter().map(|id| Action::Abort { id }));
            let failed = Failed {
                kind: FailedKind::GaveUp,
                slice_no: slice.map(|(slice, _)| slice.no),
                attempts: tries,
                advice: String::new(),
                resumable: false,
                failure,
            };
            return self.finish(Outcome::Failed(failed));
        }
        let at = now + Duration::from_secs(1 << (tries - 1));
        match (slice, failure.endpoint) {
            (Some((slice, _)), _) => self.due.push_back((slice, tries, at)),
            (None, Endpoint::Complete) => self.complete_at = Some(at),
            (None, _) => self.create_at = Some(at),
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        self.over = true;
        self.out.push_back(Action::Finish(outcome));
    }
}
