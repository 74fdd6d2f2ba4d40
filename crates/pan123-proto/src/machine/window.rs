//! How many slices may be in flight.

use std::time::Duration;

use super::policy::Parallel;

/// Starts small, grows while goodput grows, steps back when it does not, and shrinks on trouble.
///
/// Goodput is counted in acknowledged bytes, because what the connection has taken may still sit in
/// buffers of this machine. A judgement needs as many acknowledged slices as may be in flight, made while
/// the window was full, and half a second.
///
/// Growing has to mind the gateway's line. If the uplink is what limits, every further slice makes all of them
/// slower; if each connection has its own limit, a further one costs nothing. Only trying tells which it is, so past
/// what would fit in the first case the window grows one slice at a time, and that one is dropped as soon as
/// a slice is seen to be late.
#[derive(Clone, Debug)]
pub(super) struct Window {
    limit: u32,
    max: u32,
    /// A number was asked for.
    is_fixed: bool,
    /// Steps double rather than add until the first one that did not pay.
    doubling: bool,
    /// A step was too long, so further ones are by one.
    careful: bool,
    /// The limit and goodput that the step under judgement started from.
    before: Option<(u32, f64)>,
    /// The last step brought almost all that it could: connections have limits of their own.
    linear: bool,
    /// No step up before this time,
    hold_until: Duration,
    /// nor before so many more judgements.
    hold_for: u32,
    /// How many judgements to hold after the next step that does not pay.
    hold: u32,
    epoch: Epoch,
    /// When moving slices were last judged.
    moving_judged_at: Duration,
    /// Since when nothing is in flight.
    idle_since: Option<Duration>,
    /// Bytes per second over the last epochs.
    goodput: Option<f64>,
    /// When it last shrank: what was sent before that does not count again.
    eased_at: Option<Duration>,
    reason: &'static str,
}

/// One measurement.
#[derive(Clone, Copy, Debug, Default)]
struct Epoch {
    start: Option<Duration>,
    acknowledged: u64,
    slices: u32,
    troubles: u32,
}

const START: u32 = 4;
/// Each slice in flight holds at most 320 KiB of frames, so this many hold 20 MiB; 8 hold 2.5 MiB.
const AUTO_MAX: u32 = 64;
const EXACT_MAX: u32 = 64;
const EPOCH_MIN: Duration = Duration::from_millis(500);
/// Moving slices are judged at most this often.
const MOVING_MIN: Duration = Duration::from_secs(13);
/// A step up pays if goodput rose by at least this part of what more slices could have brought.
const STEP_PAYS: f64 = 0.4;
/// A step up that brought this part of it was not held back by the uplink.
const STEP_LINEAR: f64 = 0.8;
const HOLD_MIN: Duration = Duration::from_secs(5);
const HOLD_FIRST: u32 = 4;
const HOLD_MAX: u32 = 32;
/// A slice should need no more than this part of the gateway's body time.
const LINE_SHARE: f64 = 0.8;

impl Window {
    pub(super) fn new(parallel: Parallel) -> Self {
        let (limit, max) = match parallel {
            Parallel::Auto => (START, AUTO_MAX),
            Parallel::Exactly(n) => (n.clamp(1, EXACT_MAX), n.clamp(1, EXACT_MAX)),
        };
        Self {
            limit,
            max,
            is_fixed: matches!(parallel, Parallel::Exactly(_)),
            doubling: true,
            careful: false,
            before: None,
            linear: false,
            hold_until: Duration::ZERO,
            hold_for: 0,
            hold: HOLD_FIRST,
            epoch: Epoch::default(),
            moving_judged_at: Duration::ZERO,
            idle_since: None,
            goodput: None,
            eased_at: None,
            reason: "start",
        }
    }

    /// How many slices may be in flight now.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether a number was asked for, of which the limit falls short only while the link cannot pass so many.
    pub(super) fn is_fixed(&self) -> bool {
        self.is_fixed
    }

