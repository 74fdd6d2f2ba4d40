//! The slices on their way, over all uploads: how fast each goes, and which cannot make the gateway's line.

use std::{sync::Arc, time::Duration};

/// Names a flight, over all uploads on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FlightKey(u64);

/// All slices on their way.
#[derive(Clone, Debug, Default)]
pub(super) struct Flights {
    all: Vec<Flight>,
    next: u64,
    /// Flights that are to be dropped by the uploads they belong to.
    to_drop: Vec<FlightKey>,
}

/// One slice on its way.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    key: FlightKey,
    pub(super) server: Arc<str>,
    pub(super) started: Duration,
    pub(super) len: u64,
    /// Bytes that the connection has taken, by the latest report.
    sent: u64,
    reported: Duration,
    /// There was a report.
    heard: bool,
    /// An earlier report, at least [`RATE_SPAN`] ago, to measure the rate from.
    mark: Report,
    last: Report,
    /// The first report after a third of the gateway's line: by then buffers are full, and a rate can be quoted.
    settled: Option<Report>,
    /// When the last byte was taken, and the rate by then. Buffers may still hold some of it.
    full: Option<(Duration, Option<f64>)>,
    /// Another slice was in flight at some time together with this one.
    pub(super) crowded: bool,
}

/// Bytes taken at a time.
#[derive(Clone, Copy, Debug)]
struct Report {
    at: Duration,
    sent: u64,
}

/// What is to be done about a flight that will miss the line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Late {
    /// The others are fine: this server, or the way to it, is slow, at so many bytes per second.
    Server(Arc<str>, f64),
    /// The link is shared by too many: so many of them can make it, at this many bytes per second together.
    Link { keep: u32, rate: f64 },
}

/// A rate is measured over at least this long.
pub(super) const RATE_SPAN: Duration = Duration::from_secs(3);
/// Most that HTTP library and kernel are thought to hold of one body.
const BUFFERED_MAX: f64 = 6.0 * 1024.0 * 1024.0;
/// A body should be complete after this part of the gateway's line.
const LINE_SAFE: f64 = 0.97;
/// A flight this much slower than its peers is slow for a reason of its own.
const OUTLIER: f64 = 0.4;

impl Flights {
    pub(super) fn count(&self) -> u32 {
        self.all.len() as u32
    }

    pub(super) fn start(&mut self, server: Arc<str>, len: u64, now: Duration) -> FlightKey {
        let key = FlightKey(self.next);
        self.next += 1;
        let zero = Report { at: now, sent: 0 };
        let flight = Flight {
            key,
            server,
            started: now,
            len,
            sent: 0,
            reported: now,
            heard: false,
            mark: zero,
            last: zero,
            settled: None,
            full: None,
            crowded: false,
        };
        self.all.push(flight);
        if self.all.len() > 1 {
            self.all.iter_mut().for_each(|flight| flight.crowded = true);
        }
        key
    }

    /// Takes a flight out.
    pub(super) fn land(&mut self, key: FlightKey) -> Option<Flight> {
        self.to_drop.retain(|other| *other != key);
        let index = self.all.iter().position(|flight| flight.key == key)?;
        Some(self.all.swap_remove(index))
    }

    /// Whether a flight is to be dropped.
    pub(super) fn is_to_drop(&self, key: FlightKey) -> bool {
        self.to_drop.contains(&key)
    }

    /// Whether any flight is to be dropped.
    pub(super) fn any_to_drop(&self) -> bool {
        !self.to_drop.is_empty()
    }

    pub(super) fn get(&self, key: FlightKey) -> Option<&Flight> {
        self.all.iter().find(|flight| flight.key == key)
    }

    /// Bytes per second of all flights, as far as they can be measured.
    pub(super) fn rate(&self) -> f64 {
        self.all.iter().filter_map(Flight::rate).sum()
    }

