//! Whole uploads against the emulator, judged by what it saw and stored.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use pan123_emulator::{
    Action, Behaviour, DuplicateSlices, Emulator, Fault, Faults, Options, Qps, Request, SliceAnswer,
};
use pan123_upload::{
    Client, ClientBuilder, ErrorKind, JournalDir, ResumeStore, Source, StaticToken, Target, Token, Upload,
    Uploaded,
    journal::Journal,
    proto::{
        Endpoint,
        machine::{Duplicate, Event, Policy, SingleUse, Stage},
    },
};

const SLICE: u64 = 64 << 10;

struct Bench {
    dir: tempfile::TempDir,
    emulator: Emulator,
}

impl Bench {
    fn new(behaviour: Behaviour) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::new(dir.path().join("drive"));
        options.slice_size = SLICE;
        options.faults = Faults { behaviour, ..Faults::default() };
        Self { emulator: Emulator::start(options).unwrap(), dir }
    }

    fn with_fault(fault: Fault) -> Self {
        let bench = Self::new(Behaviour::default());
        bench.emulator.add_fault(fault).unwrap();
        bench
    }

    fn builder(&self) -> ClientBuilder {
        let token = Token::new(self.emulator.token(), None).unwrap();
        let policy = Policy {
            single: SingleUse::Never,
            backoff_first: Duration::from_millis(5),
            poll_every: Duration::from_millis(20),
            ..Policy::default()
        };
        Client::builder()
            .base_url(self.emulator.base_url())
            .tokens(Arc::new(StaticToken::new(token)))
            .store(Arc::new(JournalDir::new(self.dir.path().join("journal"))))
            .policy(policy)
            .vip_rates(true)
    }

    fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    fn file(&self, name: &str, len: u64, seed: u64) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes(len, seed)).unwrap();
        path
    }

    fn stored(&self, path: &str) -> Vec<u8> {
        fs::read(self.dir.path().join("drive/files").join(path)).unwrap()
    }

    fn requests(&self, endpoint: Endpoint) -> Vec<Request> {
        self.emulator.requests().into_iter().filter(|request| request.endpoint == Some(endpoint)).collect()
    }
}

fn bytes(len: u64, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len as usize];
    rng.fill(&mut bytes);
    bytes
}

