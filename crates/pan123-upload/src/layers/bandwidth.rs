//! A cap on the bytes that bodies send.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pan123_transport::{BoxFuture, Error, Layer, Pace, Request, Response, Transport};
use tokio::time::Instant;

/// Lets all bodies together send at most so many bytes a second. The cap can be changed at any time; bodies
/// under way follow within a frame.
///
/// Belongs inside everything that retries or reorders. A cap too low for a slice to pass in the time that the
/// gateway gives it (60 s for 16 MiB: 280 KB/s) makes the upload fail as on a slow uplink.
#[derive(Clone)]
pub struct Bandwidth(Arc<Mutex<State>>);

#[derive(Clone, Copy)]
struct State {
    bytes_per_sec: Option<u64>,
    /// When all bytes granted so far are out at the cap.
    spent_until: Instant,
}

/// Bytes that may go at once after a pause: small against what a server waits for, large against a frame.
const BURST_MAX: Duration = Duration::from_millis(200);

impl Bandwidth {
    /// A cap in bytes per second over all requests; `None` for none. 0 counts as 1.
    pub fn new(bytes_per_sec: Option<u64>) -> Self {
        Self(Arc::new(Mutex::new(State { bytes_per_sec, spent_until: Instant::now() })))
    }

    /// Changes the cap.
    pub fn set(&self, bytes_per_sec: Option<u64>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is owed at the old cap is forgiven: a raised cap is felt at once.
        *state = State { bytes_per_sec, spent_until: Instant::now() };
    }

    /// The cap in bytes per second.
    pub fn get(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes_per_sec
    }
}

impl Pace for Bandwidth {
    fn take(&self, len: usize) -> Duration {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rate) = state.bytes_per_sec else { return Duration::ZERO };
        let now = Instant::now();
        let cost = Duration::from_secs_f64(len as f64 / rate.max(1) as f64);
        let earliest = now.checked_sub(BURST_MAX).unwrap_or(now);
        state.spent_until = state.spent_until.max(earliest) + cost;
        state.spent_until.saturating_duration_since(now)
    }
}

impl Layer for Bandwidth {
    fn wrap(&self, inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(Capped { cap: self.clone(), inner })
    }
}

impl fmt::Debug for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bandwidth").field("bytes_per_sec", &self.get()).finish()
    }
}

#[derive(Debug)]
struct Capped {
    cap: Bandwidth,
    inner: Arc<dyn Transport>,
}

impl Transport for Capped {
    fn send(&self, mut request: Request) -> BoxFuture<'_, Result<Response, Error>> {
        let own: Arc<dyn Pace> = Arc::new(self.cap.clone());
        request.pace = Some(match request.pace.take() {
            Some(outer) => Arc::new(Both(outer, own)),
            None => own,
        });
        self.inner.send(request)
    }
}

/// Two paces, of which the slower one counts.
struct Both(Arc<dyn Pace>, Arc<dyn Pace>);

impl Pace for Both {
    fn take(&self, len: usize) -> Duration {
        self.0.take(len).max(self.1.take(len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_go_at_the_cap_and_follow_its_changes() {
        let cap = Bandwidth::new(Some(1000));
        let start = Instant::now();
        for _ in 0..10 {
            tokio::time::sleep(cap.take(500)).await;
        }
        let first = start.elapsed().as_secs_f64();
        assert!((4.7..=5.0).contains(&first), "5000 bytes at 1000 a second took {first} s");

        cap.set(Some(10_000));
        let start = Instant::now();
        for _ in 0..10 {
            tokio::time::sleep(cap.take(500)).await;
        }
        let second = start.elapsed().as_secs_f64();
        assert!((0.2..=0.5).contains(&second), "5000 bytes at 10000 a second took {second} s");

        cap.set(None);
        assert_eq!(cap.take(usize::MAX), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_does_not_save_up_more_than_a_burst() {
        let cap = Bandwidth::new(Some(1000));
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(cap.take(200), Duration::ZERO);
        assert!(cap.take(1000) >= Duration::from_millis(999));
    }
}
