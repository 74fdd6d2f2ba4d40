//! What came of a run, and every property that did not hold.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use pan123_proto::{
    Class, Endpoint, Failure, Slice, SlicePlan,
    machine::{Call, Event, Failed, FailedKind, LinkPolicy, Outcome, Parallel, Record, TryId},
};

use crate::{
    scenario::{Deed, File, Scenario},
    service::Service,
};

/// How an upload ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// The service has the file.
    Completed,
    /// With this failure.
    Failed(Failed),
    /// As the user asked.
    Stopped,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Properties that did not hold, one sentence each. Empty: all did.
    pub violations: Vec<String>,
    /// Uploads that ended in success.
    pub completed: u64,
    /// Uploads that ended otherwise.
    pub others: Vec<(usize, End)>,
    /// Requests sent.
    pub requests: u64,
    /// Slice requests sent.
    pub slices: u64,
    /// Bytes that left the host.
    pub bytes_on_wire: f64,
    /// Faults that struck.
    pub faults: u32,
    /// Actions carried out.
    pub actions: u64,
    /// When the last upload ended.
    pub elapsed: Duration,
    /// The most slices in flight at once.
    pub in_flight_max: u32,
    /// What the link said about slices in flight, in order.
    pub parallel: Vec<(Duration, u32, &'static str)>,
    /// Processes that died.
    pub kills: u32,
}

/// What is known of one upload while it runs, to hold it to its promises.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    size: u64,
    /// The plan of the service's slice size.
    plan: Option<SlicePlan>,
    /// Slices under way, with how many requests each.
    flights: BTreeMap<TryId, u32>,
    acknowledged: BTreeSet<u32>,
    /// How many of them it has reported.
    reported: usize,
    bytes: u64,
    finished: bool,
    stopping: bool,
    /// What the journal that this process was given says.
    kept: Kept,
    /// Failures that the service or the network dealt out, by class.
    suffered: HashMap<Class, u32>,
    restarts: u32,
}

/// What a journal holds.
#[derive(Debug, Default)]
struct Kept {
    created: bool,
    slices: BTreeSet<u32>,
    digests: BTreeSet<u64>,
}

impl Watched {
    pub(crate) fn new(size: u64) -> Self {
        Self { size, ..Self::default() }
    }
}

/// Holds the uploads of one run to their promises.
#[derive(Debug)]
pub(crate) struct Judge {
    link: LinkPolicy,
    hedges: bool,
    calm: bool,
    last_sent: [Option<Duration>; Endpoint::ALL.len()],
    closed_until: [Duration; Endpoint::ALL.len()],
    requests_max: u64,
    time_max: Duration,
    /// Bytes per second that a slice makes when it is alone, as long as nothing goes wrong.
    alone: f64,
    line: Duration,
    pub(crate) story: Story,
}

/// More violations than this are not told.
const VIOLATIONS_MAX: usize = 20;

