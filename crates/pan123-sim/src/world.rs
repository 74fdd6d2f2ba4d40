//! The loop that a simulation is: carry out what the uploads ask for, let time pass, tell them what came of it.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use pan123_proto::{
    Class, Endpoint, Failure,
    machine::{Action, Call, Input, Record, Reply, TryId, UploadSpec},
};

use crate::{
    machine::Uploader,
    network::{self, Network},
    scenario::{Deed, Fault, Kill, LineAnswer, Scenario},
    service::{Service, refusal, server_index},
    story::{Judge, Story, Watched, endpoint},
};

/// Runs a scenario to its end.
pub fn run(scenario: &Scenario, uploader: &mut dyn Uploader) -> Story {
    World::new(scenario, uploader).run()
}

/// A service, a network, and the process that uploads.
pub struct World<'a> {
    scenario: &'a Scenario,
    uploader: &'a mut dyn Uploader,
    rng: Rng,
    now: Duration,
    network: Network,
    service: Service,
    judge: Judge,
    /// What is due when; what is due at the same time happens in the order it was said.
    queue: BTreeMap<(Duration, u64), What>,
    seq: u64,
    /// Requests that are under way, also those that nobody waits for any more.
    tries: BTreeMap<u64, Try>,
    next_key: u64,
    live: BTreeMap<usize, Live>,
    next_file: usize,
    faults_left: u32,
    /// Tokens are counted; the service takes the newest only.
    token: u32,
    token_good: u32,
    locked_out: bool,
    kills: Vec<Kill>,
    look_at: Option<Duration>,
    trace: Option<&'a mut dyn FnMut(&str)>,
}

/// One upload of the running process.
#[derive(Default)]
struct Live {
    watched: Watched,
    /// What the journal holds, and how many of it are surely on disk.
    journal: Vec<Record>,
    durable: usize,
    /// The driver's table: which request belongs to which try.
    under_way: BTreeMap<TryId, u64>,
    over: bool,
}

/// A request on its way.
struct Try {
    upload: usize,
    id: TryId,
    call: Call,
    token: u32,
    renewed: bool,
    fault: Option<Fault>,
    /// Body bytes taken, once its connection is through with it.
    taken: u64,
    /// Nobody waits for it any more.
    orphan: Orphan,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Orphan {
    No,
    /// The upload dropped it.
    Aborted,
    /// Its process died.
    Dead,
}

/// Something that is due.
enum What {
    /// A request arrives at the service.
    Arrives(u64),
    /// Its answer arrives at the client, or the client gives up on it; with the bytes taken.
    Answered(u64, Result<Reply, Failure>, u64),
    /// A deed of the scenario, by index.
    Deed(usize),
    /// The user stops an upload.
    Stop(usize),
    /// The process dies.
    Kill,
}

const CONNECT_CLOCK: Duration = Duration::from_secs(15);
/// How long the client waits for an answer; see `clocks` in `pan123-upload`.
fn answer_clock(endpoint: Endpoint) -> Duration {
    let whole_file = matches!(endpoint, Endpoint::Complete | Endpoint::Single);
    Duration::from_secs(if whole_file { 60 } else { 30 })
}

/// What the service needs to answer, at least and at most.
const SERVICE_TIME: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));
/// Actions at one instant after which an upload is taken to go round in circles.
const ACTIONS_AT_ONCE_MAX: u32 = 20_000;
/// A run that takes longer than this has no end.
const TIME_MAX: Duration = Duration::from_secs(400 * 86_400);
const NEVER: Duration = Duration::MAX;

