//! Uploads of several files through one client, a few at a time.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pan123_upload::{
    Client, Error, ErrorKind, ResumeLog, ResumeStore, Source, Target, Upload, Uploaded,
    journal::{self, Journal},
};
use serde::Serialize;
use tokio::{
    sync::mpsc::Receiver,
    task::{JoinError, JoinSet},
    time::{Instant, MissedTickBehavior},
};

use crate::{
    console::Console,
    interrupt::Interrupt,
    local::Local,
    report::{EVERY, Report},
};

/// Files in flight. One is hashed while another is sent and a third waits for its check; what goes over
/// the line is the client's to divide.
const FILES: usize = 4;

/// An interrupted upload that has not ended by then is left where it is.
const STOP_WITHIN: Duration = Duration::from_millis(250);

/// How long a result may wait for its reader.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// How long to wait for a store that is to forget an upload.
const FORGET_WITHIN: Duration = Duration::from_secs(2);

/// A file to upload.
pub(crate) struct Job {
    pub(crate) path: PathBuf,
    /// What is to be done with it, or why nothing can be.
    pub(crate) task: Result<Task, Error>,
}

/// What is to be done with a file.
pub(crate) enum Task {
    /// It goes there.
    Upload(Target),
    /// An earlier run has stored it, and ended before it could say so: that is to be told. This store has it on record
    /// under this key.
    Tell(Arc<dyn ResumeStore>, String),
}

/// A file that is stored, and nobody was told yet.
struct Done {
    record: OnRecord,
    uploaded: Uploaded,
    /// Where the emulator keeps it.
    kept: Option<String>,
}

/// What has it on record that a file is stored, until it is told.
enum OnRecord {
    Upload(Upload),
    Log(Box<dyn ResumeLog>),
}

/// What a batch of uploads needs.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) console: Console,
    pub(crate) client: Client,
    pub(crate) interrupt: Interrupt,
    /// There may be more than one file.
    pub(crate) many: bool,
    pub(crate) told: Told,
    /// The emulator that it all goes to.
    pub(crate) local: Option<Arc<Local>>,
}

/// What becomes of the journal of a file that is stored and told.
#[derive(Clone)]
pub(crate) enum Told {
    /// It goes: the next run is a new upload.
    Forget,
    /// It goes from this store when all files of the command are through. Until then the same command again tells it
    /// once more, instead of sending the file again.
    ForgetTogether(Arc<dyn ResumeStore>),
    /// It stays, for another command.
    Keep,
}

/// A file that is stored and told, and the key of its journal if that has to go yet.
type Ended = Result<(Uploaded, Option<String>), ErrorKind>;

/// How a batch ended; also its last line with `--json`.
#[derive(Default, Serialize)]
struct Summary {
    event: &'static str,
    completed: u64,
    failed: u64,
    bytes_sent: u64,
    elapsed_ms: u64,
    exit_code: u8,
}

/// Files that were left for another run.
#[derive(Serialize)]
struct NotBegun {
    event: &'static str,
    files: u64,
    /// Why the last one that was begun failed.
    kind: &'static str,
    advice: &'static str,
}

impl Batch {
    /// Uploads all files that come out of `jobs`. Returns the exit code: the highest of all files.
    ///
    /// A file that gave up because nothing gets through holds up those that have not begun, so that each does not wait
    /// as long for the same: they begin if another file gets through yet, and are left if none does.
    pub(crate) async fn run(self, mut jobs: Receiver<Job>) -> u8 {
        let started = Instant::now();
        let mut summary = Summary { event: "summary", ..Summary::default() };
        let mut running = JoinSet::<Ended>::new();
        let (mut more, mut stopping) = (true, false);
        let (mut stuck, mut not_begun) = (None, 0);
        let mut kept = Vec::new();
        while more || !running.is_empty() {
            tokio::select! {
                biased;
                () = self.interrupt.asked(), if !stopping => {
                    self.console.note("interrupted: stopping; once more ends it at once");
                    if more {
                        summary.exit_code = ErrorKind::Cancelled.exit_code();
                    }
                    (more, stopping) = (false, true);
                }
                Some(ended) = running.join_next() => {
                    match &ended {
                        Ok(Ok((uploaded, _))) if !uploaded.earlier => stuck = None,
                        Ok(Err(kind @ (ErrorKind::Network | ErrorKind::RateLimited))) => stuck = Some(*kind),
                        _ => {}
                    }
                    kept.extend(summary.add(ended));
                }
                job = jobs.recv(), if more && running.len() < if stuck.is_none() { FILES } else { 1 } => match job {
                    Some(_) if stuck.is_some() => not_begun += 1,
                    Some(job) => drop(running.spawn(self.clone().upload(job))),
                    None => more = false,
                },
            }
        }
        if let (Some(kind), 1..) = (stuck, not_begun) {
            let line = NotBegun {
                event: "not_begun",
                files: not_begun,
                kind: kind.as_str(),
                advice: "Run the same command again to go on.",
            };
            let words = format!("{not_begun} files not begun; run the same command again to go on");
            self.console.result(&line, || words);
        }
        if self.many {
            summary.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.console.result(&summary, || summary.words());
        }
        if summary.exit_code == 0 && !kept.is_empty() && self.is_told().await {
            self.forget(kept).await;
        }
        summary.exit_code
    }

