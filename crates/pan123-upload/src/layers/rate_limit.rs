//! A cap on requests.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pan123_transport::{BoxFuture, Error, Layer, Request, Response, Transport};
use tokio::time::Instant;

/// Lets at most so many requests a second start, over all endpoints and hosts.
///
/// The engine keeps the service's own limits by itself; this is for a host that shares its allowance
/// with others. Requests wait in the order in which they came.
#[derive(Clone, Debug)]
pub struct RateLimit {
    interval: Duration,
    next: Arc<Mutex<Instant>>,
}

impl RateLimit {
    /// At most `per_second` requests a second, evenly spread. Values that are not above 0.001 count as 0.001.
    pub fn new(per_second: f64) -> Self {
        let per_second = if per_second > 0.001 { per_second } else { 0.001 };
        Self {
            interval: Duration::from_secs_f64(1.0 / per_second),
            next: Arc::new(Mutex::new(Instant::now())),
        }
    }

    fn turn(&self) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(Instant::now());
        *next = turn + self.interval;
        turn
    }
}

impl Layer for RateLimit {
    fn wrap(&self, inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(Limited { limit: self.clone(), inner })
    }
}

#[derive(Debug)]
struct Limited {
    limit: RateLimit,
    inner: Arc<dyn Transport>,
}

impl Transport for Limited {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>> {
        Box::pin(async move {
            tokio::time::sleep_until(self.limit.turn()).await;
            self.inner.send(request).await
        })
    }
}
