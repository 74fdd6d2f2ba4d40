//! How far one exchange has come, and whether it still moves.
//!
//! Two sides share a [`Flow`]: the outgoing body, which runs inside the connection's task, and the
//! exchange, which waits for the answer and watches the clocks. Only what the peer takes counts as
//! progress, so a slow source never looks like a stalled peer, and a peer that takes nothing never looks
//! alive.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
    time::Duration,
};

use tokio::time::Instant;

use crate::{Clocks, Meter, frame::FRAME_LEN, wire::Control};

/// Most bytes that the connection may hold unwritten: what keeps the memory of a request small.
const HELD_LEN_MAX: usize = 8 * FRAME_LEN;

/// What a kernel's send buffer may hold after the last byte was written: Linux' default `tcp_wmem` maximum.
const SEND_BUFFER_LEN: u64 = 4 << 20;

/// The slowest uplink, in bytes per second, that the answer clock has patience for while the send buffer
/// drains, where the system does not say how full it is.
const DRAIN_RATE_MIN: u64 = 64 << 10;

/// Progress and clocks of one exchange.
#[derive(Debug)]
pub(crate) struct Flow {
    clocks: Clocks,
    len: u64,
    meter: Arc<Meter>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When the phase began. In [`Phase::Sent`], when the answer clock did.
    since: Instant,
    /// When the body began to go out.
    began: Instant,
    held_len: usize,
    taken: u64,
    /// Whom to wake when the body may go on.
    waker: Option<Waker>,
    /// The body has a frame that found no room.
    wants_room: bool,
    answered: bool,
    source_error: Option<io::Error>,
    control: Option<Arc<Control>>,
    pulse: Pulse,
}

/// Where an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No connection yet.
    Connecting,
    /// The body is going out.
    Sending,
    /// The connection has taken all of the body.
    Sent,
}

/// A clock that ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RanOut {
    Connect,
    Stall,
    /// Bytes per second over the last window.
    Rate(u64),
    Body,
    Answer,
}

/// Watches the peer take bytes, over the time in which there were bytes to take.
#[derive(Debug)]
struct Pulse {
    /// Bytes that the peer is known to have taken.
    taken: u64,
    /// When that figure last grew, or the peer last had nothing to take.
    moved: Instant,
    /// Start of the rate window, and the figure then. Shifts while the peer has nothing to take.
    window_start: Instant,
    window_taken: u64,
    seen: Instant,
}

