//! What all uploads of one account share.

use std::{sync::Arc, time::Duration};

use super::{
    pacer::Pacer,
    policy::{LinkPolicy, SingleUse},
    servers::Servers,
    window::Window,
};
use crate::Endpoint;

/// Request rates, slices in flight, upload hosts and the retry budget of one account.
///
/// Every upload is given the same `Link`, so a refusal that one of them meets slows all of them.
#[derive(Clone, Debug)]
pub struct Link {
    policy: LinkPolicy,
    pacers: [Pacer; Endpoint::ALL.len()],
    servers: Servers,
    window: Window,
    in_flight: u32,
    /// Retries that may go at once; see [`RETRY_COST`].
    retries: f64,
    hosts: Arc<[Arc<str>]>,
}

/// The retry budget when full.
const RETRIES_MAX: f64 = 100.0;
/// What a retry costs; a good answer gives back 1. With an empty budget retries wait their longest pause.
const RETRY_COST: f64 = 2.0;

impl Link {
    /// A link of which nothing is known yet.
    pub fn new(policy: LinkPolicy) -> Self {
        Self {
            pacers: Endpoint::ALL.map(|endpoint| Pacer::new(endpoint, policy.vip_rates)),
            servers: Servers::default(),
            window: Window::new(policy.parallel),
            in_flight: 0,
            retries: RETRIES_MAX,
            hosts: Arc::default(),
            policy,
        }
    }

    /// When a request to `endpoint` may go.
    pub fn ready_at(&self, endpoint: Endpoint) -> Duration {
        self.pacer(endpoint).ready_at()
    }

    /// Counts a request to `endpoint` that goes at `now`. For requests outside an upload; an upload counts its own.
    pub fn take(&mut self, endpoint: Endpoint, now: Duration) {
        self.pacers[endpoint as usize].take(now);
    }

    /// The service took a request.
    pub fn good(&mut self, endpoint: Endpoint) {
        self.pacers[endpoint as usize].good();
        self.retries = (self.retries + 1.0).min(RETRIES_MAX);
    }

    /// The service refused a request because there were too many.
    pub fn rate_limited(&mut self, endpoint: Endpoint, now: Duration, retry_after: Option<Duration>) {
        self.pacers[endpoint as usize].refused(now, retry_after);
    }

    /// Slices that may be in flight now, over all uploads.
    pub fn slices_max(&self) -> u32 {
        self.window.limit()
    }

    /// Slices in flight, over all uploads.
    pub fn slices_in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Acknowledged bytes per second, once measured.
    pub fn goodput(&self) -> Option<f64> {
        self.window.goodput()
    }

    pub(super) fn slices_reason(&self) -> &'static str {
        self.window.reason()
    }

    pub(super) fn body_line(&self) -> Duration {
        self.policy.body_line
    }

    /// Upload hosts that `domain` named.
    pub(super) fn hosts(&self) -> &Arc<[Arc<str>]> {
        &self.hosts
    }

    pub(super) fn set_hosts(&mut self, hosts: Vec<Arc<str>>) {
        self.hosts = hosts.into();
    }

    /// Takes a place for a slice on the best of `urls`, if there is one to be had now.
    pub(super) fn start_slice(
        &mut self,
        urls: &[Arc<str>],
        tried: Option<&Arc<str>>,
        now: Duration,
    ) -> Option<Arc<str>> {
        if self.in_flight >= self.window.limit() || self.ready_at(Endpoint::Slice) > now {
            return None;
        }
        let url = self.servers.choose(urls, tried, now)?.clone();
        self.take(Endpoint::Slice, now);
        self.servers.started(&url);
        self.window.started(now);
        self.in_flight += 1;
        Some(url)
    }

    /// A slice of `bytes` was acknowledged after `elapsed`.
    pub(super) fn slice_taken(&mut self, url: &Arc<str>, bytes: u64, elapsed: Duration, now: Duration) {
        let full = self.in_flight >= self.window.limit();
        let rate = bytes as f64 / elapsed.as_secs_f64().max(1e-6);
        self.window.acknowledged(now, bytes, full, self.policy.body_line);
        self.good(Endpoint::Slice);
        self.leave(url, Some(rate), now);
    }

    /// A slice is no longer in flight and was not acknowledged.
    pub(super) fn slice_lost(&mut self, url: &Arc<str>, now: Duration) {
        self.leave(url, None, now);
    }

    fn leave(&mut self, url: &Arc<str>, rate: Option<f64>, now: Duration) {
        self.servers.finished(url, rate);
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.in_flight == 0 {
            self.window.idle(now);
        }
    }

    /// A server, or the way to it, failed.
    pub(super) fn server_failed(&mut self, url: &Arc<str>, now: Duration) {
        self.servers.failed(url, now);
        self.window.trouble(now);
    }

    /// Slices miss the gateway's line at `rate` bytes per second over all slices in flight.
    pub(super) fn too_slow(&mut self, rate: f64, slice: u64, now: Duration) {
        self.window.too_slow(now, rate, slice, self.policy.body_line);
    }

    /// Takes a retry from the budget; `false` when it is spent and the retry has to wait its longest.
    pub(super) fn retry(&mut self) -> bool {
        let granted = self.retries >= RETRY_COST;
        self.retries = (self.retries - RETRY_COST).max(0.0);
        granted
    }

    /// Whether a file of `size` bytes is better sent in one request than created first. See [`SingleUse::Auto`].
    pub(super) fn single_is_better(
        &self,
        choice: SingleUse,
        size: u64,
        slice_size: u64,
        now: Duration,
    ) -> bool {
        if size == 0 || size > slice_size {
            return false;
        }
        match choice {
            SingleUse::Never => false,
            SingleUse::Always => true,
            SingleUse::Auto => {
                let turn = self.ready_at(Endpoint::Create).saturating_sub(now);
                let sending = size as f64 / self.goodput().unwrap_or(UPLINK_ASSUMED);
                sending < turn.as_secs_f64() && sending < self.policy.body_line.as_secs_f64() / 2.0
            }
        }
    }

    fn pacer(&self, endpoint: Endpoint) -> &Pacer {
        &self.pacers[endpoint as usize]
    }
}

/// Bytes per second assumed of an uplink before anything was measured: 8 Mbit/s.
const UPLINK_ASSUMED: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_is_chosen_only_while_create_waits_for_its_turn() {
        let mut link = Link::new(LinkPolicy::default());
        let now = Duration::from_secs(10);
        let single = |link: &Link, size| link.single_is_better(SingleUse::Auto, size, 16 << 20, now);
        assert!(!single(&link, 1000), "create may go at once");
        link.take(Endpoint::Create, now);
        assert!(single(&link, 1000));
        assert!(!single(&link, 0), "an empty file");
        assert!(!single(&link, 4 << 20), "its bytes take longer than the turn");
        assert!(!single(&link, 17 << 20), "more than a slice");
    }

    #[test]
    fn endpoints_are_indexed_in_declaration_order() {
        for (index, endpoint) in Endpoint::ALL.into_iter().enumerate() {
            assert_eq!(endpoint as usize, index);
        }
    }
}
