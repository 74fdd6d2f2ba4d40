//! Carries out what the state machine of an upload asks for. Decides nothing.

use std::{
    collections::HashMap,
    num::NonZeroU64,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use pan123_proto::{
    Class, Endpoint, Failure, Md5, Slice,
    machine::{self, Action, Call, Event, Input, Outcome, Record, Reply, Stop, TryId},
    wire::{CreateRequest, SingleFields, SliceFields},
};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use crate::{
    blocking::blocking,
    client::Shared,
    error::{Error, ErrorKind},
    hashing,
    resume::Resume,
    service::{Part, PartMeter},
    source::{SourceRead, changed, unreadable},
    token::NoOther,
    upload::{Job, Uploaded},
};

/// How often bodies under way are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A good end, and the log that has it on record until somebody was told.
pub(crate) type Ended = Result<(Uploaded, Resume), Error>;

/// Runs one upload to its end.
pub(crate) async fn run(shared: Arc<Shared>, job: Arc<Job>, mut stop: Stopping) -> Ended {
    let started = Instant::now();
    let (resume, records) = tokio::select! {
        biased;
        stop = asked_to_stop(&mut stop) => return Err(stopped(stop)),
        opened = Resume::open(&shared, &job) => opened?,
    };
    let (policy, seed) = (shared.policy.clone(), fastrand::u64(..));
    let mut upload = machine::Upload::resume(job.spec.clone(), policy, seed, shared.now(), &records);
    let earlier = upload.is_over();
    if !job.identity.tells() {
        upload.doubt_source(job.etag.get().copied());
    }
    if upload.digests_known() {
        job.counters.hashed(job.spec.size);
    }
    let driver = Driver {
        upload,
        earlier,
        requests: JoinSet::new(),
        under_way: HashMap::new(),
        hashing: None,
        resume,
        stop,
        source_error: None,
        last_error: None,
        bytes_sent: 0,
        waiting: 0,
        started,
        looked: started,
        shared,
        job,
    };
    driver.run().await
}

/// Tells when the upload's user has had enough of it.
pub(crate) type Stopping = watch::Receiver<Option<Stop>>;

type BoxedHash = Pin<Box<dyn Future<Output = Result<machine::Digests, Error>> + Send>>;

struct Driver {
    upload: machine::Upload,
    /// The log said at once that the file is stored.
    earlier: bool,
    requests: JoinSet<(TryId, Result<Reply, Error>)>,
    under_way: HashMap<TryId, UnderWay>,
    hashing: Option<BoxedHash>,
    resume: Resume,
    stop: Stopping,
    /// What went wrong with the source, in full.
    source_error: Option<Error>,
    /// The last failure of a request, for its cause.
    last_error: Option<Error>,
    /// File bytes of requests that are over.
    bytes_sent: u64,
    /// Bodies that the link was told to be waiting for the source.
    waiting: u32,
    started: Instant,
    /// When bodies under way were last looked at.
    looked: Instant,
    shared: Arc<Shared>,
    job: Arc<Job>,
}

struct UnderWay {
    task: AbortHandle,
    /// For requests with file bytes in them.
    meter: Option<Arc<PartMeter>>,
    endpoint: Endpoint,
    /// What a slice is said to hold.
    slice: Option<(Slice, Md5)>,
}

impl Driver {
    async fn run(mut self) -> Ended {
        let shared = self.shared.clone();
        loop {
            // Registered before the link is looked at, so that no wake-up falls between the two.
            let moved = shared.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            while let Some(action) = self.next_action() {
                if let Some(outcome) = self.carry_out(action).await {
                    return self.end(outcome).await;
                }
            }
            self.report();
            let wake = self.wake_at();
            tokio::select! {
                biased;
                stop = asked_to_stop(&mut self.stop) => self.tell(Input::Stop(stop)),
                Some(joined) = self.requests.join_next() => self.answered(joined).await,
                hashed = finished(&mut self.hashing) => self.hashed(hashed),
                () = tokio::time::sleep_until(wake) => self.look(),
                () = &mut moved => {}
            }
        }
    }

    fn next_action(&mut self) -> Option<Action> {
        let now = self.shared.now();
        self.upload.poll(now, &mut self.shared.link())
    }

    fn tell(&mut self, input: Input) {
        let now = self.shared.now();
        self.upload.handle(now, &mut self.shared.link(), input);
        // Whatever it was, it may have freed a place or changed a limit that another upload waits for.
        self.shared.moved.notify_waiters();
    }

    fn wake_at(&self) -> Instant {
        let machine = self.upload.wake_at(&self.shared.link()).map(|at| self.shared.instant(at));
        let sending = self.under_way.values().any(|request| request.meter.is_some());
        // Counted from the last look, so that other uploads that move all the time do not put it off.
        let look =
            if sending { self.looked + LOOK_EVERY } else { Instant::now() + Duration::from_secs(3600) };
        machine.map_or(look, |at| at.min(look))
    }

    /// Returns how the upload ended, if it did.
    async fn carry_out(&mut self, action: Action) -> Option<Outcome> {
        match action {
            Action::Hash { slice_size, again } => self.hash(slice_size, again),
            Action::Send { id, call } => self.send(id, call),
            Action::Abort { id } => {
                if let Some(request) = self.under_way.remove(&id) {
                    request.task.abort();
                    self.bytes_sent += request.meter.map_or(0, |meter| meter.bytes());
                }
            }
            Action::Save { record, durable } => self.save(&record, durable).await,
            Action::Tell(event) => self.watch(&event),
            Action::Finish(outcome) => return Some(outcome),
        }
        None
    }

    fn hash(&mut self, slice_size: u64, again: bool) {
        let job = self.job.clone();
        let cache = self.shared.digests.clone().filter(|_| !again);
        let (source, identity) = (job.source.clone(), job.identity);
        let progress = move |bytes| job.counters.hashed(bytes);
        let slice_size = NonZeroU64::new(slice_size).unwrap_or(NonZeroU64::MIN);
        tracing::debug!(slice_size, again, "hashing {}", self.job.source.describe());
        let shared = self.shared.clone();
        self.hashing = Some(Box::pin(async move {
            // Never closed, so there is always one in the end.
            let _permit = if source.may_hang() { None } else { shared.hashes.acquire().await.ok() };
            hashing::hash(cache, source, identity, slice_size, progress).await
        }));
    }

    fn hashed(&mut self, result: Result<machine::Digests, Error>) {
        self.hashing = None;
        match result {
            Ok(digests) => {
                self.job.counters.hashed(self.job.spec.size);
                self.job.etag.get_or_init(|| digests.etag);
                self.tell(Input::Hashed(digests));
            }
            Err(error) => self.source_failed(error),
        }
    }

    fn source_failed(&mut self, error: Error) {
        let failure = Failure::local(Endpoint::Create, Class::Source, error.message());
        self.source_error = Some(error);
        self.tell(Input::SourceFailed(failure));
    }

    fn send(&mut self, id: TryId, call: Call) {
        let meter = matches!(call, Call::Slice { .. } | Call::Single { .. }).then(Arc::<PartMeter>::default);
        let slice = match &call {
            Call::Slice { slice, md5, .. } => Some((*slice, *md5)),
            _ => None,
        };
        let endpoint = match &call {
            Call::Create { .. } => Endpoint::Create,
            Call::Slice { .. } => Endpoint::Slice,
            Call::Complete { .. } => Endpoint::Complete,
            Call::Domain => Endpoint::Domain,
            Call::Single { .. } => Endpoint::Single,
            Call::Find { .. } => Endpoint::List,
        };
        let (shared, job) = (self.shared.clone(), self.job.clone());
        let part_meter = meter.clone().unwrap_or_default();
        let task = self.requests.spawn(async move { (id, request(&shared, &job, call, part_meter).await) });
        self.under_way.insert(id, UnderWay { task, meter, endpoint, slice });
    }

    async fn answered(&mut self, joined: Result<(TryId, Result<Reply, Error>), tokio::task::JoinError>) {
        let (id, result) = match joined {
            Ok(answer) => answer,
            // Aborted, as asked.
            Err(error) if error.is_cancelled() => return,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let Some(request) = self.under_way.remove(&id) else { return };
        let sent = request.meter.map_or(0, |meter| meter.bytes());
        self.bytes_sent += sent;
        if self.waiting > 0 && self.under_way.values().all(|request| request.meter.is_none()) {
            self.tell_waiting(false);
        }
        match result {
            Ok(reply) => self.tell(Input::Replied { id, reply }),
            Err(error) => {
                tracing::debug!(call = request.endpoint.name(), sent, "{error}");
                if let Some(cause) = self.source_at_fault(&error).await {
                    return self.source_failed(cause);
                }
                let refused = matches!(error.class(), Some(Class::Refused | Class::VerifyFailed));
                if refused
                    && let Some((slice, md5)) = request.slice
                    && self.differs(slice, md5).await
                {
                    return self.source_differs(slice, error);
                }
                let failure = error.to_failure(request.endpoint);
                self.last_error = Some(error);
                self.tell(Input::Failed { id, failure, sent });
            }
        }
    }

    /// The source's own error behind a failed request: it could not be read, or it is not what was hashed, which
    /// the service notices as bytes that do not fit their MD5.
    async fn source_at_fault(&mut self, error: &Error) -> Option<Error> {
        let suspect = matches!(
            error.class(),
            Some(Class::Source | Class::Refused | Class::VerifyFailed | Class::Protocol)
        );
        if suspect && let Some(Err(changed)) = self.check_source().await {
            return Some(changed);
        }
        (error.class() == Some(Class::Source)).then(|| {
            let words = format!("{}: {}", self.job.source.describe(), error.message());
            let failed = match error.kind() {
                ErrorKind::SourceChanged => changed(error.step(), words),
                _ => unreadable(error.step(), words),
            };
            failed.with_source(error.clone())
        })
    }

    /// Whether a slice that the service refused has other bytes than its digest says.
    async fn differs(&mut self, slice: Slice, md5: Md5) -> bool {
        let now = hashing::range(self.job.source.clone(), slice.offset, slice.len);
        // One that cannot be read now is found out by the next try.
        matches!(self.unless_stopped(now).await, Some(Ok(now)) if now != md5)
    }

    fn source_differs(&mut self, slice: Slice, error: Error) {
        let (source, no) = (self.job.source.describe(), slice.no);
        let words = format!("{source} is not what was hashed: slice {no} has another MD5 than it had then");
        self.source_failed(changed(error.step(), words).with_slice_no(no).with_source(error));
    }

    /// Whether the source is what it was when the upload began. `None`: the upload was stopped meanwhile.
    async fn check_source(&mut self) -> Option<Result<(), Error>> {
        let (source, identity) = (self.job.source.clone(), self.job.identity);
        self.unless_stopped(blocking("check", move || source.check(&identity))).await
    }

    /// Waits for something that may hang, but no longer than the upload's user does.
    async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            stop = asked_to_stop(&mut self.stop) => self.tell(Input::Stop(stop)),
            result = work => return Some(result),
        }
        None
    }

    async fn save(&mut self, record: &Record, durable: bool) {
        if matches!(record, Record::Completing) {
            // The last chance to see a change that the slice MD5s cannot show, because the slice went out before it.
            if let Some(Err(changed)) = self.check_source().await {
                return self.source_failed(changed);
            }
        }
        // Waited for whatever it is: a slice whose place is taken by the next one before it is on record would
        // be sent again by the run after a kill, beside those in flight.
        let saved = self.resume.save(record, durable);
        self.unless_stopped(saved).await;
    }

    fn watch(&mut self, event: &Event) {
        match event {
            Event::Stage { stage } => {
                self.job.counters.stage(*stage);
                tracing::debug!(?stage, "{}", self.job.spec.filename);
            }
            Event::Retry { step, slice_no, attempt, wait_ms, reason } => {
                self.job.counters.retry();
                tracing::warn!(step, slice_no, attempt, wait_ms, "{reason}");
            }
            Event::Parallel { slices, reason } => tracing::debug!(slices, "{reason}"),
            Event::Restart { reason } => {
                self.earlier = false;
                tracing::warn!("starting over from create: {reason}");
            }
            _ => {}
        }
        self.report();
        self.job.tell(event);
    }

    /// Looks at the bodies under way.
    fn look(&mut self) {
        self.looked = Instant::now();
        let is_waiting = self.job.source.is_waiting();
        self.tell_waiting(is_waiting);
        if is_waiting {
            // That they do not move says nothing about the link.
            return;
        }
        let moves: Vec<Input> = self
            .under_way
            .iter()
            .filter_map(|(&id, request)| Some(Input::Moved { id, sent: request.meter.as_ref()?.bytes() }))
            .collect();
        if moves.is_empty() {
            return;
        }
        let now = self.shared.now();
        let mut link = self.shared.link();
        let places = link.slices_max();
        for input in moves {
            self.upload.handle(now, &mut link, input);
        }
        if link.slices_max() != places {
            self.shared.moved.notify_waiters();
        }
    }

    /// Tells the link how many bodies wait for the source rather than for the line.
    fn tell_waiting(&mut self, is_waiting: bool) {
        let bodies = self.under_way.values().filter(|request| request.meter.is_some()).count();
        let waiting = if is_waiting { u32::try_from(bodies).unwrap_or(0) } else { 0 };
        let before = std::mem::replace(&mut self.waiting, waiting);
        if before != waiting {
            self.shared.link().bodies_waiting(before, waiting);
            self.shared.moved.notify_waiters();
        }
    }

    fn report(&self) {
        let in_flight: u64 = self
            .under_way
            .values()
            .filter_map(|request| request.meter.as_ref())
            .map(|meter| meter.bytes())
            .sum();
        self.job.bytes_handed.store(self.bytes_sent + in_flight, Ordering::Relaxed);
        self.job.counters.sent(self.upload.slices(), self.upload.bytes_acknowledged(), in_flight);
    }

    async fn end(mut self, outcome: Outcome) -> Ended {
        self.job.bytes_handed.store(self.bytes_sent, Ordering::Relaxed);
        self.requests.abort_all();
        self.hashing = None;
        let result = self.result(outcome);
        let mut resume = self.resume.take();
        match result {
            Ok(uploaded) => Ok((uploaded, resume)),
            Err(error) => {
                let _ = tokio::time::timeout(CLOSE_FOR, resume.close()).await;
                Err(error)
            }
        }
    }

    fn result(&mut self, outcome: Outcome) -> Result<Uploaded, Error> {
        match outcome {
            Outcome::Completed(done) => {
                if self.earlier {
                    tracing::info!("{}: an earlier run uploaded it", self.job.spec.filename);
                }
                let size = self.job.spec.size;
                self.job.counters.hashed(size);
                self.job.counters.sent(None, size, 0);
                Ok(Uploaded {
                    file_id: done.file_id,
                    etag: done.etag,
                    size,
                    slices: done.slices,
                    reused: done.reused,
                    earlier: self.earlier,
                    bytes_sent: self.bytes_sent,
                    elapsed_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
                })
            }
            Outcome::Failed(failed) => {
                // A source that cannot be read at the moment is no reason to forget what the service holds of it.
                let unreadable =
                    self.source_error.as_ref().is_some_and(|error| error.kind() == ErrorKind::Source);
                let begun = self.upload.slices().is_some();
                if !failed.resumable && !unreadable {
                    drop(self.resume.forget());
                }
                if let Some(error) = self.source_error.take() {
                    return Err(error.with_resumable(unreadable && begun));
                }
                let error = Error::from(if self.resume.is_kept() { failed } else { failed.not_kept() });
                // One that can be read, and does not fit what is known of it.
                let error = match error.kind() {
                    ErrorKind::Source => error.with_kind(ErrorKind::SourceChanged),
                    _ => error,
                };
                Err(match self.last_error.take() {
                    // Why there is no other token goes with what to do.
                    Some(cause)
                        if (error.class() == Some(Class::Auth) && cause.class() == error.class())
                            || NoOther::is_behind(&cause) =>
                    {
                        // Also when it is the network that has no other one.
                        let kind = if NoOther::is_behind(&cause) { cause.kind() } else { error.kind() };
                        error.with_kind(kind).with_advice(cause.advice()).with_source(cause)
                    }
                    Some(cause) => error.with_source(cause),
                    None => error,
                })
            }
            Outcome::Stopped(stop) => Err(stopped(stop)),
        }
    }
}

