//! The log of one upload: read at its start, added to under way, gone once somebody was told its end.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pan123_proto::machine::{Event, Record};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    client::Shared,
    error::Error,
    journal::{self, Header, Journal},
    source::SourceRead,
    store::{ResumeLog, ResumeStore},
    upload::Job,
};

/// What an upload remembers for another run.
///
/// All I/O of a store that may block is on one thread that lives as long as this does, so that one that hangs holds up
/// nobody but whoever waits for it.
pub(crate) struct Resume {
    /// `None`: there is no store, or the source has no name that another run would know it by.
    keeper: Option<Keeper>,
    header: Header,
    /// Lines that need not be kept before the upload is known to the service.
    held: Vec<u8>,
    begun: bool,
    /// The log says already that its result was told.
    told: bool,
    /// Something could not be written.
    failed: Arc<AtomicBool>,
    /// One of so many uploads that have a log open on a thread.
    _permit: Option<OwnedSemaphorePermit>,
}

/// Who has the log open.
struct Keeper {
    /// The log's key.
    key: String,
    place: Place,
}

enum Place {
    /// A thread, as the store may block.
    Thread {
        orders: mpsc::Sender<Order>,
        /// Answers, by being dropped, once the log is closed and the thread is done.
        closed: oneshot::Receiver<()>,
    },
    Here(Log),
}

/// An open log.
struct Log {
    open: Box<dyn ResumeLog>,
    /// What could not be written goes in front of the next lines, so that there is never a gap: a log is always a
    /// beginning of what happened.
    unwritten: Vec<u8>,
    /// For the one who writes it: whether there is anything unwritten.
    failed: Arc<AtomicBool>,
}

enum Order {
    Append { lines: Vec<u8>, durable: bool, done: oneshot::Sender<()> },
    Clear { done: oneshot::Sender<()> },
}

impl Resume {
    /// Opens the log and returns what is in it, as far as it belongs to the same source.
    ///
    /// # Errors
    ///
    /// The store's, for example when another process has the same upload under way.
    pub(crate) async fn open(shared: &Shared, job: &Job) -> Result<(Self, Vec<Record>), Error> {
        let base_url = shared.service.base.to_string();
        let name = job.source.resume_name();
        let header = Header {
            version: journal::VERSION,
            source: job.source.describe(),
            path: job.source.path().and_then(Path::to_str).map(str::to_owned),
            identity: job.identity,
            base_url: base_url.clone(),
            spec: job.spec.clone(),
            started_unix_ms: unix_ms(),
        };
        let mut resume = Self {
            keeper: None,
            header,
            held: Vec::new(),
            begun: false,
            told: false,
            failed: Arc::default(),
            _permit: None,
        };
        let (Some(store), Some(name)) = (job.store.clone().or_else(|| shared.store.clone()), name) else {
            return Ok((resume, Vec::new()));
        };
        let key = journal::key(&name, &base_url, &job.spec);
        let (place, bytes) = if store.may_block() {
            // Sources that may hang would keep their places for as long as they do.
            if !job.source.may_hang() {
                resume._permit = shared.logs.clone().acquire_owned().await.ok();
            }
            let Some(opened) = on_a_thread(store, key.clone(), resume.failed.clone()).await else {
                return Ok((resume, Vec::new()));
            };
            opened?
        } else {
            let (log, bytes) = Log::open(&*store, &key, resume.failed.clone())?;
            (Place::Here(log), bytes)
        };
        resume.keeper = Some(Keeper { key, place });
        match resume.fitting(&bytes) {
            Ok(records) => Ok((resume, records)),
            Err(reason) => {
                let reason = format!("an earlier upload is not gone on with: {reason}");
                if resume.told {
                    // Nothing is lost: it was over.
                    tracing::debug!("{reason}");
                } else {
                    tracing::warn!("{reason}");
                    job.tell(&Event::Restart { reason });
                }
                let _ = resume.forget().await;
                Ok((resume, Vec::new()))
            }
        }
    }

    /// The records in a log, or why they are of no use.
    fn fitting(&mut self, bytes: &[u8]) -> Result<Vec<Record>, String> {
        let Some(journal) = Journal::decode(bytes).map_err(|unreadable| unreadable.to_string())? else {
            return Ok(Vec::new());
        };
        self.told = journal.told_unix_ms.is_some();
        if journal.header.identity != self.header.identity {
            return Err("the file is not what it was then".into());
        }
        if journal.header.spec != self.header.spec {
            return Err("it was meant for another target".into());
        }
        if journal.is_stale(SystemTime::now()) {
            return Err("it ended and was told more than a day ago".into());
        }
        self.begun = true;
        Ok(journal.records)
    }

    /// Adds a record. Await what is returned to know that it outlives this process, and with `durable` a power
    /// cut; or that it cannot be kept.
    pub(crate) fn save(&mut self, record: &Record, durable: bool) -> impl Future<Output = ()> + use<> {
        if self.told {
            // Nothing is read of a log after that.
            drop(self.forget());
        }
        self.held.extend(journal::encode_record(record));
        // Digests alone are no reason to touch the disk: the upload may yet need no second request.
        let hold = !self.begun && matches!(record, Record::Hashed(_));
        let done = (!hold).then(|| {
            let mut lines = std::mem::take(&mut self.held);
            if !std::mem::replace(&mut self.begun, true) {
                lines.splice(0..0, journal::encode_header(&self.header));
            }
            self.order(|done| Order::Append { lines, durable, done })
        });
        async move {
            if let Some(done) = done {
                let _ = done.await;
            }
        }
    }

