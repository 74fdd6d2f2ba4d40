//! What a client has under way at a time when very many uploads are started at once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pan123_emulator::{Action, Fault};
use pan123_upload::{
    Client, Error, ErrorKind, ResumeLog, ResumeStore, Source, StoredLog, Target, Upload,
    proto::{
        Endpoint,
        machine::{Event, Parallel, Policy, SingleUse, Stage},
    },
    transport::{BoxFuture, Error as TransportError, Layer, Request, Response, Transport},
};
use support::{Bench, bytes, impatient};
use tokio::sync::watch;

/// Counts the requests that are under way, by what they carry, and holds them all while it is shut.
#[derive(Clone, Debug)]
struct Gate(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    open: watch::Sender<bool>,
    bodies: Gauge,
    calls: Gauge,
}

/// How many there are, and how many there were at most.
#[derive(Debug)]
struct Gauge(watch::Sender<(usize, usize)>);

impl Gauge {
    fn enter(&self) {
        self.0.send_modify(|(now, most)| {
            *now += 1;
            *most = (*most).max(*now);
        });
    }

    fn leave(&self) {
        self.0.send_modify(|(now, _)| *now -= 1);
    }

    fn most(&self) -> usize {
        self.0.borrow().1
    }

    async fn until(&self, wanted: usize) {
        self.0
            .subscribe()
            .wait_for(|(now, _)| if wanted == 0 { *now == 0 } else { *now >= wanted })
            .await
            .unwrap();
    }
}

/// One request under way, until it is dropped.
struct Under<'a>(&'a Gauge);

impl Drop for Under<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Gate {
    fn new(open: bool) -> Self {
        let gauge = || Gauge(watch::Sender::new((0, 0)));
        Self(Arc::new(Inside { open: watch::Sender::new(open), bodies: gauge(), calls: gauge() }))
    }
}

impl Layer for Gate {
    fn wrap(&self, inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(Gated(self.clone(), inner))
    }
}

#[derive(Debug)]
struct Gated(Gate, Arc<dyn Transport>);

impl Transport for Gated {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            let gate = &self.0.0;
            let url = &request.url;
            let is_body = url.contains("/slice") || url.contains("/single/create");
            let gauge = if is_body { &gate.bodies } else { &gate.calls };
            gauge.enter();
            let _under = Under(gauge);
            if is_body {
                gate.open.subscribe().wait_for(|open| *open).await.unwrap();
            }
            self.1.send(request).await
        })
    }
}

fn whole_files() -> Policy {
    Policy { single: SingleUse::Always, ..impatient() }
}

fn start_many(client: &Client, count: u64) -> Vec<Upload> {
    (0..count)
        .map(|seed| {
            let source = Source::bytes(bytes(2000, seed));
            let upload = client.upload(source, Target::root(format!("f{seed}"))).unwrap();
            upload.start();
            upload
        })
        .collect()
}