    /// Why the limit is what it is.
    pub(super) fn reason(&self) -> &'static str {
        self.reason
    }

    /// Acknowledged bytes per second, once known.
    pub(super) fn goodput(&self) -> Option<f64> {
        self.goodput
    }

    /// A slice goes out.
    pub(super) fn started(&mut self, now: Duration) {
        let idle = self.idle_since.take().map_or(Duration::ZERO, |since| now.saturating_sub(since));
        self.epoch.start = Some(self.epoch.start.map_or(now, |start| start + idle));
    }

    /// No slice is in flight: until the next one, time passes without telling anything about the link.
    pub(super) fn idle(&mut self, now: Duration) {
        self.idle_since = Some(now);
    }

    /// A slice was acknowledged. `full`: the window was full when it was.
    pub(super) fn acknowledged(&mut self, now: Duration, bytes: u64, full: bool, line: Duration) {
        self.epoch.acknowledged += bytes;
        self.epoch.slices += 1;
        let Some(start) = self.epoch.start else { return };
        let elapsed = now.saturating_sub(start);
        if self.epoch.slices < self.limit || elapsed < EPOCH_MIN {
            return;
        }
        let measured = self.epoch.acknowledged as f64 / elapsed.as_secs_f64();
        let slice = self.epoch.acknowledged / u64::from(self.epoch.slices);
        self.goodput = Some(self.goodput.map_or(measured, |average| average + 0.5 * (measured - average)));
        let troubled = self.epoch.troubles > 0;
        self.epoch = Epoch { start: Some(now), ..Epoch::default() };
        self.judge(now, measured, full && !troubled, fit(measured, slice, line));
    }

    /// A full window moves so many bytes per second, measured past all buffers. Where slices take long this tells
    /// earlier than acknowledgements whether a step paid.
    pub(super) fn moving(&mut self, now: Duration, rate: f64, slice: u64, line: Duration) {
        let judged_at = self.epoch.start.unwrap_or(now).max(self.moving_judged_at);
        if now.saturating_sub(judged_at) < MOVING_MIN || self.epoch.troubles > 0 {
            return;
        }
        self.moving_judged_at = now;
        let growing = self.before.is_some() || (self.hold_for == 0 && now >= self.hold_until);
        if growing {
            self.epoch = Epoch { start: Some(now), ..Epoch::default() };
            self.judge(now, rate, true, fit(rate, slice, line));
        }
    }

    /// Takes the step under judgement back, or takes the next one.
    fn judge(&mut self, now: Duration, measured: f64, may_grow: bool, fit: u32) {
        if let Some((limit, goodput)) = self.before.take() {
            let hoped = f64::from(self.limit) / f64::from(limit) - 1.0;
            if measured < goodput * (1.0 + STEP_PAYS * hoped) {
                self.linear = false;
                // What a long step does not bring a short one may.
                self.careful |= !self.doubling;
                self.hold_back(now);
                return self.set(limit, "more slices in flight brought no more speed");
            }
            self.linear = measured >= goodput * (1.0 + STEP_LINEAR * hoped);
            self.careful &= !self.linear;
            self.hold = HOLD_FIRST;
        }
        self.hold_for = self.hold_for.saturating_sub(1);
        if !may_grow || self.hold_for > 0 || now < self.hold_until || self.limit >= self.max {
            return;
        }
        let step = match (self.doubling, self.careful) {
            (true, _) => self.limit,
            (false, true) => 1,
            (false, false) => (self.limit / 4).max(1),
        };
        let most = if self.linear { self.max } else { fit.max(self.limit + 1).min(self.max) };
        self.before = Some((self.limit, measured));
        self.set((self.limit + step).min(most), "speed grows with slices in flight");
    }

    /// No further step for a while, and longer each time.
    fn hold_back(&mut self, now: Duration) {
        self.doubling = false;
        self.hold_until = now + HOLD_MIN;
        self.hold_for = self.hold;
        self.hold = (self.hold * 2).min(HOLD_MAX);
    }

    /// A request that went out at `sent_at` failed in a way that may come from too much at once.
    pub(super) fn trouble(&mut self, now: Duration, sent_at: Duration) {
        if self.eased_at.is_some_and(|at| sent_at < at) {
            return;
        }
        self.epoch.troubles += 1;
        if self.epoch.troubles > self.epoch.slices.max(1) {
            self.ease(now, self.limit / 2, "several requests failed");
            // Once it is over, the way back up should not take long.
            self.doubling = true;
            (self.hold_until, self.hold_for) = (now, 0);
        }
    }

    /// The service refused a slice that went out at `sent_at`, because there were too many.
    pub(super) fn refused(&mut self, now: Duration, sent_at: Duration) {
        if self.eased_at.is_none_or(|at| sent_at >= at) {
            self.ease(now, self.limit / 2, "the service refused slices as too many requests");
        }
    }

    /// The gateway gave up on a body that went out at `sent_at` together with others.
    pub(super) fn missed_line(
        &mut self,
        now: Duration,
        sent_at: Duration,
        rate: f64,
        slice: u64,
        line: Duration,
    ) {
        if self.eased_at.is_none_or(|at| sent_at >= at) {
            let limit = fit(rate, slice, line).min(self.limit / 2);
            self.goodput = Some(rate);
            self.ease(now, limit, "the gateway gave up on a slice that took too long");
        }
    }

    /// At `rate` bytes per second only so many of the slices in flight can make the gateway's line.
    pub(super) fn too_slow(&mut self, now: Duration, keep: u32, rate: f64) {
        self.goodput = Some(rate);
        self.careful = true;
        self.ease(now, keep.min(self.limit), "slices in flight would miss the gateway's body time");
    }

    fn ease(&mut self, now: Duration, limit: u32, reason: &'static str) {
        self.eased_at = Some(now);
        self.before = None;
        self.linear = false;
        self.hold_back(now);
        self.epoch = Epoch { start: Some(now), ..Epoch::default() };
        self.set(limit, reason);
    }

    fn set(&mut self, limit: u32, reason: &'static str) {
        let limit = limit.clamp(1, self.max);
        if limit != self.limit {
            self.limit = limit;
            self.reason = reason;
        }
    }
}

