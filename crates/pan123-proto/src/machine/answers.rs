//! What an upload makes of the answers to its requests.

use std::{sync::Arc, time::Duration};

use super::{
    flights::{Flight, RATE_SPAN},
    link::Link,
    slices::Sent,
    types::{Action, Completed, Duplicate, Event, FailedKind, Outcome, Record, Reply, TryId},
    upload::{Step, Turn, TurnKind, Upload},
};
use crate::{Class, Endpoint, Failure};

/// Lone slices that have to miss the gateway's line in a row before the uplink counts as too slow. Each server is
/// given a chance, up to [`MISSES_ALONE_MAX`] slices.
const MISSES_ALONE_MIN: usize = 2;
/// Lone slices that may miss the gateway's line in a row, however many servers there are.
const MISSES_ALONE_MAX: usize = 4;
/// Slices that may miss the gateway's line one after the other with none acknowledged in between, also if others were in
/// flight for some of the time.
const MISSES_MAX: u32 = 8;
/// How often a slice meets no server before other upload hosts are asked for, once.
const HOSTS_AFTER: u32 = 3;
/// How often a slice is tried when the service refuses it in words that this crate does not know.
const REFUSALS_MAX: u32 = 3;
/// How often a request is tried whose connection breaks each time although bytes do get out in between.
const LOST_TRIES_MAX: u32 = 20;
/// How often in a row the service may call the file complete without naming an id, before its folder is looked into.
const NAMELESS_MAX: u32 = 3;
/// How often a folder is looked into for a file that may be there, a second apart and then two and four.
const LOOKS_MAX: u32 = 4;
/// How often a request is tried that meets a redirect or a page of somebody else, before the service was ever met: the
/// address is wrong, or the network wants a login first.
const STRANGERS_MAX: u32 = 3;
/// A pause that the service asks for is waited for until this long after the first refusal in a row, or
/// [`Policy::throttled_for`] if that is longer.
///
/// [`Policy::throttled_for`]: super::Policy::throttled_for
const WAIT_MAX: Duration = Duration::from_secs(600);
/// A body that broke off after this part of the gateway's line broke off because of it.
const LINE_REACHED: f64 = 0.9;

