//! What an upload makes of the answers to its requests.

use std::{sync::Arc, time::Duration};

use super::{
    link::Link,
    slices::Flight,
    types::{Completed, Event, FailedKind, Outcome, Record, Reply, TryId},
    upload::{Step, Turn, TurnKind, Upload},
};
use crate::{Class, Endpoint, Failure};

/// Bodies of lone slices that may miss the gateway's line before the uplink counts as too slow.
const MISSES_ALONE_MAX: u32 = 2;
/// How often a slice is tried when the service refuses it in words that this crate does not know.
const REFUSALS_MAX: u32 = 3;
/// A body that broke off after this part of the gateway's line broke off because of it.
const LINE_REACHED: f64 = 0.9;

impl Upload {
    pub(super) fn replied(&mut self, now: Duration, link: &mut Link, id: TryId, reply: Reply) {
        if let Some(flight) = self.remote.as_mut().and_then(|remote| remote.slices.land(id)) {
            self.last_good = now;
            return self.slice_taken(now, link, flight);
        }
        let Step::Turn(turn) = &mut self.step else { return };
        if turn.flight != Some(id) {
            return;
        }
        turn.flight = None;
        link.good(turn.kind.endpoint());
        self.last_good = now;
        let kind = turn.kind.clone();
        match (kind, reply) {
            (TurnKind::Find { .. } | TurnKind::Create, Reply::Stored { file_id }) => {
                self.stored(file_id, true)
            }
            (TurnKind::Single { .. } | TurnKind::Complete, Reply::Stored { file_id }) => {
                self.stored(file_id, false)
            }
            (TurnKind::Create, Reply::Created { preupload_id, slice_size, servers }) => {
                self.created(now, link, preupload_id, slice_size, servers);
            }
            (TurnKind::Complete, Reply::NotYet) => self.not_yet(now, link),
            (TurnKind::Single { .. }, Reply::NotYet) => {
                self.unanswered = true;
                self.single_in_vain(now);
            }
            (TurnKind::Find { otherwise }, Reply::NotYet) => match otherwise {
                Some(failure) => self.fail(now, link, FailedKind::Refused, *failure, None, 1),
                None => self.create_again(now),
            },
            (TurnKind::Domain { single }, Reply::Hosts(hosts)) => self.hosts(now, link, hosts, single),
            (kind, reply) => {
                let words = format!("an answer that does not belong to this call: {reply:?}");
                self.fail(
                    now,
                    link,
                    FailedKind::Protocol,
                    Failure::local(kind.endpoint(), Class::Protocol, words),
                    None,
                    1,
                );
            }
        }
    }

    fn stored(&mut self, file_id: i64, reused: bool) {
        let Some(digests) = &self.digests else { return };
        let slices = self.remote.as_ref().map_or(0, |remote| remote.slices.count());
        let reused = reused && self.remote.is_none() && !self.unanswered;
        self.finish(Outcome::Completed(Completed { file_id, etag: digests.etag, slices, reused }));
    }

    fn created(
        &mut self,
        now: Duration,
        link: &mut Link,
        preupload_id: Arc<str>,
        slice_size: u64,
        servers: Vec<Arc<str>>,
    ) {
        let Some(remote) = self.remote_for(preupload_id.clone(), slice_size, servers.clone()) else {
            let words = format!("a slice size of {slice_size} bytes makes no sense for this file");
            let failure = Failure::local(Endpoint::Create, Class::Protocol, words);
            return self.fail(now, link, FailedKind::Protocol, failure, None, 1);
        };
        self.remote = Some(remote);
        self.unanswered = false;
        self.save(Record::Created { preupload_id, slice_size, servers }, true);
        self.step = self.next_step(now);
    }

    fn hosts(&mut self, now: Duration, link: &mut Link, hosts: Vec<Arc<str>>, single: bool) {
        let Some(first) = hosts.first().cloned() else {
            let failure =
                Failure::local(Endpoint::Domain, Class::Protocol, "the service named no upload host");
            return self.fail(now, link, FailedKind::Protocol, failure, None, 1);
        };
        link.set_hosts(hosts.clone());
        if single {
            self.step = Step::Turn(Turn::new(TurnKind::Single { server: first }, now));
        } else if let Some(remote) = &mut self.remote {
            remote.servers = hosts;
            self.step = self.next_step(now);
        }
    }

