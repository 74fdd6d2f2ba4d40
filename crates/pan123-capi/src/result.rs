//! What comes out of calls that succeed: numbered fields.

use std::ffi::c_char;

use libc::size_t;

use crate::{
    fields::Fields,
    guard::quiet,
    handle::{self, Object},
    text,
};

/// What a call found out: fields (`PAN123_F_`), read with `pan123_result_i64` and `pan123_result_str`.
///
/// Free it with `pan123_result_free`. It may be used by all threads at once.
#[allow(missing_debug_implementations, reason = "a name for C, without content")]
pub struct pan123_result {
    _private: [u8; 0],
}

impl Object for pan123_result {
    type Inside = Fields;
    const NAME: &'static str = "pan123_result";
}

/// An integer field of a result; `field` is for example `PAN123_F_FILE_ID`.
///
/// Returns the value, or `absent` if the result has no such field, or is NULL.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `r` is NULL or a live result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_result_i64(r: *const pan123_result, field: u32, absent: i64) -> i64 {
    quiet(absent, || {
        // SAFETY: by the contract of this function.
        let result = unsafe { handle::look(r) };
        result.as_ref().ok().and_then(|fields| fields.get_number(field)).unwrap_or(absent)
    })
}

/// A text or bytes field of a result; `field` is for example `PAN123_F_ETAG`. `index` counts from 0 and is 0 for a field
/// that is no list.
///
/// Returns the text with a NUL at its end, and puts its length into `len` (unless NULL); NULL and 0 if the result has
/// no such field or fewer entries, or is NULL.
///
/// Ownership: the text lives as long as the result. Thread: any. Blocking: no. Since 0.1.
///
/// ```c
/// int64_t count = pan123_result_i64(r, PAN123_F_SLICE_COUNT, 0);
/// for (int64_t i = 0; i < count; i++)
///     printf("slice %d has MD5 %s\n", (int)i + 1, pan123_result_str(r, PAN123_F_SLICE_MD5, (size_t)i, NULL));
/// ```
///
/// # Safety
///
/// `r` is NULL or a live result; `len` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_result_str(
    r: *const pan123_result,
    field: u32,
    index: size_t,
    len: *mut size_t,
) -> *const c_char {
    quiet(std::ptr::null(), || {
        // SAFETY: by the contract of this function.
        let result = unsafe { handle::look(r) };
        // SAFETY: by the contract of this function.
        unsafe { text::lend(result.as_ref().ok().and_then(|fields| fields.get_text(field, index)), len) }
    })
}

/// Frees a result. NULL is fine.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `r` is NULL or a live result, which is gone afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_result_free(r: *mut pan123_result) {
    // SAFETY: by the contract of this function.
    quiet((), || unsafe { handle::free(r) });
}