async fn all_arrive(bench: &Bench, uploads: &[Upload]) {
    for (seed, upload) in uploads.iter().enumerate() {
        upload.wait().await.unwrap();
        assert!(bench.stored(&format!("f{seed}")).unwrap() == bytes(2000, seed as u64), "f{seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_that_go_out_whole_are_few_at_a_time() {
    let bench = Bench::new();
    // Each stays for a moment, and some go wrong: that gives its place back all the same.
    bench.script(vec![
        Fault::new(Endpoint::Single, Action::Delay { ms: 5 }),
        Fault {
            probability: 0.1,
            ..Fault::new(
                Endpoint::Single,
                Action::Status { status: 502, body: String::new(), retry_after: None },
            )
        },
    ]);
    let gate = Gate::new(true);
    let client = bench.builder().policy(whole_files()).layer(Arc::new(gate.clone())).build().unwrap();
    all_arrive(&bench, &start_many(&client, 150)).await;
    let (bodies, calls) = (gate.0.bodies.most(), gate.0.calls.most());
    assert!(bodies <= 64 && calls <= 32, "{bodies} bodies and {calls} calls at a time");
    assert!(bodies > 8, "more than one at a time: {bodies}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_go_out_whole_count_as_slices_in_flight() {
    let bench = Bench::new();
    bench.script(vec![Fault::new(Endpoint::Single, Action::Delay { ms: 2 })]);
    let gate = Gate::new(true);
    let builder = bench.builder().policy(whole_files()).parallel(Parallel::Exactly(2));
    let client = builder.layer(Arc::new(gate.clone())).build().unwrap();
    let large = client.upload(Source::bytes(bytes(20 * support::SLICE, 99)), Target::root("large")).unwrap();
    large.start();
    all_arrive(&bench, &start_many(&client, 40)).await;
    large.wait().await.unwrap();
    assert_eq!(gate.0.bodies.most(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_waits_for_others_stops_at_once_and_leaves_its_place() {
    let bench = Bench::new();
    let gate = Gate::new(false);
    let client = bench.builder().policy(whole_files()).layer(Arc::new(gate.clone())).build().unwrap();
    let uploads: Vec<_> = (0..100)
        .map(|seed| {
            client.upload(Source::bytes(bytes(2000, seed)), Target::root(format!("f{seed}"))).unwrap()
        })
        .collect();
    for upload in &uploads {
        let mut events = upload.events();
        upload.start();
        while events.recv().await.unwrap() != (Event::Stage { stage: Stage::Creating }) {}
    }
    gate.0.bodies.until(32).await;
    assert_eq!(gate.0.bodies.most(), 32);
    // Most of these have no request under way, and no answer comes to those that have.
    for upload in &uploads {
        upload.pause();
        assert_eq!(upload.wait().await.unwrap_err().kind(), ErrorKind::Paused);
    }
    gate.0.bodies.until(0).await;
    gate.0.open.send_replace(true);
    all_arrive(&bench, &start_many(&client, 40)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_calls_are_bounded_too() {
    let bench = Bench::new();
    bench.script(vec![Fault::new(Endpoint::Domain, Action::Delay { ms: 20 })]);
    let gate = Gate::new(true);
    let client = bench.builder().layer(Arc::new(gate.clone())).build().unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let client = client.clone();
        calls.spawn(async move { client.domain().await });
    }
    while let Some(answer) = calls.join_next().await {
        assert!(!answer.unwrap().unwrap().is_empty());
    }
    assert!(gate.0.calls.most() <= 64, "{} calls at a time", gate.0.calls.most());
}

/// Logs in memory, counted while they are open.
#[derive(Debug, Default)]
struct Counting {
    logs: Mutex<HashMap<String, Vec<u8>>>,
    open: AtomicUsize,
    most: AtomicUsize,
}

#[derive(Debug)]
struct CountingStore(Arc<Counting>);

struct Log(Arc<Counting>, String);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ResumeStore for CountingStore {
    fn open(&self, key: &str) -> Result<Box<dyn ResumeLog>, Error> {
        let open = self.0.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.most.fetch_max(open, Ordering::Relaxed);
        Ok(Box::new(Log(self.0.clone(), key.to_owned())))
    }

    fn list(&self) -> Result<Vec<StoredLog>, Error> {
        Ok(Vec::new())
    }

    fn remove(&self, key: &str) -> Result<(), Error> {
        self.0.logs.lock().unwrap().remove(key);
        Ok(())
    }
}

impl ResumeLog for Log {
    fn read(&mut self) -> Result<Vec<u8>, Error> {
        Ok(self.0.logs.lock().unwrap().get(&self.1).cloned().unwrap_or_default())
    }

    fn append(&mut self, lines: &[u8], _: bool) -> Result<(), Error> {
        self.0.logs.lock().unwrap().entry(self.1.clone()).or_default().extend(lines);
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Error> {
        self.0.logs.lock().unwrap().remove(&self.1);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_beyond_those_that_may_have_a_log_open_begin_when_others_are_over() {
    let bench = Bench::new();
    let logs = Arc::new(Counting::default());
    let gate = Gate::new(false);
    let builder = bench.builder().policy(whole_files()).store(Arc::new(CountingStore(logs.clone())));
    let client = builder.layer(Arc::new(gate.clone())).build().unwrap();
    let paths: Vec<_> = (0..300).map(|seed| bench.file(&format!("s{seed}"), 2000, seed)).collect();
    let uploads: Vec<_> = paths
        .iter()
        .enumerate()
        .map(|(seed, path)| {
            client.upload(Source::file(path).unwrap(), Target::root(format!("f{seed}"))).unwrap()
        })
        .collect();
    let told: Vec<_> = uploads
        .iter()
        .map(|upload| {
            upload.start();
            tokio::spawn({
                let upload = upload.clone();
                async move { upload.wait().await }
            })
        })
        .collect();
    gate.0.bodies.until(32).await;
    // Begun or not, it stops.
    uploads[299].pause();
    assert_eq!(uploads[299].wait().await.unwrap_err().kind(), ErrorKind::Paused);
    gate.0.open.send_replace(true);
    for (seed, upload) in told.into_iter().enumerate().take(299) {
        upload.await.unwrap().unwrap();
        assert!(bench.stored(&format!("f{seed}")).is_some(), "f{seed}");
    }
    // Those whose end is being told have theirs open for a moment more.
    let most = logs.most.load(Ordering::Relaxed);
    assert!(most <= 256 + 40, "{most} logs open at a time");
    assert_eq!(logs.open.load(Ordering::Relaxed), 0);
    assert!(logs.logs.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_nobody_has_asked_for_keep_nobody_from_beginning() {
    let bench = Bench::new();
    let logs = Arc::new(Counting::default());
    let builder = bench.builder().policy(whole_files()).store(Arc::new(CountingStore(logs)));
    let client = builder.build().unwrap();
    let path = bench.file("same", 2000, 0);
    let uploads: Vec<_> = (0..300)
        .map(|number| {
            let source = Source::file(&path).unwrap();
            client.upload(source, Target::root(format!("f{number}"))).unwrap()
        })
        .collect();
    uploads.iter().for_each(Upload::start);
    for upload in uploads.iter().rev() {
        let end = tokio::time::timeout(Duration::from_secs(60), upload.wait()).await;
        end.expect("it begins although others were not asked for").unwrap();
    }
}