    /// Forgets files of which the whole command has told.
    async fn forget(&self, keys: Vec<String>) {
        let Told::ForgetTogether(store) = &self.told else { return };
        for key in keys {
            let store = store.clone();
            let removed = tokio::time::timeout(FORGET_WITHIN, blocking(move || store.remove(&key))).await;
            match removed {
                Ok(Ok(())) => {}
                // Another process may have it open.
                Ok(Err(_)) => {}
                Err(_) => {
                    return self.console.note("the store of uploads does not answer: results stay in it");
                }
            }
        }
    }

    /// Uploads a file, and tells how it went.
    async fn upload(self, job: Job) -> Ended {
        let mut report = Report::new(&self.console, job.path.display().to_string(), self.many);
        match self.drive(job, &mut report).await {
            Ok(Done { record, uploaded, kept }) => {
                report.completed(&uploaded, kept.as_deref());
                let key = if self.is_told().await { record.told(&self.told).await } else { None };
                Ok((uploaded, key))
            }
            Err(error) => {
                report.failed(&error);
                Err(error.kind())
            }
        }
    }

    /// Whether the result has left the program. If not, the next run tells it once more.
    async fn is_told(&self) -> bool {
        let console = self.console.clone();
        let overdue = async {
            self.interrupt.asked().await;
            tokio::time::sleep(STOP_WITHIN).await;
        };
        tokio::select! {
            told = blocking(move || Ok(console.is_told(TOLD_WITHIN))) => matches!(told, Ok(true)),
            () = overdue => false,
        }
    }

    async fn drive(&self, job: Job, report: &mut Report) -> Result<Done, Error> {
        let Job { path, task } = job;
        let target = match task? {
            Task::Upload(target) => target,
            Task::Tell(store, key) => {
                let (log, uploaded) =
                    self.interrupt.unless(blocking(move || on_record(&*store, &key))).await?;
                return Ok(Done { record: OnRecord::Log(log), uploaded, kept: None });
            }
        };
        let opened = path.clone();
        let source = self.interrupt.unless(blocking(move || Source::file(opened))).await?;
        let upload = self.client.upload(source, target)?;
        let mut events = upload.events();
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        upload.start();
        let asked = self.interrupt.asked();
        tokio::pin!(asked);
        loop {
            tokio::select! {
                biased;
                () = &mut asked => {
                    upload.cancel();
                    return match tokio::time::timeout(STOP_WITHIN, upload.outcome()).await {
                        // It may have been done just before.
                        Ok(Ok(uploaded)) => Ok(Done { record: OnRecord::Upload(upload), uploaded, kept: None }),
                        Ok(Err(error)) => Err(self.stopped(error)),
                        Err(_) => Err(self.stopped(Error::new(ErrorKind::Cancelled, "upload", "interrupted"))),
                    };
                }
                event = events.recv() => match event {
                    Some(event) => report.event(&event, upload.progress()),
                    None => break,
                },
                _ = ticks.tick() => report.progress(upload.progress()),
            }
        }
        let uploaded = upload.outcome().await?;
        report.progress(upload.progress());
        let record = OnRecord::Upload(upload);
        let Some(local) = self.local.clone() else { return Ok(Done { record, uploaded, kept: None }) };
        let file_id = uploaded.file_id;
        let kept = self.interrupt.unless(blocking(move || local.compare(file_id, &path))).await?;
        Ok(Done { record, uploaded, kept: Some(kept.display().to_string()) })
    }