    /// `upload_complete` says that the service is still at it.
    fn not_yet(&mut self, now: Duration, link: &mut Link) {
        let gib = self.spec.size as f64 / f64::from(1 << 30);
        let patience = self.policy.poll_for + self.policy.poll_per_gib.mul_f64(gib);
        let Step::Turn(turn) = &mut self.step else { return };
        // The service answered, so whatever went wrong before is over.
        turn.failures = 0;
        turn.ready_at = now + self.policy.poll_every;
        let waited = now.saturating_sub(turn.since);
        if waited >= patience {
            let words = format!("the service is still verifying the file after {} s", waited.as_secs());
            let failure = Failure::local(Endpoint::Complete, Class::Verifying, words);
            self.fail(now, link, FailedKind::GaveUp, failure, None, 1);
        }
    }

    fn slice_taken(&mut self, now: Duration, link: &mut Link, flight: Flight) {
        link.slice_taken(&flight.server, flight.slice.len, now.saturating_sub(flight.started), now);
        self.misses_alone = 0;
        let Some(remote) = &mut self.remote else { return };
        remote.slices.set_done(flight.slice.no);
        let (done, count) = (remote.slices.done(), remote.slices.count());
        self.save(Record::Slice { no: flight.slice.no }, false);
        self.tell(Event::Slice { no: flight.slice.no, done, count });
    }

    pub(super) fn failed(&mut self, now: Duration, link: &mut Link, id: TryId, failure: Failure, sent: u64) {
        if let Some(flight) = self.remote.as_mut().and_then(|remote| remote.slices.land(id)) {
            return self.slice_failed(now, link, flight, failure, sent);
        }
        let Step::Turn(turn) = &mut self.step else { return };
        if turn.flight != Some(id) {
            return;
        }
        turn.flight = None;
        if failure.class == Class::RateLimited {
            link.rate_limited(failure.endpoint, now, failure.retry_after);
        } else {
            turn.failures += 1;
        }
        let failures = turn.failures;
        let kind = turn.kind.clone();
        self.unanswered |=
            may_have_acted(failure.class) && !matches!(kind, TurnKind::Domain { .. } | TurnKind::Find { .. });
        if let Some(end) = ends_at_once(failure.class) {
            return self.turn_refused(now, link, kind, failure, end, failures);
        }
        let refused =
            matches!(failure.class, Class::Refused | Class::NotFound | Class::Protocol | Class::VerifyFailed);
        match kind {
            TurnKind::Single { .. } if failure.class != Class::RateLimited => self.single_in_vain(now),
            TurnKind::Complete if failure.class == Class::VerifyFailed => {
                self.restart(now, link, failure, None, failures, true)
            }
            // The file may be complete already, and the upload id spent with it.
            TurnKind::Complete if refused && self.unanswered && failure.class != Class::Protocol => {
                self.find(now, None)
            }
            TurnKind::Complete if failure.class == Class::NotFound => {
                self.restart(now, link, failure, None, failures, false)
            }
            TurnKind::Complete if refused && failures >= REFUSALS_MAX => {
                self.restart(now, link, failure, None, failures, false)
            }
            TurnKind::Create | TurnKind::Domain { .. } | TurnKind::Find { .. }
                if refused && (failure.class != Class::Protocol || failures >= REFUSALS_MAX) =>
            {
                let end =
                    if failure.class == Class::Protocol { FailedKind::Protocol } else { FailedKind::Refused };
                self.turn_refused(now, link, kind, failure, end, failures);
            }
            _ if self.given_up(now, &failure, failures) => {
                self.fail(now, link, FailedKind::GaveUp, failure, None, failures);
            }
            _ => {
                let wait = self.pause(link, &failure, failures);
                if let Step::Turn(turn) = &mut self.step {
                    turn.ready_at = now + wait;
                }
                self.tell_retry(&failure, None, failures, wait);
            }
        }
    }

