//! What a thread of the host's may bring along that the library cannot bear, and is kept from it.

use std::{mem, thread};

use crate::signals;

/// Runs the inside of an exported function, on this thread if it will do.
pub(crate) fn enter<T>(inside: impl FnOnce() -> T) -> T {
    let _whole = Uncancelled::begin();
    if locals_are_gone() { elsewhere(inside) } else { inside() }
}

/// Whether this thread is at its end, or at that of the program, and has given up its thread-locals: that happens before
/// functions given to `atexit`, destructors of statics and those of pthread keys run. Waiting needs thread-locals.
fn locals_are_gone() -> bool {
    tokio::runtime::Handle::try_current().is_err_and(|error| error.is_thread_local_destroyed())
}

/// Does `work` on another thread, and waits for it. Without one it is done here as far as that goes.
fn elsewhere<T>(work: impl FnOnce() -> T) -> T {
    struct Lent(Box<dyn FnOnce()>);
    // SAFETY: the thread that lends it does nothing but wait, so only one at a time has what it borrows.
    unsafe impl Send for Lent {}

    let (mut work, mut result) = (Some(work), None);
    let job: Box<dyn FnOnce() + '_> = Box::new(|| result = work.take().map(|work| work()));
    // SAFETY: what it borrows outlives the thread, which is joined below, and a job that no thread took is dropped there.
    let lent = Lent(unsafe { mem::transmute::<Box<dyn FnOnce() + '_>, Box<dyn FnOnce()>>(job) });
    let signals = signals::blocked();
    let spawned = thread::Builder::new().name("pan123-late".into()).spawn(move || {
        let lent = lent;
        (lent.0)();
    });
    drop(signals);
    if let Ok(thread) = spawned {
        let _ = thread.join();
    }
    match (result, work) {
        (Some(result), _) => result,
        (None, Some(work)) => work(),
        (None, None) => unreachable!("a job that was begun has a result: panics are caught inside of it"),
    }
}

/// `pthread_cancel` would unwind this stack from wherever the thread waits, which ends the process. So it waits until the
/// call is over.
struct Uncancelled {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    before: libc::c_int,
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
mod cancel {
    use libc::c_int;

    /// `PTHREAD_CANCEL_DISABLE`.
    pub(super) const DISABLE: c_int = if cfg!(target_vendor = "apple") { 0 } else { 1 };

    unsafe extern "C" {
        pub(super) fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
    }
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
impl Uncancelled {
    fn begin() -> Self {
        let mut before = cancel::DISABLE;
        // SAFETY: a state that there is, and room for the one before.
        unsafe { cancel::pthread_setcancelstate(cancel::DISABLE, &raw mut before) };
        Self { before }
    }
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
impl Drop for Uncancelled {
    fn drop(&mut self) {
        let mut now = 0;
        // SAFETY: the state that this thread was in.
        unsafe { cancel::pthread_setcancelstate(self.before, &raw mut now) };
    }
}

/// There is no such thing as `pthread_cancel`, or it is not known.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
impl Uncancelled {
    fn begin() -> Self {
        Self {}
    }
}
