//! The upload of one file.

use std::{collections::VecDeque, num::NonZeroU64, sync::Arc, time::Duration};

use super::{
    flights::FlightKey,
    link::Link,
    policy::Policy,
    slices::{Sent, Slices},
    types::{
        Action, Call, Digests, Event, FailedKind, Input, Outcome, Record, Stage, Stop, TryId, UploadSpec,
    },
};
use crate::{Class, Endpoint, Failure, Md5, SLICE_SIZE_ASSUMED, Slice, SlicePlan};

/// The upload of one file, from its digests to its file id.
///
/// Ask [`poll`](Self::poll) until it returns `None`; then wait for an answer, for [`wake_at`](Self::wake_at),
/// or for any upload on the same [`Link`] to move, and ask again. Everything that happens is told to
/// [`handle`](Self::handle).
#[derive(Debug)]
pub struct Upload {
    pub(super) spec: UploadSpec,
    pub(super) policy: Policy,
    pub(super) step: Step,
    pub(super) digests: Option<Digests>,
    /// What an earlier run left, as long as nothing tells whether the source is the same.
    doubted: Option<Doubted>,
    pub(super) remote: Option<Remote>,
    /// Since when nothing has got through: the first failure after the last thing that did.
    pub(super) failing_since: Option<Duration>,
    /// The last failure was an answer of the service.
    pub(super) answered: bool,
    /// When a slice last failed.
    pub(super) landed_at: Duration,
    /// Since when everything is refused because there are too many requests.
    pub(super) throttled_since: Option<Duration>,
    /// The service has answered as it should, at least once.
    pub(super) met: bool,
    /// Why it has started over from `create`. Once for each reason.
    pub(super) restarts: Vec<Class>,
    /// A request that stores the file went out and its answer was lost.
    pub(super) unanswered: bool,
    /// It is on record that a request which may store the file by itself goes out.
    pub(super) asked: bool,
    /// Failures and tries of the `create` that is asked again if the file is not found.
    pub(super) create_tries: (u32, u32),
    /// `single/create` was tried in vain.
    pub(super) single_failed: bool,
    /// Other upload hosts were asked for, because none of those known could be reached.
    pub(super) hosts_asked: bool,
    /// Servers to which a slice missed the gateway's line although it was alone, in a row.
    pub(super) misses_alone: Vec<Arc<str>>,
    /// Slices that missed the line one after the other since one was acknowledged, and when the last one did.
    pub(super) misses: (u32, Duration),
    /// Bytes of slices that were sent a second time while the first copy was on its way.
    hedged: u64,
    rng: fastrand::Rng,
    next_id: u64,
    pub(super) out: VecDeque<Action>,
    stage: Option<Stage>,
    parallel_told: u32,
}

/// What is left to do for a source with this etag.
#[derive(Debug)]
struct Doubted {
    etag: Md5,
    step: Step,
    out: VecDeque<Action>,
}

/// What the service knows of this upload.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) preupload_id: Arc<str>,
    pub(super) servers: Vec<Arc<str>>,
    pub(super) slices: Slices,
    pub(super) plan: SlicePlan,
}

/// Where the upload stands.
#[derive(Debug)]
pub(super) enum Step {
    /// Digests are needed.
    Hash { slice_size: u64, again: bool, asked: bool },
    /// One request at a time.
    Turn(Turn),
    /// Slices go out.
    Slices,
    /// Over.
    Over,
}

/// A request that has the floor alone.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) kind: TurnKind,
    /// How often it failed, refusals for too many requests not counted.
    pub(super) failures: u32,
    /// How often it was tried since the last good answer.
    pub(super) tries: u32,
    pub(super) ready_at: Duration,
    pub(super) flight: Option<TryId>,
    /// When it last went out.
    pub(super) sent_at: Duration,
    /// Since when it could go, but for the requests of other uploads that are under way.
    pub(super) waits_since: Option<Duration>,
    /// When the question went out that was first answered with "not yet"; bounds polling. A look into the folder
    /// in the middle of polling carries it along.
    pub(super) polling_since: Option<Duration>,
    /// How often in a row the service called the file complete and named no id.
    pub(super) nameless: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TurnKind {
    Create,
    Complete,
    /// For slices, when `create` named no server, or for a single upload.
    Domain {
        single: bool,
    },
    Single {
        server: Arc<str>,
    },
    /// Looks whether an unanswered request did store the file, because of this failure; if it did not, starts over
    /// or ends with the failure.
    Find {
        failure: Box<Failure>,
        start_over: bool,
    },
}

