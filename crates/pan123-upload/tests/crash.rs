//! A process that dies at a step of its journal: before a write, in the middle of it, after it. The run after it
//! goes on from there.
//!
//! The child is this test program again. Its resume store is the usual one in a wrapper that kills the process.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use pan123_emulator::Behaviour;
use pan123_upload::{
    Client, Error, JournalDir, ResumeLog, ResumeStore, Source, StaticToken, StoredLog, Target, Token,
    journal::Journal,
    proto::{
        Endpoint,
        machine::{Completed, Parallel},
    },
};
use support::{Bench, SLICE, bytes, impatient, upload};

const SLICES: u64 = 6;
const IN_FLIGHT: u32 = 2;

/// When in a write the process ends.
#[derive(Clone, Copy, Debug)]
enum When {
    Before,
    Halfway,
    After,
}
use When::{After, Before, Halfway};

/// The journal directory of a process that ends at its write number `at`.
#[derive(Debug)]
struct Deadly {
    inner: JournalDir,
    at: usize,
    when: When,
    writes: Arc<AtomicUsize>,
}

struct DeadlyLog {
    inner: Box<dyn ResumeLog>,
    path: PathBuf,
    at: usize,
    when: When,
    writes: Arc<AtomicUsize>,
}

fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    unreachable!("killed")
}

impl ResumeStore for Deadly {
    fn open(&self, key: &str) -> Result<Box<dyn ResumeLog>, Error> {
        let path = self.inner.path().join(format!("{key}.journal"));
        let (at, when, writes) = (self.at, self.when, self.writes.clone());
        Ok(Box::new(DeadlyLog { inner: self.inner.open(key)?, path, at, when, writes }))
    }

    fn list(&self) -> Result<Vec<StoredLog>, Error> {
        self.inner.list()
    }

    fn remove(&self, key: &str) -> Result<(), Error> {
        self.inner.remove(key)
    }
}

impl DeadlyLog {
    fn write<T>(&mut self, lines: &[u8], work: impl FnOnce(&mut Self) -> T) -> T {
        if self.writes.fetch_add(1, Ordering::SeqCst) != self.at {
            return work(self);
        }
        match self.when {
            Before => {}
            Halfway => {
                let mut file = fs::OpenOptions::new().append(true).open(&self.path).unwrap();
                file.write_all(&lines[..lines.len() * 2 / 3]).unwrap();
            }
            After => {
                work(self);
            }
        }
        die()
    }
}

impl ResumeLog for DeadlyLog {
    fn read(&mut self) -> Result<Vec<u8>, Error> {
        self.inner.read()
    }

    fn append(&mut self, lines: &[u8], durable: bool) -> Result<(), Error> {
        self.write(lines, |log| log.inner.append(lines, durable))
    }

    fn clear(&mut self) -> Result<(), Error> {
        self.write(b"", |log| log.inner.clear())
    }
}

const CHILD: &str = "PAN123_TEST_CRASH";

/// Not a test by itself: what the process that dies does.
#[test]
fn child_uploads_and_dies() {
    let Ok(order) = env::var(CHILD) else { return };
    let mut words = order.split('|');
    let mut word = || words.next().unwrap().to_owned();
    let (base_url, token, dir, at, when) = (word(), word(), word(), word(), word());
    let dir = Path::new(&dir);
    let when = [Before, Halfway, After].into_iter().find(|it| format!("{it:?}") == when).unwrap();
    let store = Deadly {
        inner: JournalDir::new(dir.join("journal")),
        at: at.parse().unwrap(),
        when,
        writes: Arc::default(),
    };
    let client = Client::builder()
        .base_url(base_url)
        .tokens(Arc::new(StaticToken::new(Token::new(token, None).unwrap())))
        .store(Arc::new(store))
        .policy(impatient())
        .parallel(Parallel::Exactly(IN_FLIGHT))
        .build()
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let upload = client.upload(Source::file(dir.join("f")).unwrap(), Target::root("f")).unwrap();
    runtime.block_on(upload.wait()).unwrap();
    println!("lived");
}

