//! The log of one upload: read at its start, added to under way, gone once somebody was told its end.

use std::{
    path::Path,
    sync::mpsc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pan123_proto::machine::{Event, Record};
use tokio::sync::oneshot;

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
/// All I/O is on one thread that lives as long as this does, so that a store that hangs holds up nobody but
/// whoever waits for it.
pub(crate) struct Resume {
    /// `None`: there is no store, or the source has no name that another run would know it by.
    keeper: Option<Keeper>,
    header: Header,
    /// Lines that need not be kept before the upload is known to the service.
    held: Vec<u8>,
    begun: bool,
    /// The log says already that its result was told.
    told: bool,
}

/// The thread that has the log open.
struct Keeper {
    /// The log's key.
    key: String,
    orders: mpsc::Sender<Order>,
    /// Answers, by being dropped, once the log is closed and the thread is done.
    closed: oneshot::Receiver<()>,
}

enum Order {
    Append { lines: Vec<u8>, durable: bool, done: oneshot::Sender<()> },
    Clear { done: oneshot::Sender<()> },
}

/// What a log held when it was opened.
type Opened = Result<Vec<u8>, Error>;

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
        let mut resume = Self { keeper: None, header, held: Vec::new(), begun: false, told: false };
        let (Some(store), Some(name)) = (job.store.clone().or_else(|| shared.store.clone()), name) else {
            return Ok((resume, Vec::new()));
        };
        let (opened, answer) = oneshot::channel();
        let (sender, orders) = mpsc::channel();
        let (closing, closed) = oneshot::channel::<()>();
        let key = journal::key(&name, &base_url, &job.spec);
        let thread = std::thread::Builder::new().name("pan123-journal".into());
        let opens = key.clone();
        let work = move || {
            keep(&*store, &opens, opened, &orders);
            drop(closing);
        };
        if let Err(error) = thread.spawn(work) {
            tracing::warn!(%error, "no thread for the journal; this upload can not be resumed by another run");
            return Ok((resume, Vec::new()));
        }
        let Ok(bytes) = answer.await else { return Ok((resume, Vec::new())) };
        let bytes = bytes?;
        resume.keeper = Some(Keeper { key, orders: sender, closed });
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

    /// Leaves nothing behind: whoever had it has the log now.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            keeper: self.keeper.take(),
            header: self.header.clone(),
            held: std::mem::take(&mut self.held),
            begun: self.begun,
            told: self.told,
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
        let key = self.keeper.as_ref()?.key.clone();
        if !self.told {
            let lines = journal::encode_told(unix_ms());
            drop(self.order(|done| Order::Append { lines, durable: false, done }));
        }
        let _ = tokio::time::timeout(FORGET_FOR, self.close()).await;
        Some(key)
    }

    /// Closes the log, so that another upload may open it once this returns.
    pub(crate) async fn close(&mut self) {
        if let Some(Keeper { orders, closed, .. }) = self.keeper.take() {
            drop(orders);
            let _ = closed.await;
        }
    }

    /// Hands an order to the keeper. Without one the answer fails at once, which counts as done.
    fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        if let Some(keeper) = &self.keeper {
            let _ = keeper.orders.send(order(sender));
        }
        receiver
    }
}

/// The keeper's thread: opens the log, then does what it is told until nobody can tell it any more.
fn keep(store: &dyn ResumeStore, key: &str, opened: oneshot::Sender<Opened>, orders: &mpsc::Receiver<Order>) {
    let log = store.open(key).and_then(|mut log| log.read().map(|bytes| (log, bytes)));
    let mut log: Option<Box<dyn ResumeLog>> = match log {
        Ok((log, bytes)) => opened.send(Ok(bytes)).is_ok().then_some(log),
        Err(error) => {
            let _ = opened.send(Err(error));
            None
        }
    };
    // An upload is worth more than its log. What could not be written goes in front of the next lines, so that
    // there is never a gap: a log is always a beginning of what happened.
    let mut unwritten = Vec::new();
    while let (Some(open), Ok(order)) = (&mut log, orders.recv()) {
        let done = match order {
            Order::Append { lines, durable, done } => {
                let first = unwritten.is_empty();
                unwritten.extend(lines);
                match open.append(&unwritten, durable) {
                    Ok(()) => unwritten.clear(),
                    Err(error) if first => {
                        tracing::warn!("another run could not go on from here: {error}; {}", error.advice());
                    }
                    Err(_) => {}
                }
                done
            }
            Order::Clear { done } => {
                unwritten.clear();
                if let Err(error) = open.clear() {
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
