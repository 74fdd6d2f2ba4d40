//! Bandwidth and request limits.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
    time::{Duration, Instant},
};

use pan123_proto::Endpoint;

/// Lets bytes through at a rate, for one body or for all of them together.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    next_free: Mutex<Option<Instant>>,
}

impl Pacer {
    /// Books `bytes` at this rate, and says until when the reader must wait before it takes more.
    pub(crate) fn book(&self, bytes: usize, bytes_per_sec: u64) -> Instant {
        let now = Instant::now();
        let mut next_free = self.next_free.lock().expect("no code panics while it paces");
        let cost = Duration::from_secs_f64(bytes as f64 / bytes_per_sec.max(1) as f64);
        let until = next_free.filter(|&at| at > now).unwrap_or(now) + cost;
        *next_free = Some(until);
        until
    }
}

/// Counts requests over a sliding second, for each endpoint and each owner of a token.
#[derive(Debug, Default)]
pub(crate) struct QpsMeter(Mutex<HashMap<(Endpoint, String), VecDeque<Instant>>>);

impl QpsMeter {
    /// Counts one request. False if it is above `per_sec`; those that are refused do not count.
    pub(crate) fn admit(&self, endpoint: Endpoint, owner: &str, per_sec: u32) -> bool {
        let now = Instant::now();
        let mut seen = self.0.lock().expect("no code panics while it counts");
        let seen = seen.entry((endpoint, owner.to_owned())).or_default();
        while seen.front().is_some_and(|&at| now.duration_since(at) >= Duration::from_secs(1)) {
            seen.pop_front();
        }
        let is_admitted = seen.len() < per_sec as usize;
        if is_admitted {
            seen.push_back(now);
        }
        is_admitted
    }
}
