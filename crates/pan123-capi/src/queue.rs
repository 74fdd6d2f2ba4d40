//! The way of events to the host: by pull, with a handle to poll, or by push.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Instant,
};

use crate::{
    error::pan123_error,
    event::{Event, pan123_event, pan123_observer_vtable},
    guard::{Fault, fault, guard, may_wait, quiet},
    handle::{self, Object},
    numbers::*,
    pollable::Pollable,
    signals,
    text::Text,
    vtable::Host,
    wait,
};

/// Where events of uploads arrive. Give it to `pan123_client_new`; several clients may share one.
///
/// By pull: take events with `pan123_queue_next`, whenever you like or when the handle of `pan123_queue_handle` is
/// readable. By push: a thread of the library calls `on_event`. Events of one upload come in order of `seq`; progress
/// that waits is brought up to date, and of the other events the oldest are left out when more than a thousand of one
/// upload wait, so that a slow consumer costs no memory. The last event of an upload is never left out.
#[allow(missing_debug_implementations, reason = "a name for C, without content")]
pub struct pan123_queue {
    _private: [u8; 0],
}

impl Object for pan123_queue {
    type Inside = Arc<Queue>;
    const NAME: &'static str = "pan123_queue";
}

/// What is behind a `pan123_queue`.
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    push: Option<Arc<Host<pan123_observer_vtable>>>,
    pollable: Pollable,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    /// The text that was lent last.
    lent: Option<Text>,
    is_taken: bool,
    /// Clients that may still send events.
    clients: usize,
    dispatcher: Option<JoinHandle<()>>,
    is_dispatching: bool,
}

/// More events of one upload than this do not wait.
const WAITING_MAX: usize = 1000;

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an event at the end.
    pub(crate) fn post(self: &Arc<Self>, event: Event) {
        let mut state = self.lock();
        if event.kind == PAN123_EV_PROGRESS {
            let waiting = state.events.iter_mut().rev().find(|waiting| waiting.upload == event.upload);
            if let Some(waiting) = waiting.filter(|waiting| waiting.kind == PAN123_EV_PROGRESS) {
                *waiting = event;
                return;
            }
        }
        let of_upload = |waiting: &Event| waiting.upload == event.upload && !waiting.is_last();
        if state.events.len() >= WAITING_MAX
            && state.events.iter().filter(|waiting| of_upload(waiting)).count() >= WAITING_MAX
            && let Some(oldest) = state.events.iter().position(of_upload)
        {
            state.events.remove(oldest);
        }
        state.events.push_back(event);
        self.pollable.set(true);
        self.arrived.notify_all();
        if self.push.is_some() && !state.is_dispatching {
            self.start_dispatcher(&mut state);
        }
    }

    fn start_dispatcher(self: &Arc<Self>, state: &mut State) {
        let queue = self.clone();
        let _signals = signals::blocked();
        let thread = thread::Builder::new().name("pan123-events".into()).spawn(move || queue.dispatch());
        // Without a thread the events wait for the next one that comes.
        if let Ok(thread) = thread {
            state.is_dispatching = true;
            state.dispatcher = Some(thread);
        }
    }

    /// The dispatcher's thread: ends when there is nothing to send and nobody to send it.
    fn dispatch(&self) {
        let Some(push) = &self.push else { return };
        let mut state = self.lock();
        loop {
            if let Some(event) = state.events.pop_front() {
                drop(state);
                let (record, _text) = event.record();
                push.tell(|vtable, ctx| {
                    if let Some(on_event) = vtable.on_event {
                        // SAFETY: the host gave it for this; the record and its text live on this stack.
                        unsafe { on_event(ctx, &raw const record) };
                    }
                });
                state = self.lock();
                continue;
            }
            if state.clients == 0 {
                state.is_dispatching = false;
                self.arrived.notify_all();
                return;
            }
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A client begins to send events.
    pub(crate) fn join(&self) {
        self.lock().clients += 1;
    }

    /// A client sends no more events.
    pub(crate) fn leave(&self) {
        self.lock().clients -= 1;
        self.arrived.notify_all();
    }

    /// Waits until everything was pushed, if this queue pushes and nobody sends any more; false if the time is over
    /// first.
    pub(crate) fn drain(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.lock();
        while state.is_dispatching && state.clients == 0 {
            match wait_until(&self.arrived, state, deadline) {
                Ok(locked) => state = locked,
                Err(_) => return false,
            }
        }
        let dispatcher = if state.is_dispatching { None } else { state.dispatcher.take() };
        drop(state);
        if let Some(thread) = dispatcher.filter(|thread| thread.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
        true
    }

    fn next(&self, deadline: Option<Instant>) -> Result<(pan123_event, MutexGuard<'_, State>), Fault> {
        let mut state = self.lock();
        if state.is_taken {
            return Err(fault(PAN123_E_WRONG_STATE, "another thread waits for the next event"));
        }
        state.lent = None;
        state.is_taken = true;
        let event = loop {
            if let Some(event) = state.events.pop_front() {
                break Some(event);
            }
            match wait_until(&self.arrived, state, deadline) {
                Ok(locked) => state = locked,
                Err(locked) => {
                    state = locked;
                    break None;
                }
            }
        };
        state.is_taken = false;
        if state.events.is_empty() {
            self.pollable.set(false);
        }
        let event = event.ok_or_else(|| fault(PAN123_E_TIMEOUT, "no event came in time"))?;
        let (record, text) = event.record();
        state.lent = text;
        Ok((record, state))
    }
}

/// Waits; `Err` with the lock when the time is over.
fn wait_until<'a>(
    condvar: &Condvar,
    state: MutexGuard<'a, State>,
    deadline: Option<Instant>,
) -> Result<MutexGuard<'a, State>, MutexGuard<'a, State>> {
    let Some(deadline) = deadline else {
        return Ok(condvar.wait(state).unwrap_or_else(PoisonError::into_inner));
    };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(state);
    }
    Ok(condvar.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0)
}