    /// Bytes per second of all flights, if each can be measured past its buffers and none is late.
    pub(super) fn mature_rate(&self, now: Duration, line: Duration) -> Option<f64> {
        let fine = |flight: &Flight| flight.is_mature(line) && !flight.is_late(now, line);
        self.all.iter().map(|flight| flight.rate().filter(|_| fine(flight))).sum()
    }

    /// Notes a report, and judges the flight by it. `elsewhere`: bytes per second at which a server took its last
    /// slices, if there is one.
    pub(super) fn moved(
        &mut self,
        key: FlightKey,
        sent: u64,
        now: Duration,
        line: Duration,
        elsewhere: impl FnOnce(&Arc<str>) -> Option<f64>,
    ) -> Option<Late> {
        let flight = self.all.iter_mut().find(|flight| flight.key == key)?;
        flight.moved(sent, now, line);
        if !flight.is_late(now, line) {
            return None;
        }
        let elsewhere = elsewhere(&flight.server);
        if self.all.len() < 2 || self.any_to_drop() {
            return None;
        }
        self.judge(key, now, line, elsewhere)
    }

    fn judge(
        &mut self,
        key: FlightKey,
        now: Duration,
        line: Duration,
        elsewhere: Option<f64>,
    ) -> Option<Late> {
        let late = self.get(key)?;
        // One that stands still is for the transport's clocks to judge: its connection is dead, not slow.
        let rate = late.rate().filter(|rate| *rate > 0.0)?;
        if self.is_outlier(late, line) || elsewhere.is_some_and(|other| rate < other * OUTLIER) {
            let server = late.server.clone();
            self.to_drop.push(key);
            return Some(Late::Server(server, rate));
        }
        // A flight that cannot be measured yet is taken to have its fair share.
        let rates: Vec<f64> = self.all.iter().filter_map(Flight::rate).collect();
        let total = rates.iter().sum::<f64>() / rates.len() as f64 * self.all.len() as f64;
        let keep = self.keep(total, now, line);
        Some(Late::Link { keep, rate: total })
    }

    /// Whether what goes to this flight's server is far slower than what goes to others. Younger flights
    /// say nothing about that at first: while buffers grow they seem faster than they are.
    fn is_outlier(&self, late: &Flight, line: Duration) -> bool {
        let Some(rate) = late.rate() else { return false };
        let comparable = |peer: &&Flight| peer.is_mature(line) || peer.started <= late.started;
        let peers = self.all.iter().filter(|peer| peer.server != late.server).filter(comparable);
        let mut rates: Vec<f64> = peers.filter_map(Flight::rate).collect();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).is_some_and(|median| rate < median * OUTLIER)
    }

    /// Drops the flights with the most left to do until the rest can make the line; returns how many that is.
    fn keep(&mut self, total: f64, now: Duration, line: Duration) -> u32 {
        let share = total / self.all.len() as f64;
        let left = |flight: &Flight| {
            if flight.full.is_some() { 0.0 } else { flight.left(flight.rate().unwrap_or(share)) }
        };
        let mut by_progress: Vec<&Flight> = self.all.iter().collect();
        by_progress.sort_by(|a, b| left(a).total_cmp(&left(b)).then(a.key.cmp(&b.key)));
        let makes_it = |flight: &&Flight, rate: f64| {
            flight.full.is_some() || flight.complete_at(rate, now) <= flight.safe_until(line)
        };
        let keep = (1..by_progress.len())
            .rev()
            .find(|&keep| by_progress[..keep].iter().all(|flight| makes_it(flight, total / keep as f64)))
            .unwrap_or(1);
        self.to_drop = by_progress[keep..].iter().map(|flight| flight.key).collect();
        // What the others get from now on has to be measured anew.
        for flight in &mut self.all {
            flight.mark = Report { at: now, sent: flight.sent };
            flight.last = flight.mark;
        }
        keep as u32
    }
}

