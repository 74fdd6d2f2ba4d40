//! The border to the library: failures become codes with a text, and so do panics, which must not cross it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::abi::{E_CALLBACK, E_INVALID_ARGUMENT, E_STORE, Error, Host, OK, Status};

/// Why a callback fails.
pub struct Fault {
    code: Status,
    message: String,
}

impl Fault {
    pub fn new(code: Status, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub fn misuse(message: impl Into<String>) -> Self {
        Self::new(E_INVALID_ARGUMENT, message)
    }

    pub fn store(message: impl Into<String>) -> Self {
        Self::new(E_STORE, message)
    }
}

/// Runs the inside of a callback. `err` is the library's place for an error, or NULL.
pub fn guard(host: &Host, err: *mut *mut Error, inside: impl FnOnce() -> Result<(), Fault>) -> Status {
    let fault = match catch_unwind(AssertUnwindSafe(inside)) {
        Ok(Ok(())) => return OK,
        Ok(Err(fault)) => fault,
        Err(panic) => {
            let words = panic.downcast_ref::<&str>().copied();
            let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            let message = format!("a panic in the plugin: {}", words.unwrap_or("no message"));
            // A payload may panic when it is dropped.
            std::mem::forget(panic);
            Fault::new(E_CALLBACK, message)
        }
    };
    if !err.is_null() {
        // SAFETY: the library lends the place for this call, and takes over what is put there.
        unsafe { *err = (host.error_new)(fault.code, fault.message.as_ptr().cast(), fault.message.len()) };
    }
    fault.code
}
