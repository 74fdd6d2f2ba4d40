//! The slices of one upload: which are done, which are on their way, which are due when.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::types::TryId;
use crate::{Slice, SlicePlan};

/// All slices of one upload.
#[derive(Clone, Debug)]
pub(super) struct Slices {
    plan: SlicePlan,
    /// One for each slice; index is `sliceNo` - 1.
    states: Vec<State>,
    /// Numbers of the slices that are neither done nor in flight.
    due: BTreeSet<u32>,
    done: u32,
    bytes_done: u64,
    flights: Vec<Flight>,
}

#[derive(Clone, Debug, Default)]
struct State {
    done: bool,
    tries: u32,
    ready_at: Duration,
    server: Option<Arc<str>>,
}

/// One slice on its way.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) id: TryId,
    pub(super) slice: Slice,
    pub(super) server: Arc<str>,
    pub(super) started: Duration,
    /// Which try of the slice this is, from 1.
    pub(super) attempt: u32,
    /// Body bytes that the connection has taken.
    pub(super) sent: u64,
    /// Bytes taken by the first report: what buffers swallow at once, ahead of the wire.
    buffered: Option<u64>,
    /// An earlier report, at least [`RATE_SPAN`] ago, to measure the rate from.
    mark: (Duration, u64),
    last: (Duration, u64),
    /// Another slice was in flight at some time together with this one.
    pub(super) crowded: bool,
}

/// A rate is measured over at least this long.
const RATE_SPAN: Duration = Duration::from_secs(3);
/// Most that HTTP library and kernel are thought to hold of one body.
const BUFFERED_MAX: u64 = 6 << 20;

impl Slices {
    pub(super) fn new(plan: SlicePlan) -> Self {
        Self {
            plan,
            states: vec![State::default(); plan.count() as usize],
            due: (1..=plan.count()).collect(),
            done: 0,
            bytes_done: 0,
            flights: Vec::new(),
        }
    }

    pub(super) fn count(&self) -> u32 {
        self.plan.count()
    }

    pub(super) fn done(&self) -> u32 {
        self.done
    }

    pub(super) fn bytes_done(&self) -> u64 {
        self.bytes_done
    }

    pub(super) fn all_done(&self) -> bool {
        self.done == self.count()
    }

    pub(super) fn flights(&self) -> &[Flight] {
        &self.flights
    }

    /// Marks a slice as acknowledged; `false` if it was already or does not exist.
    pub(super) fn set_done(&mut self, no: u32) -> bool {
        let Some(state) = no.checked_sub(1).and_then(|index| self.states.get_mut(index as usize)) else {
            return false;
        };
        if state.done {
            return false;
        }
        state.done = true;
        self.due.remove(&no);
        self.done += 1;
        self.bytes_done += self.plan.slice(no).map_or(0, |slice| slice.len);
        true
    }

    /// The lowest slice that may go at `now`, with the server of its last try.
    pub(super) fn next(&self, now: Duration) -> Option<(Slice, Option<&Arc<str>>)> {
        let no = *self.due.iter().find(|&&no| self.state(no).ready_at <= now)?;
        Some((self.plan.slice(no)?, self.state(no).server.as_ref()))
    }

    /// When the next slice that has to wait may go.
    pub(super) fn next_ready_at(&self) -> Option<Duration> {
        self.due.iter().map(|&no| self.state(no).ready_at).min()
    }

    pub(super) fn start(&mut self, id: TryId, slice: Slice, server: Arc<str>, now: Duration, crowded: bool) {
        self.due.remove(&slice.no);
        let state = self.state_mut(slice.no);
        state.tries += 1;
        state.server = Some(server.clone());
        let attempt = state.tries;
        self.flights.push(Flight {
            id,
            slice,
            server,
            started: now,
            attempt,
            sent: 0,
            buffered: None,
            mark: (now, 0),
            last: (now, 0),
            crowded,
        });
    }

    /// Takes a flight out; the slice is neither due nor done after that.
    pub(super) fn land(&mut self, id: TryId) -> Option<Flight> {
        let index = self.flights.iter().position(|flight| flight.id == id)?;
        Some(self.flights.swap_remove(index))
    }