    /// A request is refused for good.
    fn turn_refused(
        &mut self,
        now: Duration,
        link: &mut Link,
        kind: TurnKind,
        failure: Failure,
        end: FailedKind,
        failures: u32,
    ) {
        let lost_create = kind == TurnKind::Create && failure.class == Class::Exists && self.unanswered;
        if lost_create && !self.spec.contain_dir {
            // It may exist because an earlier `create`, whose answer was lost, stored it.
            return self.find(now, Some(Box::new(failure)));
        }
        self.fail(now, link, end, failure, None, failures);
    }

    /// `single/create` gave no file id. If it may have stored the file, look; else take the longer way.
    fn single_in_vain(&mut self, now: Duration) {
        self.single_failed = true;
        if self.unanswered { self.find(now, None) } else { self.create_again(now) }
    }

    /// Looks for the file in its folder. Not possible for a path, whose folder's id is not known.
    fn find(&mut self, now: Duration, otherwise: Option<Box<Failure>>) {
        if self.spec.contain_dir {
            return self.create_again(now);
        }
        self.step = Step::Turn(Turn::new(TurnKind::Find { otherwise }, now));
    }

    fn create_again(&mut self, now: Duration) {
        if self.remote.take().is_some() {
            self.save(Record::Restarted, true);
            self.restarted = true;
        }
        self.step = Step::Turn(Turn::new(TurnKind::Create, now));
    }

    /// Starts over from `create`, once; ends the upload the second time.
    fn restart(
        &mut self,
        now: Duration,
        link: &mut Link,
        failure: Failure,
        slice_no: Option<u32>,
        attempts: u32,
        rehash: bool,
    ) {
        if self.restarted {
            let end =
                if failure.class == Class::VerifyFailed { FailedKind::Verify } else { FailedKind::Refused };
            return self.fail(now, link, end, failure, slice_no, attempts);
        }
        self.restarted = true;
        self.abort_all(now, link);
        let slice_size =
            self.digests.as_ref().map_or(crate::SLICE_SIZE_ASSUMED, |digests| digests.slice_size);
        self.remote = None;
        self.save(Record::Restarted, true);
        self.tell(Event::Restart { reason: failure.to_string() });
        self.step = if rehash {
            Step::Hash { slice_size, again: true, asked: false }
        } else {
            Step::Turn(Turn::new(TurnKind::Create, now))
        };
    }

    fn slice_failed(&mut self, now: Duration, link: &mut Link, flight: Flight, failure: Failure, sent: u64) {
        let no = flight.slice.no;
        let attempt = flight.attempt;
        link.slice_lost(&flight.server, now);
        let elapsed = now.saturating_sub(flight.started);
        let at_the_line = elapsed >= link.body_line().mul_f64(LINE_REACHED)
            && matches!(failure.class, Class::Server | Class::Interrupted | Class::Stalled | Class::NoAnswer);
        if failure.class == Class::BodyTimeout || at_the_line {
            return self.slice_missed_line(
                now,
                link,
                flight,
                failure,
                sent.max(1) as f64 / elapsed.as_secs_f64().max(0.001),
            );
        }
        match failure.class {
            Class::RateLimited => link.rate_limited(Endpoint::Slice, now, failure.retry_after),
            class if is_lost(class) || matches!(class, Class::Server | Class::Connect | Class::Tls) => {
                link.server_failed(&flight.server, now);
            }
            _ => {}
        }
        if let Some(end) = ends_at_once(failure.class) {
            return self.fail(now, link, end, failure, Some(no), attempt);
        }
        let unknown = failure.class == Class::NotFound;
        let refused = matches!(failure.class, Class::Refused | Class::Protocol | Class::VerifyFailed);
        if unknown || (refused && attempt >= REFUSALS_MAX) {
            self.put_back(no, now, false);
            return self.restart(now, link, failure, Some(no), attempt, false);
        }
        if self.given_up(now, &failure, attempt) {
            self.put_back(no, now, false);
            return self.fail(now, link, FailedKind::GaveUp, failure, Some(no), attempt);
        }
        let wait = self.pause(link, &failure, attempt);
        self.put_back(no, now + wait, failure.class != Class::RateLimited);
        self.tell_retry(&failure, Some(no), attempt, wait);
    }

