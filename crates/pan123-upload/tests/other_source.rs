//! Sources that nothing tells apart but their bytes: what becomes of an upload whose bytes are others than it began with.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pan123_emulator::{Action, Fault};
use pan123_upload::{
    ErrorKind, Identity, Source, SourceRead, Target,
    proto::{
        Endpoint,
        machine::{Duplicate, Event, Parallel},
    },
    transport::ReadAt,
};
use support::{Bench, SLICE, bytes};

/// Bytes with a name, and no identity. After so many bytes were read it has others.
struct Named {
    first: Vec<u8>,
    then: Vec<u8>,
    left: AtomicU64,
    read: Arc<AtomicU64>,
}

impl Named {
    fn source(data: &[u8]) -> (Source, Arc<AtomicU64>) {
        Self::turning(data, data, u64::MAX)
    }

    fn turning(first: &[u8], then: &[u8], after: u64) -> (Source, Arc<AtomicU64>) {
        let read = Arc::<AtomicU64>::default();
        let (first, then, left) = (first.to_vec(), then.to_vec(), AtomicU64::new(after));
        (Source::custom(Arc::new(Self { first, then, left, read: read.clone() })), read)
    }
}

impl ReadAt for Named {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let data = if self.left.load(Ordering::Relaxed) > 0 { &self.first } else { &self.then };
        let rest = &data[(offset as usize).min(data.len())..];
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.read.fetch_add(len as u64, Ordering::Relaxed);
        let left = self.left.load(Ordering::Relaxed).saturating_sub(len as u64);
        self.left.store(left, Ordering::Relaxed);
        Ok(len)
    }
}

impl SourceRead for Named {
    fn size(&self) -> u64 {
        self.first.len() as u64
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity { size: self.size(), mtime_ns: 0, ctime_ns: 0, inode: 0, device: 0 })
    }

    fn describe(&self) -> String {
        "bytes of a test".into()
    }

    fn resume_name(&self) -> Option<String> {
        Some("the test's bytes".into())
    }
}

/// What the service says of a slice whose bytes do not fit its MD5.
fn damaged() -> Action {
    Action::Code {
        code: 1,
        message: "分片6的md5不一致".into(),
        data: serde_json::Value::Null,
        status: 200,
        retry_after: None,
    }
}

/// Where the first bytes may be, so that the others take their place.
fn target() -> Target {
    Target { duplicate: Some(Duplicate::Overwrite), ..Target::root("f") }
}

/// An upload of ten slices, of which the service takes those before the sixth.
async fn interrupted(bench: &Bench, data: &[u8]) {
    let fault =
        Fault::new(Endpoint::Slice, Action::Status { status: 500, body: String::new(), retry_after: None });
    bench.script(vec![fault.slices(6..=10)]);
    let builder = bench.builder().parallel(Parallel::Exactly(1)).retry_for(Duration::ZERO);
    let upload = builder.build().unwrap().upload(Named::source(data).0, target()).unwrap();
    let error = upload.wait().await.unwrap_err();
    assert!(error.is_resumable() && bench.requests(Endpoint::Slice).len() == 6, "{error:?}");
    bench.script(vec![]);
}

/// An upload of which the service has every slice, and has not said that it is complete.
async fn not_completed(bench: &Bench, data: &[u8]) {
    let busy = Action::Status { status: 500, body: String::new(), retry_after: None };
    bench.script(vec![Fault::new(Endpoint::Complete, busy)]);
    let client = bench.builder().retry_for(Duration::ZERO).build().unwrap();
    let error = client.upload(Named::source(data).0, target()).unwrap().wait().await.unwrap_err();
    assert!(error.is_resumable() && error.step() == "upload_complete", "{error:?}");
    bench.script(vec![]);
}

/// An upload that went well, in a process that ended before anybody was told.
async fn untold(bench: &Bench, data: &[u8]) {
    let upload = bench.client().upload(Named::source(data).0, target()).unwrap();
    upload.outcome().await.unwrap();
}