impl Judge {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self {
            link: scenario.link.clone(),
            hedges: scenario.policy.hedge,
            calm: scenario.is_calm(),
            last_sent: [None; Endpoint::ALL.len()],
            closed_until: [Duration::ZERO; Endpoint::ALL.len()],
            requests_max: requests_max(scenario),
            time_max: time_max(scenario),
            alone: alone(scenario),
            line: scenario.line,
            story: Story::default(),
        }
    }

    /// The run will come to nothing more.
    pub(crate) fn fed_up(&self, now: Duration) -> bool {
        self.is_full() && (self.story.requests > self.requests_max || now > self.time_max)
    }

    fn is_full(&self) -> bool {
        self.story.violations.len() >= VIOLATIONS_MAX
    }

    pub(crate) fn object(&mut self, now: Duration, upload: usize, words: impl Into<String>) {
        if !self.is_full() {
            let words = words.into();
            self.story.violations.push(format!("{:.3} s, upload {upload}: {words}", now.as_secs_f64()));
        }
    }

    /// A process begins, or goes on, with an upload.
    pub(crate) fn began(&mut self, watched: &mut Watched, records: &[Record]) {
        let mut kept = Kept::default();
        for record in records {
            match record {
                Record::Hashed(digests) => _ = kept.digests.insert(digests.slice_size),
                Record::Created { .. } => (kept.created, kept.slices) = (true, BTreeSet::new()),
                Record::Slice { no } => _ = kept.slices.insert(*no),
                Record::Restarted => (kept.created, kept.slices) = (false, BTreeSet::new()),
                Record::Asked | Record::Completing | Record::Done(_) => {}
            }
        }
        watched.acknowledged = kept.slices.clone();
        watched.reported = kept.slices.len();
        watched.flights.clear();
        watched.bytes = 0;
        watched.stopping = false;
        watched.kept = kept;
    }

    /// The process that all uploads ran in has died.
    pub(crate) fn died(&mut self) {
        self.story.kills += 1;
        self.closed_until = [Duration::ZERO; Endpoint::ALL.len()];
        self.last_sent = [None; Endpoint::ALL.len()];
    }

    pub(crate) fn hash(
        &mut self,
        now: Duration,
        upload: usize,
        watched: &Watched,
        slice_size: u64,
        again: bool,
    ) {
        if !again && watched.kept.digests.contains(&slice_size) {
            self.object(now, upload, "hashes again what the journal has");
        }
    }

    pub(crate) fn sent(
        &mut self,
        now: Duration,
        upload: usize,
        file: &File,
        watched: &mut Watched,
        id: TryId,
        call: &Call,
    ) {
        self.story.requests += 1;
        if self.story.requests > self.requests_max {
            self.object(now, upload, format!("more than {} requests", self.requests_max));
        }
        if watched.finished || watched.stopping {
            self.object(now, upload, format!("sends {call:?} after its end"));
        }
        let endpoint = endpoint(call);
        let closed = self.closed_until[endpoint as usize];
        if now < closed {
            let words =
                format!("sends {} while the service has asked to wait until {closed:?}", endpoint.name());
            self.object(now, upload, words);
        }
        self.keep_rate(now, upload, endpoint);
        match call {
            Call::Create { etag } => {
                if watched.kept.created && watched.restarts == 0 {
                    self.object(now, upload, "repeats create although the journal has its answer");
                }
                if *etag != file.content.etag(file.size) {
                    self.object(now, upload, "creates with a wrong etag");
                }
            }
            Call::Slice { slice, md5, .. } => {
                self.story.slices += 1;
                self.slice_sent(now, upload, file, watched, id, slice);
                if *md5 != file.content.md5(slice.offset, slice.len) {
                    self.object(now, upload, format!("declares a wrong MD5 for slice {}", slice.no));
                }
            }
            Call::Complete { .. } => {
                if watched.plan.is_some_and(|plan| (plan.count() as usize) > watched.acknowledged.len()) {
                    self.object(now, upload, "completes although slices are missing");
                }
            }
            Call::Domain | Call::Single { .. } | Call::Find { .. } => {}
        }
    }

    /// Everything that was to be done now is done.
    pub(crate) fn settled(&mut self, now: Duration, slices: u32, bodies: u32) {
        self.story.in_flight_max = self.story.in_flight_max.max(slices);
        let (in_flight, most) = match self.link.parallel {
            Parallel::Exactly(n) => (bodies, n.clamp(1, 64)),
            Parallel::Auto => (slices, 64),
        };
        if in_flight > most {
            self.object(now, 0, format!("{in_flight} bodies in flight where {most} are allowed"));
        }
    }

    fn slice_sent(
        &mut self,
        now: Duration,
        upload: usize,
        file: &File,
        watched: &mut Watched,
        id: TryId,
        slice: &Slice,
    ) {
        let right = watched.plan.and_then(|plan| plan.slice(slice.no));
        if watched.plan.is_some() && right != Some(*slice) {
            self.object(now, upload, format!("sends {slice:?} of a file of {} bytes", file.size));
        }
        if watched.acknowledged.contains(&slice.no) {
            let known = if watched.kept.slices.contains(&slice.no) { ", as the journal says" } else { "" };
            self.object(now, upload, format!("sends slice {} again: it is acknowledged{known}", slice.no));
        }
        let copies = watched.flights.values().filter(|no| **no == slice.no).count();
        if copies > usize::from(self.hedges) {
            self.object(now, upload, format!("slice {} is on its way {} times", slice.no, copies + 1));
        }
        watched.flights.insert(id, slice.no);
    }

    /// The published rates hold for whatever the service says.
    fn keep_rate(&mut self, now: Duration, upload: usize, endpoint: Endpoint) {
        let per_second = match (endpoint, self.link.vip_rates) {
            (Endpoint::Create, false) => 1.0,
            (Endpoint::Create | Endpoint::Complete, true) => 20.0,
            (Endpoint::Complete, false) => 5.0,
            _ => return,
        };
        let last = self.last_sent[endpoint as usize].replace(now);
        if last.is_some_and(|last| (now - last).as_secs_f64() < 0.999 / per_second) {
            self.object(now, upload, format!("sends {} faster than {per_second} a second", endpoint.name()));
        }
    }

    /// An answer or a failure reaches the upload.
    pub(crate) fn ended(
        &mut self,
        now: Duration,
        watched: &mut Watched,
        id: TryId,
        failure: Option<&Failure>,
    ) {
        let slice = watched.flights.remove(&id);
        let Some(failure) = failure else {
            if let Some(no) = slice {
                watched.acknowledged.insert(no);
                watched.flights.retain(|_, other| *other != no || self.hedges);
            }
            return;
        };
        *watched.suffered.entry(failure.class).or_default() += 1;
        if failure.class == Class::RateLimited {
            let pause = failure.retry_after.unwrap_or(Duration::from_secs(1));
            let closed = &mut self.closed_until[failure.endpoint as usize];
            *closed = (*closed).max(now + pause);
        }
    }

    pub(crate) fn aborted(&mut self, watched: &mut Watched, id: TryId) {
        watched.flights.remove(&id);
    }

    pub(crate) fn created(&mut self, watched: &mut Watched, slice_size: u64) {
        watched.plan = SlicePlan::new(watched.size, slice_size.try_into().expect("above 0"));
        watched.acknowledged.clear();
        watched.reported = 0;
    }

    pub(crate) fn stop(&mut self, watched: &mut Watched) {
        watched.stopping = true;
    }

    pub(crate) fn told(&mut self, now: Duration, upload: usize, watched: &mut Watched, event: &Event) {
        match event {
            Event::Slice { no, done, count } => {
                if !watched.acknowledged.contains(no) {
                    self.object(now, upload, format!("reports slice {no}, which nobody acknowledged"));
                }
                watched.reported += 1;
                if *done as usize != watched.reported
                    || watched.reported > watched.acknowledged.len()
                    || done > count
                {
                    let (reported, real) = (watched.reported, watched.acknowledged.len());
                    let words =
                        format!("reports {done} of {count} slices after {reported}, {real} are acknowledged");
                    self.object(now, upload, words);
                }
            }
            Event::Parallel { slices, reason } => self.story.parallel.push((now, *slices, reason)),
            _ => {}
        }
    }

    pub(crate) fn saved(&mut self, now: Duration, upload: usize, watched: &mut Watched, record: &Record) {
        match record {
            Record::Restarted => {
                watched.restarts += 1;
                watched.acknowledged.clear();
                watched.reported = 0;
                watched.bytes = 0;
                watched.kept = Kept::default();
            }
            Record::Slice { no } if !watched.acknowledged.contains(no) => {
                self.object(now, upload, format!("saves slice {no}, which nobody acknowledged"));
            }
            _ => {}
        }
    }

    /// Progress only goes back when the upload starts over.
    pub(crate) fn progress(&mut self, now: Duration, upload: usize, watched: &mut Watched, bytes: u64) {
        if bytes < watched.bytes || bytes > watched.size {
            let words = format!("progress goes from {} to {bytes} bytes of {}", watched.bytes, watched.size);
            self.object(now, upload, words);
        }
        watched.bytes = bytes;
    }

    /// An upload is over: it has to be as it says.
    pub(crate) fn finished(
        &mut self,
        now: Duration,
        upload: usize,
        file: &File,
        watched: &mut Watched,
        service: &Service,
        outcome: Outcome,
    ) {
        self.story.elapsed = now;
        if now > self.time_max {
            self.object(now, upload, format!("took longer than {:?}", self.time_max));
        }
        if std::mem::replace(&mut watched.finished, true) {
            self.object(now, upload, format!("ends twice, the second time with {outcome:?}"));
            return;
        }
        if !watched.flights.is_empty() {
            self.object(now, upload, format!("ends with slices {:?} on their way", watched.flights));
        }
        match outcome {
            Outcome::Completed(completed) => {
                self.story.completed += 1;
                if let Err(words) = check_stored(service, upload, file, completed.file_id) {
                    self.object(now, upload, format!("wrong success: {words}"));
                }
                if completed.etag != file.content.etag(file.size) || (completed.reused && !file.known) {
                    self.object(now, upload, format!("wrong words about a success: {completed:?}"));
                }
            }
            Outcome::Failed(failed) => {
                if let Err(words) = self.check_failed(file, watched, &failed) {
                    self.object(now, upload, format!("{words}: {failed:?}"));
                }
                self.story.others.push((upload, End::Failed(failed)));
            }
            Outcome::Stopped(stop) => {
                if !watched.stopping {
                    self.object(now, upload, format!("stopped with {stop:?}, and nobody asked"));
                }
                self.story.others.push((upload, End::Stopped));
            }
        }
    }

    /// A failure has to have a cause that the world dealt out.
    fn check_failed(&self, file: &File, watched: &Watched, failed: &Failed) -> Result<(), &'static str> {
        let suffered = |classes: &[Class]| -> u32 {
            classes.iter().filter_map(|class| watched.suffered.get(class)).sum()
        };
        let count: u32 = watched.suffered.values().sum();
        let (fair, words) = match failed.kind {
            FailedKind::Source => (suffered(&[Class::Source]) > 0, "the source was fine"),
            FailedKind::Login => (suffered(&[Class::Auth, Class::LoginRefused]) > 0, "the login was fine"),
            FailedKind::Verify => {
                (suffered(&[Class::VerifyFailed]) > 1, "the service did not refuse the bytes twice")
            }
            FailedKind::Protocol => (suffered(&[Class::Protocol]) > 0, "the service kept its protocol"),
            FailedKind::Refused => {
                let refusals = [Class::Refused, Class::NotFound, Class::Protocol, Class::VerifyFailed];
                (file.refused.is_some() || suffered(&refusals) > 1, "the service refused nothing")
            }
            FailedKind::SlowUplink => {
                let late = suffered(&[Class::BodyTimeout, Class::Server, Class::Interrupted]);
                let needed = file.size.min(watched.plan.map_or(0, |plan| plan.slice_size().get()));
                let can_pass = self.alone * self.line.as_secs_f64() > needed as f64 * 1.1;
                (late > 1 && !(self.calm && can_pass), "a slice could have passed alone")
            }
            _ => (count > 1 && !self.calm, "gave up, and nothing was wrong"),
        };
        if fair { Ok(()) } else { Err(words) }
    }
}