    /// The gateway gave up on the body. With others in flight, fewer will do; alone, the uplink is too slow.
    fn slice_missed_line(
        &mut self,
        now: Duration,
        link: &mut Link,
        flight: Flight,
        mut failure: Failure,
        rate: f64,
    ) {
        let no = flight.slice.no;
        failure.class = Class::BodyTimeout;
        if flight.crowded {
            let others = self.remote.iter().flat_map(|remote| remote.slices.flights());
            let together = rate + others.filter_map(|other| other.rate(now)).sum::<f64>();
            link.too_slow(together, flight.slice.len, now);
        } else {
            self.misses_alone += 1;
        }
        self.put_back(no, now, false);
        if self.misses_alone >= MISSES_ALONE_MAX {
            let needed = flight.slice.len as f64 / link.body_line().as_secs_f64();
            failure.message = format!(
                "the uplink made {:.2} Mbit/s, and a slice of {} bytes needs {:.2} Mbit/s to be complete in {} s; the service said: {}",
                rate * 8e-6,
                flight.slice.len,
                needed * 8e-6,
                link.body_line().as_secs(),
                failure.message,
            );
            return self.fail(now, link, FailedKind::SlowUplink, failure, Some(no), flight.attempt);
        }
        self.tell_retry(&failure, Some(no), flight.attempt, Duration::ZERO);
    }

    fn put_back(&mut self, no: u32, ready_at: Duration, counted: bool) {
        if let Some(remote) = &mut self.remote {
            remote.slices.put_back(no, ready_at, counted);
        }
    }

    /// Whether to stop trying. The service's own failures are counted; what never reached it is timed.
    fn given_up(&self, now: Duration, failure: &Failure, attempts: u32) -> bool {
        let quiet = now.saturating_sub(self.last_good) >= self.policy.retry_for;
        match failure.class {
            Class::RateLimited | Class::Connect => quiet,
            class if is_lost(class) => quiet && attempts >= 2,
            _ => attempts >= self.policy.tries_max,
        }
    }

    /// How long to wait before the next try. A rate limit's wait is the link's.
    fn pause(&mut self, link: &mut Link, failure: &Failure, attempts: u32) -> Duration {
        let within_budget = link.retry();
        if failure.class == Class::RateLimited {
            return Duration::ZERO;
        }
        let pause = if within_budget { self.backoff(attempts) } else { self.policy.backoff_max };
        pause.max(failure.retry_after.unwrap_or_default())
    }

    fn tell_retry(&mut self, failure: &Failure, slice_no: Option<u32>, attempt: u32, wait: Duration) {
        self.tell(Event::Retry {
            step: failure.endpoint.name(),
            slice_no,
            attempt,
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            reason: failure.to_string(),
        });
    }
}

/// The request may have reached the service, and its answer was lost.
fn is_lost(class: Class) -> bool {
    matches!(class, Class::Interrupted | Class::Stalled | Class::NoAnswer)
}

/// The request may have done its work although its answer says nothing of it: the answer was lost, a gateway
/// answered in the service's place, or the work waits in a queue.
fn may_have_acted(class: Class) -> bool {
    is_lost(class) || matches!(class, Class::Server | Class::Protocol | Class::QueueBusy)
}

/// The kind of end that a failure means whatever was asked, or `None` if it may pass.
fn ends_at_once(class: Class) -> Option<FailedKind> {
    match class {
        Class::Auth | Class::LoginRefused => Some(FailedKind::Login),
        Class::NoParent | Class::BadName | Class::Exists | Class::NoSpace | Class::Blocked => {
            Some(FailedKind::Refused)
        }
        Class::Source => Some(FailedKind::Source),
        _ => None,
    }
}
