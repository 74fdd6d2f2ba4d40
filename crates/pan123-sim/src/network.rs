//! A shared uplink as a fluid: who gets which share, what arrives when, and what breaks.

use std::time::Duration;

/// What the network between the client and the upload hosts is like.
#[derive(Clone, Debug)]
pub struct Shape {
    /// What all connections carry together, in bytes per second.
    pub uplink: f64,
    /// What one connection carries at most, in bytes per second, whatever else is free.
    pub per_connection: f64,
    /// Round trip.
    pub rtt: Duration,
    /// Bytes of one body that library and kernel take ahead of the wire.
    pub buffer: u64,
    /// How long it takes until the buffer has grown to its size. Kernels start small.
    pub buffer_grows: Duration,
    /// The largest TCP window, in bytes: one connection carries no more than this per round trip.
    pub window: f64,
}

impl Shape {
    /// A link of `bits_per_sec` with a round trip of `rtt`, and Linux' default buffers: 4 MiB to send, 4 MiB of window.
    pub fn new(bits_per_sec: f64, rtt: Duration) -> Self {
        Self {
            uplink: bits_per_sec / 8.0,
            per_connection: f64::INFINITY,
            rtt,
            buffer: 4 << 20,
            buffer_grows: Duration::from_secs(1),
            window: f64::from(4 << 20),
        }
    }

    /// The most that one connection carries, in bytes per second.
    pub fn connection_max(&self) -> f64 {
        self.uplink.min(self.per_connection).min(self.window / self.rtt.as_secs_f64().max(1e-6))
    }
}

/// A body to carry.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// Names the flow; never used twice.
    pub(crate) key: u64,
    pub(crate) server: usize,
    pub(crate) len: u64,
    /// The connection breaks when this many bytes have left.
    pub(crate) breaks_at: Option<u64>,
    /// Nothing moves for a time when this many bytes have left.
    pub(crate) stalls_at: Option<(u64, Duration)>,
    /// The gateway gives up this long after the body began.
    pub(crate) line: Duration,
}

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The last byte has left.
    Delivered,
    /// The connection broke.
    Broken,
    /// The gateway gave up on the body.
    Line,
    /// The connection took nothing for as long as the transport has patience.
    Stalled,
    /// All bytes were taken, and nothing came back.
    NoAnswer,
    /// There was no connection to be had.
    NoConnection,
}

/// One connection while it carries a body.
#[derive(Clone, Debug)]
struct Flow {
    body: Body,
    wire: f64,
    rate: f64,
    window: f64,
    grows_at: Option<Duration>,
    /// When the connection stands.
    opens_at: Duration,
    /// It will not stand; this is when the client gives up.
    fails: bool,
    began: Option<Duration>,
    /// Since when nothing has moved.
    still_since: Option<Duration>,
    stalled_until: Duration,
}

/// A TCP connection's first window: ten segments. Source: RFC 6928.
const WINDOW_FIRST: f64 = 14_600.0;
/// The transport's clocks; see `clocks` in `pan123-upload`. The last one is longer there
/// while a send buffer drains.
const CONNECT_CLOCK: Duration = Duration::from_secs(15);
const STALL_CLOCK: Duration = Duration::from_secs(30);
const ANSWER_CLOCK: Duration = Duration::from_secs(60);
const NEVER: Duration = Duration::MAX;

/// All connections to the upload hosts.
#[derive(Debug)]
pub(crate) struct Network {
    shape: Shape,
    now: Duration,
    flows: Vec<Flow>,
    /// What each server takes, in bytes per second; 0 while it is dead.
    servers: Vec<f64>,
    /// Windows of open idle connections, per server.
    idle: Vec<Vec<f64>>,
    /// Connections whose body has left and that wait for its answer: key, server, window.
    asking: Vec<(u64, usize, f64)>,
    down: bool,
    dirty: bool,
    ended: Vec<(u64, End, u64)>,
    /// Bytes that have left, whoever got them.
    pub(crate) carried: f64,
}

impl Network {
    pub(crate) fn new(shape: Shape, servers: Vec<f64>) -> Self {
        let idle = vec![Vec::new(); servers.len()];
        Self {
            shape,
            now: Duration::ZERO,
            flows: Vec::new(),
            servers,
            idle,
            asking: Vec::new(),
            down: false,
            dirty: false,
            ended: Vec::new(),
            carried: 0.0,
        }
    }

    pub(crate) fn rtt(&self) -> Duration {
        self.shape.rtt
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down
    }

    /// Takes the uplink away, or gives it back.
    pub(crate) fn set_down(&mut self, down: bool) {
        self.down = down;
        self.dirty = true;
    }