impl<'a> World<'a> {
    /// A world at its beginning.
    pub fn new(scenario: &'a Scenario, uploader: &'a mut dyn Uploader) -> Self {
        let mut service = Service::new(scenario.manners.clone());
        for file in scenario.files.iter().filter(|file| file.known) {
            service.knows(file.content.etag(file.size));
        }
        let mut world = Self {
            scenario,
            uploader,
            rng: Rng::with_seed(scenario.seed),
            now: Duration::ZERO,
            network: Network::new(scenario.shape.clone(), scenario.servers.clone()),
            service,
            judge: Judge::new(scenario),
            queue: BTreeMap::new(),
            seq: 0,
            tries: BTreeMap::new(),
            next_key: 0,
            live: BTreeMap::new(),
            next_file: 0,
            faults_left: scenario.faults.budget,
            token: 1,
            token_good: 1,
            locked_out: false,
            kills: scenario.kills.clone(),
            look_at: None,
            trace: None,
        };
        for (index, (at, _)) in scenario.deeds.iter().enumerate() {
            world.push(*at, What::Deed(index));
        }
        for kill in &scenario.kills {
            if let Kill::At(at) = kill {
                world.push(*at, What::Kill);
            }
        }
        for (upload, file) in scenario.files.iter().enumerate() {
            if let Some((at, _)) = file.stop {
                world.push(at, What::Stop(upload));
            }
        }
        world
    }

    /// Tells every action and every input to `out`, a line each.
    #[must_use]
    pub fn traced(mut self, out: &'a mut dyn FnMut(&str)) -> Self {
        self.trace = Some(out);
        self
    }

    fn tell(&mut self, upload: usize, input: Input) {
        self.note(upload, "<-", &input);
        self.uploader.handle(self.now, upload, input);
    }

    fn note(&mut self, upload: usize, arrow: &str, what: &dyn std::fmt::Debug) {
        if let Some(out) = &mut self.trace {
            out(&format!("{:>12.6} {upload} {arrow} {what:?}", self.now.as_secs_f64()));
        }
    }

    /// Runs until every upload is over.
    pub fn run(mut self) -> Story {
        loop {
            self.begin_uploads();
            if self.live.is_empty() {
                break;
            }
            if !self.carry_out_all() {
                continue;
            }
            self.check_progress();
            if self.judge.fed_up(self.now) {
                break;
            }
            if self.live.values().any(|live| live.over) {
                continue;
            }
            let next = self.next_event();
            if next == NEVER || next > TIME_MAX {
                let words = if next == NEVER { "waits for nothing" } else { "has no end" };
                let stuck: Vec<usize> = self.live.keys().copied().collect();
                stuck.iter().for_each(|upload| self.judge.object(self.now, *upload, words));
                break;
            }
            self.pass_to(next);
        }
        let mut story = self.judge.story;
        story.bytes_on_wire = self.network.carried;
        story
    }

    fn push(&mut self, at: Duration, what: What) {
        self.seq += 1;
        self.queue.insert((at, self.seq), what);
    }

    fn begin_uploads(&mut self) {
        self.live.retain(|upload, live| {
            if live.over {
                self.uploader.forget(*upload);
                self.service.settle(*upload);
            }
            !live.over
        });
        while self.live.len() < self.scenario.at_once && self.next_file < self.scenario.files.len() {
            let watched = Watched::new(self.scenario.files[self.next_file].size);
            self.live.insert(self.next_file, Live { watched, ..Live::default() });
            self.begin(self.next_file);
            self.next_file += 1;
        }
    }

    fn begin(&mut self, upload: usize) {
        let Some(live) = self.live.get_mut(&upload) else { return };
        let spec = UploadSpec {
            parent_id: 0,
            filename: format!("f{upload}"),
            contain_dir: false,
            duplicate: None,
            size: self.scenario.files[upload].size,
        };
        self.judge.began(&mut live.watched, &live.journal);
        self.uploader.start(self.now, upload, spec, &live.journal);
    }

    /// Asks every upload until none has anything to do. `false`: the process died while at it.
    fn carry_out_all(&mut self) -> bool {
        let mut at_once = 0;
        loop {
            let mut idle = true;
            let uploads: Vec<usize> = self.live.keys().copied().collect();
            for upload in uploads {
                while let Some(action) = self.uploader.poll(self.now, upload) {
                    idle = false;
                    at_once += 1;
                    if at_once > ACTIONS_AT_ONCE_MAX {
                        self.judge.object(self.now, upload, "goes round in circles");
                        self.live.clear();
                        self.next_file = usize::MAX;
                        return false;
                    }
                    self.judge.story.actions += 1;
                    let count = self.judge.story.actions;
                    if self.kills.contains(&Kill::BeforeAction(count)) {
                        self.kill();
                        return false;
                    }
                    self.carry_out(upload, action);
                }
            }
            if idle {
                return true;
            }
        }
    }