    /// Empties the log: there is nothing to resume.
    pub(crate) fn forget(&mut self) -> oneshot::Receiver<()> {
        self.held.clear();
        (self.begun, self.told) = (false, false);
        self.order(|done| Order::Clear { done })
    }

    /// Whether another run could go on from here, as far as is known.
    pub(crate) fn is_kept(&self) -> bool {
        self.keeper.is_some() && !self.failed.load(Ordering::Relaxed)
    }

    /// Leaves nothing behind: whoever had it has the log now.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            keeper: self.keeper.take(),
            header: self.header.clone(),
            held: std::mem::take(&mut self.held),
            begun: self.begun,
            told: self.told,
            failed: self.failed.clone(),
            // It is over; others may begin.
            _permit: None,
        }
    }

    /// Somebody was told how the upload ended: the log goes.
    pub(crate) async fn delivered(mut self) {
        // The answer may be lost with the store; that the log is closed tells as well.
        drop(self.forget());
        let _ = tokio::time::timeout(FORGET_FOR, self.close()).await;
    }

    /// Somebody was told how the upload ended, and the log stays, with that in it. Returns its key.
    pub(crate) async fn kept(mut self) -> Option<String> {
        let key = self.keeper.as_mut()?.key.clone();
        if !self.told {
            let lines = journal::encode_told(unix_ms());
            drop(self.order(|done| Order::Append { lines, durable: false, done }));
        }
        let _ = tokio::time::timeout(FORGET_FOR, self.close()).await;
        Some(key)
    }

    /// Closes the log, so that another upload may open it once this returns.
    pub(crate) async fn close(&mut self) {
        if let Some(Keeper { place: Place::Thread { orders, closed }, .. }) = self.keeper.take() {
            drop(orders);
            let _ = closed.await;
        }
    }

    /// Hands an order to the keeper. Without one the answer fails at once, which counts as done.
    fn order(&mut self, order: impl FnOnce(oneshot::Sender<()>) -> Order) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        match self.keeper.as_mut().map(|keeper| &mut keeper.place) {
            Some(Place::Thread { orders, .. }) => drop(orders.send(order(sender))),
            Some(Place::Here(log)) => log.carry_out(order(sender)),
            None => {}
        }
        receiver
    }
}

/// Has a thread open a log and read it, and then do what it is told until nobody can tell it any more. `None` if there
/// is no thread to be had, or it panicked.
async fn on_a_thread(
    store: Arc<dyn ResumeStore>,
    key: String,
    failed: Arc<AtomicBool>,
) -> Option<Result<(Place, Vec<u8>), Error>> {
    let (opened, answer) = oneshot::channel();
    let (sender, orders) = mpsc::channel();
    let (closing, closed) = oneshot::channel::<()>();
    let work = move || {
        let told = match Log::open(&*store, &key, failed) {
            Ok((log, bytes)) => opened.send(Ok(bytes)).is_ok().then_some(log),
            Err(error) => {
                let _ = opened.send(Err(error));
                None
            }
        };
        if let Some(mut log) = told {
            orders.iter().for_each(|order| log.carry_out(order));
        }
        drop(closing);
    };
    if let Err(error) = std::thread::Builder::new().name("pan123-journal".into()).spawn(work) {
        tracing::warn!(%error, "no thread for the journal; this upload can not be resumed by another run");
        return None;
    }
    let bytes = answer.await.ok()?;
    Some(bytes.map(|bytes| (Place::Thread { orders: sender, closed }, bytes)))
}

impl Log {
    /// Opens the log and returns what is in it.
    fn open(store: &dyn ResumeStore, key: &str, failed: Arc<AtomicBool>) -> Result<(Self, Vec<u8>), Error> {
        let mut open = store.open(key)?;
        let bytes = open.read()?;
        Ok((Self { open, unwritten: Vec::new(), failed }, bytes))
    }

    fn carry_out(&mut self, order: Order) {
        let done = match order {
            Order::Append { lines, durable, done } => {
                // An upload is worth more than its log.
                let first = self.unwritten.is_empty();
                self.unwritten.extend(lines);
                let appended = self.open.append(&self.unwritten, durable);
                self.failed.store(appended.is_err(), Ordering::Relaxed);
                match appended {
                    Ok(()) => self.unwritten.clear(),
                    Err(error) if first => {
                        tracing::warn!("another run could not go on from here: {error}; {}", error.advice());
                    }
                    Err(_) => {}
                }
                done
            }
            Order::Clear { done } => {
                self.unwritten.clear();
                if let Err(error) = self.open.clear() {
                    tracing::warn!("what is known of this upload stays behind: {error}");
                }
                done
            }
        };
        let _ = done.send(());
    }
}

/// How long to wait for a store that is to forget an upload. One that hangs is left to its thread.
const FORGET_FOR: Duration = Duration::from_secs(2);

fn unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