impl Upload {
    /// An upload that nothing is known of yet. `seed` decides the random part of pauses.
    pub fn new(spec: UploadSpec, policy: Policy, seed: u64) -> Self {
        Self {
            spec,
            policy,
            step: Step::Hash { slice_size: SLICE_SIZE_ASSUMED, again: false, asked: false },
            digests: None,
            doubted: None,
            remote: None,
            failing_since: None,
            answered: false,
            landed_at: Duration::ZERO,
            throttled_since: None,
            met: false,
            restarts: Vec::new(),
            unanswered: false,
            asked: false,
            create_tries: (0, 0),
            single_failed: false,
            hosts_asked: false,
            misses_alone: Vec::new(),
            misses: (0, Duration::ZERO),
            hedged: 0,
            rng: fastrand::Rng::with_seed(seed),
            next_id: 0,
            out: VecDeque::new(),
            stage: None,
            parallel_told: 0,
        }
    }

    /// An upload that goes on from a journal: what the records say is done is not done again.
    ///
    /// Records that do not fit each other are passed over; at worst something is sent again. After
    /// [`Record::Done`] nothing is left but to say so.
    pub fn resume(spec: UploadSpec, policy: Policy, seed: u64, now: Duration, records: &[Record]) -> Self {
        let mut upload = Self::new(spec, policy, seed);
        let (mut completing, mut completed) = (false, None);
        for record in records {
            if matches!(record, Record::Created { .. } | Record::Restarted) {
                upload.asked = false;
            }
            match record {
                Record::Hashed(digests) if upload.fits(digests) => upload.digests = Some(digests.clone()),
                Record::Hashed(_) => {}
                Record::Asked => upload.asked = true,
                Record::Created { preupload_id, slice_size, servers } => {
                    upload.remote = upload.remote_for(preupload_id.clone(), *slice_size, servers.clone());
                }
                Record::Slice { no } => {
                    if let Some(remote) = &mut upload.remote {
                        remote.slices.set_done(*no);
                    }
                }
                Record::Completing => completing = true,
                Record::Restarted => {
                    upload.remote = None;
                    (completing, completed) = (false, None);
                }
                Record::Done(done) => completed = Some(done.clone()),
            }
        }
        if let Some(done) = completed {
            upload.finish(Outcome::Completed(done));
            return upload;
        }
        // The answer to the last request of the earlier run may have been lost with it.
        upload.unanswered = completing || upload.asked;
        upload.step = upload.next_step(now);
        if upload.asked && upload.digests.is_some() && upload.would_copy() {
            // Asking once more would make a second copy, where others are told that the file exists.
            let words = "an earlier run ended before the service had answered";
            upload.find(now, Failure::local(Endpoint::Create, Class::NoAnswer, words));
        }
        upload
    }

    /// What is left to do, from what is known.
    pub(super) fn next_step(&self, now: Duration) -> Step {
        let slice_size =
            self.remote.as_ref().map_or(SLICE_SIZE_ASSUMED, |remote| remote.plan.slice_size().get());
        match &self.digests {
            None => Step::Hash { slice_size, again: false, asked: false },
            Some(digests) if self.remote.is_some() && digests.slice_size != slice_size => {
                Step::Hash { slice_size, again: false, asked: false }
            }
            Some(_) => match &self.remote {
                None => Step::Turn(Turn::new(TurnKind::Create, now)),
                Some(remote) if remote.servers.is_empty() => {
                    Step::Turn(Turn::new(TurnKind::Domain { single: false }, now))
                }
                Some(_) => Step::Slices,
            },
        }
    }