/// How long to wait for a log to be closed. One that hangs is left to its thread.
const CLOSE_FOR: Duration = Duration::from_millis(200);

impl Drop for Driver {
    /// However the driver ends, by a panic or with its runtime: its places on the link are given back.
    fn drop(&mut self) {
        self.tell_waiting(false);
        if !self.upload.is_over() {
            self.tell(Input::Stop(Stop::Pause));
        }
    }
}

/// Sends one request of an upload.
async fn request(shared: &Shared, job: &Job, call: Call, meter: Arc<PartMeter>) -> Result<Reply, Error> {
    let (service, spec) = (&shared.service, &job.spec);
    let part = |offset, len| Part { source: job.source.clone(), offset, len, meter };
    match call {
        Call::Create { etag } => {
            let request = CreateRequest {
                parent_id: spec.parent_id,
                filename: &spec.filename,
                etag,
                size: spec.size,
                duplicate: spec.duplicate,
                contain_dir: spec.contain_dir,
            };
            service.create(&request).await
        }
        Call::Slice { server, preupload_id, slice, md5 } => {
            let fields = SliceFields { preupload_id: &preupload_id, slice_no: slice.no, md5 };
            service.slice(&server, &fields, &part(slice.offset, slice.len)).await
        }
        Call::Complete { preupload_id } => service.complete(&preupload_id).await,
        Call::Domain => service.domain().await.map(Reply::Hosts),
        Call::Single { server, etag } => {
            let fields = SingleFields {
                parent_id: spec.parent_id,
                filename: &spec.filename,
                etag,
                size: spec.size,
                duplicate: spec.duplicate,
                contain_dir: spec.contain_dir,
            };
            service.single(&server, &fields, &part(0, spec.size)).await
        }
        Call::Find { etag } => service.find(spec, etag).await,
    }
}

fn stopped(stop: Stop) -> Error {
    let (kind, words) = match stop {
        Stop::Cancel => (ErrorKind::Cancelled, "cancelled as asked"),
        Stop::Pause => (ErrorKind::Paused, "paused as asked"),
    };
    let advice = "Upload the same file to the same place to go on.";
    Error::new(kind, "upload", words).with_advice(advice).with_resumable(true)
}

async fn asked_to_stop(stop: &mut Stopping) -> Stop {
    let stopped = stop.wait_for(Option::is_some).await.map(|stop| *stop);
    match stopped {
        Ok(Some(stop)) => stop,
        // All handles are gone, so nobody can stop it any more.
        _ => std::future::pending().await,
    }
}

async fn finished(hashing: &mut Option<BoxedHash>) -> Result<machine::Digests, Error> {
    match hashing {
        Some(hashing) => hashing.await,
        None => std::future::pending().await,
    }
}