impl Upload {
    pub(super) fn replied(&mut self, now: Duration, link: &mut Link, id: TryId, reply: Reply) {
        if let Some(sent) = self.remote.as_mut().and_then(|remote| remote.slices.land(id)) {
            self.got_through();
            return self.slice_taken(now, link, sent);
        }
        let Step::Turn(turn) = &mut self.step else { return };
        if turn.flight != Some(id) {
            return;
        }
        turn.flight = None;
        link.over(turn.kind.endpoint());
        link.good(turn.kind.endpoint(), now);
        let (kind, polling) = (turn.kind.clone(), turn.polling_since.is_some());
        self.got_through();
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
            (TurnKind::Complete, Reply::NotYet) => self.not_yet(now, link, false),
            (TurnKind::Complete, Reply::Nameless) => self.not_yet(now, link, true),
            (TurnKind::Single { .. }, Reply::NotYet) => {
                self.unanswered = true;
                let words = "the service took the file, but named no file id";
                self.single_in_vain(now, Failure::local(Endpoint::Single, Class::QueueBusy, words));
            }
            (TurnKind::Find { .. }, Reply::NotYet) if polling => self.poll_on(now),
            (TurnKind::Find { failure, .. }, Reply::NotYet)
                if (failure.class == Class::Exists || self.would_copy()) && self.looks_again(now) => {}
            (TurnKind::Find { failure, start_over }, Reply::NotYet) => match start_over {
                false if failure.class == Class::Verifying => {
                    self.fail(now, link, FailedKind::GaveUp, *failure, None, 1);
                }
                false => self.fail(now, link, FailedKind::Refused, *failure, None, 1),
                true => self.start_over(now, link, *failure),
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

    /// The service answered as hoped for, or bytes are leaving.
    pub(super) fn got_through(&mut self) {
        self.failing_since = None;
        self.throttled_since = None;
        self.met = true;
    }

    fn stored(&mut self, file_id: i64, reused: bool) {
        let Some(digests) = &self.digests else { return };
        let slices = self.remote.as_ref().map_or(0, |remote| remote.slices.count());
        let reused = reused && self.remote.is_none() && !self.unanswered;
        let done = Completed { file_id, etag: digests.etag, slices, reused };
        self.save(Record::Done(done.clone()), true);
        self.finish(Outcome::Completed(done));
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
        (self.unanswered, self.asked) = (false, false);
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
            // Those that the upload had stay, behind the new ones: an upload host that is down may come back.
            let known = std::mem::replace(&mut remote.servers, hosts);
            for server in known {
                if !remote.servers.contains(&server) {
                    remote.servers.push(server);
                }
            }
            self.step = self.next_step(now);
        }
    }

    /// `upload_complete` says that the service is still at it, or is `nameless`: done, but with no file to show.
    fn not_yet(&mut self, now: Duration, link: &mut Link, nameless: bool) {
        let gib = self.spec.size as f64 / f64::from(1 << 30);
        let patience = self.policy.poll_for + self.policy.poll_per_gib.mul_f64(gib);
        let Step::Turn(turn) = &mut self.step else { return };
        // The service answered, so whatever went wrong before is over.
        (turn.failures, turn.tries) = (0, 0);
        turn.ready_at = now + self.policy.poll_every;
        // However late this answer is, it says what was the case when it was asked for.
        let since = *turn.polling_since.get_or_insert(turn.sent_at);
        let waited = turn.sent_at.saturating_sub(since);
        turn.nameless = if nameless { turn.nameless + 1 } else { 0 };
        let (nameless, over) = (turn.nameless, waited >= patience);
        let secs = waited.as_secs();
        let words = match nameless {
            0 => format!("the service is still verifying the file after {secs} s"),
            _ => format!("the service calls the file complete, but has named no file id in {secs} s"),
        };
        let failure = Failure::local(Endpoint::Complete, Class::Verifying, words);
        if (nameless == NAMELESS_MAX || (nameless > 0 && over)) && !self.spec.contain_dir {
            // Its folder may show what the answer does not.
            let find = TurnKind::Find { failure: Box::new(failure), start_over: false };
            let polling_since = (!over).then_some(since);
            self.step = Step::Turn(Turn { polling_since, nameless, ..Turn::new(find, now) });
        } else if over {
            self.fail(now, link, FailedKind::GaveUp, failure, None, 1);
        }
    }

    /// Asks `upload_complete` again after a look into the folder that was in vain.
    fn poll_on(&mut self, now: Duration) {
        let Step::Turn(Turn { polling_since, nameless, .. }) = self.step else { return };
        let ready_at = now + self.policy.poll_every;
        let complete = Turn::new(TurnKind::Complete, now);
        self.step = Step::Turn(Turn { ready_at, polling_since, nameless, ..complete });
    }

    fn slice_taken(&mut self, now: Duration, link: &mut Link, sent: Sent) {
        link.slice_taken(sent.key, now);
        self.misses_alone.clear();
        self.misses = (0, now);
        let Some(remote) = &mut self.remote else { return };
        while let Some(copy) = remote.slices.copy_of(sent.slice.no).map(|copy| copy.id) {
            let Some(copy) = remote.slices.land(copy) else { break };
            link.slice_lost(copy.key, now);
            self.out.push_back(Action::Abort { id: copy.id });
        }
        remote.slices.set_done(sent.slice.no);
        let (done, count) = (remote.slices.done(), remote.slices.count());
        self.save(Record::Slice { no: sent.slice.no }, false);
        self.tell(Event::Slice { no: sent.slice.no, done, count });
    }

    pub(super) fn failed(&mut self, now: Duration, link: &mut Link, id: TryId, failure: Failure, bytes: u64) {
        let slice = self.remote.as_mut().and_then(|remote| remote.slices.land(id));
        let is_turn = matches!(&self.step, Step::Turn(turn) if turn.flight == Some(id));
        if slice.is_none() && !is_turn {
            return;
        }
        self.failing_since.get_or_insert(now);
        self.answered = failure.http_status.is_some();
        if failure.class == Class::RateLimited {
            self.throttled_since.get_or_insert(now);
        }
        let is_own_time = self.policy.throttled_for <= self.policy.retry_for;
        if failure.class == Class::RateLimited && !is_own_time {
            // That requests get there and are refused has a clock of its own, and leaves all of this one to other failures.
            self.failing_since = None;
        }
        match slice {
            Some(sent) => {
                self.landed_at = now;
                self.slice_failed(now, link, sent, failure, bytes);
            }
            None => self.turn_failed(now, link, failure),
        }
    }

    fn turn_failed(&mut self, now: Duration, link: &mut Link, failure: Failure) {
        let Step::Turn(turn) = &mut self.step else { return };
        turn.flight = None;
        link.over(turn.kind.endpoint());
        if failure.class == Class::RateLimited {
            link.refused(failure.endpoint, now, turn.sent_at, failure.retry_after);
        } else {
            turn.failures += 1;
        }
        let (failures, tries) = (turn.failures, turn.tries);
        let (kind, polling) = (turn.kind.clone(), turn.polling_since.is_some());
        self.unanswered |=
            may_have_acted(failure.class) && !matches!(kind, TurnKind::Domain { .. } | TurnKind::Find { .. });
        if let Some(end) = ends_at_once(failure.class) {
            return self.turn_refused(now, link, kind, failure, end, tries);
        }
        let refused = is_refused(failure.class);
        let has_servers = self.remote.as_ref().is_some_and(|remote| !remote.servers.is_empty());
        match kind {
            // Other hosts would have been welcome; it goes on with those it has.
            TurnKind::Domain { single: false } if has_servers && failure.class != Class::RateLimited => {
                self.step = self.next_step(now);
            }
            TurnKind::Single { .. } if failure.class != Class::RateLimited => {
                self.single_in_vain(now, failure)
            }
            TurnKind::Complete if failure.class == Class::VerifyFailed => {
                self.restart(now, link, failure, None, tries, true)
            }
            TurnKind::Complete
                if failure.class == Class::NotFound || (refused && failures >= REFUSALS_MAX) =>
            {
                // The file may be complete already, and the upload id spent with it.
                if self.unanswered {
                    self.find(now, failure);
                } else {
                    self.restart(now, link, failure, None, tries, false);
                }
            }
            // Polling tells more than a folder that cannot be looked into.
            TurnKind::Find { .. } if polling && failure.class != Class::RateLimited => self.poll_on(now),
            TurnKind::Create | TurnKind::Domain { .. } | TurnKind::Find { .. } if refused => {
                self.turn_refused(now, link, kind, failure, FailedKind::Refused, tries);
            }
            _ => {
                let wait = self.pause(link, &failure, failures);
                if self.given_up(now, link, &failure, failures, wait) {
                    return self.give_up(now, link, failure, None, tries);
                }
                if kind == TurnKind::Create && may_have_acted(failure.class) && self.would_copy() {
                    self.create_tries = (failures, tries);
                    self.find(now, failure.clone());
                }
                if let Step::Turn(turn) = &mut self.step {
                    turn.ready_at = now + wait;
                }
                self.tell_retry(now, link, &failure, None, tries, wait);
            }
        }
    }

    /// Folders list a new file only after a while: before an empty answer counts, there are some more looks.
    fn looks_again(&mut self, now: Duration) -> bool {
        let Step::Turn(turn) = &mut self.step else { return false };
        let more = turn.tries < LOOKS_MAX;
        if more {
            turn.ready_at = now + self.policy.poll_every * (1 << turn.tries.min(8)) / 2;
        }
        more
    }

    /// A request that may have stored the file would, asked again, store it a second time.
    pub(super) fn would_copy(&self) -> bool {
        self.unanswered && self.spec.duplicate == Some(Duplicate::KeepBoth)
    }

    /// A request is refused for good.
    fn turn_refused(
        &mut self,
        now: Duration,
        link: &mut Link,
        kind: TurnKind,
        failure: Failure,
        end: FailedKind,
        tries: u32,
    ) {
        let stores = matches!(kind, TurnKind::Create | TurnKind::Single { .. });
        if stores && failure.class == Class::Exists && self.unanswered {
            // It may exist because an earlier request, whose answer was lost, stored it.
            let find = TurnKind::Find { failure: Box::new(failure), start_over: false };
            self.step = Step::Turn(Turn::new(find, now));
            return;
        }
        self.fail(now, link, end, failure, None, tries);
    }

    /// `single/create` gave no file id. If it may have stored the file, look; else take the longer way.
    fn single_in_vain(&mut self, now: Duration, failure: Failure) {
        self.single_failed = true;
        let kind = if self.unanswered {
            TurnKind::Find { failure: Box::new(failure), start_over: true }
        } else {
            TurnKind::Create
        };
        self.step = Step::Turn(Turn::new(kind, now));
    }

    /// Looks for the file in its folder.
    pub(super) fn find(&mut self, now: Duration, failure: Failure) {
        let find = TurnKind::Find { failure: Box::new(failure), start_over: true };
        self.step = Step::Turn(Turn::new(find, now));
    }

    fn start_over(&mut self, now: Duration, link: &mut Link, failure: Failure) {
        if self.remote.is_some() {
            return self.restart(now, link, failure, None, 1, false);
        }
        let (failures, tries) = std::mem::take(&mut self.create_tries);
        self.step = Step::Turn(Turn { failures, tries, ..Turn::new(TurnKind::Create, now) });
    }

    /// Starts over from `create`, once for each reason; ends the upload the second time.
    fn restart(
        &mut self,
        now: Duration,
        link: &mut Link,
        failure: Failure,
        slice_no: Option<u32>,
        attempts: u32,
        rehash: bool,
    ) {
        if self.restarts.contains(&failure.class) {
            let end =
                if failure.class == Class::VerifyFailed { FailedKind::Verify } else { FailedKind::Refused };
            return self.fail(now, link, end, failure, slice_no, attempts);
        }
        self.restarts.push(failure.class);
        self.begin_again(now, link, failure.to_string(), rehash);
    }

    pub(super) fn begin_again(&mut self, now: Duration, link: &mut Link, reason: String, rehash: bool) {
        self.abort_all(now, link);
        let slice_size =
            self.digests.as_ref().map_or(crate::SLICE_SIZE_ASSUMED, |digests| digests.slice_size);
        self.remote = None;
        self.save(Record::Restarted, true);
        self.tell(Event::Restart { reason });
        self.step = if rehash {
            Step::Hash { slice_size, again: true, asked: false }
        } else {
            Step::Turn(Turn::new(TurnKind::Create, now))
        };
    }

    fn slice_failed(&mut self, now: Duration, link: &mut Link, sent: Sent, mut failure: Failure, bytes: u64) {
        let Some(mut flight) = link.slice_lost(sent.key, now) else { return };
        flight.end(bytes);
        let (no, attempt, try_no) = (sent.slice.no, sent.attempt, sent.try_no);
        let elapsed = now.saturating_sub(flight.started);
        let at_the_line = elapsed >= link.body_line().mul_f64(LINE_REACHED)
            && matches!(failure.class, Class::Server | Class::Interrupted);
        // Words about a body that took too long mean nothing when it took no time, or went fast.
        let needed = flight.len as f64 / link.body_line().as_secs_f64();
        let slow =
            elapsed >= link.body_line() / 2 || (elapsed >= RATE_SPAN && flight.rate_overall(now) < needed);
        if at_the_line || (failure.class == Class::BodyTimeout && slow) {
            return self.slice_missed_line(now, link, &sent, &flight, failure);
        }
        if failure.class == Class::BodyTimeout {
            failure.class = Class::Server;
        }
        match failure.class {
            Class::RateLimited => link.slice_refused(&flight, now, failure.retry_after),
            class if is_lost(class) || matches!(class, Class::Server | Class::Connect | Class::Tls) => {
                let urls = self.remote.as_ref().map_or(&[][..], |remote| &remote.servers);
                link.server_failed(&flight, urls, now);
            }
            _ => {}
        }
        if let Some(end) = ends_at_once(failure.class) {
            self.put_back(no, now, false);
            return self.fail(now, link, end, failure, Some(no), try_no);
        }
        if self.remote.as_ref().is_some_and(|remote| remote.slices.copy_of(no).is_some()) {
            // The other copy may make it, and if it does not, its failure decides.
            return self.put_back(no, now, false);
        }
        let unknown = failure.class == Class::NotFound;
        let refused = matches!(failure.class, Class::Refused | Class::VerifyFailed);
        if unknown || (refused && attempt >= REFUSALS_MAX) {
            self.put_back(no, now, false);
            return self.restart(now, link, failure, Some(no), try_no, false);
        }
        let dead_end = failure.class == Class::Connect && attempt >= HOSTS_AFTER && !self.hosts_asked;
        if dead_end {
            self.put_back(no, now, true);
            return self.ask_for_hosts(now, link);
        }
        let wait = self.pause(link, &failure, attempt);
        if self.given_up(now, link, &failure, attempt, wait) {
            self.put_back(no, now, false);
            return self.give_up(now, link, failure, Some(no), try_no);
        }
        self.put_back(no, now + wait, failure.class != Class::RateLimited);
        self.tell_retry(now, link, &failure, Some(no), try_no, wait);
    }

    /// None of the servers that `create` named may be there any more, above all when it was asked in an earlier run.
    fn ask_for_hosts(&mut self, now: Duration, link: &mut Link) {
        self.hosts_asked = true;
        self.abort_all(now, link);
        self.step = Step::Turn(Turn::new(TurnKind::Domain { single: false }, now));
    }

    /// The gateway gave up on the body. With others in flight, fewer will do; alone, the uplink is too slow.
    fn slice_missed_line(
        &mut self,
        now: Duration,
        link: &mut Link,
        sent: &Sent,
        flight: &Flight,
        mut failure: Failure,
    ) {
        let no = sent.slice.no;
        failure.class = Class::BodyTimeout;
        link.missed_line(flight, now);
        self.put_back(no, now, false);
        // Those that were under way together have missed it together.
        let (misses, missed_at) = self.misses;
        if misses == 0 || flight.started >= missed_at {
            self.misses = (misses + 1, now);
        }
        if !flight.crowded {
            self.misses_alone.push(sent.server.clone());
        }
        let servers = self.remote.as_ref().map_or(&[][..], |remote| &remote.servers);
        let misses = self.misses_alone.len();
        let all_tried = servers.iter().all(|server| self.misses_alone.contains(server));
        if misses >= MISSES_ALONE_MAX
            || (misses >= MISSES_ALONE_MIN && all_tried)
            || self.misses.0 >= MISSES_MAX
        {
            let needed = flight.len as f64 / link.body_line().as_secs_f64();
            failure.message = format!(
                "the uplink made {:.2} Mbit/s, and a slice of {} bytes needs {:.2} Mbit/s to be complete in {} s; the service said: {}",
                flight.rate_overall(now) * 8e-6,
                flight.len,
                needed * 8e-6,
                link.body_line().as_secs(),
                failure.message,
            );
            return self.fail(now, link, FailedKind::SlowUplink, failure, Some(no), sent.try_no);
        }
        self.tell_retry(now, link, &failure, Some(no), sent.try_no, Duration::ZERO);
    }

    fn put_back(&mut self, no: u32, ready_at: Duration, counted: bool) {
        if let Some(remote) = &mut self.remote {
            remote.slices.put_back(no, ready_at, counted);
        }
    }

    /// Whether to stop trying, rather than to wait for so long. Tries are counted, and what fails on end is timed.
    fn given_up(&self, now: Duration, link: &Link, failure: &Failure, attempts: u32, wait: Duration) -> bool {
        if failure.retry_after.is_some_and(|pause| self.is_too_long(pause)) {
            return true;
        }
        if failure.class == Class::RateLimited {
            return self.refused_enough(now, link, failure);
        }
        // A try that would be too late is none. However long the pause that the service names, it meant one after it.
        let wait = if asks_to_pause(failure) { Duration::ZERO } else { wait };
        let failed_for = now.saturating_sub(self.failing_since.unwrap_or(now));
        let tries = match failure.class {
            Class::Connect => u32::MAX,
            // No passing fault, but another upload host may have a better certificate.
            Class::Tls => self.remote.as_ref().map_or(1, |remote| remote.servers.len()) as u32,
            class if is_lost(class) => LOST_TRIES_MAX,
            class => self.tries_max(class),
        };
        // What the service refuses has got through to it, and has few tries.
        let timed = !is_refused(failure.class) || self.policy.retry_for.is_zero();
        attempts >= tries || (timed && failed_for + wait >= self.policy.retry_for)
    }

    /// As [`given_up`](Self::given_up), where there are too many requests.
    fn refused_enough(&self, now: Duration, link: &Link, failure: &Failure) -> bool {
        let limit = self.policy.throttled_for;
        let since = self.throttled_since.unwrap_or(now);
        let refused_for = now.saturating_sub(since);
        let next = link.ready_at(failure.endpoint).max(now).saturating_sub(since);
        if next > limit.max(WAIT_MAX) {
            true
        } else if asks_to_pause(failure) || link.is_asked_to_pause(failure.endpoint, now) {
            // However long the pause, the service meant a request to go after it.
            refused_for >= limit
        } else if limit > self.policy.retry_for {
            // Now, or after the next try, whichever is nearer to the limit.
            refused_for + next >= limit * 2
        } else {
            // A time that was asked for is not stretched.
            next > limit || limit.is_zero()
        }
    }

    /// Ends the upload, because trying on leads nowhere.
    fn give_up(
        &mut self,
        now: Duration,
        link: &mut Link,
        failure: Failure,
        slice_no: Option<u32>,
        tries: u32,
    ) {
        let kind = match failure.class {
            Class::Protocol => FailedKind::Protocol,
            class if is_refused(class) => FailedKind::Refused,
            _ => FailedKind::GaveUp,
        };
        let failure = self.with_figure(now, link, failure);
        self.fail(now, link, kind, failure, slice_no, tries);
    }

    /// The failure that ends an upload, with how long it was refused if there were too many requests, or else how long
    /// it would have to wait.
    fn with_figure(&self, now: Duration, link: &Link, mut failure: Failure) -> Failure {
        if failure.class == Class::RateLimited {
            let refused_for = now.saturating_sub(self.throttled_since.unwrap_or(now));
            let next = link.ready_at(failure.endpoint).saturating_sub(now).as_secs();
            // The pause is what ended it, not the time that is over.
            let pause = failure.retry_after.filter(|_| refused_for < self.policy.throttled_for);
            let figure = match (pause.map(|pause| pause.as_secs()), refused_for.as_secs()) {
                (Some(pause), 0) => format!("the service asks for a pause of {pause} s"),
                (Some(pause), secs) => format!(
                    "refused for {secs} s on end, as too many requests, and the service asks for a pause of {pause} s more"
                ),
                (None, 0) => format!("too many requests, and the next may go in {next} s"),
                (None, secs) => format!("refused for {secs} s on end, as too many requests"),
            };
            failure.message = format!("{figure}; the service said: {}", failure.message);
        } else if let Some(pause) = failure.retry_after.filter(|&pause| self.is_too_long(pause)) {
            let secs = pause.as_secs();
            failure.message =
                format!("the service asks for a pause of {secs} s; the service said: {}", failure.message);
        }
        failure
    }

    /// Whether a pause is more than anybody would wait for.
    fn is_too_long(&self, pause: Duration) -> bool {
        pause > self.policy.throttled_for.max(WAIT_MAX)
    }

    fn tries_max(&self, class: Class) -> u32 {
        let stranger = class == Class::Protocol && !self.met;
        if stranger { self.policy.tries_max.min(STRANGERS_MAX) } else { self.policy.tries_max }
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

    /// `wait`: the upload's own pause; a refusal for too many requests has that of the link.
    fn tell_retry(
        &mut self,
        now: Duration,
        link: &Link,
        failure: &Failure,
        slice_no: Option<u32>,
        attempt: u32,
        wait: Duration,
    ) {
        let wait = match failure.class {
            Class::RateLimited => link.ready_at(failure.endpoint).saturating_sub(now),
            _ => wait,
        };
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

/// Whether the service names a pause. One that is over already is none.
fn asks_to_pause(failure: &Failure) -> bool {
    failure.retry_after.is_some_and(|pause| !pause.is_zero())
}

/// The service will not have it, for a reason that may be a mistake.
fn is_refused(class: Class) -> bool {
    matches!(class, Class::Refused | Class::NotFound | Class::VerifyFailed)
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
        Class::NoParent
        | Class::BadName
        | Class::Exists
        | Class::NoSpace
        | Class::Blocked
        | Class::HostCode => Some(FailedKind::Refused),
        Class::Source => Some(FailedKind::Source),
        _ => None,
    }
}