    fn carry_out(&mut self, upload: usize, action: Action) {
        self.note(upload, "->", &action);
        let (now, file) = (self.now, &self.scenario.files[upload]);
        let Some(live) = self.live.get_mut(&upload) else { return };
        match action {
            Action::Hash { slice_size, again } => {
                self.judge.hash(now, upload, &live.watched, slice_size, again);
                let digests = file.content.digests(file.size, slice_size);
                self.tell(upload, Input::Hashed(digests));
            }
            Action::Send { id, call } => {
                self.judge.sent(now, upload, file, &mut live.watched, id, &call);
                self.send(upload, id, call, false);
            }
            Action::Abort { id } => {
                self.judge.aborted(&mut live.watched, id);
                if let Some(key) = live.under_way.remove(&id) {
                    self.orphan(key, Orphan::Aborted);
                }
            }
            Action::Save { record, durable } => {
                self.judge.saved(now, upload, &mut live.watched, &record);
                live.journal.push(record);
                if durable {
                    live.durable = live.journal.len();
                }
            }
            Action::Tell(event) => self.judge.told(now, upload, &mut live.watched, &event),
            Action::Finish(outcome) => {
                live.over = true;
                self.judge.finished(now, upload, file, &mut live.watched, &self.service, outcome);
                if self.uploader.poll(now, upload).is_some() {
                    self.judge.object(now, upload, "goes on after its end");
                }
            }
        }
    }

    /// Nobody waits for a request any more; what has left the host may arrive all the same.
    fn orphan(&mut self, key: u64, orphan: Orphan) {
        let body_under_way = self.network.taken(key).is_some();
        self.network.abort(key);
        if body_under_way {
            self.tries.remove(&key);
        } else if let Some(request) = self.tries.get_mut(&key) {
            request.orphan = orphan;
        }
    }

    fn send(&mut self, upload: usize, id: TryId, call: Call, renewed: bool) {
        let key = self.next_key;
        self.next_key += 1;
        let fault = self.draw_fault(&call);
        let body_len = match &call {
            Call::Slice { slice, .. } => Some(slice.len),
            Call::Single { .. } => Some(self.scenario.files[upload].size),
            _ => None,
        };
        if let (Some(len), Call::Slice { server, .. } | Call::Single { server, .. }) = (body_len, &call) {
            let strikes_at = self.rng.u64(0..=len);
            let pause = Duration::from_secs_f64(60.0 * self.rng.f64());
            self.network.start(network::Body {
                key,
                server: server_index(server),
                len,
                breaks_at: (fault == Some(Fault::Break)).then_some(strikes_at),
                stalls_at: (fault == Some(Fault::Stall)).then_some((strikes_at, pause)),
                line: self.scenario.line,
            });
        } else if self.network.is_down() || matches!(fault, Some(Fault::Break)) {
            let failure = Failure::local(endpoint(&call), Class::Connect, "no connection");
            self.answer_after(key, CONNECT_CLOCK, Err(failure), 0);
        } else {
            let jitter = self.rng.f64() * 0.1;
            let after = self.network.rtt().mul_f64(0.5 + jitter);
            self.push(self.now + after, What::Arrives(key));
        }
        if let Some(live) = self.live.get_mut(&upload) {
            live.under_way.insert(id, key);
        }
        let token = self.token;
        self.tries.insert(key, Try { upload, id, call, token, renewed, fault, taken: 0, orphan: Orphan::No });
    }

    fn draw_fault(&mut self, call: &Call) -> Option<Fault> {
        let faults = &self.scenario.faults;
        if self.faults_left == 0 || faults.kinds.is_empty() || self.rng.f64() >= faults.rate {
            return None;
        }
        let fault = faults.kinds[self.rng.usize(..faults.kinds.len())];
        // Only slices have bytes that the service can compare with an MD5.
        let fits = fault != Fault::Mangled || matches!(call, Call::Slice { .. });
        if !fits {
            return None;
        }
        self.faults_left -= 1;
        self.judge.story.faults += 1;
        Some(fault)
    }

