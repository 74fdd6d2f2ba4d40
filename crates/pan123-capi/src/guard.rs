//! What stands around every exported function: no panic gets out, and a failure becomes a code and an error object.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{
    entry,
    error::{ErrorRecord, pan123_error},
    fork::{self, Process},
    handle,
    numbers::{PAN123_E_INVALID_ARGUMENT, PAN123_E_PANIC, PAN123_E_WOULD_DEADLOCK, PAN123_OK, pan123_status},
    text::plain,
};

/// Why a call fails. Small, because it travels through every function.
pub(crate) type Fault = Box<ErrorRecord>;

/// A failure with this code, in these words.
pub(crate) fn fault(code: pan123_status, message: impl Into<String>) -> Fault {
    Box::new(ErrorRecord::new(code, message))
}

/// A parameter that cannot be used.
pub(crate) fn invalid(message: impl Into<String>) -> Fault {
    fault(PAN123_E_INVALID_ARGUMENT, message)
}

/// Runs the inside of an exported function. A failure goes to `err`, if that is wanted.
pub(crate) fn guard(
    err: *mut *mut pan123_error,
    inside: impl FnOnce() -> Result<(), Fault>,
) -> pan123_status {
    entry::enter(|| guarded(err, inside))
}

fn guarded(err: *mut *mut pan123_error, inside: impl FnOnce() -> Result<(), Fault>) -> pan123_status {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        test_panic();
        if !err.is_null() {
            // SAFETY: each export asks for an `err` that is NULL or writable.
            unsafe { err.write(std::ptr::null_mut()) };
        }
        let failure = match inside() {
            Ok(()) => return PAN123_OK,
            Err(failure) => failure,
        };
        let code = failure.code;
        if !err.is_null() {
            let object = handle::give(*failure);
            // SAFETY: as above.
            unsafe { err.write(object) };
        }
        code
    }));
    outcome.unwrap_or_else(|panic| {
        let message = panic_text(&*panic);
        // Telling may panic as well, for want of memory; the code is what counts.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            if !err.is_null() {
                let object = handle::give(ErrorRecord::new(PAN123_E_PANIC, message));
                // SAFETY: as above.
                unsafe { err.write(object) };
            }
        }));
        PAN123_E_PANIC
    })
}

/// Runs the inside of an exported function that has no error to give; a panic yields `otherwise`.
pub(crate) fn quiet<T>(otherwise: T, inside: impl FnOnce() -> T) -> T {
    entry::enter(|| {
        catch_unwind(AssertUnwindSafe(|| {
            test_panic();
            inside()
        }))
        .unwrap_or(otherwise)
    })
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let words =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a panic inside the library: {}", words.unwrap_or("no message"))
}

thread_local! {
    /// How many callbacks this thread is inside of, and in which process: a child that is forked in one is in none.
    static DEPTH: Cell<(u32, Option<Process>)> = const { Cell::new((0, None)) };
}

fn depth() -> u32 {
    match DEPTH.get() {
        (0, _) => 0,
        (depth, process) if process == Some(fork::process()) => depth,
        _ => 0,
    }
}

/// Calls host code. While it runs, calls that wait refuse to.
pub(crate) fn calling_out<T>(call: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            let (depth, process) = DEPTH.get();
            DEPTH.set((depth.saturating_sub(1), process));
        }
    }
    DEPTH.set((depth() + 1, Some(fork::process())));
    let _leave = Leave;
    call()
}

/// Refuses to wait inside of a callback.
pub(crate) fn may_wait(function: &str) -> Result<(), Fault> {
    if depth() == 0 {
        return Ok(());
    }
    let message = format!(
        "{} waits, and was called inside a callback; call it from a thread of your own",
        plain(function)
    );
    Err(fault(PAN123_E_WOULD_DEADLOCK, message))
}

/// Lets a test see what a panic in an exported function comes to.
#[cfg(feature = "test-panic")]
pub mod test_panics {
    use std::cell::Cell;

    thread_local! {
        static ARMED: Cell<bool> = const { Cell::new(false) };
    }

    /// Makes the next exported function that this thread calls panic.
    pub fn arm() {
        ARMED.with(|armed| armed.set(true));
    }

    /// As [`arm`], for programs in C. Not in the header.
    #[unsafe(no_mangle)]
    pub extern "C" fn pan123_test_panic() {
        arm();
    }

    /// Whether no exported function was called since [`arm`].
    pub fn is_armed() -> bool {
        ARMED.with(Cell::get)
    }

    pub(super) fn strike() {
        if ARMED.with(|armed| armed.replace(false)) {
            panic!("as the test asked");
        }
    }
}

fn test_panic() {
    #[cfg(feature = "test-panic")]
    test_panics::strike();
}
