//! A disk or a share that stops giving bytes, while the file is hashed or while it goes out.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use pan123_emulator::Behaviour;
use pan123_upload::{
    Error, ErrorKind, Identity, Source, SourceRead, Target, Uploaded,
    proto::{Endpoint, machine::Event},
    transport::ReadAt,
};
use support::{Bench, SLICE, words};

const SLICES: u64 = 40;

/// Reads from this offset on fail as they do on a broken disk.
struct Disk {
    data: Bytes,
    broken_from: AtomicU64,
}

impl ReadAt for Disk {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if offset + buf.len() as u64 > self.broken_from.load(Ordering::SeqCst) {
            // EIO
            return Err(io::Error::from_raw_os_error(5));
        }
        self.data.read_at(offset, buf)
    }
}

impl SourceRead for Disk {
    fn size(&self) -> u64 {
        self.data.len() as u64
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity { size: self.size(), mtime_ns: 1, ctime_ns: 1, inode: 1, device: 1 })
    }

    fn describe(&self) -> String {
        "/mnt/old/film.mkv".into()
    }

    fn resume_name(&self) -> Option<String> {
        Some("film".into())
    }
}

fn disk(broken_from: u64) -> Arc<Disk> {
    let data = support::bytes(SLICES * SLICE, 1).into();
    Arc::new(Disk { data, broken_from: broken_from.into() })
}

async fn upload(bench: &Bench, disk: &Arc<Disk>, dies_at: Option<u64>) -> Result<Uploaded, Error> {
    let source = Source::custom(disk.clone());
    let upload = bench.client().upload(source, Target::root("f")).unwrap();
    let mut events = upload.events();
    upload.start();
    if let Some(offset) = dies_at {
        while !matches!(events.recv().await, Some(Event::Slice { done: 4, .. })) {}
        disk.broken_from.store(offset, Ordering::SeqCst);
    }
    upload.wait().await
}

#[track_caller]
fn judge(error: &Error, step: &str) {
    assert_eq!(
        (error.kind(), error.kind().exit_code(), error.step()),
        (ErrorKind::Source, 4, step),
        "{error:?}"
    );
    let words = words(error);
    for word in ["/mnt/old/film.mkv", "Input/output error", "run the same command again"] {
        assert!(words.contains(word), "no {word:?} in {words}");
    }
    assert!(!words.contains("writes to"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_while_the_file_is_hashed_is_named_before_anything_is_sent() {
    let bench = Bench::new();
    let error = upload(&bench, &disk(7 * SLICE), None).await.unwrap_err();
    judge(&error, "hash");
    assert!(!error.is_resumable());
    assert!(bench.emulator.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_while_the_file_goes_out_is_named_and_the_next_run_goes_on() {
    let bench =
        Bench::behaving(Behaviour { total_bytes_per_sec: 2 << 20, reuse: false, ..Behaviour::default() });
    let disk = disk(u64::MAX);
    let error = upload(&bench, &disk, Some(20 * SLICE)).await.unwrap_err();
    judge(&error, "slice");
    assert!(error.is_resumable(), "{error:?}");
    assert!(bench.stored("f").is_none());
    let taken = || bench.requests(Endpoint::Slice).iter().filter(|it| it.code == Some(0)).count() as u64;
    let before = taken();

    disk.broken_from.store(u64::MAX, Ordering::SeqCst);
    upload(&bench, &disk, None).await.unwrap();
    assert!(bench.stored("f").unwrap() == disk.data);
    assert_eq!(bench.requests(Endpoint::Create).len(), 1);
    assert!(before >= 4 && taken() <= SLICES + 4, "{before} slices, then {}", taken());
}
