//! Where callbacks put the bytes that they return.

use std::sync::{Mutex, PoisonError};

use libc::size_t;

use crate::{
    fork::{self, Process},
    guard::{guard, invalid},
    handle,
    numbers::pan123_status,
    text,
};

/// Where a callback puts the bytes that it returns, lent to it until it returns.
#[allow(missing_debug_implementations, reason = "a name for C, without content")]
pub struct pan123_sink {
    _private: [u8; 0],
}

/// What is behind a `pan123_sink`.
pub(crate) struct Sink {
    bytes: Mutex<Vec<u8>>,
    process: Process,
}

impl Default for Sink {
    fn default() -> Self {
        Self { bytes: Mutex::default(), process: fork::process() }
    }
}

/// The most that is taken. The state of the largest upload has less.
const LEN_MAX: usize = 64 << 20;

impl Sink {
    /// The pointer that the host gets.
    pub(crate) fn lend(&self) -> *mut pan123_sink {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    pub(crate) fn take(self) -> Vec<u8> {
        self.bytes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Appends a copy of `len` bytes to what a callback returns.
///
/// Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `to` is NULL, or `data` is NULL and `len` is not 0, and for more
/// than 64 MiB in all; `PAN123_E_FORKED`.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `to` is NULL or lent at the moment; `data` is NULL or readable for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_sink_put(
    to: *mut pan123_sink,
    data: *const u8,
    len: size_t,
) -> pan123_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: it came from `Sink::lend`, and is lent at the moment.
        let sink = unsafe { to.cast::<Sink>().as_ref() }.ok_or_else(|| invalid("the pan123_sink is NULL"))?;
        handle::refuse_fork(sink.process, "pan123_sink")?;
        // SAFETY: by the contract of this function.
        let data = unsafe { text::bytes(data, len, "data") }?;
        let mut bytes = sink.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if data.len() > LEN_MAX - bytes.len() {
            return Err(invalid(format!("more than {LEN_MAX} bytes")));
        }
        bytes.extend_from_slice(data);
        Ok(())
    })
}