/// Whether the service holds exactly this file, under this id.
fn check_stored(service: &Service, upload: usize, file: &File, file_id: i64) -> Result<(), String> {
    let stored = service.file(file_id).ok_or_else(|| format!("there is no file {file_id}"))?;
    if stored.upload != upload || stored.etag != file.content.etag(file.size) || stored.size != file.size {
        return Err(format!("file {file_id} is another one: {stored:?}"));
    }
    if file.known {
        return Ok(());
    }
    let right = file.content.digests(file.size, stored.slice_size.max(1)).slices;
    for (index, (held, right)) in stored.slices.iter().zip(right.iter()).enumerate() {
        if *held != Some(*right) {
            return Err(format!("slice {} is wrong or missing", index + 1));
        }
    }
    if stored.slices.len() == right.len() { Ok(()) } else { Err("the number of slices is wrong".into()) }
}

pub(crate) fn endpoint(call: &Call) -> Endpoint {
    match call {
        Call::Create { .. } => Endpoint::Create,
        Call::Slice { .. } => Endpoint::Slice,
        Call::Complete { .. } => Endpoint::Complete,
        Call::Domain => Endpoint::Domain,
        Call::Single { .. } => Endpoint::Single,
        Call::Find { .. } => Endpoint::List,
    }
}

