//! Which upload host gets the next slice.

use std::{sync::Arc, time::Duration};

/// What is known of the upload hosts, over all uploads.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers {
    known: Vec<Server>,
}

#[derive(Clone, Debug)]
struct Server {
    url: Arc<str>,
    in_flight: u32,
    /// Average bytes per second of one slice, and when it was last measured; `None` before the first.
    rate: Option<(f64, Duration)>,
    /// Failures in a row.
    failures: u32,
    /// Avoided until then, unless there is no other.
    avoid_until: Duration,
}

/// How long a server is avoided after its first failure; doubles with each further one.
const AVOID_FIRST: Duration = Duration::from_secs(1);
/// How long a measured rate is worth something; a server that was slow gets another chance then.
const RATE_LASTS: Duration = Duration::from_secs(300);
/// The longest that a server is avoided.
const AVOID_MAX: Duration = Duration::from_secs(60);

impl Servers {
    /// The best of `urls` for a slice that starts at `now`: not failing, fast, not busy. `tried` was the
    /// one of the slice's last try and is taken again only if there is no other of equal standing.
    pub(super) fn choose<'a>(
        &mut self,
        urls: &'a [Arc<str>],
        tried: Option<&Arc<str>>,
        now: Duration,
    ) -> Option<&'a Arc<str>> {
        let fastest = urls.iter().filter_map(|url| self.get(url).rate_at(now)).fold(0.0, f64::max);
        urls.iter().min_by(|a, b| {
            let cost = |url: &Arc<str>, servers: &mut Self| {
                let server = servers.get(url);
                let avoided = server.avoid_until.saturating_sub(now);
                // A server that nobody has measured lately counts as fast as the fastest, so that it is tried.
                let speed = server
                    .rate_at(now)
                    .map_or(1.0, |rate| if fastest > 0.0 { (rate / fastest).max(0.01) } else { 1.0 });
                // One that keeps failing is tried again only when the others have much to do.
                let load = f64::from(server.in_flight + 1) * f64::from(server.failures + 1) / speed;
                (avoided, tried == Some(url), load)
            };
            let (a, b) = (cost(a, self), cost(b, self));
            a.0.cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.total_cmp(&b.2))
        })
    }

    pub(super) fn started(&mut self, url: &Arc<str>) {
        self.get(url).in_flight += 1;
    }

    /// A slice is no longer on its way to the server.
    pub(super) fn left(&mut self, url: &Arc<str>) {
        let server = self.get(url);
        server.in_flight = server.in_flight.saturating_sub(1);
    }

    /// The server took a slice at so many bytes per second.
    pub(super) fn good(&mut self, url: &Arc<str>, rate: f64, now: Duration) {
        let server = self.get(url);
        server.failures = 0;
        server.avoid_until = Duration::ZERO;
        let rate = server.rate_at(now).map_or(rate, |average| average + 0.3 * (rate - average));
        server.rate = Some((rate, now));
    }

    /// The server was too slow for a slice.
    pub(super) fn slow(&mut self, url: &Arc<str>, rate: f64, now: Duration) {
        self.failed(url, now);
        self.get(url).rate = Some((rate, now));
    }

    /// The server failed in a way that is its own.
    pub(super) fn failed(&mut self, url: &Arc<str>, now: Duration) {
        let server = self.get(url);
        server.avoid_until = now + (AVOID_FIRST * 2u32.pow(server.failures.min(6))).min(AVOID_MAX);
        server.failures += 1;
    }

    /// Bytes per second of a slice at the fastest server but this one, if any was measured lately and is not failing.
    pub(super) fn fastest_but(&self, url: &Arc<str>, now: Duration) -> Option<f64> {
        let others = self.known.iter().filter(|server| server.url != *url && server.failures == 0);
        others.filter_map(|server| server.rate_at(now)).max_by(f64::total_cmp)
    }

    /// Whether any of `urls` but this one took the last slice that it was sent.
    pub(super) fn others_are_fine(&self, urls: &[Arc<str>], url: &Arc<str>) -> bool {
        let fine = |server: &Server| server.url != *url && server.failures == 0 && server.rate.is_some();
        self.known.iter().any(|server| fine(server) && urls.contains(&server.url))
    }

    /// The best server for a second copy of a slice that is on its way to `url`: none that is in trouble.
    pub(super) fn choose_other<'a>(
        &mut self,
        urls: &'a [Arc<str>],
        url: &Arc<str>,
        now: Duration,
    ) -> Option<&'a Arc<str>> {
        let other = self.choose(urls, Some(url), now)?;
        (other != url && self.get(other).failures == 0).then_some(other)
    }

    fn get(&mut self, url: &Arc<str>) -> &mut Server {
        let index = self.known.iter().position(|server| server.url == *url).unwrap_or_else(|| {
            self.known.push(Server {
                url: url.clone(),
                in_flight: 0,
                rate: None,
                failures: 0,
                avoid_until: Duration::ZERO,
            });
            self.known.len() - 1
        });
        &mut self.known[index]
    }
}

impl Server {
    fn rate_at(&self, now: Duration) -> Option<f64> {
        self.rate.filter(|(_, at)| now.saturating_sub(*at) < RATE_LASTS).map(|(rate, _)| rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn urls(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|&name| name.into()).collect()
    }

    #[test]
    fn slices_spread_over_equal_servers() {
        let (mut servers, urls) = (Servers::default(), urls(&["a", "b", "c"]));
        let mut taken: Vec<String> = Vec::new();
        for _ in 0..6 {
            let url = servers.choose(&urls, None, NOW).unwrap().clone();
            servers.started(&url);
            taken.push(url.to_string());
        }
        taken.sort();
        assert_eq!(taken, ["a", "a", "b", "b", "c", "c"]);
    }

    #[test]
    fn a_failing_server_is_left_for_another_and_comes_back() {
        let (mut servers, urls) = (Servers::default(), urls(&["a", "b"]));
        servers.failed(&urls[0], NOW);
        servers.started(&urls[1]);
        assert_eq!(servers.choose(&urls, None, NOW), Some(&urls[1]));
        assert_eq!(servers.choose(&urls, None, NOW + AVOID_FIRST), Some(&urls[0]));
        assert_eq!(servers.choose(&urls[..1], None, NOW), Some(&urls[0]), "the only one is better than none");
        assert_eq!(servers.choose(&[], None, NOW), None);
        assert_eq!(
            servers.choose_other(&urls, &urls[1], NOW),
            None,
            "a copy needs a server without failures"
        );
        assert!(!servers.others_are_fine(&urls, &urls[0]), "nothing is known of the other");
        servers.good(&urls[1], 1e6, NOW);
        assert!(servers.others_are_fine(&urls, &urls[0]));
    }

    #[test]
    fn a_slow_server_gets_its_share_and_a_retry_goes_elsewhere() {
        let (mut servers, urls) = (Servers::default(), urls(&["fast", "slow"]));
        servers.good(&urls[0], 10e6, NOW);
        servers.good(&urls[1], 1e6, NOW);
        for _ in 0..5 {
            let url = servers.choose(&urls, None, NOW).unwrap().clone();
            assert_eq!(url, urls[0]);
            servers.started(&url);
        }
        assert_eq!(servers.choose(&urls, Some(&urls[0]), NOW), Some(&urls[1]));
        assert_eq!(servers.choose(&urls, None, NOW + RATE_LASTS), Some(&urls[1]), "it gets another chance");
    }
}