    /// Changes what the uplink carries.
    pub(crate) fn set_uplink(&mut self, bytes_per_sec: f64) {
        self.shape.uplink = bytes_per_sec;
        self.dirty = true;
    }

    /// Changes what a server takes. 0 kills it, and with it what is on its way there.
    pub(crate) fn set_server(&mut self, server: usize, bytes_per_sec: f64) {
        self.servers[server] = bytes_per_sec;
        if bytes_per_sec == 0.0 {
            self.idle[server].clear();
            self.asking.retain(|asking| asking.1 != server);
            self.end_where(End::Broken, |flow| flow.body.server == server && flow.began.is_some());
        }
        self.dirty = true;
    }

    /// Begins to carry a body, on an idle connection if there is one.
    pub(crate) fn start(&mut self, body: Body) {
        let dead = self.servers[body.server] == 0.0;
        let idle = if dead { None } else { self.idle[body.server].pop() };
        // A new connection costs a round trip for TCP and one for TLS.
        let handshake = if idle.is_some() { Duration::ZERO } else { self.shape.rtt * 2 };
        let fails = dead || (self.down && idle.is_none());
        // A dead server refuses, or its host is gone and nobody answers: both happen.
        let gives_up = if dead && body.key.is_multiple_of(2) { self.shape.rtt } else { CONNECT_CLOCK };
        self.flows.push(Flow {
            opens_at: self.now + if fails { gives_up } else { handshake },
            fails,
            body,
            wire: 0.0,
            rate: 0.0,
            window: idle.unwrap_or(WINDOW_FIRST),
            grows_at: None,
            began: None,
            still_since: None,
            stalled_until: Duration::ZERO,
        });
        self.dirty = true;
    }

    /// The answer to a body has come, and the connection may be used again.
    pub(crate) fn answered(&mut self, key: u64) {
        if let Some(index) = self.asking.iter().position(|asking| asking.0 == key) {
            let (_, server, window) = self.asking.swap_remove(index);
            self.idle[server].push(window);
        }
    }

    /// Drops a body.
    pub(crate) fn abort(&mut self, key: u64) {
        self.flows.retain(|flow| flow.body.key != key);
        self.asking.retain(|asking| asking.0 != key);
        self.dirty = true;
    }

    /// Drops everything.
    pub(crate) fn abort_all(&mut self) {
        self.flows.clear();
        self.asking.clear();
        self.idle.iter_mut().for_each(Vec::clear);
        self.dirty = true;
    }

    /// Bytes of a body that its connection has taken, buffers included.
    pub(crate) fn taken(&self, key: u64) -> Option<u64> {
        self.flows.iter().find(|flow| flow.body.key == key).map(|flow| self.taken_of(flow))
    }

    fn taken_of(&self, flow: &Flow) -> u64 {
        let Some(began) = flow.began else { return 0 };
        let age = (self.now - began).as_secs_f64();
        let grown = (age / self.shape.buffer_grows.as_secs_f64().max(1e-9)).min(1.0);
        ((flow.wire + self.shape.buffer as f64 * grown) as u64).min(flow.body.len)
    }

    /// When something happens next if nobody does anything.
    pub(crate) fn next_event(&mut self) -> Duration {
        self.share();
        self.flows.iter().map(|flow| self.next_event_of(flow)).min().unwrap_or(NEVER)
    }

    fn next_event_of(&self, flow: &Flow) -> Duration {
        let Some(began) = flow.began else { return flow.opens_at };
        let mut next = began + flow.body.line;
        if flow.rate > 0.0 {
            let left = flow.goal() - flow.wire;
            let nanos = (left / flow.rate * 1e9).ceil() + 1.0;
            next = next.min(self.now + Duration::from_nanos(nanos as u64));
            next = next.min(flow.grows_at.unwrap_or(NEVER));
        }
        if let Some(since) = flow.still_since {
            next = next.min(since + self.patience(flow));
        }
        if flow.stalled_until > self.now {
            next = next.min(flow.stalled_until);
        }
        next
    }

    fn patience(&self, flow: &Flow) -> Duration {
        if self.taken_of(flow) < flow.body.len { STALL_CLOCK } else { ANSWER_CLOCK }
    }

