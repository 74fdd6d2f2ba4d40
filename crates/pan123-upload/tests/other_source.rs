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
        machine::{Event, Parallel},
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

/// An upload of ten slices, of which the service takes those before the sixth.
async fn interrupted(bench: &Bench, data: &[u8]) {
    let fault =
        Fault::new(Endpoint::Slice, Action::Status { status: 500, body: String::new(), retry_after: None });
    bench.script(vec![fault.slices(6..=10)]);
    let builder = bench.builder().parallel(Parallel::Exactly(1)).retry_for(Duration::ZERO);
    let upload = builder.build().unwrap().upload(Named::source(data).0, Target::root("f")).unwrap();
    let error = upload.wait().await.unwrap_err();
    assert!(error.is_resumable() && bench.requests(Endpoint::Slice).len() == 6, "{error:?}");
    bench.script(vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_digests_of_other_bytes_are_found_out_and_the_upload_starts_over() {
    let bench = Bench::new();
    let data = bytes(10 * SLICE, 1);
    interrupted(&bench, &data).await;
    let mut other = data.clone();
    other[8 * SLICE as usize] ^= 1;
    let upload = bench.client().upload(Named::source(&other).0, Target::root("f")).unwrap();
    let mut events = upload.events();
    let done = upload.wait().await.unwrap();
    assert_eq!(done.size, 10 * SLICE);
    assert!(bench.stored("f").unwrap() == other, "what the source has now");
    let mut restarts = Vec::new();
    while let Some(event) = events.recv().await {
        if let Event::Restart { reason } = event {
            restarts.push(reason);
        }
    }
    assert!(matches!(&restarts[..], [reason] if reason.contains("slice 9")), "{restarts:?}");
    assert_eq!(bench.requests(Endpoint::Create).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_digests_of_the_same_bytes_are_not_made_again() {
    let bench = Bench::new();
    let data = bytes(10 * SLICE, 1);
    interrupted(&bench, &data).await;
    // A slice is damaged on its way: that is no reason to think of another source.
    bench.script(vec![Fault { times: Some(1), ..Fault::new(Endpoint::Slice, damaged()) }]);
    let (source, read) = Named::source(&data);
    let upload = bench.client().upload(source, Target::root("f")).unwrap();
    upload.wait().await.unwrap();
    assert!(bench.stored("f").unwrap() == data);
    assert_eq!(bench.requests(Endpoint::Create).len(), 1);
    let read = read.load(Ordering::Relaxed);
    assert!(read <= 7 * SLICE, "five slices, and at most the damaged one twice more: {read} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_forgets_starts_over_with_digests_of_what_is_there() {
    let bench = Bench::new();
    let data = bytes(10 * SLICE, 1);
    interrupted(&bench, &data).await;
    let created = bench.requests(Endpoint::Slice)[0].preupload_id.clone().unwrap();
    bench.emulator.forget_upload(&created).unwrap();
    let other = bytes(10 * SLICE, 2);
    bench.client().upload(Named::source(&other).0, Target::root("f")).unwrap().wait().await.unwrap();
    assert!(bench.stored("f").unwrap() == other);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_change_after_they_were_hashed_are_a_source_that_changed() {
    let bench = Bench::with(|options| options.slice_size = 16 << 20);
    let (first, then) = (bytes(50_000, 1), bytes(50_000, 2));
    let (source, _) = Named::turning(&first, &then, 50_000);
    let error = bench.client().upload(source, Target::root("f")).unwrap().wait().await.unwrap_err();
    assert_eq!((error.kind(), error.slice_no()), (ErrorKind::SourceChanged, Some(1)), "{error:?}");
    assert!(error.to_string().contains("is not what was hashed"), "{error}");
    assert_eq!(bench.requests(Endpoint::Slice).len(), 1);
    assert_eq!(bench.stored("f"), None);
}