    fn answer_after(&mut self, key: u64, after: Duration, result: Result<Reply, Failure>, sent: u64) {
        self.push(self.now + after, What::Answered(key, result, sent));
    }

    fn next_event(&mut self) -> Duration {
        let mut next = self.queue.first_key_value().map_or(NEVER, |(key, _)| key.0);
        next = next.min(self.network.next_event());
        let sending = self.tries.values().any(|t| t.orphan == Orphan::No && is_body(&t.call));
        self.look_at = sending.then(|| self.look_at.unwrap_or(self.now + self.scenario.look_every));
        next = next.min(self.look_at.unwrap_or(NEVER));
        let uploads: Vec<usize> = self.live.keys().copied().collect();
        for upload in uploads {
            let Some(wake) = self.uploader.wake_at(upload) else { continue };
            if wake <= self.now {
                self.judge.object(
                    self.now,
                    upload,
                    format!("wants to be asked again at {wake:?}, which has passed"),
                );
            }
            next = next.min(wake.max(self.now + Duration::from_millis(1)));
        }
        next
    }

    /// Lets time pass until `next`, and the first thing happen that is due then.
    fn pass_to(&mut self, next: Duration) {
        self.now = next.max(self.now);
        self.network.advance(self.now);
        for (key, end, taken) in self.network.ended() {
            self.flow_ended(key, end, taken);
        }
        if let Some(due) = self.queue.first_entry().filter(|due| due.key().0 <= self.now) {
            match due.remove() {
                What::Arrives(key) => self.arrive(key),
                What::Answered(key, result, sent) => self.answered(key, result, sent),
                What::Deed(index) => self.deed(self.scenario.deeds[index].1),
                What::Stop(upload) => self.stop(upload),
                What::Kill => self.kill(),
            }
        } else if self.look_at.is_some_and(|at| at <= self.now) {
            self.look();
        }
    }

    fn check_progress(&mut self) {
        let in_flight = |is: fn(&Call) -> bool| {
            self.tries.values().filter(|t| t.orphan == Orphan::No && is(&t.call)).count() as u32
        };
        let slices = in_flight(|call| matches!(call, Call::Slice { .. }));
        self.judge.settled(self.now, slices, in_flight(is_body));
        for (&upload, live) in &mut self.live {
            let bytes = self.uploader.bytes_acknowledged(upload);
            self.judge.progress(self.now, upload, &mut live.watched, bytes);
        }
    }

    /// Tells every upload how far its bodies are.
    fn look(&mut self) {
        self.look_at = None;
        let moves: Vec<(usize, TryId, u64)> = self
            .tries
            .iter()
            .filter(|(_, t)| t.orphan == Orphan::No && is_body(&t.call))
            .map(|(key, t)| (t.upload, t.id, self.network.taken(*key).unwrap_or(t.taken)))
            .collect();
        for (upload, id, sent) in moves {
            self.tell(upload, Input::Moved { id, sent });
        }
    }

    /// A body is out, or will never be.
    fn flow_ended(&mut self, key: u64, end: network::End, taken: u64) {
        let Some(request) = self.tries.get_mut(&key) else { return };
        request.taken = taken;
        let endpoint = endpoint(&request.call);
        let rtt = self.network.rtt();
        let local = |class, words| Err(Failure::local(endpoint, class, words));
        let (after, result) = match end {
            network::End::Delivered => return self.push(self.now + rtt / 2, What::Arrives(key)),
            network::End::Broken => (Duration::ZERO, local(Class::Interrupted, "the connection broke")),
            network::End::Stalled => (Duration::ZERO, local(Class::Stalled, "nothing moved for 30 s")),
            network::End::NoAnswer => (Duration::ZERO, local(Class::NoAnswer, "no answer in time")),
            network::End::NoConnection => (Duration::ZERO, local(Class::Connect, "no connection")),
            network::End::Line => {
                let words = "Read from request Body failed: i/o timeout";
                let answer = |class, words| {
                    Err(Failure { http_status: Some(500), ..Failure::local(endpoint, class, words) })
                };
                let answer = match self.scenario.line_answer {
                    LineAnswer::Words => answer(Class::BodyTimeout, words),
                    LineAnswer::Empty => answer(Class::Server, "HTTP 500 without words"),
                    LineAnswer::Reset => local(Class::Interrupted, "connection reset by peer"),
                };
                (rtt, answer)
            }
        };
        self.answer_after(key, after, result, taken);
    }

