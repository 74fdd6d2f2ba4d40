//! Ends calls that wait, early.

use crate::{
    error::pan123_error,
    guard::{guard, quiet},
    handle::{self, Object},
    numbers::pan123_status,
    wait::Cancel,
};

/// Ends calls that wait, early: give it to them as `stop`, and fire it from another thread.
///
/// It may be fired before, during or after a call, and once fired it stays so: every call that is given it from
/// then on returns `PAN123_E_CANCELLED` at once. One object may serve any number of calls at a time.
#[allow(missing_debug_implementations, reason = "a name for C, without content")]
pub struct pan123_stop {
    _private: [u8; 0],
}

impl Object for pan123_stop {
    type Inside = Cancel;
    const NAME: &'static str = "pan123_stop";
}

/// Makes a stop object that has not been fired.
///
/// Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `out` is NULL.
///
/// Ownership: `*out` is yours; free it with `pan123_stop_free`. Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `out` and `err` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_stop_new(
    out: *mut *mut pan123_stop,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let out = unsafe { handle::object_place(out) }?;
        *out = handle::give(Cancel::new());
        Ok(())
    })
}

/// Fires a stop object. Calls that were given it return `PAN123_E_CANCELLED` within 250 ms. NULL is fine.
///
/// Thread: any, also inside a callback. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `s` is NULL or a live stop object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_stop_fire(s: *mut pan123_stop) {
    quiet((), || {
        // SAFETY: by the contract of this function.
        if let Ok(cancel) = unsafe { handle::look(s.cast_const()) } {
            cancel.fire();
        }
    });
}

/// Frees a stop object; calls that were given it go on. NULL is fine.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `s` is NULL or a live stop object, which is gone afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_stop_free(s: *mut pan123_stop) {
    // SAFETY: by the contract of this function.
    quiet((), || unsafe { handle::free(s) });
}