/// More requests than this are too many, whatever goes wrong.
fn requests_max(scenario: &Scenario) -> u64 {
    let slices: u64 = scenario.files.iter().map(|file| file.size.div_ceil(scenario.manners.slice_size)).sum();
    let runs = scenario.kills.len() as u64 + 1;
    let troubles = u64::from(scenario.faults.budget) + 20 * scenario.deeds.len() as u64;
    let polls = (scenario.manners.verify.as_secs() + 4) * scenario.files.len() as u64;
    100 + 4 * (slices + polls) * runs + 10 * troubles
}

/// Bytes per second that a slice makes at least when it is alone and nothing goes wrong.
fn alone(scenario: &Scenario) -> f64 {
    let uplinks = scenario.deeds.iter().filter_map(|(_, deed)| match deed {
        Deed::Uplink(rate) => Some(*rate),
        _ => None,
    });
    uplinks.chain(scenario.servers.iter().copied()).fold(scenario.shape.connection_max(), f64::min)
}

/// A run that takes longer than this takes too long, whatever goes wrong.
fn time_max(scenario: &Scenario) -> Duration {
    let slowest = scenario.deeds.iter().filter_map(|(_, deed)| match deed {
        Deed::Uplink(rate) => Some(*rate),
        Deed::Server(_, rate) if *rate > 0.0 => Some(*rate),
        _ => None,
    });
    let rates = slowest.chain(scenario.servers.iter().copied().filter(|rate| *rate > 0.0));
    let slowest = rates.fold(scenario.shape.connection_max(), f64::min);
    let runs = scenario.kills.len() as f64 + 2.0;
    let files = scenario.files.len() as f64;
    let bytes: u64 = scenario.files.iter().map(|file| file.size).sum();
    let last = scenario.deeds.iter().map(|(at, _)| at.as_secs_f64()).fold(0.0, f64::max);
    // A body of which too little arrives costs the gateway's minute, a slice is tried a few times, and a fault
    // costs the longest of all clocks.
    let bodies = (bytes as f64 / slowest).min(files * 20.0 * 60.0 + bytes as f64 / (slowest * 0.5));
    let faults = f64::from(scenario.faults.budget) * 100.0 + scenario.deeds.len() as f64 * 200.0;
    Duration::from_secs_f64(last + runs * (bodies * 2.0 + files * 300.0) + faults)
}

impl Scenario {
    /// Nothing goes wrong in it except what the link's own figures bring.
    pub fn is_calm(&self) -> bool {
        let hurts = |deed: &Deed| !matches!(deed, Deed::Uplink(_));
        self.faults.budget == 0
            && !self.deeds.iter().any(|(_, deed)| hurts(deed))
            && self.servers.iter().all(|rate| *rate > 0.0)
            && self.manners.verify_failures == 0
    }
}