/// Uploads other bytes to where `before` was meant to go, and expects them to be stored, after a restart.
async fn expect_other(bench: &Bench, other: &[u8], what: &str) {
    let upload = bench.client().upload(Named::source(other).0, target()).unwrap();
    let mut events = upload.events();
    let done = upload.wait().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    assert!(!done.earlier, "{what}");
    assert!(bench.stored("f").unwrap() == other, "{what}: what the source has now");
    let mut restarts = Vec::new();
    while let Some(event) = events.recv().await {
        if let Event::Restart { reason } = event {
            restarts.push(reason);
        }
    }
    assert!(matches!(&restarts[..], [reason] if reason.contains("etag")), "{what}: {restarts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_digests_of_other_bytes_are_found_out_and_the_upload_starts_over() {
    let data = bytes(10 * SLICE, 1);
    // A slice that the service has, and one that it lacks.
    for slice in [0, 8] {
        let mut other = data.clone();
        other[slice * SLICE as usize] ^= 1;
        let bench = Bench::new();
        interrupted(&bench, &data).await;
        expect_other(&bench, &other, "interrupted").await;
        let bench = Bench::new();
        not_completed(&bench, &data).await;
        expect_other(&bench, &other, "not completed").await;
        let bench = Bench::new();
        untold(&bench, &data).await;
        expect_other(&bench, &other, "untold").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_over_that_ends_early_leaves_nothing_of_the_other_bytes_behind() {
    let (data, other) = (bytes(10 * SLICE, 1), bytes(10 * SLICE, 2));
    let bench = Bench::new();
    untold(&bench, &data).await;
    let busy = Action::Status { status: 500, body: String::new(), retry_after: None };
    bench.script(vec![Fault::new(Endpoint::Slice, busy)]);
    let client = bench.builder().retry_for(Duration::ZERO).build().unwrap();
    client.upload(Named::source(&other).0, target()).unwrap().wait().await.unwrap_err();
    bench.script(vec![]);
    let creates = bench.requests(Endpoint::Create).len();
    bench.client().upload(Named::source(&other).0, target()).unwrap().wait().await.unwrap();
    assert!(bench.stored("f").unwrap() == other);
    assert_eq!(bench.requests(Endpoint::Create).len(), creates, "it goes on from the second run");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_are_read_once_more_and_nothing_is_sent_again() {
    let bench = Bench::new();
    let data = bytes(10 * SLICE, 1);
    interrupted(&bench, &data).await;
    let (source, read) = Named::source(&data);
    let upload = bench.client().upload(source, target()).unwrap();
    let mut events = upload.events();
    upload.wait().await.unwrap();
    assert!(bench.stored("f").unwrap() == data);
    assert_eq!(bench.requests(Endpoint::Create).len(), 1);
    assert_eq!(bench.requests(Endpoint::Slice).len(), 6 + 5);
    assert_eq!(read.load(Ordering::Relaxed), (10 + 5) * SLICE);
    while let Some(event) = events.recv().await {
        assert!(!matches!(event, Event::Restart { .. }), "{event:?}");
    }
    let bench = Bench::new();
    untold(&bench, &data).await;
    let upload = bench.client().upload(Named::source(&data).0, target()).unwrap();
    assert!(upload.wait().await.unwrap().earlier);
    assert_eq!(bench.requests(Endpoint::Create).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_goes_on_in_the_same_process_does_not_read_the_source_again() {
    let bench = Bench::new();
    let data = bytes(10 * SLICE, 1);
    bench.script(vec![Fault::new(Endpoint::Slice, Action::Hang).slices(6..=10)]);
    let client = bench.builder().parallel(Parallel::Exactly(1)).build().unwrap();
    let (source, read) = Named::source(&data);
    let first = client.upload(source.clone(), target()).unwrap();
    let mut events = first.events();
    first.start();
    while !matches!(events.recv().await.unwrap(), Event::Slice { done: 5, .. }) {}
    first.pause();
    first.wait().await.unwrap_err();
    let before = first.progress();
    assert!(before.slices_done == 5 && before.bytes_hashed == 10 * SLICE, "{before:?}");
    bench.script(vec![]);
    let read_before = read.load(Ordering::Relaxed);
    let second = client.upload(source, target()).unwrap();
    second.goes_on_from(&first);
    assert_eq!(second.progress(), before, "before it was started");
    second.wait().await.unwrap();
    assert!(bench.stored("f").unwrap() == data);
    assert_eq!(read.load(Ordering::Relaxed) - read_before, 5 * SLICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slice_that_is_damaged_on_its_way_is_no_reason_to_think_of_another_source() {
    let bench = Bench::new();
    let data = bytes(10 * SLICE, 1);
    bench.script(vec![Fault { times: Some(1), ..Fault::new(Endpoint::Slice, damaged()) }]);
    bench.client().upload(Named::source(&data).0, target()).unwrap().wait().await.unwrap();
    assert!(bench.stored("f").unwrap() == data);
    assert_eq!(bench.requests(Endpoint::Create).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_forgets_starts_over_with_digests_of_what_is_there() {
    let bench = Bench::new();
    let data = bytes(10 * SLICE, 1);
    interrupted(&bench, &data).await;
    let created = bench.requests(Endpoint::Slice)[0].preupload_id.clone().unwrap();
    bench.emulator.forget_upload(&created).unwrap();
    let other = bytes(10 * SLICE, 2);
    bench.client().upload(Named::source(&other).0, target()).unwrap().wait().await.unwrap();
    assert!(bench.stored("f").unwrap() == other);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_change_after_they_were_hashed_are_a_source_that_changed() {
    let bench = Bench::with(|options| options.slice_size = 16 << 20);
    let (first, then) = (bytes(50_000, 1), bytes(50_000, 2));
    let (source, _) = Named::turning(&first, &then, 50_000);
    let error = bench.client().upload(source, target()).unwrap().wait().await.unwrap_err();
    assert_eq!((error.kind(), error.slice_no()), (ErrorKind::SourceChanged, Some(1)), "{error:?}");
    assert!(error.to_string().contains("is not what was hashed"), "{error}");
    assert_eq!(bench.requests(Endpoint::Slice).len(), 1);
    assert_eq!(bench.stored("f"), None);
}