    /// What the service said of this upload, with no slice done. `None` if it makes no sense.
    pub(super) fn remote_for(
        &self,
        preupload_id: Arc<str>,
        slice_size: u64,
        servers: Vec<Arc<str>>,
    ) -> Option<Remote> {
        let plan = SlicePlan::new(self.spec.size, NonZeroU64::new(slice_size)?)?;
        Some(Remote { preupload_id, servers, slices: Slices::new(plan), plan })
    }

    /// The next thing to do now, or `None` until something happens.
    pub fn poll(&mut self, now: Duration, link: &mut Link) -> Option<Action> {
        loop {
            if let Some(action) = self.out.pop_front() {
                return Some(action);
            }
            self.tell_stage();
            if let Some(action) = self.out.pop_front() {
                return Some(action);
            }
            match &mut self.step {
                Step::Over => return None,
                Step::Hash { slice_size, again, asked } => {
                    let action = Action::Hash { slice_size: *slice_size, again: *again };
                    return (!std::mem::replace(asked, true)).then_some(action);
                }
                Step::Turn(_) => return self.poll_turn(now, link),
                Step::Slices => {
                    if link.any_to_drop() {
                        self.shed(now, link);
                        if let Some(action) = self.out.pop_front() {
                            return Some(action);
                        }
                    }
                    if self.remote.as_ref().is_some_and(|remote| remote.slices.all_done()) {
                        self.save(Record::Completing, true);
                        self.step = Step::Turn(Turn::new(TurnKind::Complete, now));
                        continue;
                    }
                    return self.poll_slice(now, link);
                }
            }
        }
    }

    /// When to ask again if nothing happens before. `None`: only an answer, or another upload on the same
    /// link, can move this one on.
    pub fn wake_at(&self, link: &Link) -> Option<Duration> {
        match &self.step {
            Step::Turn(turn) if turn.flight.is_none() && link.has_room(turn.kind.endpoint()) => {
                Some(turn.ready_at.max(link.ready_at(turn.kind.endpoint())))
            }
            Step::Slices if link.has_free_place() => {
                let due = self.remote.as_ref()?.slices.next_ready_at()?;
                Some(due.max(link.ready_at(Endpoint::Slice)))
            }
            _ => None,
        }
    }

    /// Tells the upload what happened. Answers to tries that were aborted are passed over.
    pub fn handle(&mut self, now: Duration, link: &mut Link, input: Input) {
        if matches!(self.step, Step::Over) {
            return;
        }
        match input {
            Input::Hashed(digests) => self.hashed(now, link, digests),
            Input::SourceFailed(failure) => self.fail(now, link, FailedKind::Source, failure, None, 1),
            Input::Moved { id, sent } => self.moved(now, link, id, sent),
            Input::Replied { id, reply } => self.replied(now, link, id, reply),
            Input::Failed { id, failure, sent } => self.failed(now, link, id, failure, sent),
            Input::Stop(stop) => self.stop(now, link, stop),
        }
    }

    /// True once [`Action::Finish`] has been handed out or is about to be.
    pub fn is_over(&self) -> bool {
        matches!(self.step, Step::Over)
    }

    /// The digests are known, so nothing has to be hashed to go on.
    pub fn digests_known(&self) -> bool {
        self.digests.is_some() && self.doubted.is_none()
    }

    /// Says that nothing tells whether the source is still the one of the earlier run, except for its etag if that is
    /// known to be this one. Without it the source is hashed again before anything that the earlier run left is used,
    /// its result included; if it turns out to be another source, the upload starts over.
    pub fn doubt_source(&mut self, etag_now: Option<Md5>) {
        let done = |action: &Action| match action {
            Action::Finish(Outcome::Completed(done)) => Some(done.etag),
            _ => None,
        };
        let hashed = self.digests.as_ref().map(|digests| digests.etag);
        let Some(etag) = hashed.or_else(|| self.out.iter().find_map(done)) else { return };
        if etag_now == Some(etag) {
            return;
        }
        let slice_size = self.digests.as_ref().map_or(SLICE_SIZE_ASSUMED, |digests| digests.slice_size);
        let step = std::mem::replace(&mut self.step, Step::Hash { slice_size, again: true, asked: false });
        self.doubted = Some(Doubted { etag, step, out: std::mem::take(&mut self.out) });
    }