    /// Lets time pass. Not past [`next_event`](Self::next_event).
    pub(crate) fn advance(&mut self, to: Duration) {
        self.share();
        let span = (to - self.now).as_secs_f64();
        for flow in &mut self.flows {
            let moved = flow.rate * span;
            flow.wire += moved;
            self.carried += moved;
        }
        self.now = to;
        for index in (0..self.flows.len()).rev() {
            if let Some(end) = self.settle(index) {
                let flow = self.flows.swap_remove(index);
                self.dirty = true;
                if end == End::Delivered {
                    self.asking.push((flow.body.key, flow.body.server, flow.window));
                }
                let taken = if end == End::Delivered { flow.body.len } else { self.taken_of(&flow) };
                self.ended.push((flow.body.key, end, taken));
            }
        }
        self.ended.sort_by_key(|(key, ..)| *key);
    }

    /// What time did to one flow; `Some` if it is over.
    fn settle(&mut self, index: usize) -> Option<End> {
        let (now, rtt, window_max) = (self.now, self.shape.rtt, self.shape.window);
        let patience = self.patience(&self.flows[index]);
        let flow = &mut self.flows[index];
        let Some(began) = flow.began else {
            if flow.opens_at <= now {
                if flow.fails {
                    return Some(End::NoConnection);
                }
                flow.began = Some(now);
                self.dirty = true;
            }
            return None;
        };
        if flow.wire >= flow.goal() - 0.01 {
            self.dirty = true;
            if flow.body.breaks_at.is_some_and(|at| flow.wire >= at as f64 - 0.01) {
                return Some(End::Broken);
            }
            if let Some((_, pause)) = flow.body.stalls_at.take_if(|stall| flow.wire >= stall.0 as f64 - 0.01)
            {
                flow.stalled_until = now + pause;
            } else {
                return Some(End::Delivered);
            }
        }
        if now >= began + flow.body.line {
            return Some(End::Line);
        }
        if flow.still_since.is_some_and(|since| now >= since + patience) {
            return Some(if patience == ANSWER_CLOCK { End::NoAnswer } else { End::Stalled });
        }
        if flow.stalled_until != Duration::ZERO && flow.stalled_until <= now {
            flow.stalled_until = Duration::ZERO;
            self.dirty = true;
        }
        if flow.grows_at.is_some_and(|at| at <= now) {
            flow.window = (flow.window * 2.0).min(window_max);
            flow.grows_at = Some(now + rtt);
            self.dirty = true;
        }
        None
    }

    /// The flows that have ended since it was last asked: key, how, and how many bytes were taken.
    pub(crate) fn ended(&mut self) -> Vec<(u64, End, u64)> {
        std::mem::take(&mut self.ended)
    }

    fn end_where(&mut self, end: End, which: impl Fn(&Flow) -> bool) {
        for index in (0..self.flows.len()).rev() {
            if which(&self.flows[index]) {
                let flow = self.flows.swap_remove(index);
                let taken = self.taken_of(&flow);
                self.ended.push((flow.body.key, end, taken));
            }
        }
    }

    /// Gives each flow its max-min fair share of the uplink and of its server.
    fn share(&mut self) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        let (now, rtt) = (self.now, self.shape.rtt.as_secs_f64().max(1e-6));
        let mut uplink = if self.down { 0.0 } else { self.shape.uplink };
        let mut servers = self.servers.clone();
        let mut open: Vec<(f64, usize)> = Vec::new();
        for (index, flow) in self.flows.iter_mut().enumerate() {
            flow.rate = 0.0;
            if flow.began.is_some() && flow.stalled_until <= now {
                open.push((self.shape.per_connection.min(flow.window / rtt), index));
            }
        }
        open.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut waiting = vec![0usize; servers.len()];
        for (_, index) in &open {
            waiting[self.flows[*index].body.server] += 1;
        }
        while !open.is_empty() {
            // The tightest place: the uplink, a server, or a connection's own limit.
            let (mut tightest, mut share) = (None, uplink / open.len() as f64);
            for (server, &count) in waiting.iter().enumerate() {
                if count > 0 && servers[server] / (count as f64) < share {
                    (tightest, share) = (Some(server), servers[server] / count as f64);
                }
            }
            let own = open.partition_point(|(cap, _)| *cap <= share);
            let fixed: Vec<(f64, usize)> = if own > 0 {
                open.drain(..own).collect()
            } else {
                let (fixed, rest) = open
                    .into_iter()
                    .partition(|(_, index)| tightest.is_none_or(|t| self.flows[*index].body.server == t));
                open = rest;
                fixed
            };
            for (cap, index) in fixed {
                let flow = &mut self.flows[index];
                flow.rate = cap.min(share).max(0.0);
                uplink = (uplink - flow.rate).max(0.0);
                servers[flow.body.server] = (servers[flow.body.server] - flow.rate).max(0.0);
                waiting[flow.body.server] -= 1;
            }
        }
        for flow in &mut self.flows {
            let still = flow.began.is_some() && flow.rate <= 0.0;
            flow.still_since = still.then(|| flow.still_since.unwrap_or(now));
            let bound = flow.window < self.shape.window && flow.rate >= flow.window / rtt * 0.999;
            flow.grows_at = bound.then(|| flow.grows_at.unwrap_or(now + self.shape.rtt));
        }
    }
}

