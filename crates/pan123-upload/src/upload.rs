//! The upload of one file, as its user sees it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pan123_proto::{
    Class, Endpoint, Md5, advice,
    machine::{Duplicate, Event, Stop, UploadSpec},
    names,
};
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use crate::{
    client::Shared,
    driver,
    error::{Error, ErrorKind},
    progress::{Counters, Progress},
    resume::Resume,
    source::{Identity, Source, SourceRead},
    store::ResumeStore,
};

/// Where a file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Folder that receives the file; 0 is the root.
    pub parent_id: i64,
    /// File name, or a path from the folder on when `contain_dir` is set.
    pub filename: String,
    /// `filename` is a path; the service makes missing folders.
    pub contain_dir: bool,
    /// What happens when the name is taken; `None` leaves it to the service.
    pub duplicate: Option<Duplicate>,
}

impl Target {
    /// A file of this name in the root.
    pub fn root(filename: impl Into<String>) -> Self {
        Self { parent_id: 0, filename: filename.into(), contain_dir: false, duplicate: None }
    }
}

/// A finished upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Uploaded {
    /// The file at the service.
    pub file_id: i64,
    /// MD5 of the whole file.
    pub etag: Md5,
    /// Size in bytes.
    pub size: u64,
    /// Slices of the file; 0 when none was needed.
    pub slices: u32,
    /// The service had the bytes already and none were sent.
    pub reused: bool,
    /// An earlier run stored the file, and ended before anybody was told. This run asked the service nothing.
    pub earlier: bool,
    /// File bytes handed to connections by this run, those sent again included.
    pub bytes_sent: u64,
    /// From start to end, in milliseconds.
    pub elapsed_ms: u64,
}

/// The upload of one file. Cheap to clone; all clones are the same upload.
///
/// Dropping it does not stop a started upload.
#[derive(Clone)]
pub struct Upload(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    job: Arc<Job>,
    started: Mutex<bool>,
    stop: watch::Sender<Option<Stop>>,
    result: watch::Sender<Option<Result<Uploaded, Error>>>,
    /// The log of an upload that went well, until somebody was told.
    untold: tokio::sync::Mutex<Option<Resume>>,
}

/// What an upload's driver works on.
pub(crate) struct Job {
    pub(crate) source: Source,
    pub(crate) identity: Identity,
    pub(crate) spec: UploadSpec,
    /// Where this upload is remembered, if not where the client's are.
    pub(crate) store: Option<Arc<dyn ResumeStore>>,
    pub(crate) counters: Counters,
    /// File bytes that connections have taken, those sent again included.
    pub(crate) bytes_handed: AtomicU64,
    pub(crate) watchers: Mutex<Vec<mpsc::UnboundedSender<Event>>>,
}

impl Job {
    pub(crate) fn tell(&self, event: &Event) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|watcher| watcher.send(event.clone()).is_ok());
    }
}

