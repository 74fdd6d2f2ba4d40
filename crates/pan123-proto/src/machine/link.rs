//! What all uploads of one account share.

use std::{sync::Arc, time::Duration};

use super::{
    flights::{Flight, FlightKey, Flights, Late},
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
    flights: Flights,
    /// Bodies in flight that wait for bytes of their own source, and so leave their places to others.
    waiting: u32,
    /// Files that are on their way in one request.
    singles: u32,
    /// Requests without a body that are under way.
    calls: u32,
    /// Average time that a slice took, in seconds.
    slice_secs: Option<f64>,
    /// Retries that may go at once; see [`RETRY_COST`].
    retries: f64,
    hosts: Arc<[Arc<str>]>,
    /// When anything last got through, of any upload.
    through_at: Duration,
}

/// Bodies in flight, over all uploads, whatever each of them waits for.
const BODIES_MAX: u32 = 128;
/// Files that go out whole at a time, if no number is asked for. Each was chosen because it needs no more than the second
/// that a turn takes, so that as many together need half of the gateway's minute.
const SINGLES_MAX: u32 = 32;
/// Requests without a body that are under way at a time. More would wait for their turn at the service.
const CALLS_MAX: u32 = 32;
/// A slice gets a second copy when it has taken this many times as long as slices usually do.
const COPY_AFTER: f64 = 1.5;
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
            flights: Flights::default(),
            waiting: 0,
            singles: 0,
            calls: 0,
            slice_secs: None,
            retries: RETRIES_MAX,
            hosts: Arc::default(),
            through_at: Duration::ZERO,
            policy,
        }
    }

    /// When a request to `endpoint` may go.
    pub fn ready_at(&self, endpoint: Endpoint) -> Duration {
        self.pacer(endpoint).ready_at()
    }

    /// The service has asked for a pause of this call, of this upload or another one, that is not over.
    pub(super) fn is_asked_to_pause(&self, endpoint: Endpoint, now: Duration) -> bool {
        self.pacer(endpoint).is_asked_to_pause(now)
    }

    /// How much of a wait since then was for others that got through, and so is nobody's failure.
    pub(super) fn waited_for_others(&self, since: Duration, now: Duration) -> Duration {
        self.through_at.min(now).saturating_sub(since)
    }

    /// Counts a request to `endpoint` that goes at `now`. For requests outside an upload; an upload counts its own.
    pub fn take(&mut self, endpoint: Endpoint, now: Duration) {
        self.pacers[endpoint as usize].take(now);
    }

    /// The service took a request.
    pub fn good(&mut self, endpoint: Endpoint, now: Duration) {
        self.through_at = now;
        self.pacers[endpoint as usize].good();
        self.retries = (self.retries + 1.0).min(RETRIES_MAX);
    }

    /// The service refused a request because there were too many.
    pub fn rate_limited(&mut self, endpoint: Endpoint, now: Duration, retry_after: Option<Duration>) {
        self.refused(endpoint, now, now, retry_after);
    }

    /// Slices that may be in flight now, over all uploads.
    pub fn slices_max(&self) -> u32 {
        self.window.limit()
    }

    /// Slices in flight, over all uploads.
    pub fn slices_in_flight(&self) -> u32 {
        self.flights.count()
    }

    /// Says that of an upload's bodies in flight `now` wait for their own source, where `before` did. As long as they
    /// do, as many others may go in their places.
    pub fn bodies_waiting(&mut self, before: u32, now: u32) {
        self.waiting = self.waiting.saturating_sub(before) + now;
    }

    /// Whether one more request to `endpoint` may be under way. For all but slices, which have places.
    pub(super) fn has_room(&self, endpoint: Endpoint) -> bool {
        let bodies = self.flights.count() + self.singles;
        match endpoint {
            Endpoint::Single if bodies >= BODIES_MAX => false,
            Endpoint::Single if self.window.is_fixed() => {
                bodies.saturating_sub(self.waiting) < self.window.limit()
            }
            Endpoint::Single => self.singles.saturating_sub(self.waiting) < SINGLES_MAX,
            _ => self.calls < CALLS_MAX,
        }
    }

    /// A request to `endpoint`, which is no slice, goes out. Its room is given back by [`over`](Self::over).
    pub(super) fn start(&mut self, endpoint: Endpoint, now: Duration) {
        self.take(endpoint, now);
        *self.room(endpoint) += 1;
    }

    /// A request that had room is over, however it ended.
    pub(super) fn over(&mut self, endpoint: Endpoint) {
        let room = self.room(endpoint);
        *room = room.saturating_sub(1);
    }

    fn room(&mut self, endpoint: Endpoint) -> &mut u32 {
        if endpoint == Endpoint::Single { &mut self.singles } else { &mut self.calls }
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

    /// Takes a place for a slice of `len` bytes on the best of `urls`, if there is one to be had now.
    pub(super) fn start_slice(
        &mut self,
        urls: &[Arc<str>],
        tried: Option<&Arc<str>>,
        len: u64,
        now: Duration,
    ) -> Option<(FlightKey, Arc<str>)> {
        if !self.has_place(now) {
            return None;
        }
        let url = self.servers.choose(urls, tried, now)?.clone();
        Some((self.take_place(&url, len, now), url))
    }

    /// Takes a place for a second copy of a slice that is taking far longer than others did.
    pub(super) fn start_copy(
        &mut self,
        urls: &[Arc<str>],
        slow: FlightKey,
        now: Duration,
    ) -> Option<(FlightKey, Arc<str>)> {
        if !self.has_place(now) {
            return None;
        }
        let flight = self.flights.get(slow)?;
        let usual = Duration::from_secs_f64(self.slice_secs?);
        let overdue = now.saturating_sub(flight.started) > usual.mul_f64(COPY_AFTER);
        // Without a rate nothing moves at all, or all of it is in buffers.
        let far_from_done = flight.rate().is_none_or(|rate| flight.complete_at(rate, now) > now + usual);
        if !overdue || !far_from_done {
            return None;
        }
        let (len, url) = (flight.len, flight.server.clone());
        let url = self.servers.choose_other(urls, &url, now)?.clone();
        Some((self.take_place(&url, len, now), url))
    }

    fn has_place(&self, now: Duration) -> bool {
        self.has_free_place() && self.ready_at(Endpoint::Slice) <= now
    }

    /// Whether one more slice may be in flight.
    pub(super) fn has_free_place(&self) -> bool {
        // Where a number is asked for, files that go out whole count like slices. Else they have their own, so that
        // neither waits for the other.
        let others = if self.window.is_fixed() { self.singles } else { 0 };
        (self.flights.count() + others).saturating_sub(self.waiting) < self.window.limit()
            && self.flights.count() + self.singles < BODIES_MAX
    }

    fn take_place(&mut self, url: &Arc<str>, len: u64, now: Duration) -> FlightKey {
        self.take(Endpoint::Slice, now);
        self.servers.started(url);
        self.window.started(now);
        self.flights.start(url.clone(), len, now)
    }

    /// A body moved on. May decide that some slices are to be dropped; see [`is_to_drop`](Self::is_to_drop).
    pub(super) fn moved(&mut self, key: FlightKey, sent: u64, now: Duration) {
        let line = self.policy.body_line;
        let elsewhere = |server: &Arc<str>| self.servers.fastest_but(server, now);
        match self.flights.moved(key, sent, now, line, elsewhere) {
            Some(Late::Link { keep, rate }) => self.window.too_slow(now, keep, rate),
            Some(Late::Server(url, rate)) => self.servers.slow(&url, rate, now),
            None if self.flights.count() >= self.window.limit() => {
                let slice = self.flights.get(key).map_or(0, |flight| flight.len);
                if let Some(rate) = self.flights.mature_rate(now, line) {
                    self.window.moving(now, rate, slice, line);
                }
            }
            None => {}
        }
        if self.moves(key) {
            self.through_at = now;
        }
    }

    /// Whether any slice on its way is to be dropped.
    pub(super) fn any_to_drop(&self) -> bool {
        self.flights.any_to_drop()
    }

    /// Whether this slice is to be dropped, so that the others make the gateway's line.
    pub(super) fn is_to_drop(&self, key: FlightKey) -> bool {
        self.flights.is_to_drop(key)
    }

    /// Whether bytes of this slice are leaving, as far as can be told past all buffers.
    pub(super) fn moves(&self, key: FlightKey) -> bool {
        self.flights.get(key).is_some_and(|flight| flight.moves())
    }

    /// A slice was acknowledged.
    pub(super) fn slice_taken(&mut self, key: FlightKey, now: Duration) {
        let full = self.flights.count() >= self.window.limit();
        let Some(flight) = self.land(key, now) else { return };
        let seconds = now.saturating_sub(flight.started).as_secs_f64().max(1e-6);
        self.servers.good(&flight.server, flight.len as f64 / seconds, now);
        self.window.acknowledged(now, flight.len, full, self.policy.body_line);
        self.slice_secs =
            Some(self.slice_secs.map_or(seconds, |average| average + 0.2 * (seconds - average)));
        self.good(Endpoint::Slice, now);
    }

    /// A slice is no longer in flight and was not acknowledged.
    pub(super) fn slice_lost(&mut self, key: FlightKey, now: Duration) -> Option<Flight> {
        self.land(key, now)
    }

    fn land(&mut self, key: FlightKey, now: Duration) -> Option<Flight> {
        let flight = self.flights.land(key)?;
        self.servers.left(&flight.server);
        if self.flights.count() == 0 {
            self.window.idle(now);
        }
        Some(flight)
    }

    /// A server, or the way to it, failed with this slice. `urls`: the servers it could have gone to.
    pub(super) fn server_failed(&mut self, flight: &Flight, urls: &[Arc<str>], now: Duration) {
        self.servers.failed(&flight.server, now);
        // As long as others are fine it is not a question of how many slices are in flight.
        if !self.servers.others_are_fine(urls, &flight.server) {
            self.window.trouble(now, flight.started);
        }
    }

    /// The gateway gave up on a slice.
    pub(super) fn missed_line(&mut self, flight: &Flight, now: Duration) {
        self.servers.slow(&flight.server, flight.rate_overall(now), now);
        if flight.crowded {
            let rate = flight.rate_overall(now) + self.flights.rate();
            self.window.missed_line(now, flight.started, rate, flight.len, self.policy.body_line);
        }
    }

    /// The service refused a slice because there were too many requests.
    pub(super) fn slice_refused(&mut self, flight: &Flight, now: Duration, retry_after: Option<Duration>) {
        self.refused(Endpoint::Slice, now, flight.started, retry_after);
        // How many slices go out in a second is a question of how many are in flight.
        self.window.refused(now, flight.started);
    }

    /// The service refused a request of `sent_at` because there were too many.
    pub(super) fn refused(
        &mut self,
        endpoint: Endpoint,
        now: Duration,
        sent_at: Duration,
        retry_after: Option<Duration>,
    ) {
        self.pacers[endpoint as usize].refused(now, sent_at, retry_after);
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
            // That the usual calls are to pause is no reason to come with another one.
            SingleUse::Auto
                if [Endpoint::Create, Endpoint::Slice].iter().any(|&on| self.pacer(on).is_closed(now)) =>
            {
                false
            }
            // Its turn may come before there is room.
            SingleUse::Auto if !self.has_room(Endpoint::Single) => false,
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
