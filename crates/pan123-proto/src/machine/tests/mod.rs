//! The machine against a service that these tests play, in virtual time.

mod completing;
mod many;
mod rate_limits;
mod restarts;
mod resuming;
mod slow_lines;
mod stages;
mod tries;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::*;
use crate::{Class, Endpoint, Failure, Md5};

const SLICE: u64 = 16 << 20;

/// An upload, its link, the time, and what was asked of the service.
struct Bench {
    upload: Upload,
    link: Link,
    now: Duration,
    in_flight: BTreeMap<TryId, Call>,
    records: Vec<Record>,
    /// Try and pause in milliseconds of each retry that was told of.
    retries: Vec<(u32, u64)>,
    outcome: Option<Outcome>,
}

fn spec(slices: u64) -> UploadSpec {
    UploadSpec {
        parent_id: 0,
        filename: "f".into(),
        contain_dir: false,
        duplicate: None,
        size: slices * SLICE,
    }
}

fn digests(spec: &UploadSpec, slice_size: u64) -> Digests {
    let count = spec.size.div_ceil(slice_size).max(1);
    let slices = (0..count).map(|index| Md5([index as u8; 16])).collect();
    Digests { etag: Md5([9; 16]), slice_size, slices }
}

fn failure(endpoint: Endpoint, class: Class) -> Failure {
    Failure::local(endpoint, class, "as the test wants it")
}

impl Bench {
    fn new(slices: u64) -> Self {
        let upload = Upload::new(spec(slices), Policy::default(), 1);
        Self::with(upload)
    }

    fn with(upload: Upload) -> Self {
        let link = Link::new(LinkPolicy::default());
        Self {
            upload,
            link,
            now: Duration::ZERO,
            in_flight: BTreeMap::new(),
            records: vec![],
            retries: vec![],
            outcome: None,
        }
    }

    /// Carries out everything that is to be done now; digests are made at once.
    fn drain(&mut self) {
        while let Some(action) = self.upload.poll(self.now, &mut self.link) {
            match action {
                Action::Hash { slice_size, .. } => {
                    let digests = digests(&self.upload.spec, slice_size);
                    self.tell(Input::Hashed(digests));
                }
                Action::Send { id, call } => assert_eq!(self.in_flight.insert(id, call), None),
                Action::Abort { id } => assert!(self.in_flight.remove(&id).is_some()),
                Action::Save { record, .. } => self.records.push(record),
                Action::Tell(Event::Retry { attempt, wait_ms, .. }) => self.retries.push((attempt, wait_ms)),
                Action::Tell(_) => {}
                Action::Finish(outcome) => assert_eq!(self.outcome.replace(outcome), None),
            }
        }
    }

    fn tell(&mut self, input: Input) {
        self.upload.handle(self.now, &mut self.link, input);
    }

    /// The only request under way; waits for it if the upload is pausing.
    fn call(&mut self) -> (TryId, Call) {
        self.drain();
        for _ in 0..100 {
            if self.in_flight.len() == 1 {
                return self.in_flight.pop_first().unwrap();
            }
            self.wait();
        }
        panic!("{} requests under way, outcome {:?}", self.in_flight.len(), self.outcome);
    }

    /// Lets time pass until the upload wants to be asked again.
    fn wait(&mut self) {
        let wake = self.upload.wake_at(&self.link).expect("the upload waits for a time");
        self.now = self.now.max(wake);
        self.drain();
    }

    fn reply(&mut self, reply: Reply) -> Call {
        let (id, call) = self.call();
        self.tell(Input::Replied { id, reply });
        self.drain();
        call
    }

    fn fail(&mut self, class: Class) -> Call {
        let (id, call) = self.call();
        let endpoint = match call {
            Call::Create { .. } => Endpoint::Create,
            Call::Complete { .. } => Endpoint::Complete,
            Call::Slice { .. } => Endpoint::Slice,
            Call::Single { .. } => Endpoint::Single,
            Call::Find { .. } => Endpoint::List,
            Call::Domain => Endpoint::Domain,
        };
        self.tell(Input::Failed { id, failure: failure(endpoint, class), sent: 0 });
        self.drain();
        call
    }

    fn create(&mut self) {
        let call = self.reply(created(SLICE));
        assert!(matches!(call, Call::Create { .. }), "{call:?}");
    }

    /// Acknowledges slices until none is left, one second each.
    fn send_all(&mut self) -> Vec<u32> {
        let mut numbers = vec![];
        while let Some((&id, Call::Slice { slice, .. })) = self.in_flight.iter().next() {
            numbers.push(slice.no);
            self.in_flight.remove(&id);
            self.now += Duration::from_secs(1);
            self.tell(Input::Replied { id, reply: Reply::SliceTaken });
            self.drain();
        }
        numbers
    }

    fn completed(&self) -> &Completed {
        match &self.outcome {
            Some(Outcome::Completed(completed)) => completed,
            other => panic!("{other:?}"),
        }
    }

    fn failed(&self) -> &Failed {
        match &self.outcome {
            Some(Outcome::Failed(failed)) => failed,
            other => panic!("{other:?}"),
        }
    }
}

fn created(slice_size: u64) -> Reply {
    Reply::Created { preupload_id: "p".into(), slice_size, servers: vec!["s1".into(), "s2".into()] }
}

const STORED: Reply = Reply::Stored { file_id: 7 };