impl Upload {
    pub(crate) fn new(
        shared: Arc<Shared>,
        source: Source,
        target: Target,
        store: Option<Arc<dyn ResumeStore>>,
    ) -> Result<Self, Error> {
        let Target { parent_id, filename, contain_dir, duplicate } = target;
        let checked =
            if contain_dir { names::check_path(&filename) } else { names::check_filename(&filename) };
        checked.map_err(|error| {
            Error::new(ErrorKind::Name, "check name", error.to_string())
                .with_advice(advice(Class::BadName, Endpoint::Create))
        })?;
        if parent_id < 0 {
            let message = format!("the folder id is {parent_id}; ids are not negative, and 0 is the root");
            return Err(Error::new(ErrorKind::Usage, "check target", message));
        }
        let size = source.size();
        names::check_size(size).map_err(|error| {
            Error::new(ErrorKind::Source, "check size", format!("{}: {error}", source.describe()))
        })?;
        let identity = source.identity().map_err(|error| source.error("open source", &error))?;
        let job = Job {
            source,
            identity,
            spec: UploadSpec { parent_id, filename, contain_dir, duplicate, size },
            store,
            counters: Counters::new(size),
            bytes_handed: AtomicU64::new(0),
            watchers: Mutex::default(),
        };
        let inner = Inner {
            shared,
            job: Arc::new(job),
            started: Mutex::new(false),
            stop: watch::Sender::new(None),
            result: watch::Sender::new(None),
            untold: tokio::sync::Mutex::default(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Starts the upload on the current tokio runtime. Does nothing the second time.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn start(&self) {
        if std::mem::replace(&mut *self.0.started.lock().unwrap_or_else(PoisonError::into_inner), true) {
            return;
        }
        let (shared, job) = (self.0.shared.clone(), self.0.job.clone());
        let driver = tokio::spawn(driver::run(shared, job.clone(), self.0.stop.subscribe()));
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let ended = driver.await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Internal, "upload", "the upload panicked; please report it"))
            });
            job.watchers.lock().unwrap_or_else(PoisonError::into_inner).clear();
            // With nobody left to tell, the log is closed and stays.
            let Some(inner) = inner.upgrade() else { return };
            let result = match ended {
                Ok((uploaded, log)) => {
                    *inner.untold.lock().await = Some(log);
                    Ok(uploaded)
                }
                Err(error) => Err(error),
            };
            inner.result.send_replace(Some(result));
        });
    }

    /// Stops the upload. What is acknowledged is kept for a resume. It ends within 250 ms.
    pub fn cancel(&self) {
        self.0.stop.send_replace(Some(Stop::Cancel));
    }

    /// Stops the upload, to go on later by uploading the same source to the same target.
    pub fn pause(&self) {
        self.0.stop.send_replace(Some(Stop::Pause));
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.0.job.counters.snapshot()
    }

    /// Takes over the figures of an earlier, paused run of the same upload, so that those of both together never fall.
    pub fn goes_on_from(&self, earlier: &Progress) {
        self.0.job.counters.raise(earlier);
    }

    /// File bytes handed to connections so far, those sent again included; also of an upload that was stopped.
    pub fn bytes_handed(&self) -> u64 {
        self.0.job.bytes_handed.load(Ordering::Relaxed)
    }

    /// Events from now on. The channel closes when the upload is over.
    pub fn events(&self) -> mpsc::UnboundedReceiver<Event> {
        let (sender, receiver) = mpsc::unbounded_channel();
        if self.0.result.borrow().is_none() {
            self.0.job.watchers.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        }
        receiver
    }

    /// Waits for the end. May be called often and by several at once; an upload that was never started
    /// is started.
    ///
    /// That the file is stored is on record until this returns, and not any longer; see
    /// [`outcome`](Self::outcome).
    ///
    /// # Errors
    ///
    /// Why the upload failed, or [`ErrorKind::Cancelled`] or [`ErrorKind::Paused`].
    pub async fn wait(&self) -> Result<Uploaded, Error> {
        let outcome = self.outcome().await;
        self.delivered().await;
        outcome
    }

    /// Waits for the end like [`wait`](Self::wait), and leaves it on record until [`delivered`](Self::delivered) is
    /// called: for those who have something to do with the file id first, such as writing it down.
    ///
    /// Should the process end before, the same upload in another run gives the same result once more, marked as
    /// [`earlier`](Uploaded::earlier), without asking the service. Until then nobody else can upload the same
    /// source to the same place; dropping all handles to this upload ends that.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait).
    pub async fn outcome(&self) -> Result<Uploaded, Error> {
        self.start();
        let mut result = self.0.result.subscribe();
        let ended = result.wait_for(Option::is_some).await;
        match ended.ok().and_then(|result| result.clone()) {
            Some(result) => result,
            None => Err(Error::new(ErrorKind::Internal, "upload", "the upload ended without a result")),
        }
    }

    /// Forgets an upload that went well, because its [`outcome`](Self::outcome) has reached whom it was meant for. Does
    /// nothing for one that is not over, has failed, or is forgotten already.
    pub async fn delivered(&self) {
        let mut untold = self.0.untold.lock().await;
        if let Some(log) = untold.take() {
            log.delivered().await;
        }
    }

    /// Instead of [`delivered`](Self::delivered), for one of several uploads that belong together: its result has
    /// reached whom it was meant for, and stays on record for a day, so that all of them can be started again without
    /// this one being sent again. Closes the log, and returns its key in the
    /// [`ResumeStore`](crate::ResumeStore), to remove it with once the others are through. `None` if there is nothing
    /// to keep.
    pub async fn kept(&self) -> Option<String> {
        let mut untold = self.0.untold.lock().await;
        untold.take()?.kept().await
    }

    /// Like [`wait`](Self::wait), for at most this long; `None` if it is not over by then.
    pub async fn wait_for(&self, time: Duration) -> Option<Result<Uploaded, Error>> {
        let outcome = tokio::time::timeout(time, self.outcome()).await.ok()?;
        self.delivered().await;
        Some(outcome)
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("source", &self.0.job.source)
            .field("spec", &self.0.job.spec)
            .finish_non_exhaustive()
    }
}