impl Flight {
    fn moved(&mut self, sent: u64, now: Duration, line: Duration) {
        if sent < self.sent {
            // The driver sends the same slice anew, with a new token.
            let zero = Report { at: now, sent };
            (self.started, self.mark, self.last) = (now, zero, zero);
            (self.heard, self.settled, self.full) = (false, None, None);
        }
        (self.sent, self.reported) = (sent, now);
        if sent == 0 {
            // There may be no connection yet.
            return;
        }
        let report = Report { at: now, sent };
        if !std::mem::replace(&mut self.heard, true) {
            // What buffers swallow at once says nothing of the rate.
            (self.mark, self.last) = (report, report);
        }
        if self.full.is_some() {
            return;
        }
        if now.saturating_sub(self.last.at) >= RATE_SPAN {
            (self.mark, self.last) = (self.last, report);
        }
        if self.settled.is_none() && now.saturating_sub(self.started) >= line / 3 {
            self.settled = Some(report);
        }
        if sent >= self.len {
            self.full = Some((now, self.rate()));
        }
    }

    /// The flight is over; its connection had taken so many bytes.
    pub(super) fn end(&mut self, sent: u64) {
        self.sent = self.sent.max(sent);
    }

    /// Bytes per second that the flight makes, once there is enough to tell.
    pub(super) fn rate(&self) -> Option<f64> {
        if let Some((_, rate)) = self.full {
            return rate;
        }
        let span = self.reported.saturating_sub(self.mark.at);
        (span >= RATE_SPAN).then(|| self.sent.saturating_sub(self.mark.sent) as f64 / span.as_secs_f64())
    }

    /// Bytes per second over most of a flight that came to nothing, buffers left out: a figure to be quoted.
    pub(super) fn rate_overall(&self, now: Duration) -> f64 {
        let until = self.full.map_or(now, |(at, _)| at);
        let (from, sent) = match self.settled {
            Some(report) if until.saturating_sub(report.at) >= RATE_SPAN => {
                (report.at, self.sent - report.sent)
            }
            _ => (self.started, self.sent),
        };
        sent as f64 / until.saturating_sub(from).as_secs_f64().max(0.001)
    }

    /// Bytes that have left this host for sure since the buffers were full.
    pub(super) fn moves(&self) -> bool {
        self.full.is_none() && self.rate().is_some_and(|rate| rate > 0.0)
    }

    /// Its rate is measured over a time when buffers were full.
    fn is_mature(&self, line: Duration) -> bool {
        self.mark.at.saturating_sub(self.started) >= line / 6
    }

    fn is_late(&self, now: Duration, line: Duration) -> bool {
        // Once the last byte is taken there is nothing to be won by dropping it.
        self.full.is_none()
            && self.rate().is_some_and(|rate| self.complete_at(rate, now) > self.safe_until(line))
    }

    fn safe_until(&self, line: Duration) -> Duration {
        self.started + line.mul_f64(LINE_SAFE)
    }

    /// Bytes that have not left this host yet if it sends at `rate`.
    fn left(&self, rate: f64) -> f64 {
        // What was taken and cannot have left since is in buffers of library and kernel.
        let gone = self.reported.saturating_sub(self.started).as_secs_f64() * rate;
        let buffered = (self.sent as f64 - gone).clamp(0.0, BUFFERED_MAX);
        self.len.saturating_sub(self.sent) as f64 + buffered
    }