    /// A request has arrived at the service, whole.
    fn arrive(&mut self, key: u64) {
        let Some(request) = self.tries.get(&key) else { return };
        let (fault, upload, call) = (request.fault, request.upload, request.call.clone());
        let endpoint = endpoint(&call);
        let sent = body_len(self.scenario, request);
        let stale = request.token != self.token_good || self.locked_out;
        let service_time = SERVICE_TIME.0 + (SERVICE_TIME.1 - SERVICE_TIME.0).mul_f64(self.rng.f64());
        let back = self.network.rtt() / 2 + service_time;
        let gone = |class, words| Err(Failure::local(endpoint, class, words));
        if fault == Some(Fault::Lost) {
            let (after, class) = if self.rng.bool() {
                (answer_clock(endpoint), Class::NoAnswer)
            } else {
                (back, Class::Interrupted)
            };
            return self.answer_after(key, after, gone(class, "the request was lost"), sent);
        }
        let said = |class, words: &str, status| {
            Err(Failure { http_status: Some(status), ..Failure::local(endpoint, class, words) })
        };
        let early = match fault {
            _ if stale => Some(Err(refusal(endpoint, Class::Auth, "token is expired"))),
            Some(Fault::Throttled) => Some(self.too_many(endpoint)),
            Some(Fault::Fails) => Some(said(Class::Server, "Bad gateway", 502)),
            _ if self.service.throttles(endpoint, self.now) => Some(self.too_many(endpoint)),
            _ => None,
        };
        let result = early.unwrap_or_else(|| self.serve(upload, &call, fault));
        match fault {
            Some(Fault::AnswerLost) => {
                let (after, class) = if self.rng.bool() {
                    (answer_clock(endpoint), Class::NoAnswer)
                } else {
                    (back, Class::Interrupted)
                };
                self.answer_after(key, after, gone(class, "the answer was lost"), sent);
            }
            Some(Fault::AnswerLate) => {
                let late = Duration::from_secs_f64(120.0 * self.rng.f64());
                if late < answer_clock(endpoint) {
                    self.answer_after(key, late, result, sent);
                } else {
                    self.answer_after(
                        key,
                        answer_clock(endpoint),
                        gone(Class::NoAnswer, "no answer in time"),
                        sent,
                    );
                    self.answer_after(key, late, result, sent);
                }
            }
            Some(Fault::FailsLate) => {
                self.answer_after(key, back, said(Class::Server, "Gateway timeout", 504), sent)
            }
            Some(Fault::Garbage) => {
                self.answer_after(key, back, said(Class::Protocol, "<html>Welcome</html>", 200), sent);
            }
            _ => self.answer_after(key, back, result, sent),
        }
    }

    fn too_many(&mut self, endpoint: Endpoint) -> Result<Reply, Failure> {
        let mut failure = refusal(endpoint, Class::RateLimited, "请求太频繁");
        failure.retry_after = self.service.manners.retry_after;
        Err(failure)
    }

    /// The service does what it is asked for.
    fn serve(&mut self, upload: usize, call: &Call, fault: Option<Fault>) -> Result<Reply, Failure> {
        let file = &self.scenario.files[upload];
        if let (Some(class), Call::Create { .. }) = (file.refused, call) {
            return Err(refusal(Endpoint::Create, class, "没有这样的道理"));
        }
        match call {
            Call::Create { etag } => Ok(self.service.create(upload, *etag, file.size)),
            Call::Slice { preupload_id, slice, md5, .. } => {
                let mut arrived = file.content.md5(slice.offset, slice.len);
                if fault == Some(Fault::Mangled) {
                    arrived.0[0] ^= 1;
                }
                self.service.slice(preupload_id, slice, *md5, arrived)
            }
            Call::Complete { preupload_id } => self.service.complete(preupload_id, self.now),
            Call::Domain => Ok(self.service.hosts()),
            Call::Single { etag, .. } => {
                Ok(self.service.single(upload, *etag, file.size, file.content.md5(0, file.size)))
            }
            Call::Find { etag } => Ok(self.service.find(upload, *etag)),
        }
    }

