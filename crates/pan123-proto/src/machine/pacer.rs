//! Request rates per endpoint.

use std::time::Duration;

use crate::Endpoint;

/// A request rate that knows its published limit and learns from refusals.
///
/// A virtual schedule (GCRA): each request moves `next` on by one interval, and a request may go up to
/// `burst` intervals ahead of it.
#[derive(Clone, Debug)]
pub(super) struct Pacer {
    /// The published interval between requests; zero where none is known.
    base: Duration,
    /// The interval in force.
    interval: Duration,
    burst: u32,
    next: Duration,
    /// Nothing goes before this time.
    closed_until: Duration,
    /// Good answers since the last refusal.
    good: u32,
    /// When the last refusal was counted.
    refused_at: Option<Duration>,
}

/// The interval after the first refusal where no limit is published.
const LEARNED_INTERVAL_FIRST: Duration = Duration::from_millis(100);
/// The slowest rate that refusals can lead to.
const INTERVAL_MAX: Duration = Duration::from_secs(30);
/// The pause after a refusal that names none.
const CLOSED_DEFAULT: Duration = Duration::from_secs(1);
/// Good answers after which the rate goes up a step again.
const GOOD_BEFORE_FASTER: u32 = 10;

impl Pacer {
    pub(super) fn new(endpoint: Endpoint, vip: bool) -> Self {
        let per_second = rate(endpoint, vip);
        let base = per_second.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        Self {
            base,
            interval: base,
            burst: 1,
            next: Duration::ZERO,
            closed_until: Duration::ZERO,
            good: 0,
            refused_at: None,
        }
    }

    /// When the next request may go.
    pub(super) fn ready_at(&self) -> Duration {
        self.next.saturating_sub(self.interval * (self.burst - 1)).max(self.closed_until)
    }

    /// The service has refused a request and wants a pause.
    pub(super) fn is_closed(&self, now: Duration) -> bool {
        self.closed_until > now
    }

    /// The service has asked for a pause of so long, and did not just refuse.
    pub(super) fn is_asked_to_pause(&self, now: Duration) -> bool {
        self.closed_until > now + CLOSED_DEFAULT
    }

    /// Counts a request that goes at `now`.
    pub(super) fn take(&mut self, now: Duration) {
        self.next = self.next.max(now) + self.interval;
    }

    /// The service took a request.
    pub(super) fn good(&mut self) {
        self.good += 1;
        if self.good >= GOOD_BEFORE_FASTER && self.interval > self.base {
            self.good = 0;
            self.interval = self.interval.mul_f64(0.7).max(self.base);
            if self.base.is_zero() && self.interval < LEARNED_INTERVAL_FIRST / 4 {
                self.interval = Duration::ZERO;
            }
        }
    }

    /// The service refused a request because there were too many.
    ///
    /// Requests that were under way together are refused together; they slow the rate once. `sent_at`: when this
    /// one went out.
    pub(super) fn refused(&mut self, now: Duration, sent_at: Duration, retry_after: Option<Duration>) {
        let pause = retry_after.unwrap_or(CLOSED_DEFAULT);
        self.closed_until = self.closed_until.max(now + pause);
        if self.refused_at.is_none_or(|at| sent_at > at) {
            self.refused_at = Some(now);
            self.good = 0;
            self.interval = (self.interval * 2).clamp(LEARNED_INTERVAL_FIRST, INTERVAL_MAX);
            self.next = self.next.max(self.closed_until);
        }
    }
}

/// Requests per second that the service grants, or `None` where nobody has published a figure.
///
/// Sources: the developer page of 2025-10-28 (free and VIP columns) for list, mkdir, user info and tokens;
/// for `create` and `upload_complete` the figures of the service's support as one client author reports them.
fn rate(endpoint: Endpoint, vip: bool) -> Option<f64> {
    let (free, paid) = match endpoint {
        Endpoint::Create => (1.0, 20.0),
        Endpoint::Complete => (5.0, 20.0),
        Endpoint::Sha1Reuse => (1.0, 20.0),
        Endpoint::Mkdir => (5.0, 20.0),
        Endpoint::List => (5.0, 10.0),
        Endpoint::UserInfo => (10.0, 10.0),
        Endpoint::AccessToken => (8.0, 10.0),
        Endpoint::OauthToken => (1.6, 1.6),
        Endpoint::Slice | Endpoint::Single | Endpoint::Domain | Endpoint::Detail => return None,
    };
    Some(if vip { paid } else { free })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends as fast as the pacer lets it and returns when each request went.
    fn run(pacer: &mut Pacer, count: usize) -> Vec<Duration> {
        let mut now = SECOND;
        (0..count)
            .map(|_| {
                now = now.max(pacer.ready_at());
                pacer.take(now);
                now
            })
            .collect()
    }

    #[test]
    fn free_creates_go_one_a_second() {
        let times = run(&mut Pacer::new(Endpoint::Create, false), 4);
        assert_eq!(times, [SECOND, SECOND * 2, SECOND * 3, SECOND * 4]);
    }

    #[test]
    fn refusals_of_one_burst_slow_the_rate_once_and_good_answers_restore_it() {
        let mut pacer = Pacer::new(Endpoint::Create, true);
        run(&mut pacer, 4);
        for _ in 0..4 {
            pacer.refused(SECOND * 2, SECOND, Some(SECOND * 3));
        }
        pacer.refused(SECOND * 4, SECOND, None);
        assert_eq!(pacer.ready_at(), SECOND * 5, "however long they take to be refused");
        assert_eq!(pacer.interval, Duration::from_millis(100));
        for _ in 0..40 {
            pacer.good();
        }
        assert_eq!(pacer.interval, Duration::from_millis(50));
    }

    #[test]
    fn an_endpoint_without_a_limit_learns_one_and_forgets_it() {
        let mut pacer = Pacer::new(Endpoint::Slice, false);
        assert_eq!(run(&mut pacer, 100).last(), Some(&SECOND));
        pacer.refused(SECOND, SECOND, None);
        assert_eq!(pacer.ready_at(), SECOND * 2);
        assert_eq!(pacer.interval, LEARNED_INTERVAL_FIRST);
        for _ in 0..60 {
            pacer.good();
        }
        assert_eq!(pacer.interval, Duration::ZERO);
    }
}