    /// The end of an interrupted upload, with how to go on.
    fn stopped(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::Cancelled {
            return error;
        }
        error.with_advice(match self.local {
            None if self.many => "Run the same command again to go on from here.",
            None => "Run the same command again, or \"pan123 uploads resume\", to go on from here.",
            Some(_) => "Run the same command again.",
        })
    }
}

impl OnRecord {
    /// It was told. Returns the key of the journal, if that has to go yet.
    async fn told(self, told: &Told) -> Option<String> {
        match (self, told) {
            (Self::Upload(upload), Told::Forget) => upload.delivered().await,
            (Self::Upload(upload), Told::ForgetTogether(_) | Told::Keep) => return upload.kept().await,
            (Self::Log(mut log), told) => {
                let forget = matches!(told, Told::Forget);
                let note = move || {
                    if forget { log.clear() } else { log.append(&journal::encode_told(unix_ms()), false) }
                };
                // Failing that, it is told once more.
                let _ = tokio::time::timeout(FORGET_WITHIN, blocking(note)).await;
            }
        }
        None
    }
}

/// The result that an earlier run has on record, and the open log that has it. May block.
fn on_record(store: &dyn ResumeStore, key: &str) -> Result<(Box<dyn ResumeLog>, Uploaded), Error> {
    let mut log = store.open(key)?;
    let journal = Journal::decode(&log.read()?).ok().flatten();
    let done = journal.as_ref().and_then(|journal| Some((journal, journal.done()?)));
    let Some((journal, done)) = done else {
        return Err(Error::new(ErrorKind::Store, "resume upload", format!("{key} has no result any more"))
            .with_advice("Another run may have told it: see \"pan123 uploads\"."));
    };
    let uploaded = Uploaded {
        file_id: done.file_id,
        etag: done.etag,
        size: journal.header.spec.size,
        slices: done.slices,
        reused: done.reused,
        earlier: true,
        bytes_sent: 0,
        elapsed_ms: 0,
    };
    Ok((log, uploaded))
}

fn unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

impl Summary {
    /// Returns the key of the journal, if that has to go yet.
    fn add(&mut self, ended: Result<Ended, JoinError>) -> Option<String> {
        match ended {
            Ok(Ok((uploaded, key))) => {
                self.completed += 1;
                self.bytes_sent += uploaded.bytes_sent;
                return key;
            }
            Ok(Err(kind)) => self.fail(kind),
            // It panicked, and has said so on stderr.
            Err(_) => self.fail(ErrorKind::Internal),
        }
        None
    }

    fn fail(&mut self, kind: ErrorKind) {
        self.failed += 1;
        self.exit_code = self.exit_code.max(kind.exit_code());
    }

    fn words(&self) -> String {
        let Self { completed, failed, bytes_sent, .. } = self;
        let sent = indicatif::HumanBytes(*bytes_sent);
        let seconds = self.elapsed_ms as f64 / 1000.0;
        format!("{completed} uploaded, {failed} failed; {sent} sent in {seconds:.1} s")
    }
}

/// The last line of a batch with nothing in it.
pub(crate) fn summary_of_none(console: &Console) {
    console.json(&Summary { event: "summary", ..Summary::default() });
}

/// Runs work that may block on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Internal, "run", "the work ended without a result")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_all_files_decides_in_whatever_order_they_end() {
        let kinds = [ErrorKind::Source, ErrorKind::Refused, ErrorKind::Network];
        for first in 0..kinds.len() {
            let mut summary = Summary::default();
            (0..kinds.len()).for_each(|i| summary.fail(kinds[(first + i) % kinds.len()]));
            assert_eq!((summary.failed, summary.exit_code), (3, ErrorKind::Refused.exit_code()));
        }
    }

    #[test]
    fn each_kind_of_error_has_its_documented_exit_code() {
        for kind in ErrorKind::ALL {
            let code = match kind {
                ErrorKind::Internal => 1,
                ErrorKind::Usage => 2,
                ErrorKind::Login => 3,
                ErrorKind::Source
                | ErrorKind::SourceChanged
                | ErrorKind::Name
                | ErrorKind::Store
                | ErrorKind::HostCode => 4,
                ErrorKind::Refused | ErrorKind::Protocol => 6,
                ErrorKind::Verify => 7,
                ErrorKind::Cancelled | ErrorKind::Paused => 130,
                _ => 5,
            };
            assert_eq!(kind.exit_code(), code, "{kind}");
        }
    }
}