    /// Makes a slice due again. `counted`: the last try counts against the limit of tries.
    pub(super) fn put_back(&mut self, no: u32, ready_at: Duration, counted: bool) {
        let state = self.state_mut(no);
        state.ready_at = ready_at;
        if !counted {
            state.tries = state.tries.saturating_sub(1);
        }
        self.due.insert(no);
    }

    /// Notes a report on a flight.
    pub(super) fn moved(&mut self, id: TryId, sent: u64, now: Duration, crowded: bool) {
        if let Some(flight) = self.flights.iter_mut().find(|flight| flight.id == id) {
            flight.moved(sent, now, crowded);
        }
    }

    fn state(&self, no: u32) -> &State {
        &self.states[no as usize - 1]
    }

    fn state_mut(&mut self, no: u32) -> &mut State {
        &mut self.states[no as usize - 1]
    }
}

impl Flight {
    fn moved(&mut self, sent: u64, now: Duration, crowded: bool) {
        self.sent = sent.max(self.sent);
        self.crowded |= crowded;
        self.buffered.get_or_insert(sent.min(BUFFERED_MAX));
        if now.saturating_sub(self.last.0) >= RATE_SPAN {
            self.mark = self.last;
            self.last = (now, self.sent);
        }
    }

    /// Bytes per second that this flight makes, once there is enough to tell.
    pub(super) fn rate(&self, now: Duration) -> Option<f64> {
        let span = now.saturating_sub(self.mark.0);
        let base = if self.mark.1 == 0 { self.buffered? } else { self.mark.1 };
        (span >= RATE_SPAN).then(|| self.sent.saturating_sub(base) as f64 / span.as_secs_f64())
    }

    /// When the server will have the whole body if it goes on at `rate`.
    pub(super) fn complete_at(&self, rate: f64, now: Duration) -> Duration {
        let left = self.slice.len.saturating_sub(self.sent) + self.buffered.unwrap_or(0);
        let seconds = left as f64 / rate.max(1.0);
        now + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    #[test]
    fn a_slice_is_due_in_flight_or_done_and_never_two_of_them() {
        let mut slices = Slices::new(SlicePlan::new(10, NonZeroU64::new(4).unwrap()).unwrap());
        let now = Duration::from_secs(1);
        for id in 0..3 {
            let slice = slices.next(now).unwrap().0;
            slices.start(TryId(id), slice, "s".into(), now, false);
        }
        assert_eq!(slices.next(now), None);
        let first = slices.land(TryId(0)).unwrap();
        slices.put_back(first.slice.no, now * 2, true);
        assert_eq!(slices.next(now), None, "it has to wait");
        assert_eq!(slices.next_ready_at(), Some(now * 2));
        assert_eq!(slices.next(now * 2).unwrap().0.no, 1);
        assert_eq!(slices.land(TryId(0)).map(|f| f.id), None);
        let second = slices.land(TryId(1)).unwrap();
        assert!(slices.set_done(second.slice.no));
        assert!(!slices.set_done(second.slice.no), "only once");
        assert!(!slices.set_done(4) && !slices.set_done(0), "no such slice");
        assert_eq!((slices.done(), slices.count()), (1, 3));
    }

    #[test]
    fn the_rate_leaves_out_what_buffers_swallow_first() {
        let mut slices = Slices::new(SlicePlan::new(16 << 20, NonZeroU64::new(16 << 20).unwrap()).unwrap());
        let slice = slices.next(Duration::ZERO).unwrap().0;
        slices.start(TryId(0), slice, "s".into(), Duration::ZERO, false);
        let second = Duration::from_secs(1);
        slices.moved(TryId(0), 4 << 20, second / 4, false);
        slices.moved(TryId(0), 5 << 20, second * 4, false);
        let flight = &slices.flights()[0];
        assert_eq!(flight.rate(second * 4), Some((1 << 20) as f64 / 4.0));
        let left = flight.complete_at(262_144.0, second * 4) - second * 4;
        assert_eq!(left, second * 60, "11 MiB to hand over and 4 MiB still in buffers");
    }
}
