//! The threads that talk to the network, and what becomes of a client when there are none to be had.
//!
//! Tokio panics when the system gives it no thread, which prints to the host's stderr, and then waits for ever for
//! those that it was given. So as many threads as it will ask for are had first, and let go of again.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};

use crate::{
    guard::{Fault, fault},
    numbers::PAN123_E_INTERNAL,
    signals,
};

/// What a client runs on.
pub(crate) fn runtime() -> Result<Runtime, Fault> {
    let count = thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 4));
    let _signals = signals::blocked();
    reserve(count)?;
    let start = Arc::new(Start { missing: Mutex::new(count), all: Condvar::new() });
    let build = || {
        Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name("pan123-io")
            .on_thread_start(move || start.together())
            // No signals: their sockets would stay open for the rest of the process.
            .enable_io()
            .enable_time()
            .build()
    };
    match catch_unwind(AssertUnwindSafe(build)) {
        Ok(built) => {
            built.map_err(|error| fault(PAN123_E_INTERNAL, format!("no threads for a client: {error}")))
        }
        // Somebody else had them in the meantime.
        Err(_) => Err(fault(PAN123_E_INTERNAL, "the system gives no threads for a client any more")),
    }
}

/// Sees whether there are as many threads to be had at once, by having them.
fn reserve(count: usize) -> Result<(), Fault> {
    // None ends before all are there.
    let hold = Arc::new(Mutex::new(()));
    let all = hold.lock().unwrap_or_else(PoisonError::into_inner);
    let mut threads = Vec::new();
    let mut failed = None;
    for _ in 0..count {
        let hold = hold.clone();
        let wait = move || drop(hold.lock().unwrap_or_else(PoisonError::into_inner));
        match thread::Builder::new().name("pan123-io".into()).spawn(wait) {
            Ok(thread) => threads.push(thread),
            Err(error) => failed = Some(error),
        }
    }
    drop(all);
    let got = threads.len();
    for thread in threads {
        let _ = thread.join();
    }
    failed.map_or(Ok(()), |error| {
        let message = format!("the system gives {got} of the {count} threads that a client needs: {error}");
        Err(fault(PAN123_E_INTERNAL, message))
    })
}

/// Lets threads begin together or not at all: whoever makes them waits for those that have begun.
struct Start {
    missing: Mutex<usize>,
    all: Condvar,
}

/// How long one waits for the others.
const PATIENCE: Duration = Duration::from_secs(2);

impl Start {
    fn together(&self) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if *missing == 0 {
            return;
        }
        *missing -= 1;
        self.all.notify_all();
        let waiting = self.all.wait_timeout_while(missing, PATIENCE, |missing| *missing > 0);
        let (missing, waited) = waiting.unwrap_or_else(PoisonError::into_inner);
        drop(missing);
        if waited.timed_out() {
            // Ends this thread, and prints nothing.
            resume_unwind(Box::new("not all threads began"));
        }
    }
}
