//! The log of one upload: read at its start, added to under way, gone at its end.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use pan123_proto::machine::{Event, Record};

use crate::{
    client::Shared,
    error::Error,
    journal::{self, Header, Journal},
    source::SourceRead,
    store::ResumeLog,
    upload::Job,
};

/// What an upload remembers for another run. All of its I/O is on threads that may block.
pub(crate) struct Resume {
    /// `None`: there is no store, the source cannot be named, or the log failed and was given up.
    log: Option<Box<dyn ResumeLog>>,
    header: Header,
    /// Lines that need not be kept before the upload is known to the service.
    held: Vec<u8>,
    begun: bool,
}

impl Resume {
    /// Opens the log and returns what is in it, as far as it belongs to the same source.
    pub(crate) async fn open(shared: &Shared, job: &Job) -> Result<(Self, Vec<Record>), Error> {
        let base_url = shared.service.base.to_string();
        let header = Header {
            version: journal::VERSION,
            source: job.source.describe(),
            path: job.source.resume_name(),
            identity: job.identity,
            base_url: base_url.clone(),
            spec: job.spec.clone(),
            started_unix_ms: unix_ms(),
        };
        let mut resume = Self { log: None, header, held: Vec::new(), begun: false };
        let (Some(store), Some(name)) = (shared.store.clone(), job.source.resume_name()) else {
            return Ok((resume, Vec::new()));
        };
        let key = journal::key(&name, &base_url, &job.spec);
        let (log, bytes) = blocking(move || {
            let mut log = store.open(&key)?;
            let bytes = log.read()?;
            Ok::<_, Error>((log, bytes))
        })
        .await?;
        resume.log = Some(log);
        let journal = match Journal::decode(&bytes) {
            Ok(None) => return Ok((resume, Vec::new())),
            Ok(Some(journal)) if journal.header.identity != job.identity => Err("the file is not what it was then".to_owned()),
            Ok(Some(journal)) if journal.header.spec != job.spec => Err("it was meant for another target".to_owned()),
            Ok(Some(journal)) => Ok(journal),
            Err(unreadable) => Err(unreadable.to_string()),
        };
        match journal {
            Ok(journal) => {
                resume.begun = true;
                resume.header = journal.header;
                Ok((resume, journal.records))
            }
            Err(reason) => {
                tracing::warn!("an earlier upload is not gone on with: {reason}");
                job.tell(&Event::Restart { reason: format!("an earlier upload is not gone on with: {reason}") });
                resume.forget().await;
                Ok((resume, Vec::new()))
            }
        }
    }

    /// Adds a record. A log that fails is given up with a warning; the upload goes on without it.
    pub(crate) async fn save(&mut self, record: &Record, durable: bool) {
        if self.log.is_none() {
            return;
        }
        self.held.extend(journal::encode_record(record));
        // Digests alone are no reason to touch the disk: the upload may yet need no second request.
        if !self.begun && matches!(record, Record::Hashed(_)) {
            return;
        }
        let mut lines = std::mem::take(&mut self.held);
        if !std::mem::replace(&mut self.begun, true) {
            lines.splice(0..0, journal::encode_header(&self.header));
        }
        self.with_log(move |log| log.append(&lines, durable)).await;
    }

    /// Empties the log: there is nothing to resume.
    pub(crate) async fn forget(&mut self) {
        self.held.clear();
        self.begun = false;
        self.with_log(|log| log.clear()).await;
    }

    async fn with_log(&mut self, work: impl FnOnce(&mut dyn ResumeLog) -> Result<(), Error> + Send + 'static) {
        let Some(mut log) = self.log.take() else { return };
        let worked = blocking(move || work(&mut *log).map(|()| log)).await;
        match worked {
            Ok(log) => self.log = Some(log),
            Err(error) => tracing::warn!("this upload can not be resumed by another run: {error}"),
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let task = tokio::task::spawn_blocking(work);
    task.await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(Error::new(crate::ErrorKind::Internal, "resume", "the runtime is shutting down")),
    })
}

fn unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