    /// An answer has come in, or the client has given up on it.
    fn answered(&mut self, key: u64, result: Result<Reply, Failure>, sent: u64) {
        if result.is_ok() || result.as_ref().is_err_and(|failure| failure.code.is_some()) {
            self.network.answered(key);
        }
        let Some(request) = self.tries.remove(&key) else { return };
        let (upload, id) = (request.upload, request.id);
        let input = match &result {
            Ok(reply) => Input::Replied { id, reply: reply.clone() },
            Err(failure) => Input::Failed { id, failure: failure.clone(), sent },
        };
        match request.orphan {
            Orphan::Dead => return,
            Orphan::Aborted => {
                if self.scenario.faults.echoes {
                    self.tell(upload, input);
                }
                return;
            }
            Orphan::No => {}
        }
        let refused = result.as_ref().is_err_and(|failure| failure.class == Class::Auth);
        if refused && !request.renewed && !self.locked_out {
            // The driver renews the token and sends the request again, and the upload hears nothing of it.
            self.token = self.token_good;
            return self.send(upload, id, request.call, true);
        }
        let Some(live) = self.live.get_mut(&upload) else { return };
        live.under_way.remove(&id);
        self.judge.ended(self.now, &mut live.watched, id, result.as_ref().err());
        if let Ok(Reply::Created { slice_size, .. }) = &result {
            self.judge.created(&mut live.watched, *slice_size);
        }
        self.tell(upload, input.clone());
        if self.scenario.faults.echoes {
            self.tell(upload, input);
        }
    }

    fn deed(&mut self, deed: Deed) {
        self.note(0, "**", &deed);
        match deed {
            Deed::Down(down) => self.network.set_down(down),
            Deed::Uplink(rate) => self.network.set_uplink(rate),
            Deed::Server(server, rate) => self.network.set_server(server, rate),
            Deed::TokenExpires => self.token_good += 1,
            Deed::LockedOut => self.locked_out = true,
            Deed::Forget => self.service.forget_uploads(),
            Deed::SourceFails(upload) => {
                let Some(live) = self.live.get_mut(&upload).filter(|live| !live.over) else { return };
                let failure = Failure::local(Endpoint::Slice, Class::Source, "the file is gone");
                self.judge.ended(self.now, &mut live.watched, TryId(u64::MAX), Some(&failure));
                self.tell(upload, Input::SourceFailed(failure));
            }
        }
        for (key, end, taken) in self.network.ended() {
            self.flow_ended(key, end, taken);
        }
    }

    fn stop(&mut self, upload: usize) {
        let Some((_, stop)) = self.scenario.files[upload].stop else { return };
        if let Some(live) = self.live.get_mut(&upload) {
            self.judge.stop(&mut live.watched);
            self.tell(upload, Input::Stop(stop));
        }
    }

    /// The process dies, and another one goes on from what was on disk.
    fn kill(&mut self) {
        self.note(0, "**", &"the process dies");
        self.judge.died();
        self.uploader.die();
        let keys: Vec<u64> = self.tries.keys().copied().collect();
        keys.into_iter().for_each(|key| self.orphan(key, Orphan::Dead));
        self.network.abort_all();
        self.look_at = None;
        let uploads: Vec<usize> = self.live.keys().copied().collect();
        for upload in uploads {
            let Some(live) = self.live.get_mut(&upload).filter(|live| !live.over) else { continue };
            live.under_way.clear();
            let kept = self.rng.usize(live.durable..=live.journal.len());
            live.journal.truncate(kept);
            self.begin(upload);
        }
    }
}

fn is_body(call: &Call) -> bool {
    matches!(call, Call::Slice { .. } | Call::Single { .. })
}

fn body_len(scenario: &Scenario, request: &Try) -> u64 {
    match &request.call {
        Call::Slice { slice, .. } => slice.len,
        Call::Single { .. } => scenario.files[request.upload].size,
        _ => 0,
    }
}