impl Flow {
    pub(crate) fn new(clocks: Clocks, len: u64, meter: Arc<Meter>) -> Arc<Self> {
        let now = Instant::now();
        let state = State {
            phase: Phase::Connecting,
            since: now,
            began: now,
            held_len: 0,
            taken: 0,
            waker: None,
            wants_room: false,
            answered: false,
            source_error: None,
            control: None,
            pulse: Pulse { taken: 0, moved: now, window_start: now, window_taken: 0, seen: now },
        };
        Arc::new(Self { clocks, len, meter, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The body's side.

    /// The connection stands and asks for the body. Returns true if it gets no more, because the answer
    /// is there already.
    pub(crate) fn asked(&self, cx: &Context<'_>) -> bool {
        let mut state = self.state();
        if state.phase == Phase::Connecting {
            state.enter(Phase::Sending);
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        state.answered
    }

    /// Takes note that a frame of `len` bytes goes to the connection, if there is room for it.
    pub(crate) fn hand_over(&self, len: usize) -> bool {
        let mut state = self.state();
        let room = state.held_len + len <= HELD_LEN_MAX;
        state.wants_room = !room;
        if room {
            if state.held_len == 0 {
                let now = Instant::now();
                state.pulse.resume(now);
            }
            state.held_len += len;
        }
        room
    }

    /// The connection has written out a frame of `len` bytes, or is gone.
    pub(crate) fn taken(&self, len: usize) {
        let mut state = self.state();
        state.held_len -= len;
        state.taken += len as u64;
        self.meter.add(len as u64);
        if state.taken == self.len {
            state.enter(Phase::Sent);
        }
        let waker = if state.wants_room { state.waker.clone() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The connection asks for no more of the body. If it never began to, there was none to send.
    pub(crate) fn dropped(&self) {
        let mut state = self.state();
        if self.len == 0 && state.phase != Phase::Sent {
            state.enter(Phase::Sent);
        }
    }

    pub(crate) fn source_failed(&self, error: io::Error) {
        self.state().source_error = Some(error);
    }

    // The exchange's side.

    pub(crate) fn phase(&self) -> Phase {
        self.state().phase
    }

    pub(crate) fn bytes_taken(&self) -> u64 {
        self.state().taken
    }

    pub(crate) fn take_source_error(&self) -> Option<io::Error> {
        self.state().source_error.take()
    }

    /// The answer's head is there: nothing more is handed over. Returns true if that comes early.
    pub(crate) fn answered(&self) -> bool {
        let mut state = self.state();
        state.answered = true;
        state.phase != Phase::Sent
    }

    /// The connection that the request got, where it lets itself be asked.
    pub(crate) fn connected(&self, control: Arc<Control>) {
        let mut state = self.state();
        // The connection may have carried other requests; its count starts anew.
        if let Some((taken, _)) = control.delivered() {
            let now = Instant::now();
            state.pulse = Pulse { taken, moved: now, window_start: now, window_taken: taken, seen: now };
        }
        state.control = Some(control);
    }

    /// Looks at the clocks up to the answer's head.
    pub(crate) fn check(&self) -> Result<(), RanOut> {
        let now = Instant::now();
        let mut state = self.state();
        if state.phase == Phase::Connecting {
            return over(now, state.since, self.clocks.connect, RanOut::Connect);
        }
        let delivered = state.control.as_ref().and_then(|control| control.delivered());
        let (taken, waiting) = delivered.unwrap_or((state.taken, 0));
        if state.phase == Phase::Sent && waiting == 0 {
            let drain = if delivered.is_some() { Duration::ZERO } else { self.drain() };
            return over(now, state.since, self.clocks.answer + drain, RanOut::Answer);
        }
        // Sending, or sent as far as this process goes while the kernel still has bytes to bring across.
        if state.phase == Phase::Sent {
            state.since = now;
        }
        if let Some(limit) = self.clocks.body {
            over(now, state.began, limit, RanOut::Body)?;
        }
        let idle = state.held_len == 0 && waiting == 0;
        state.pulse.check(now, taken, idle, &self.clocks)
    }

    /// How long a send buffer may take to drain where nobody says how full it is.
    fn drain(&self) -> Duration {
        let rate = self.clocks.bytes_per_sec_min.max(DRAIN_RATE_MIN);
        Duration::from_secs_f64(self.len.min(SEND_BUFFER_LEN) as f64 / rate as f64)
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
        if phase == Phase::Sending {
            self.began = self.since;
            self.pulse.resume(self.since);
        }
    }
}

impl Pulse {
    /// The peer gets something to take after a time without.
    fn resume(&mut self, now: Instant) {
        self.moved = now;
        self.window_start += now - self.seen;
        self.seen = now;
    }

    /// Looks at what the peer has taken by now.
    fn check(&mut self, now: Instant, taken: u64, idle: bool, clocks: &Clocks) -> Result<(), RanOut> {
        if idle {
            self.taken = taken;
            self.resume(now);
            return Ok(());
        }
        self.seen = now;
        if taken > self.taken {
            self.taken = taken;
            self.moved = now;
        }
        over(now, self.moved, clocks.stall, RanOut::Stall)?;
        let window = now - self.window_start;
        if clocks.bytes_per_sec_min == 0 || window < clocks.stall {
            return Ok(());
        }
        let rate = (taken.saturating_sub(self.window_taken) as f64 / window.as_secs_f64()) as u64;
        self.window_start = now;
        self.window_taken = taken;
        if rate < clocks.bytes_per_sec_min { Err(RanOut::Rate(rate)) } else { Ok(()) }
    }
}

fn over(now: Instant, since: Instant, limit: Duration, clock: RanOut) -> Result<(), RanOut> {
    if now.saturating_duration_since(since) >= limit { Err(clock) } else { Ok(()) }
}