impl Flow {
    /// The byte at which something happens next.
    fn goal(&self) -> f64 {
        let stall = self.body.stalls_at.map_or(u64::MAX, |(at, _)| at);
        self.body.len.min(self.body.breaks_at.unwrap_or(u64::MAX)).min(stall) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn body(key: u64, len: u64) -> Body {
        Body { key, server: 0, len, breaks_at: None, stalls_at: None, line: SECOND * 60 }
    }

    /// Runs until nothing is under way; returns key, end and second of each flow.
    fn run(network: &mut Network) -> Vec<(u64, End, f64)> {
        let mut ends = vec![];
        loop {
            let next = network.next_event();
            if next == NEVER {
                return ends;
            }
            network.advance(next);
            let at = (next.as_secs_f64() * 10.0).round() / 10.0;
            ends.extend(network.ended().into_iter().map(|(key, end, _)| (key, end, at)));
        }
    }

    fn shape(bytes_per_sec: f64) -> Shape {
        Shape { buffer: 0, window: 1e12, ..Shape::new(bytes_per_sec * 8.0, Duration::from_micros(1)) }
    }

    #[test]
    fn connections_share_the_uplink_and_what_one_leaves_the_others_take() {
        let mut network = Network::new(shape(300.0), vec![1e9]);
        for (key, len) in [(1, 1000), (2, 2000), (3, 3000)] {
            network.start(body(key, len));
        }
        let ends = run(&mut network);
        assert_eq!(ends, [(1, End::Delivered, 10.0), (2, End::Delivered, 16.7), (3, End::Delivered, 20.0)]);
        assert_eq!(network.carried.round(), 6000.0);
    }

    #[test]
    fn a_connection_and_a_server_have_limits_of_their_own() {
        let mut network = Network::new(Shape { per_connection: 100.0, ..shape(1000.0) }, vec![150.0, 1e9]);
        network.start(body(1, 750));
        network.start(body(2, 750));
        network.start(Body { server: 1, ..body(3, 1000) });
        let ends = run(&mut network);
        assert_eq!(ends, [(1, End::Delivered, 10.0), (2, End::Delivered, 10.0), (3, End::Delivered, 10.0)]);
    }

    #[test]
    fn a_body_that_is_late_stalled_or_cut_ends_so() {
        let mut network = Network::new(shape(100.0), vec![1e9, 0.0]);
        network.start(body(1, 10_000));
        assert_eq!(run(&mut network), [(1, End::Line, 60.0)]);
        network.start(Body { breaks_at: Some(500), ..body(2, 1000) });
        assert_eq!(run(&mut network), [(2, End::Broken, 65.0)]);
        network.start(Body { stalls_at: Some((500, SECOND * 40)), ..body(3, 1000) });
        assert_eq!(run(&mut network), [(3, End::Stalled, 100.0)]);
        network.start(Body { stalls_at: Some((500, SECOND * 10)), ..body(4, 1000) });
        assert_eq!(run(&mut network), [(4, End::Delivered, 120.0)]);
        network.start(Body { server: 1, ..body(5, 1000) });
        assert_eq!(run(&mut network), [(5, End::NoConnection, 135.0)]);
    }

    #[test]
    fn a_new_connection_starts_slowly_and_a_used_one_does_not() {
        let rtt = SECOND / 10;
        let mut network = Network::new(Shape::new(80e9, rtt), vec![1e12]);
        network.start(body(1, 16 << 20));
        let first = run(&mut network)[0].2;
        network.answered(1);
        network.start(body(2, 16 << 20));
        let second = run(&mut network)[0].2 - first;
        assert!(
            (1.2..1.6).contains(&first),
            "two round trips to connect, nine to double, some to send: {first}"
        );
        assert!((0.35..0.5).contains(&second), "four windows: {second}");
    }

    #[test]
    fn buffers_take_bytes_ahead_of_the_wire() {
        let mut network = Network::new(Shape { buffer: 400, ..shape(100.0) }, vec![1e9]);
        network.start(body(1, 1000));
        let opened = network.next_event();
        network.advance(opened);
        network.advance(SECOND);
        assert!((495..=500).contains(&network.taken(1).unwrap()), "{:?}", network.taken(1));
    }
}