    /// Slices acknowledged, and slices there are; `None` before `create`.
    pub fn slices(&self) -> Option<(u32, u32)> {
        self.remote.as_ref().map(|remote| (remote.slices.done(), remote.slices.count()))
    }

    /// Bytes of acknowledged slices.
    pub fn bytes_acknowledged(&self) -> u64 {
        self.remote.as_ref().map_or(0, |remote| remote.slices.bytes_done())
    }

    fn poll_turn(&mut self, now: Duration, link: &mut Link) -> Option<Action> {
        let etag = self.digests.as_ref()?.etag;
        let slice_size = self.digests.as_ref()?.slice_size;
        let Step::Turn(turn) = &mut self.step else { return None };
        if turn.flight.is_some() {
            return None;
        }
        if turn.kind == (TurnKind::Domain { single: true }) && !link.hosts().is_empty() {
            // Another upload has asked meanwhile.
            let Turn { waits_since, ready_at, .. } = *turn;
            *turn = Turn { waits_since, ready_at, ..Turn::new(TurnKind::Create, now) };
        }
        let first_create = turn.kind == TurnKind::Create && turn.tries == 0 && !self.single_failed;
        if first_create && link.single_is_better(self.policy.single, self.spec.size, slice_size, now) {
            turn.kind = match link.hosts().first() {
                Some(server) => TurnKind::Single { server: server.clone() },
                None => TurnKind::Domain { single: true },
            };
        }
        let endpoint = turn.kind.endpoint();
        if turn.ready_at.max(link.ready_at(endpoint)) > now {
            return None;
        }
        if !link.has_room(endpoint) {
            turn.waits_since.get_or_insert(now);
            return None;
        }
        if matches!(turn.kind, TurnKind::Create | TurnKind::Single { .. }) && !self.asked {
            self.asked = true;
            self.save(Record::Asked, false);
            return self.out.pop_front();
        }
        let call = match &turn.kind {
            TurnKind::Create => Call::Create { etag },
            TurnKind::Complete => Call::Complete { preupload_id: self.remote.as_ref()?.preupload_id.clone() },
            TurnKind::Domain { .. } => Call::Domain,
            TurnKind::Single { server } => Call::Single { server: server.clone(), etag },
            TurnKind::Find { .. } => Call::Find { etag },
        };
        let id = TryId(self.next_id);
        self.next_id += 1;
        turn.flight = Some(id);
        turn.tries += 1;
        turn.sent_at = now;
        // That others had to be through first is nobody's failure.
        let for_room = turn.waits_since.take().map_or(Duration::ZERO, |since| now.saturating_sub(since));
        if let Some(since) = &mut turn.polling_since {
            *since += for_room;
        }
        let waits_since = turn.ready_at;
        self.stand_still(waits_since, for_room, link, now);
        link.start(endpoint, now);
        Some(Action::Send { id, call })
    }

    fn poll_slice(&mut self, now: Duration, link: &mut Link) -> Option<Action> {
        if link.slices_max() != self.parallel_told {
            self.parallel_told = link.slices_max();
            return Some(Action::Tell(Event::Parallel {
                slices: self.parallel_told,
                reason: link.slices_reason(),
            }));
        }
        let remote = self.remote.as_mut()?;
        let digests = self.digests.as_ref()?;
        let waits = remote.slices.on_their_way().is_empty();
        let waits_since = remote.slices.next_ready_at().filter(|_| waits);
        let (slice, (key, server)) = match remote.slices.next(now) {
            Some((slice, tried)) => (slice, link.start_slice(&remote.servers, tried, slice.len, now)?),
            None if self.policy.hedge && remote.slices.none_due() => {
                let budget = self.spec.size / HEDGE_SHARE - self.hedged;
                let (slice, flight) = hedge(remote, budget, now, link)?;
                self.hedged += slice.len;
                (slice, flight)
            }
            None => return None,
        };
        let id = TryId(self.next_id);
        self.next_id += 1;
        remote.slices.start(id, key, slice, server.clone());
        let md5 = digests.slices[slice.no as usize - 1];
        let preupload_id = remote.preupload_id.clone();
        if let Some(waits_since) = waits_since {
            self.stand_still(waits_since.max(self.landed_at), Duration::ZERO, link, now);
        }
        Some(Action::Send { id, call: Call::Slice { server, preupload_id, slice, md5 } })
    }