    /// When the server will have the whole body if it goes on at `rate`, having sent at its own until now.
    pub(super) fn complete_at(&self, rate: f64, now: Duration) -> Duration {
        let seconds = self.left(self.rate().unwrap_or(rate)) / rate.max(1.0);
        now + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Duration = Duration::from_secs(60);
    const SLICE: u64 = 16 << 20;

    /// Starts a flight per rate on the named servers, and lets them move for `seconds`.
    fn fly(rates: &[(&str, f64)], seconds: u32) -> (Flights, Vec<Late>) {
        let mut flights = Flights::default();
        let keys: Vec<FlightKey> =
            rates.iter().map(|(server, _)| flights.start((*server).into(), SLICE, Duration::ZERO)).collect();
        let mut verdicts = vec![];
        for quarter in 1..=seconds * 4 {
            let now = Duration::from_millis(250) * quarter;
            for (key, (_, rate)) in keys.iter().zip(rates) {
                let sent = (rate * now.as_secs_f64()) as u64 + (1 << 20);
                verdicts.extend(flights.moved(*key, sent.min(SLICE), now, LINE, |_| None));
            }
        }
        (flights, verdicts)
    }

    #[test]
    fn the_rate_leaves_out_what_buffers_swallow_first() {
        let mut flights = Flights::default();
        let key = flights.start("s".into(), SLICE, Duration::ZERO);
        let second = Duration::from_secs(1);
        flights.moved(key, 4 << 20, second / 4, LINE, |_| None);
        flights.moved(key, 5 << 20, second * 4, LINE, |_| None);
        let flight = flights.get(key).unwrap();
        assert_eq!(flight.rate(), Some((1 << 20) as f64 / 3.75));
        let rate = flight.rate().unwrap();
        let left = (flight.complete_at(rate, second * 4) - second * 4).as_secs_f64();
        assert_eq!(left.round(), 56.0, "16 MiB at 16/60 MiB/s, 4 s of which are over: buffers do not count");
    }

    #[test]
    fn a_link_shared_by_too_many_keeps_those_that_can_make_it() {
        let (flights, verdicts) = fly(&[("a", 175e3); 4], 5);
        assert!(
            matches!(verdicts[..], [Late::Link { keep: 2, rate }] if (rate - 700e3).abs() < 1e3),
            "{verdicts:?}"
        );
        assert_eq!(flights.to_drop.len(), 2);
    }

    #[test]
    fn flights_that_make_it_are_left_alone() {
        assert_eq!(fly(&[("a", 310e3); 4], 55).1, []);
    }

    #[test]
    fn a_slow_server_is_told_from_a_slow_link() {
        let (flights, verdicts) = fly(&[("a", 500e3), ("b", 100e3), ("a", 500e3)], 5);
        assert!(matches!(&verdicts[..], [Late::Server(server, _)] if &**server == "b"), "{verdicts:?}");
        assert_eq!(flights.to_drop.len(), 1);
    }

    #[test]
    fn younger_flights_whose_buffers_grow_do_not_make_an_old_one_look_slow() {
        let mut flights = Flights::default();
        let old = flights.start("a".into(), SLICE, Duration::ZERO);
        let quarter = Duration::from_millis(250);
        for step in 1..=80 {
            flights.moved(old, 5 * (1 << 20) + 60_000 * u64::from(step), quarter * step, LINE, |_| None);
        }
        let young = flights.start("b".into(), SLICE, quarter * 80);
        for step in 81..=110 {
            let verdict =
                flights.moved(young, 500_000 * u64::from(step - 80), quarter * step, LINE, |_| None);
            assert!(!matches!(verdict, Some(Late::Server(..))));
            let verdict =
                flights
                    .moved(old, 10_042_880 + 20_000 * u64::from(step - 80), quarter * step, LINE, |_| None);
            assert!(!matches!(verdict, Some(Late::Server(..))));
        }
    }

    #[test]
    fn a_dead_connection_does_not_make_the_link_look_slow() {
        let (flights, verdicts) = fly(&[("a", 500e3), ("b", 0.0), ("a", 500e3)], 20);
        assert_eq!((verdicts, flights.to_drop.len()), (vec![], 0));
    }

    #[test]
    fn a_slice_sent_anew_with_a_new_token_is_measured_anew() {
        let (mut flights, _) = fly(&[("a", 500e3), ("a", 500e3)], 20);
        let key = flights.all[0].key;
        let again = Duration::from_secs(40);
        assert_eq!(flights.moved(key, 1, again, LINE, |_| None), None);
        assert_eq!(flights.get(key).unwrap().started, again);
        assert_eq!(flights.get(key).unwrap().rate(), None);
    }
}