/// How many slices of `slice` bytes can share `rate` bytes per second and all be out in time.
fn fit(rate: f64, slice: u64, line: Duration) -> u32 {
    let slices = rate * line.as_secs_f64() * LINE_SHARE / slice.max(1) as f64;
    if slices >= f64::from(EXACT_MAX) { EXACT_MAX } else { (slices as u32).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Duration = Duration::from_secs(60);
    const SLICE: u64 = 16 << 20;

    /// Runs slices over a link and returns the limit after each. `rate(n)`: bytes per second of n slices together.
    fn run(window: &mut Window, slices: u32, rate: impl Fn(u32) -> f64) -> Vec<u32> {
        let mut now = Duration::ZERO;
        window.started(now);
        (0..slices)
            .map(|_| {
                now += Duration::from_secs_f64(SLICE as f64 / rate(window.limit()));
                window.acknowledged(now, SLICE, true, LINE);
                window.limit()
            })
            .collect()
    }

    #[test]
    fn grows_while_each_connection_brings_its_own_speed() {
        let mut window = Window::new(Parallel::Auto);
        let limits = run(&mut window, 200, |n| 2e6 * f64::from(n));
        assert_eq!(limits.last(), Some(&AUTO_MAX), "{limits:?}");
    }

    #[test]
    fn grows_past_what_would_fit_where_connections_are_slow_each() {
        let mut window = Window::new(Parallel::Auto);
        let limits = run(&mut window, 60, |n| 0.3e6 * f64::from(n.min(12)));
        assert!(limits.iter().any(|limit| *limit >= 12), "{limits:?}");
    }

    #[test]
    fn steps_back_when_more_brings_nothing() {
        let mut window = Window::new(Parallel::Auto);
        let limits = run(&mut window, 40, |_| 50e6);
        assert_eq!(limits.last(), Some(&START), "{limits:?}");
        assert!(limits.contains(&(START * 2)), "it did try: {limits:?}");
    }

    #[test]
    fn on_a_slow_link_it_tries_one_more_and_no_more() {
        let mut window = Window::new(Parallel::Auto);
        let ten_mbit = 1.25e6;
        let limits = run(&mut window, 8, |_| ten_mbit);
        assert!(limits.iter().all(|limit| *limit <= START + 1), "{limits:?}");
        window.too_slow(Duration::from_secs(1000), 1, 0.4e6);
        assert_eq!(window.limit(), 1);
    }

    #[test]
    fn failures_that_come_together_count_once() {
        let mut window = Window::new(Parallel::Exactly(16));
        window.started(Duration::ZERO);
        for _ in 0..8 {
            window.trouble(Duration::from_secs(1), Duration::ZERO);
            window.missed_line(Duration::from_secs(60), Duration::ZERO, 1e9, SLICE, LINE);
        }
        assert_eq!(window.limit(), 8);
        assert_eq!(Window::new(Parallel::Exactly(0)).limit(), 1);
        assert_eq!(Window::new(Parallel::Exactly(1000)).limit(), EXACT_MAX);
    }
}
