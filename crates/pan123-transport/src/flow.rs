//! How far one exchange has come, and whether it still moves.
//!
//! Two sides share a [`Flow`]: the outgoing body, which runs inside the connection's task, and the
//! exchange, which waits for the answer and watches the clocks. The body hands frames to the
//! connection and is told when they are written out; nothing else counts as progress, so a slow source
//! never looks like a stalled peer, and a peer that takes nothing never looks alive.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
    time::Duration,
};

use tokio::time::Instant;

use crate::{Clocks, Meter, frame::FRAME_LEN};

/// Most bytes that the connection may hold unwritten. hyper stops asking for frames at 408 KiB or 16
/// buffers (`MAX_BUF_LIST_BUFFERS`, `DEFAULT_MAX_BUFFER_SIZE`) and would not notice an abort then, so this
/// stays below.
const HELD_LEN_MAX: usize = 5 * FRAME_LEN;
const HELD_COUNT_MAX: usize = 12;

/// What a kernel's send buffer may hold after the last byte was written: Linux' default `tcp_wmem` maximum.
const SEND_BUFFER_LEN: u64 = 4 << 20;

/// The slowest uplink, in bytes per second, that the answer clock has patience for while the send
/// buffer drains, if nothing better is known.
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
    since: Instant,
    /// Bytes and frames that the connection holds and has not written out.
    held_len: usize,
    held_count: usize,
    taken: u64,
    /// When the connection last finished a frame, or was given one while it held none.
    moved: Instant,
    window: Window,
    /// When a send buffer's worth was taken, and how much that was: from here on the pace is the link's.
    filled: Option<(Instant, u64)>,
    halt: Halt,
    /// The connection may still ask for more, and so learn of a halt.
    listens: bool,
    waker: Option<Waker>,
    /// The body has a frame that found no room.
    wants_room: bool,
    source_error: Option<io::Error>,
}

/// Where an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No connection yet.
    Connecting,
    /// The body is going out.
    Sending,
    /// The connection has written out all of the body.
    Sent,
}

/// Why the body must not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    No,
    /// The answer has come: hand over nothing more, but leave the connection up until it is read.
    Answered,
    /// Nobody waits any more: bring the connection down.
    Aborted,
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

/// Time in which the connection had bytes to write, and what it wrote in it.
#[derive(Debug)]
struct Window {
    busy: Duration,
    taken: u64,
    counted_to: Instant,
}

impl Flow {
    pub(crate) fn new(clocks: Clocks, len: u64, meter: Arc<Meter>) -> Arc<Self> {
        let now = Instant::now();
        let state = State {
            phase: Phase::Connecting,
            since: now,
            held_len: 0,
            held_count: 0,
            taken: 0,
            moved: now,
            window: Window { busy: Duration::ZERO, taken: 0, counted_to: now },
            filled: None,
            halt: Halt::No,
            listens: true,
            waker: None,
            wants_room: false,
            source_error: None,
        };
        Arc::new(Self { clocks, len, meter, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The body's side.

    /// The connection stands and asks for the body. Returns whether it may have more of it, and
    /// remembers whom to wake when that changes.
    pub(crate) fn asked(&self, cx: &Context<'_>) -> Halt {
        let mut state = self.state();
        if state.phase == Phase::Connecting {
            state.enter(Phase::Sending);
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
        }
        state.halt
    }

    /// Takes note that a frame of `len` bytes goes to the connection, if there is room for it.
    ///
    /// The last frame is only let through when the connection holds nothing else: hyper drops a body
    /// after its last frame, and with it our means to bring the connection down.
    pub(crate) fn hand_over(&self, len: usize, last: bool) -> bool {
        let mut state = self.state();
        let room = if last {
            state.held_count == 0
        } else {
            state.held_count < HELD_COUNT_MAX && state.held_len + len <= HELD_LEN_MAX
        };
        state.wants_room = !room;
        if room {
            state.count_busy();
            if state.held_count == 0 {
                state.moved = Instant::now();
            }
            state.held_count += 1;
            state.held_len += len;
        }
        room
    }

    /// The connection has written out a frame of `len` bytes, or is gone.
    pub(crate) fn taken(&self, len: usize) {
        let mut state = self.state();
        state.count_busy();
        state.moved = Instant::now();
        state.held_count -= 1;
        state.held_len -= len;
        if state.halt == Halt::Aborted {
            return;
        }
        state.taken += len as u64;
        state.window.taken += len as u64;
        self.meter.add(len as u64);
        if state.filled.is_none() && state.taken >= SEND_BUFFER_LEN {
            state.filled = Some((state.moved, state.taken));
        }
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
        state.listens = false;
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

    /// True while the connection is up and would notice an abort.
    pub(crate) fn can_abort(&self) -> bool {
        let state = self.state();
        state.phase == Phase::Sending && state.listens
    }

    /// Stops the body. An abort brings the connection down as soon as its task runs.
    pub(crate) fn halt(&self, halt: Halt) {
        let mut state = self.state();
        if state.halt != Halt::Aborted {
            state.halt = halt;
        }
        let waker = state.waker.clone();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Looks at the clocks up to the answer's head.
    pub(crate) fn check(&self) -> Result<(), RanOut> {
        let now = Instant::now();
        let mut state = self.state();
        let waited = now.duration_since(state.since);
        match state.phase {
            Phase::Connecting if waited >= self.clocks.connect => Err(RanOut::Connect),
            Phase::Connecting => Ok(()),
            Phase::Sending if self.clocks.body.is_some_and(|limit| waited >= limit) => Err(RanOut::Body),
            Phase::Sending if state.held_count == 0 => Ok(()),
            Phase::Sending if now.duration_since(state.moved) >= self.clocks.stall => Err(RanOut::Stall),
            Phase::Sending => state.check_rate(&self.clocks),
            Phase::Sent if waited >= self.clocks.answer + self.drain(&state) => Err(RanOut::Answer),
            Phase::Sent => Ok(()),
        }
    }

    /// How long the kernel's send buffer may take to drain once the last byte was written.
    fn drain(&self, state: &State) -> Duration {
        let floor = self.clocks.bytes_per_sec_min.max(DRAIN_RATE_MIN);
        // Half of what the link was seen to do once the buffer was full.
        let seen = state.filled.map_or(0, |(at, taken)| {
            let secs = state.since.duration_since(at).as_secs_f64().max(1e-6);
            ((state.taken - taken) as f64 / secs / 2.0) as u64
        });
        Duration::from_secs_f64(self.len.min(SEND_BUFFER_LEN) as f64 / floor.max(seen) as f64)
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }

    /// Brings the busy time up to date; called before the connection's holdings change.
    fn count_busy(&mut self) {
        let now = Instant::now();
        if self.held_count > 0 {
            self.window.busy += now.duration_since(self.window.counted_to);
        }
        self.window.counted_to = now;
    }

    fn check_rate(&mut self, clocks: &Clocks) -> Result<(), RanOut> {
        self.count_busy();
        if clocks.bytes_per_sec_min == 0 || self.window.busy < clocks.stall {
            return Ok(());
        }
        let rate = (self.window.taken as f64 / self.window.busy.as_secs_f64()) as u64;
        self.window.busy = Duration::ZERO;
        self.window.taken = 0;
        if rate < clocks.bytes_per_sec_min { Err(RanOut::Rate(rate)) } else { Ok(()) }
    }
}
