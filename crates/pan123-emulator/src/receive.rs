//! A request body as it comes in: paced, counted, and against the clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{faults::Behaviour, reply::Reply, service::Service, throttle::Pacer};

/// Why a body did not come to its end.
#[derive(Debug)]
pub(crate) enum Cut {
    /// The client went away.
    Gone,
    /// It took too long; whether the answer carries a text.
    TooSlow { text: bool },
    /// It is longer than this call takes.
    TooLong,
}

/// A request body.
pub(crate) struct Body {
    incoming: Incoming,
    service: Arc<Service>,
    head_at: Instant,
    deadline: Option<(Instant, bool)>,
    connection_rate: Option<u64>,
    total_rate: Option<u64>,
    pacer: Pacer,
    received: Arc<AtomicU64>,
}

impl Body {
    /// `received` counts its bytes as they come.
    pub(crate) fn new(
        service: Arc<Service>,
        incoming: Incoming,
        behaviour: &Behaviour,
        received: Arc<AtomicU64>,
    ) -> Self {
        let head_at = Instant::now();
        let rate = |bytes_per_sec: u64| (bytes_per_sec > 0).then_some(bytes_per_sec);
        let body_deadline =
            (behaviour.body_deadline_ms > 0).then(|| Duration::from_millis(behaviour.body_deadline_ms));
        Self {
            incoming,
            service,
            head_at,
            deadline: body_deadline.map(|after| (head_at + after, behaviour.body_deadline_text)),
            connection_rate: rate(behaviour.connection_bytes_per_sec),
            total_rate: rate(behaviour.total_bytes_per_sec),
            pacer: Pacer::default(),
            received,
        }
    }

    /// Reads no faster than this from here on, and makes up for what has come already.
    pub(crate) async fn slow_down(&mut self, bytes_per_sec: u64) -> Result<(), Cut> {
        if self.connection_rate.is_some_and(|rate| rate <= bytes_per_sec) {
            return Ok(());
        }
        self.connection_rate = Some(bytes_per_sec);
        let received = self.received.load(Ordering::Relaxed);
        self.pace(usize::try_from(received).unwrap_or(usize::MAX)).await
    }

    /// Another deadline, counted from the head.
    pub(crate) fn set_deadline(&mut self, after: Duration, text: bool) {
        self.deadline = Some((self.head_at + after, text));
    }

    /// The next piece, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        loop {
            let frame = match self.deadline {
                Some((at, text)) => match timeout_at(at, self.incoming.frame()).await {
                    Ok(frame) => frame,
                    Err(_) => return Err(Cut::TooSlow { text }),
                },
                None => self.incoming.frame().await,
            };
            let Some(frame) = frame else { return Ok(None) };
            // Trailers carry nothing of use here.
            let Ok(data) = frame.map_err(|_| Cut::Gone)?.into_data() else { continue };
            self.received.fetch_add(data.len() as u64, Ordering::Relaxed);
            self.pace(data.len()).await?;
            return Ok(Some(data));
        }
    }

    /// Reads to the end, and drops what comes.
    pub(crate) async fn drain(&mut self) -> Result<(), Cut> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    /// Reads all of a body that holds at most `most` bytes.
    pub(crate) async fn collect(&mut self, most: usize) -> Result<Bytes, Cut> {
        let mut all = BytesMut::new();
        while let Some(data) = self.next().await? {
            if all.len() + data.len() > most {
                return Err(Cut::TooLong);
            }
            all.extend_from_slice(&data);
        }
        Ok(all.freeze())
    }

    async fn pace(&self, bytes: usize) -> Result<(), Cut> {
        let connection = self.connection_rate.map(|rate| self.pacer.book(bytes, rate));
        let total = self.total_rate.map(|rate| self.service.total.book(bytes, rate));
        let Some(until) = connection.max(total).map(Instant::from_std) else { return Ok(()) };
        match self.deadline {
            Some((at, text)) if at < until => {
                sleep_until(at).await;
                Err(Cut::TooSlow { text })
            }
            _ => {
                sleep_until(until).await;
                Ok(())
            }
        }
    }
}

impl Cut {
    /// What the client is told, if it is still there.
    pub(crate) fn reply(&self) -> Option<Reply> {
        match self {
            Self::Gone => None,
            Self::TooSlow { text: false } => Some(Reply::empty(500).closing()),
            Self::TooSlow { text: true } => {
                let text = "Read from request Body failed: read tcp 127.0.0.1: i/o timeout";
                Some(Reply::raw(500, "text/plain; charset=utf-8", text).closing())
            }
            Self::TooLong => Some(Reply::envelope(413, 413, "请求体过大", serde_json::Value::Null).closing()),
        }
    }
}