    /// To have waited since then for a turn or a place is nobody's failure, if the service answers: tries are counted then.
    /// If it does not, others have to get through.
    ///
    /// `for_room`: how much of it was for room on the link.
    fn stand_still(&mut self, waits_since: Duration, for_room: Duration, link: &Link, now: Duration) {
        if let Some(since) = &mut self.throttled_since {
            *since += for_room.max(link.waited_for_others(waits_since.max(*since), now));
        }
        let Some(since) = &mut self.failing_since else { return };
        let waits_since = waits_since.max(*since);
        *since += if self.answered {
            now.saturating_sub(waits_since)
        } else {
            link.waited_for_others(waits_since, now)
        };
    }

    /// Whether there is a digest for each slice of this file.
    fn fits(&self, digests: &Digests) -> bool {
        NonZeroU64::new(digests.slice_size)
            .and_then(|slice_size| SlicePlan::new(self.spec.size, slice_size))
            .is_some_and(|plan| plan.count() as usize == digests.slices.len())
    }

    fn hashed(&mut self, now: Duration, link: &mut Link, digests: Digests) {
        if !matches!(self.step, Step::Hash { .. }) {
            return;
        }
        let fits = self.fits(&digests);
        if fits && let Some(doubted) = self.doubted.take() {
            if doubted.etag == digests.etag {
                self.step = doubted.step;
                self.out.extend(doubted.out);
                return;
            }
            // What may have been stored by requests of the earlier run is another file.
            (self.digests, self.unanswered, self.asked) = (None, false, false);
            let words = format!(
                "the source is not the one of the earlier run: its etag was {}, and is {}",
                doubted.etag, digests.etag
            );
            self.begin_again(now, link, words, false);
        }
        let changed = self.digests.as_ref().is_some_and(|old| old.etag != digests.etag);
        if changed || !fits {
            let words =
                "the file changed while it was uploaded: its digests are no longer those it started with";
            let failure = Failure::local(Endpoint::Create, Class::Source, words);
            self.finish_failed(FailedKind::Source, failure, None, 1);
            return;
        }
        self.save(Record::Hashed(digests.clone()), true);
        self.digests = Some(digests);
        self.step = self.next_step(now);
    }

    fn moved(&mut self, now: Duration, link: &mut Link, id: TryId, sent: u64) {
        let Some(remote) = &self.remote else { return };
        let Some(key) = remote.slices.on_their_way().iter().find(|sent| sent.id == id).map(|sent| sent.key)
        else {
            return;
        };
        link.moved(key, sent, now);
        if link.moves(key) && self.throttled_since.is_none() {
            self.failing_since = None;
        }
    }

    /// Puts slices back that the link wants dropped, so that others are complete in time.
    fn shed(&mut self, now: Duration, link: &mut Link) {
        let Some(remote) = &mut self.remote else { return };
        let drop = |sent: &&Sent| link.is_to_drop(sent.key);
        let ids: Vec<TryId> = remote.slices.on_their_way().iter().filter(drop).map(|sent| sent.id).collect();
        for id in ids {
            let Some(sent) = remote.slices.land(id) else { continue };
            link.slice_lost(sent.key, now);
            remote.slices.put_back(sent.slice.no, now, false);
            self.out.push_back(Action::Abort { id });
            self.out.push_back(Action::Tell(Event::Retry {
                step: Endpoint::Slice.name(),
                slice_no: Some(sent.slice.no),
                attempt: sent.try_no,
                wait_ms: 0,
                reason: "put back: it would not have been complete before the gateway gives up on it".into(),
            }));
        }
    }

    fn stop(&mut self, now: Duration, link: &mut Link, stop: Stop) {
        self.abort_all(now, link);
        self.finish(Outcome::Stopped(stop));
    }