/// Makes a queue. `push` NULL: events are pulled with `pan123_queue_next`, and `ctx` means nothing.
///
/// Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `out` is NULL or the vtable lacks `on_event`; `PAN123_E_ABI`
/// for a `struct_size` that cannot be; `PAN123_E_NOT_SUPPORTED` if the system has no handle for it.
///
/// Ownership: takes `ctx` over if there is a vtable, also when it fails. `*out` is yours; free it with
/// `pan123_queue_free`. Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `push` is NULL or a vtable as long as it says, whose functions may be called with `ctx` from any thread until
/// `release`; `out` and `err` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_queue_new(
    push: *const pan123_observer_vtable,
    ctx: usize,
    out: *mut *mut pan123_queue,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        let host = if push.is_null() {
            Ok(None)
        } else {
            // SAFETY: by the contract of this function.
            unsafe { Host::new(push, ctx) }.map(|host| Some(Arc::new(host)))
        };
        // SAFETY: by the contract of this function.
        let out = unsafe { handle::object_place(out) }?;
        let host = host?;
        let pollable = if host.is_none() { Pollable::new()? } else { Pollable::none() };
        let (state, arrived) = (Mutex::default(), Condvar::new());
        *out = handle::give(Arc::new(Queue { state, arrived, push: host, pollable }));
        Ok(())
    })
}

/// Takes the next event, and waits for it for at most `timeout_ms` milliseconds: negative for ever, 0 not at all.
///
/// `ev->struct_size` says what the caller's record has room for; set it once to `sizeof *ev`.
///
/// Returns `PAN123_OK`; `PAN123_E_TIMEOUT` if no event came; `PAN123_E_WRONG_STATE` if another thread is waiting, or the
/// queue pushes; `PAN123_E_WOULD_DEADLOCK` in a callback; `PAN123_E_INVALID_ARGUMENT`, `PAN123_E_ABI`.
///
/// Ownership: `ev->text` lives until the next call. Thread: any, one at a time. Blocking: as long as `timeout_ms` says.
/// Since 0.1.
///
/// ```c
/// pan123_event ev = { .struct_size = sizeof ev };
/// while (pan123_queue_next(q, -1, &ev) == PAN123_OK && ev.kind < PAN123_EV_COMPLETED)
///     if (ev.kind == PAN123_EV_PROGRESS) printf("%llu bytes\n", (unsigned long long)ev.bytes_done);
/// ```
///
/// # Safety
///
/// `q` is NULL or a live queue; `ev` is NULL or writable for as many bytes as its `struct_size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_queue_next(
    q: *mut pan123_queue,
    timeout_ms: i64,
    ev: *mut pan123_event,
) -> pan123_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: by the contract of this function.
        let queue = unsafe { handle::look(q.cast_const()) }?;
        // SAFETY: by the contract of this function.
        let size = unsafe { crate::event::checked_size(ev) }?;
        if queue.push.is_some() {
            return Err(fault(PAN123_E_WRONG_STATE, "this queue pushes its events"));
        }
        if timeout_ms != 0 {
            may_wait("pan123_queue_next")?;
        }
        let (record, _state) = queue.next(wait::deadline(timeout_ms))?;
        // SAFETY: `size` bytes are writable and no more than the record has.
        unsafe { crate::event::write_sized(ev, record, size) };
        Ok(())
    })
}

/// A handle of the operating system that is readable (level triggered) as long as an event waits: a file descriptor for
/// `poll`, `epoll`, `kqueue` or an event loop. Do not read from it, and do not close it.
///
/// Returns `PAN123_OK`; `PAN123_E_WRONG_STATE` if the queue pushes; `PAN123_E_NOT_SUPPORTED` where there is no such
/// handle; `PAN123_E_INVALID_ARGUMENT`.
///
/// Ownership: the handle lives as long as the queue. Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `q` is NULL or a live queue; `os_handle` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_queue_handle(q: *mut pan123_queue, os_handle: *mut i64) -> pan123_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: by the contract of this function.
        let (queue, place) =
            unsafe { (handle::look(q.cast_const())?, handle::place(os_handle, "os_handle")?) };
        *place = -1;
        if queue.push.is_some() {
            return Err(fault(PAN123_E_WRONG_STATE, "this queue pushes its events"));
        }
        *place = queue.pollable.handle()?;
        Ok(())
    })
}

/// Drops your reference to a queue. Clients keep theirs until they are gone. NULL is fine.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `q` is NULL or a live queue, which is gone afterwards as far as the caller is concerned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_queue_free(q: *mut pan123_queue) {
    // SAFETY: by the contract of this function.
    quiet((), || unsafe { handle::free(q) });
}
