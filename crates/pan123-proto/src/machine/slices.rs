//! The slices of one upload: which are done, which are on their way, which are due when.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{flights::FlightKey, types::TryId};
use crate::{Slice, SlicePlan};

/// All slices of one upload.
#[derive(Clone, Debug)]
pub(super) struct Slices {
    plan: SlicePlan,
    /// One for each slice; index is `sliceNo` - 1.
    states: Vec<State>,
    /// Numbers of the slices that are neither done nor on their way.
    due: BTreeSet<u32>,
    done: u32,
    bytes_done: u64,
    on_their_way: Vec<Sent>,
}

#[derive(Clone, Debug, Default)]
struct State {
    done: bool,
    /// Tries that count against the limit.
    tries: u32,
    /// All tries.
    sent: u32,
    ready_at: Duration,
    server: Option<Arc<str>>,
}

/// One slice on its way.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) id: TryId,
    /// What the link knows it by.
    pub(super) key: FlightKey,
    pub(super) slice: Slice,
    pub(super) server: Arc<str>,
    /// Which try of the slice this is, from 1, of those that count against the limit.
    pub(super) attempt: u32,
    /// Which try of the slice this is, from 1, of all.
    pub(super) try_no: u32,
}

impl Slices {
    pub(super) fn new(plan: SlicePlan) -> Self {
        Self {
            plan,
            states: vec![State::default(); plan.count() as usize],
            due: (1..=plan.count()).collect(),
            done: 0,
            bytes_done: 0,
            on_their_way: Vec::new(),
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

    /// None is left to be sent; some may be on their way.
    pub(super) fn none_due(&self) -> bool {
        self.due.is_empty()
    }

    pub(super) fn on_their_way(&self) -> &[Sent] {
        &self.on_their_way
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

    pub(super) fn start(&mut self, id: TryId, key: FlightKey, slice: Slice, server: Arc<str>) {
        self.due.remove(&slice.no);
        let state = self.state_mut(slice.no);
        state.tries += 1;
        state.sent += 1;
        state.server = Some(server.clone());
        let (attempt, try_no) = (state.tries, state.sent);
        self.on_their_way.push(Sent { id, key, slice, server, attempt, try_no });
    }

    /// Takes a slice off its way; it is neither due nor done after that.
    pub(super) fn land(&mut self, id: TryId) -> Option<Sent> {
        let index = self.on_their_way.iter().position(|sent| sent.id == id)?;
        Some(self.on_their_way.swap_remove(index))
    }

    /// Another copy of this slice that is on its way.
    pub(super) fn copy_of(&self, no: u32) -> Option<&Sent> {
        self.on_their_way.iter().find(|sent| sent.slice.no == no)
    }

    /// Makes a slice due again. `counted`: the last try counts against the limit of tries.
    pub(super) fn put_back(&mut self, no: u32, ready_at: Duration, counted: bool) {
        let state = self.state_mut(no);
        state.ready_at = ready_at;
        if !counted {
            state.tries = state.tries.saturating_sub(1);
        }
        if self.copy_of(no).is_none() {
            self.due.insert(no);
        }
    }

    fn state(&self, no: u32) -> &State {
        &self.states[no as usize - 1]
    }

    fn state_mut(&mut self, no: u32) -> &mut State {
        &mut self.states[no as usize - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::flights::Flights;
    use std::num::NonZeroU64;

    #[test]
    fn a_slice_is_due_on_its_way_or_done_and_never_two_of_them() {
        let mut slices = Slices::new(SlicePlan::new(10, NonZeroU64::new(4).unwrap()).unwrap());
        let mut flights = Flights::default();
        let now = Duration::from_secs(1);
        for id in 0..3 {
            let slice = slices.next(now).unwrap().0;
            let key = flights.start("s".into(), slice.len, now);
            slices.start(TryId(id), key, slice, "s".into());
        }
        assert_eq!(slices.next(now), None);
        let first = slices.land(TryId(0)).unwrap();
        slices.put_back(first.slice.no, now * 2, true);
        assert_eq!(slices.next(now), None, "it has to wait");
        assert_eq!(slices.next_ready_at(), Some(now * 2));
        assert_eq!(slices.next(now * 2).unwrap().0.no, 1);
        assert_eq!(slices.land(TryId(0)).map(|sent| sent.id), None);
        let second = slices.land(TryId(1)).unwrap();
        assert!(slices.set_done(second.slice.no));
        assert!(!slices.set_done(second.slice.no), "only once");
        assert!(!slices.set_done(4) && !slices.set_done(0), "no such slice");
        assert_eq!((slices.done(), slices.count()), (1, 3));
    }

    #[test]
    fn a_slice_whose_copy_is_on_its_way_is_not_due() {
        let mut slices = Slices::new(SlicePlan::new(4, NonZeroU64::new(4).unwrap()).unwrap());
        let mut flights = Flights::default();
        let slice = slices.next(Duration::ZERO).unwrap().0;
        for id in 0..2 {
            let key = flights.start("s".into(), 4, Duration::ZERO);
            slices.start(TryId(id), key, slice, "s".into());
        }
        slices.land(TryId(0));
        slices.put_back(1, Duration::ZERO, true);
        assert!(slices.none_due());
        slices.land(TryId(1));
        slices.put_back(1, Duration::ZERO, true);
        assert!(!slices.none_due());
    }
}