    /// Ends the upload with a failure.
    pub(super) fn fail(
        &mut self,
        now: Duration,
        link: &mut Link,
        kind: FailedKind,
        failure: Failure,
        slice_no: Option<u32>,
        attempts: u32,
    ) {
        self.abort_all(now, link);
        self.finish_failed(kind, failure, slice_no, attempts);
    }

    fn finish_failed(&mut self, kind: FailedKind, failure: Failure, slice_no: Option<u32>, attempts: u32) {
        let failed = super::types::Failed::new(kind, failure, slice_no, attempts, self.remote.is_some());
        self.finish(Outcome::Failed(failed));
    }

    pub(super) fn finish(&mut self, outcome: Outcome) {
        if matches!(outcome, Outcome::Completed(_)) {
            self.out.push_back(Action::Tell(Event::Stage { stage: Stage::Done }));
        }
        self.out.push_back(Action::Finish(outcome));
        self.step = Step::Over;
    }

    /// Drops every request under way.
    pub(super) fn abort_all(&mut self, now: Duration, link: &mut Link) {
        if let Step::Turn(turn) = &mut self.step
            && let Some(id) = turn.flight.take()
        {
            link.over(turn.kind.endpoint());
            self.out.push_back(Action::Abort { id });
        }
        let Some(remote) = &mut self.remote else { return };
        let ids: Vec<TryId> = remote.slices.on_their_way().iter().map(|sent| sent.id).collect();
        for id in ids {
            let Some(sent) = remote.slices.land(id) else { continue };
            link.slice_lost(sent.key, now);
            remote.slices.put_back(sent.slice.no, now, false);
            self.out.push_back(Action::Abort { id });
        }
    }

    pub(super) fn save(&mut self, record: Record, durable: bool) {
        self.out.push_back(Action::Save { record, durable });
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.out.push_back(Action::Tell(event));
    }

    fn tell_stage(&mut self) {
        let stage = match &self.step {
            Step::Hash { .. } => Stage::Hashing,
            Step::Turn(turn) => match turn.kind {
                TurnKind::Create | TurnKind::Domain { .. } => Stage::Creating,
                // A look in between, which is no stage of its own.
                TurnKind::Find { .. } => return,
                TurnKind::Single { .. } => Stage::Sending,
                TurnKind::Complete => Stage::Completing,
            },
            Step::Slices => Stage::Sending,
            Step::Over => return,
        };
        if self.stage != Some(stage) {
            self.stage = Some(stage);
            self.tell(Event::Stage { stage });
        }
    }

    /// The pause before try number `attempt` + 1: doubling, half of it random.
    pub(super) fn backoff(&mut self, attempt: u32) -> Duration {
        let whole = self.policy.backoff_first.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        whole.min(self.policy.backoff_max).mul_f64(0.5 + 0.5 * self.rng.f64())
    }
}

/// A second copy of one of the last slices, if one takes far too long and `budget` bytes allow it.
fn hedge(
    remote: &Remote,
    budget: u64,
    now: Duration,
    link: &mut Link,
) -> Option<(Slice, (FlightKey, Arc<str>))> {
    let slices = &remote.slices;
    let alone =
        |sent: &&Sent| slices.on_their_way().iter().filter(|s| s.slice.no == sent.slice.no).count() == 1;
    slices
        .on_their_way()
        .iter()
        .filter(|sent| sent.slice.len <= budget)
        .filter(alone)
        .find_map(|sent| Some((sent.slice, link.start_copy(&remote.servers, sent.key, now)?)))
}

/// Second copies of slices may take one byte in so many.
const HEDGE_SHARE: u64 = 20;

impl Turn {
    pub(super) fn new(kind: TurnKind, now: Duration) -> Self {
        Self {
            kind,
            failures: 0,
            tries: 0,
            ready_at: now,
            flight: None,
            sent_at: now,
            waits_since: None,
            polling_since: None,
            nameless: 0,
        }
    }
}

impl TurnKind {
    pub(super) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Create => Endpoint::Create,
            Self::Complete => Endpoint::Complete,
            Self::Domain { .. } => Endpoint::Domain,
            Self::Single { .. } => Endpoint::Single,
            Self::Find { .. } => Endpoint::List,
        }
    }
}
