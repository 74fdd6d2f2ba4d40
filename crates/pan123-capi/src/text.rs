//! Text and bytes that cross the border.

use std::{
    ffi::{CStr, c_char},
    path::Path,
    slice, str,
};

use libc::size_t;

use crate::guard::{Fault, invalid};

/// Given as a length: the text ends with NUL. `PAN123_NUL` in the header.
pub(crate) const NUL: size_t = size_t::MAX;

/// A text parameter: pointer and length, UTF-8.
///
/// # Safety
///
/// `text` is NULL or readable for `len` bytes, or up to its NUL if `len` is [`NUL`].
pub(crate) unsafe fn text<'a>(text: *const c_char, len: size_t, name: &str) -> Result<&'a str, Fault> {
    // SAFETY: handed on.
    as_text(unsafe { content(text, len, name) }?, name)
}

fn as_text<'a>(content: &'a [u8], name: &str) -> Result<&'a str, Fault> {
    str::from_utf8(content)
        .map_err(|error| invalid(format!("{name} is not UTF-8: byte {} is wrong", error.valid_up_to())))
}

/// The bytes of a text parameter.
///
/// # Safety
///
/// As [`text`].
unsafe fn content<'a>(text: *const c_char, len: size_t, name: &str) -> Result<&'a [u8], Fault> {
    if text.is_null() {
        return if len == 0 { Ok(&[]) } else { Err(invalid(format!("{name} is NULL"))) };
    }
    if len == NUL {
        // SAFETY: by the contract.
        return Ok(unsafe { CStr::from_ptr(text) }.to_bytes());
    }
    // SAFETY: by the contract; `bytes` checks the length.
    unsafe { bytes(text.cast(), len, name) }
}

/// The path of a file: the bytes that the system knows it by or, where its paths are no bytes, UTF-8.
///
/// # Safety
///
/// As [`text`].
pub(crate) unsafe fn path<'a>(text: *const c_char, len: size_t) -> Result<&'a Path, Fault> {
    // SAFETY: handed on.
    let content = unsafe { content(text, len, "path") }?;
    if content.is_empty() {
        return Err(invalid("path is empty"));
    }
    if content.contains(&0) {
        return Err(invalid("path has a NUL inside"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Ok(Path::new(std::ffi::OsStr::from_bytes(content)))
    }
    #[cfg(not(unix))]
    {
        as_text(content, "path").map(Path::new)
    }
}

/// A function's name for messages, which people read who know it from another language.
pub(crate) fn plain(function: &str) -> &str {
    let name = function.strip_prefix("pan123_").unwrap_or(function);
    name.strip_prefix("api_").unwrap_or(name)
}

/// A text parameter that may be NULL, which means that it is not given.
///
/// # Safety
///
/// As [`text`].
pub(crate) unsafe fn text_if_any<'a>(
    pointer: *const c_char,
    len: size_t,
    name: &str,
) -> Result<Option<&'a str>, Fault> {
    if pointer.is_null() && (len == 0 || len == NUL) {
        return Ok(None);
    }
    // SAFETY: handed on.
    unsafe { text(pointer, len, name) }.map(Some)
}

/// A bytes parameter.
///
/// # Safety
///
/// `data` is NULL or readable for `len` bytes.
pub(crate) unsafe fn bytes<'a>(data: *const u8, len: size_t, name: &str) -> Result<&'a [u8], Fault> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(invalid(format!("{name} is NULL, but is said to have {len} bytes")));
    }
    if isize::try_from(len).is_err() {
        return Err(invalid(format!("{name} is said to have {len} bytes, more than there can be")));
    }
    // SAFETY: readable by the contract, and not larger than an object may be.
    Ok(unsafe { slice::from_raw_parts(data, len) })
}

/// Text or bytes that the host reads: with a NUL behind it, which the length does not count.
#[derive(Clone)]
pub(crate) struct Text(Box<[u8]>);

impl Text {
    pub(crate) fn new(bytes: impl AsRef<[u8]>) -> Self {
        let mut bytes = bytes.as_ref().to_vec();
        bytes.push(0);
        Self(bytes.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0[..self.0.len() - 1]
    }

    /// Lends the text to the host.
    ///
    /// # Safety
    ///
    /// `len` is NULL or writable.
    pub(crate) unsafe fn lend(&self, len: *mut size_t) -> *const c_char {
        if !len.is_null() {
            // SAFETY: by the contract.
            unsafe { len.write(self.bytes().len()) };
        }
        self.0.as_ptr().cast()
    }
}

/// Lends a text that may not be there: NULL, and a length of 0.
///
/// # Safety
///
/// `len` is NULL or writable.
pub(crate) unsafe fn lend(text: Option<&Text>, len: *mut size_t) -> *const c_char {
    match text {
        // SAFETY: handed on.
        Some(text) => unsafe { text.lend(len) },
        None => {
            if !len.is_null() {
                // SAFETY: by the contract.
                unsafe { len.write(0) };
            }
            std::ptr::null()
        }
    }
}