async fn upload_file(client: &Client, path: &PathBuf, name: &str) -> Result<Uploaded, pan123_upload::Error> {
    client.upload(Source::file(path)?, Target::root(name))?.wait().await
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_awkward_size_arrive_whole() {
    let bench = Bench::new(Behaviour::default());
    let client = bench.client();
    for (index, size) in [1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE, 7 * SLICE + 13].into_iter().enumerate() {
        let name = format!("f{index}");
        let path = bench.file(&name, size, index as u64);
        let done = upload_file(&client, &path, &name).await.unwrap();
        assert_eq!(u64::from(done.slices), size.div_ceil(SLICE));
        assert_eq!((done.size, done.bytes_sent, done.reused), (size, size, false));
        assert!(bench.stored(&name) == bytes(size, index as u64), "{name}");
    }
    for request in bench.requests(Endpoint::Slice) {
        assert!(!request.chunked && request.content_length == Some(request.bytes), "{request:?}");
    }
    assert!(
        fs::read_dir(bench.dir.path().join("journal")).unwrap().all(|entry| entry
            .unwrap()
            .metadata()
            .unwrap()
            .len()
            == 0),
        "nothing is left to resume"
    );
}

#[tokio::test]
async fn one_thread_is_enough() {
    let bench = Bench::new(Behaviour::default());
    let path = bench.file("f", 10 * SLICE, 1);
    upload_file(&bench.client(), &path, "f").await.unwrap();
    assert!(bench.stored("f") == bytes(10 * SLICE, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_the_service_has_are_not_sent_again() {
    let bench = Bench::new(Behaviour::default());
    let client = bench.client();
    let path = bench.file("f", 3 * SLICE, 1);
    upload_file(&client, &path, "a").await.unwrap();
    let sent = bench.requests(Endpoint::Slice).len();
    let again = upload_file(&client, &path, "b").await.unwrap();
    assert!(again.reused);
    assert_eq!((again.bytes_sent, again.slices), (0, 0));
    assert_eq!(bench.requests(Endpoint::Slice).len(), sent);
    assert!(bench.stored("b") == bytes(3 * SLICE, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_a_source_and_progress_never_falls() {
    let bench = Bench::new(Behaviour { total_bytes_per_sec: 4 << 20, ..Behaviour::default() });
    let data = bytes(20 * SLICE, 5);
    let upload = bench.client().upload(Source::bytes(data.clone()), Target::root("m")).unwrap();
    let mut events = upload.events();
    upload.start();
    let mut last = upload.progress();
    let mut seen_apart = false;
    let ended = loop {
        tokio::select! {
            ended = upload.wait_for(Duration::from_millis(10)) => if let Some(ended) = ended { break ended },
        }
        let now = upload.progress();
        assert!(now.stage >= last.stage && now.bytes_hashed >= last.bytes_hashed, "{last:?} {now:?}");
        assert!(now.bytes_sent >= last.bytes_sent && now.bytes_acknowledged >= last.bytes_acknowledged);
        assert!(now.bytes_acknowledged <= now.bytes_sent && now.bytes_sent <= now.bytes_total);
        seen_apart |= now.bytes_sent > now.bytes_acknowledged;
        last = now;
    };
    ended.unwrap();
    assert!(seen_apart, "sent runs ahead of acknowledged");
    let done = upload.progress();
    assert_eq!((done.stage, done.bytes_acknowledged, done.slices_done), (Stage::Done, 20 * SLICE, 20));
    let mut slices = 0;
    while let Some(event) = events.recv().await {
        slices += u32::from(matches!(event, Event::Slice { .. }));
    }
    assert_eq!(slices, 20);
    assert!(bench.stored("m") == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loose_service_is_understood() {
    for behaviour in [
        Behaviour { slice_answer: SliceAnswer::Empty, ids_as_strings: true, ..Behaviour::default() },
        Behaviour { complete_pending: 3, complete_unfinished: 2, ..Behaviour::default() },
        Behaviour { refusals_as_http: true, qps: Qps::Free, ..Behaviour::default() },
        Behaviour {
            dead_servers: vec![0],
            duplicate_slices: DuplicateSlices::Refuse,
            ..Behaviour::default()
        },
        Behaviour { require_content_length: true, latency_ms: 5, ..Behaviour::default() },
    ] {
        let bench = Bench::new(behaviour.clone());
        let path = bench.file("f", 5 * SLICE + 1, 3);
        let done = upload_file(&bench.client(), &path, "f").await;
        done.unwrap_or_else(|error| panic!("{error} with {behaviour:?}"));
        assert!(bench.stored("f") == bytes(5 * SLICE + 1, 3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passing_fault_is_survived_and_told() {
    let bench = Bench::with_fault(Fault::new(Endpoint::Slice, Action::Reset).slices(2..=3).attempts(1..=2));
    let path = bench.file("f", 5 * SLICE, 3);
    let upload = bench.client().upload(Source::file(&path).unwrap(), Target::root("f")).unwrap();
    let mut events = upload.events();
    upload.wait().await.unwrap();
    assert!(bench.stored("f") == bytes(5 * SLICE, 3));
    let mut retried = vec![];
    while let Some(event) = events.recv().await {
        if let Event::Retry { slice_no, attempt, .. } = event {
            retried.push((slice_no.unwrap(), attempt));
        }
    }
    retried.sort_unstable();
    assert_eq!(retried, [(2, 1), (2, 2), (3, 1), (3, 2)]);
    assert_eq!(upload.progress().retries, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_a_login_failure_with_the_services_words() {
    let bench = Bench::new(Behaviour::default());
    let path = bench.file("f", SLICE, 3);
    let token = Token::new("wrong", None).unwrap();
    let client = bench.builder().tokens(Arc::new(StaticToken::new(token))).build().unwrap();
    let error = upload_file(&client, &path, "f").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Login);
    assert_eq!(error.code(), Some(401));
    assert!(error.trace_id().is_some() && !error.advice().is_empty(), "{error:?}");
    assert!(!format!("{error:?}").contains("wrong"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_follow_the_target() {
    let bench = Bench::new(Behaviour { reuse: false, ..Behaviour::default() });
    let client = bench.client();
    let path = bench.file("f", SLICE, 3);
    upload_file(&client, &path, "f").await.unwrap();
    let other = bench.file("g", SLICE, 4);
    let error = upload_file(&client, &other, "f").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    for (duplicate, name) in [(Duplicate::Overwrite, "f"), (Duplicate::KeepBoth, "f")] {
        let target = Target { duplicate: Some(duplicate), ..Target::root(name) };
        client.upload(Source::file(&other).unwrap(), target).unwrap().wait().await.unwrap();
        assert!(bench.stored("f") == bytes(SLICE, 4));
    }
    let nested = Target { contain_dir: true, ..Target::root("/a/b c/文件.bin") };
    client.upload(Source::file(&path).unwrap(), nested).unwrap().wait().await.unwrap();
    assert!(bench.stored("a/b c/文件.bin") == bytes(SLICE, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changes_under_way_is_never_a_success() {
    let bench = Bench::new(Behaviour { total_bytes_per_sec: 2 << 20, ..Behaviour::default() });
    for change in ["truncate", "append", "overwrite", "replace", "remove"] {
        let path = bench.file("f", 40 * SLICE, 3);
        let upload = bench.client().upload(Source::file(&path).unwrap(), Target::root(change)).unwrap();
        let mut events = upload.events();
        upload.start();
        while !matches!(events.recv().await, Some(Event::Slice { .. })) {}
        let file = || fs::OpenOptions::new().write(true).open(&path).unwrap();
        match change {
            "truncate" => file().set_len(SLICE * 30).unwrap(),
            "append" => file().set_len(SLICE * 41).unwrap(),
            "overwrite" => fs::write(&path, bytes(40 * SLICE, 9)).unwrap(),
            "replace" => {
                let other = bench.file("other", 40 * SLICE, 3);
                fs::rename(other, &path).unwrap();
            }
            _ => fs::remove_file(&path).unwrap(),
        }
        let error = upload.wait().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SourceChanged, "{change}: {error}");
        assert!(!bench.dir.path().join("drive/files").join(change).exists(), "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_ends_soon_and_a_later_run_goes_on() {
    let bench = Bench::new(Behaviour { total_bytes_per_sec: 1 << 20, ..Behaviour::default() });
    let path = bench.file("f", 40 * SLICE, 3);
    let upload: Upload = bench.client().upload(Source::file(&path).unwrap(), Target::root("f")).unwrap();
    let mut events = upload.events();
    upload.start();
    let mut done = 0;
    while done < 5 {
        done += u32::from(matches!(events.recv().await, Some(Event::Slice { .. })));
    }
    upload.cancel();
    let ended = upload.wait_for(Duration::from_millis(250)).await.expect("within 250 ms");
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Cancelled);
    let (acknowledged, _) = (upload.progress().slices_done, ());
    let before = bench.requests(Endpoint::Slice).iter().filter(|request| request.code == Some(0)).count();
    assert!(before as u32 >= acknowledged);

    bench.emulator.set_faults(Faults::default()).unwrap();
    let again = upload_file(&bench.client(), &path, "f").await.unwrap();
    assert_eq!(bench.requests(Endpoint::Create).len(), 1, "the upload is known already");
    assert_eq!(again.bytes_sent, u64::from(40 - acknowledged) * SLICE);
    let taken = bench.requests(Endpoint::Slice).iter().filter(|request| request.code == Some(0)).count();
    assert!(taken <= 40 + 4, "{taken} slices taken: more than those under way at the end went again");
    assert!(bench.stored("f") == bytes(40 * SLICE, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_files_go_in_one_request_each_while_create_has_to_wait() {
    let bench = Bench::new(Behaviour { qps: Qps::Free, ..Behaviour::default() });
    let client = bench.builder().policy(Policy::default()).vip_rates(false).build().unwrap();
    let uploads: Vec<Upload> = (0..30)
        .map(|n| client.upload(Source::bytes(bytes(100 + n, n)), Target::root(format!("f{n}"))).unwrap())
        .collect();
    uploads.iter().for_each(Upload::start);
    for (n, upload) in (0..).zip(&uploads) {
        upload.wait().await.unwrap();
        assert!(bench.stored(&format!("f{n}")) == bytes(100 + n, n));
    }
    assert!(bench.requests(Endpoint::Create).len() < 5);
    assert!(bench.requests(Endpoint::Single).len() > 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bandwidth_cap_holds_and_can_be_lifted_under_way() {
    let bench = Bench::new(Behaviour::default());
    let client = bench.builder().bytes_per_sec(Some(SLICE)).build().unwrap();
    let upload = client.upload(Source::bytes(bytes(64 * SLICE, 1)), Target::root("f")).unwrap();
    upload.start();
    assert!(upload.wait_for(Duration::from_millis(500)).await.is_none(), "64 s at the cap");
    assert!(upload.progress().bytes_sent <= 4 * SLICE, "{:?}", upload.progress());
    client.set_bytes_per_sec(None);
    upload.wait().await.unwrap();
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_anything_is_sent() {
    let bench = Bench::new(Behaviour::default());
    let client = bench.client();
    let empty = bench.file("empty", 0, 0);
    let refused = |result: Result<Upload, pan123_upload::Error>| result.unwrap_err().kind();
    assert_eq!(refused(client.upload(Source::file(empty).unwrap(), Target::root("f"))), ErrorKind::Source);
    for name in ["", "a/b", "a*b", "  ", &"x".repeat(256)] {
        assert_eq!(
            refused(client.upload(Source::bytes("x"), Target::root(name))),
            ErrorKind::Name,
            "{name:?}"
        );
    }
    let huge = fs::File::create(bench.dir.path().join("huge")).unwrap();
    huge.set_len(11 << 30).unwrap();
    assert_eq!(
        refused(client.upload(Source::file(bench.dir.path().join("huge")).unwrap(), Target::root("f"))),
        ErrorKind::Source
    );
    assert_eq!(Source::file(bench.dir.path().join("none")).unwrap_err().kind(), ErrorKind::Source);
    assert_eq!(Source::file(bench.dir.path()).unwrap_err().kind(), ErrorKind::Source);
    for url in ["", "ftp://x", "http://", "https://user@x"] {
        assert_eq!(bench.builder().base_url(url).build().unwrap_err().kind(), ErrorKind::Usage, "{url}");
    }
    assert_eq!(Client::builder().build().unwrap_err().kind(), ErrorKind::Usage);
    assert!(bench.emulator.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_did_not_change_is_not_hashed_again() {
    let bench = Bench::new(Behaviour::default());
    let path = bench.file("f", 2 << 20, 1);
    // Stamped in the past: a file written this very moment is not remembered, because it may be again.
    let past = std::time::SystemTime::now() - Duration::from_secs(60);
    fs::File::options().write(true).open(&path).unwrap().set_modified(past).unwrap();
    let cache = bench.dir.path().join("digests");
    let client = bench.builder().digest_cache(&cache).build().unwrap();
    let first = upload_file(&client, &path, "a").await.unwrap();
    let kept = || fs::read_dir(&cache).map(|dir| dir.count()).unwrap_or(0);
    for n in 0..200 {
        if kept() > 0 {
            break;
        }
        // The time of the last change of the inode is the moment of `set_modified`; it settles soon.
        upload_file(&client, &path, &format!("b{n}")).await.unwrap();
    }
    assert!(kept() > 0);
    let upload = client.upload(Source::file(&path).unwrap(), Target::root("c")).unwrap();
    assert_eq!(upload.wait().await.unwrap().etag, first.etag);

    fs::File::options().write(true).open(&path).unwrap().set_modified(past).unwrap();
    fs::write(&path, bytes(2 << 20, 2)).unwrap();
    assert_ne!(upload_file(&client, &path, "d").await.unwrap().etag, first.etag, "a changed file is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_kept_is_given_again_until_it_is_forgotten() {
    let bench = Bench::new(Behaviour::default());
    let (client, path) = (bench.client(), bench.file("f", 2 * SLICE, 1));
    let store = JournalDir::new(bench.dir.path().join("journal"));
    let new = || client.upload(Source::file(&path).unwrap(), Target::root("f")).unwrap();
    let first = new();
    assert_eq!(first.kept().await, None, "it is not over");
    let done = first.outcome().await.unwrap();
    assert!(!done.earlier);
    let key = first.kept().await.unwrap();
    assert_eq!(first.kept().await, None, "there is nothing more to keep");
    first.delivered().await;

    let listed = || {
        let mut logs = store.list().unwrap();
        let log = logs.pop().unwrap();
        assert!(logs.is_empty() && !log.busy && log.key == key, "{logs:?} {}", log.key);
        log.bytes
    };
    let kept = listed();
    let journal = Journal::decode(&kept).unwrap().unwrap();
    assert!(journal.told_unix_ms.is_some());
    assert_eq!(journal.done().unwrap().file_id, done.file_id);

    bench.emulator.clear_requests();
    for _ in 0..2 {
        let again = new();
        let given = again.outcome().await.unwrap();
        assert_eq!((given.file_id, given.earlier, given.bytes_sent), (done.file_id, true, 0));
        assert_eq!(again.kept().await.as_ref(), Some(&key));
        assert!(listed() == kept, "it was told when it was told first");
    }
    assert!(bench.emulator.requests().is_empty());

    // Told by one that does not keep it, or forgotten by its key: the next one is a new upload.
    assert!(new().wait().await.unwrap().earlier);
    let overwrite = || {
        let target = Target { duplicate: Some(Duplicate::Overwrite), ..Target::root("f") };
        client.upload(Source::file(&path).unwrap(), target).unwrap()
    };
    let upload = overwrite();
    assert!(!upload.outcome().await.unwrap().earlier);
    assert_eq!(upload.kept().await.as_ref(), Some(&key));
    store.remove(&key).unwrap();
    assert!(!overwrite().wait().await.unwrap().earlier);

    // What failed, and what no store knows, leaves nothing to keep.
    let failed =
        client.upload(Source::file(&path).unwrap(), Target { parent_id: 99, ..Target::root("f") }).unwrap();
    failed.outcome().await.unwrap_err();
    let forgetful = client.upload(Source::bytes("x"), Target::root("x")).unwrap();
    forgetful.outcome().await.unwrap();
    assert_eq!((failed.kept().await, forgetful.kept().await), (None, None));
}