/// Runs a process that dies at this write; false if it was through before.
fn dies(bench: &Bench, at: usize, when: When) -> bool {
    let dir = bench.dir.path().display();
    let order = format!("{}|{}|{dir}|{at}|{when:?}", bench.emulator.base_url(), bench.emulator.token());
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child_uploads_and_dies", "--nocapture"])
        .env(CHILD, order)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let lived = String::from_utf8_lossy(&output.stdout).contains("lived");
    assert_eq!(lived, output.status.success());
    !lived
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_write_of_the_journal_is_the_last_the_next_run_goes_on() {
    let size = SLICES * SLICE - 5;
    let mut deaths = 0;
    for when in [Before, Halfway, After] {
        for at in 0.. {
            assert!(at < 50, "it never gets through");
            let bench = Bench::behaving(Behaviour { reuse: false, ..Behaviour::default() });
            let path = bench.file("f", size, at as u64);
            let died = dies(&bench, at, when);
            let what = format!("killed {when:?} write {at}");
            let slices = |bench: &Bench| {
                bench.requests(Endpoint::Slice).iter().filter(|it| it.code == Some(0)).count() as u64
            };
            let before = slices(&bench);
            if !died {
                assert_eq!((before, bench.journals()), (SLICES, 0), "{what}");
                break;
            }
            deaths += 1;
            if bench.stored("f").is_none() {
                upload(&bench.client(), &path, "f").await.unwrap_or_else(|error| panic!("{what}: {error}"));
                let creates = bench.requests(Endpoint::Create).len();
                // Write 0 is before the request, write 1 has its answer.
                let lost = at == 1 && !matches!(when, After);
                assert_eq!(creates, if lost { 2 } else { 1 }, "{what}: created");
                let again = slices(&bench) - SLICES;
                assert!(again <= u64::from(IN_FLIGHT), "{what}: {again} slices went twice");
            } else if let Some(done) = on_record(&bench) {
                // All that is left is to say so.
                tells(&bench, &path, &done, &what).await;
            } else if !bench.store().list().unwrap().is_empty() {
                // It died before it had that on record; the next run finds it out.
                let again = upload(&bench.client(), &path, "f").await;
                let again = again.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!((again.bytes_sent, slices(&bench)), (0, SLICES), "{what}");
                assert!(bench.stored("f(1)").is_none(), "{what}: stored twice");
            }
            assert!(bench.stored("f").unwrap() == bytes(size, at as u64), "{what}: other bytes");
            assert!(bench.store().list().unwrap().is_empty(), "{what}: something is left");
        }
    }
    // The header with the digests and that create is asked for, what it said, the digests by the slice size that it named, a line for
    // each slice, that it is to be completed, that it is, and forgetting it.
    assert_eq!(deaths, 3 * (1 + 1 + 1 + SLICES + 1 + 1 + 1));
}

/// What the journal says of an upload that is through.
fn on_record(bench: &Bench) -> Option<Completed> {
    let logs = bench.store().list().unwrap();
    Journal::decode(&logs.first()?.bytes).unwrap()?.done().cloned()
}

/// The next run gives the result on record without a word with the service, and once only.
async fn tells(bench: &Bench, path: &PathBuf, done: &Completed, what: &str) {
    bench.emulator.clear_requests();
    let told = upload(&bench.client(), path, "f").await.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(bench.emulator.requests().is_empty(), "{what}: {:?}", bench.emulator.requests());
    assert_eq!((told.file_id, told.etag, told.slices), (done.file_id, done.etag, done.slices), "{what}");
    assert!(told.earlier && told.bytes_sent == 0 && told.reused == done.reused, "{what}: {told:?}");
    assert_eq!(bench.journals(), 0, "{what}: told twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instant_upload_that_was_not_told_is_told_by_the_next_run() {
    let mut told = 0;
    for when in [Before, Halfway, After] {
        for at in 0.. {
            assert!(at < 10, "it never gets through");
            let bench = Bench::new();
            let path = bench.file("f", SLICE, 7);
            upload(&bench.client(), &path, "the same bytes").await.unwrap();
            bench.emulator.clear_requests();
            let died = dies(&bench, at, when);
            let what = format!("killed {when:?} write {at}");
            assert!(bench.requests(Endpoint::Slice).is_empty(), "{what}");
            if !died {
                assert_eq!(
                    (at, bench.journals()),
                    (3, 0),
                    "{what}: asking, that it is stored, and forgetting it"
                );
                break;
            }
            if let Some(done) = on_record(&bench) {
                assert!(done.reused, "{what}");
                tells(&bench, &path, &done, &what).await;
                told += 1;
            } else if bench.stored("f").is_none() || !bench.store().list().unwrap().is_empty() {
                let again = upload(&bench.client(), &path, "f").await;
                let again = again.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(!again.earlier && again.bytes_sent == 0, "{what}: {again:?}");
            }
            assert!(bench.stored("f").is_some() && bench.stored("f(1)").is_none(), "{what}");
        }
    }
    // Dead after it was on record, before it was forgotten, and while it was.
    assert_eq!(told, 3);
}
