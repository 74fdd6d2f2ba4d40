//! Threads that host code may block.
//!
//! A callback that never returns costs its thread and nothing else: no runtime thread, no place among the slices
//! in flight. Threads are made when all others are busy, and end when they have had nothing to do for a while.

use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{
    guard::{Fault, fault},
    numbers::{PAN123_E_CALLBACK, PAN123_E_CANCELLED, PAN123_E_INTERNAL, PAN123_E_SHUTDOWN},
    signals,
    vtable::Clock,
    wait::{self, Cancel},
};

/// How long a thread waits for more to do.
const IDLE: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce() + Send>;

/// The threads of one client, or of one call that has no client. When it is dropped, they end once they have nothing
/// to do.
pub(crate) struct Calls(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// There is something to do, or nothing ever again.
    work: Condvar,
    /// A thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    idle: usize,
    threads: HashMap<u64, Option<JoinHandle<()>>>,
    finished: Vec<JoinHandle<()>>,
    next_id: u64,
    closing: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    pub(crate) fn new() -> Arc<Self> {
        let shared = Shared { state: Mutex::default(), work: Condvar::new(), ended: Condvar::new() };
        Arc::new(Self(Arc::new(shared)))
    }

    /// Does `job` on a thread that may block.
    pub(crate) fn submit(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
        let state = self.0.lock();
        if state.closing {
            return Err(fault(PAN123_E_SHUTDOWN, "the client was shut down"));
        }
        self.submit_in(state, job)
    }

    /// As [`submit`](Self::submit), also while they are [closed](Self::close): for what helps a call to its end.
    pub(crate) fn submit_late(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Fault> {
        self.submit_in(self.0.lock(), job)
    }

    fn submit_in(
        &self,
        mut state: MutexGuard<'_, State>,
        job: impl FnOnce() + Send + 'static,
    ) -> Result<(), Fault> {
        state.jobs.push_back(Box::new(job));
        if state.jobs.len() <= state.idle {
            self.0.work.notify_one();
            return Ok(());
        }
        let id = state.next_id;
        state.next_id += 1;
        let shared = self.0.clone();
        let _signals = signals::blocked();
        let spawned = thread::Builder::new().name("pan123-call".into()).spawn(move || work(&shared, id));
        match spawned {
            Ok(handle) => {
                state.threads.insert(id, Some(handle));
                for done in state.finished.drain(..) {
                    let _ = done.join();
                }
                Ok(())
            }
            // Another thread will come to it.
            Err(_) if !state.threads.is_empty() => Ok(()),
            Err(error) => {
                state.jobs.pop_back();
                Err(fault(PAN123_E_INTERNAL, format!("no thread for a callback: {error}")))
            }
        }
    }

    /// Calls `function` on a thread that may block, and waits without blocking.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        function: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        self.begin(function)?.answer().await
    }

    /// Calls `function` on a thread that may block, and leaves it to the caller when to wait for the answer.
    pub(crate) fn begin<T: Send + 'static>(
        &self,
        function: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Begun<T>, Fault> {
        let (sender, receiver) = oneshot::channel();
        self.submit(move || {
            let _ = sender.send(function());
        })?;
        Ok(Begun(receiver))
    }

    /// As [`call`](Self::call), but blocks this thread, until `cancel` is fired or the call's time is over. What the
    /// callback does afterwards is nobody's concern.
    pub(crate) fn call_blocking<T: Send + 'static>(
        &self,
        cancel: &Cancel,
        (clock, limit): (&Clock, Duration),
        function: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let answer = std::pin::pin!(wait::unless(cancel.fired(), self.call(function)));
        outside_runtime(|| {
            let mut answer = answer;
            loop {
                match wait::until(clock.look_again(limit)?, answer.as_mut()) {
                    Some(Some(answer)) => return answer,
                    Some(None) => return Err(given_up()),
                    None => {}
                }
            }
        })
    }

    /// Takes nothing more that could wait, and waits until all threads have ended; false if the time is over first.
    pub(crate) fn close(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.0.lock();
        state.closing = true;
        self.0.work.notify_all();
        while !state.threads.is_empty() {
            state = match deadline {
                None => self.0.ended.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    self.0.ended.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        let finished = std::mem::take(&mut state.finished);
        drop(state);
        for thread in finished {
            let _ = thread.join();
        }
        true
    }
}

/// A call that was begun.
pub(crate) struct Begun<T>(oneshot::Receiver<T>);

impl<T> Begun<T> {
    async fn answer(self) -> Result<T, Fault> {
        self.0.await.map_err(|_| fault(PAN123_E_CALLBACK, "the callback panicked"))
    }

    /// Waits in a runtime, until `cancel` is fired or the call's time is over. What the callback does afterwards is
    /// nobody's concern.
    pub(crate) async fn answer_within(
        self,
        cancel: &Cancel,
        (clock, limit): (&Clock, Duration),
    ) -> Result<T, Fault> {
        let mut answer = std::pin::pin!(wait::unless(cancel.fired(), self.answer()));
        loop {
            let again = clock.look_again(limit)?;
            let in_time = async {
                match again {
                    Some(again) => tokio::time::sleep_until(again.into()).await,
                    None => std::future::pending().await,
                }
            };
            match wait::unless(in_time, answer.as_mut()).await {
                Some(Some(answer)) => return answer,
                Some(None) => return Err(given_up()),
                None => {}
            }
        }
    }
}

fn given_up() -> Fault {
    fault(PAN123_E_CANCELLED, "stopped while a callback was running")
}

impl Drop for Calls {
    fn drop(&mut self) {
        self.0.lock().closing = true;
        self.0.work.notify_all();
    }
}

/// Lets a runtime thread be replaced while it blocks.
fn outside_runtime<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}

/// What each thread does.
fn work(shared: &Shared, id: u64) {
    let mut state = shared.lock();
    loop {
        if let Some(job) = state.jobs.pop_front() {
            drop(state);
            // A callback that panics is reported by whoever waits for its answer.
            let _ = catch_unwind(AssertUnwindSafe(job));
            state = shared.lock();
            continue;
        }
        if state.closing {
            break;
        }
        state.idle += 1;
        let (locked, waited) = shared.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
        state = locked;
        state.idle -= 1;
        if waited.timed_out() && state.jobs.is_empty() {
            break;
        }
    }
    if let Some(Some(handle)) = state.threads.remove(&id) {
        state.finished.push(handle);
    }
    shared.ended.notify_all();
}
