//! Error objects: why a call failed.

use std::{ffi::c_char, fmt, iter};

use libc::size_t;
use pan123_upload::{
    Error, ErrorKind,
    proto::words::{one_line, without_secret},
    transport,
};

use crate::{
    fields::Fields,
    guard::quiet,
    handle::{self, Object},
    numbers::*,
    text,
};

/// Why a call failed: a code, a message, and fields (`PAN123_F_`).
///
/// Comes out through the last parameter of most functions, `pan123_error **err`, which may be NULL if you do not want
/// it. Free it with `pan123_error_free`. It holds no secrets. It may be used by all threads at once.
#[allow(missing_debug_implementations, reason = "a name for C, without content")]
pub struct pan123_error {
    _private: [u8; 0],
}

impl Object for pan123_error {
    type Inside = ErrorRecord;
    const NAME: &'static str = "pan123_error";
}

/// What is behind a `pan123_error`, and how failures travel inside the library.
#[derive(Clone)]
pub(crate) struct ErrorRecord {
    pub(crate) code: pan123_status,
    fields: Fields,
    /// What the transport below a layer said, so that nothing is lost when a layer hands it on.
    pub(crate) below: Option<Below>,
}

/// The parts of a transport's error that decide what comes next.
#[derive(Clone, Debug)]
pub(crate) struct Below {
    pub(crate) kind: transport::ErrorKind,
    pub(crate) message: String,
    pub(crate) may_have_acted: bool,
}

impl ErrorRecord {
    pub(crate) fn new(code: pan123_status, message: impl Into<String>) -> Self {
        let fields = Fields::default().number(PAN123_F_CODE, code).text(PAN123_F_MESSAGE, message.into());
        Self { code, fields: fields.with_json(), below: None }
    }

    /// As `error` says, or the host code that is the cause of it: `own`, or what a layer or token provider left in the
    /// chain of causes. Then code, advice and what they say about another try are the host's, and its words are there.
    pub(crate) fn of(error: &Error, own: Option<&OwnFailure>) -> Self {
        let own = own.or_else(|| OwnFailure::behind(error));
        let code = own.map_or_else(|| code_of(error.kind()), |own| own.code);
        let kind = own.map_or(error.kind(), |own| kind_of(own.code));
        let usual = Error::new(kind, error.step(), "");
        let fits = kind == error.kind() || error.kind() == ErrorKind::HostCode;
        let advice = if fits { error.advice() } else { usual.advice() };
        let with_own = |text: &str| match own {
            Some(own) if !text.contains(&own.message) => format!("{text}: {}", own.message),
            _ => text.to_owned(),
        };
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let millis = |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let fields = Fields::default()
            .number(PAN123_F_CODE, code)
            .text(PAN123_F_MESSAGE, with_own(&error.to_string()))
            .text(PAN123_F_STEP, error.step())
            .text(PAN123_F_API_MESSAGE, with_own(error.message()))
            .text_if(PAN123_F_TRACE_ID, error.trace_id())
            .text_if(PAN123_F_ADVICE, some(advice))
            .text_if(PAN123_F_CLASS, error.class().map(|class| class.as_str()))
            .number_if(PAN123_F_HTTP_STATUS, error.http_status())
            .number_if(PAN123_F_API_CODE, error.code())
            .number_if(PAN123_F_RETRY_AFTER_MS, error.retry_after().map(millis))
            .number(PAN123_F_RETRYABLE, kind.is_transient())
            .number(PAN123_F_ATTEMPTS, error.attempts())
            .number_if(PAN123_F_SLICE_NO, error.slice_no())
            .number(PAN123_F_RESUMABLE, error.is_resumable());
        Self { code, fields: fields.with_json(), below: None }
    }

    /// The same with another code, also for those who ask for it as a field.
    pub(crate) fn with_code(self, code: pan123_status) -> Self {
        if self.code == code {
            return self;
        }
        Self { code, fields: self.fields.with_number(PAN123_F_CODE, code), below: self.below }
    }

    /// The same without a secret that stands in its message.
    pub(crate) fn without(self, secret: &str) -> Self {
        let message = without_secret(&self.message(), secret);
        Self { code: self.code, fields: self.fields.with_text(PAN123_F_MESSAGE, message), below: self.below }
    }

    pub(crate) fn message(&self) -> String {
        let text = self.fields.get_text(PAN123_F_MESSAGE, 0);
        text.map_or_else(String::new, |text| String::from_utf8_lossy(text.bytes()).into_owned())
    }
}

/// How code of the host's failed, for the error that comes of it: the engine knows no more than that it did.
#[derive(Clone, Debug)]
pub(crate) struct OwnFailure {
    pub(crate) code: pan123_status,
    pub(crate) message: String,
}

impl OwnFailure {
    /// What a layer or a token provider failed with.
    pub(crate) fn of(record: &ErrorRecord) -> Self {
        let code = if may_be_said(record.code) { record.code } else { PAN123_E_CALLBACK };
        Self { code, message: record.message() }
    }

    /// What is behind an error that says that host code failed.
    fn behind(error: &Error) -> Option<&Self> {
        if error.kind() != ErrorKind::HostCode {
            return None;
        }
        let first: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
        iter::successors(first, |cause| cause.source()).find_map(|cause| cause.downcast_ref())
    }
}

impl fmt::Display for OwnFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for OwnFailure {}

impl From<Error> for Box<ErrorRecord> {
    fn from(error: Error) -> Self {
        Self::new(ErrorRecord::of(&error, None))
    }
}

/// The code of each kind.
pub(crate) fn code_of(kind: ErrorKind) -> pan123_status {
    match kind {
        ErrorKind::Usage => PAN123_E_INVALID_ARGUMENT,
        ErrorKind::Cancelled => PAN123_E_CANCELLED,
        ErrorKind::Paused => PAN123_E_PAUSED,
        ErrorKind::Source => PAN123_E_SOURCE_IO,
        ErrorKind::SourceChanged => PAN123_E_SOURCE_CHANGED,
        ErrorKind::Store => PAN123_E_STORE,
        ErrorKind::Network => PAN123_E_NETWORK,
        ErrorKind::Tls => PAN123_E_TLS,
        ErrorKind::Timeout => PAN123_E_NET_TIMEOUT,
        ErrorKind::SlowUplink => PAN123_E_SLOW_UPLINK,
        ErrorKind::Server => PAN123_E_SERVER,
        ErrorKind::Protocol => PAN123_E_PROTOCOL,
        ErrorKind::Login => PAN123_E_LOGIN,
        ErrorKind::RateLimited => PAN123_E_RATE_LIMITED,
        ErrorKind::Name => PAN123_E_NAME,
        ErrorKind::Verify => PAN123_E_VERIFY_FAILED,
        ErrorKind::Refused => PAN123_E_REFUSED,
        ErrorKind::HostCode => PAN123_E_CALLBACK,
        _ => PAN123_E_INTERNAL,
    }
}

/// The kind of a code that host code failed with.
pub(crate) fn kind_of(code: pan123_status) -> ErrorKind {
    let kind = ErrorKind::ALL.into_iter().find(|kind| code_of(*kind) == code);
    kind.unwrap_or(match code {
        PAN123_E_SOURCE_STALLED => ErrorKind::Source,
        PAN123_E_TIMEOUT => ErrorKind::Timeout,
        PAN123_E_INTERNAL | PAN123_E_PANIC => ErrorKind::Internal,
        _ => ErrorKind::HostCode,
    })
}

/// Makes an error object, for a callback that fails: put it into the callback's `*err` and return the same code.
///
/// `code` is one of the `PAN123_E_`; 0 and negative numbers become `PAN123_E_CALLBACK`. `msg` says in a sentence what
/// went wrong, without secrets; bytes that are not UTF-8 are replaced, and line ends and control characters become
/// spaces. NULL gives an error without a message.
///
/// Returns the object, or NULL when there is no memory for it.
///
/// Ownership: yours until you free it or put it into a callback's `*err`, which gives it to the library.
/// Thread: any. Blocking: no. Since 0.1.
///
/// ```c
/// static pan123_status get(uintptr_t ctx, const char *refused, size_t refused_len, pan123_sink *token,
///                          int64_t *expires_unix_ms, pan123_error **err)
/// {
///     *err = pan123_error_new(PAN123_E_LOGIN, "the vault is locked", PAN123_NUL);
///     return PAN123_E_LOGIN;
/// }
/// ```
///
/// # Safety
///
/// `msg` is NULL or readable for `len` bytes, or up to its NUL if `len` is `PAN123_NUL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_error_new(
    code: pan123_status,
    msg: *const c_char,
    len: size_t,
) -> *mut pan123_error {
    quiet(std::ptr::null_mut(), || {
        let message = if msg.is_null() {
            String::new()
        } else if len == text::NUL {
            // SAFETY: by the contract of this function.
            unsafe { std::ffi::CStr::from_ptr(msg) }.to_string_lossy().into_owned()
        } else {
            // SAFETY: by the contract of this function.
            let bytes = unsafe { text::bytes(msg.cast(), len, "msg") }.unwrap_or_default();
            String::from_utf8_lossy(bytes).into_owned()
        };
        let code = if code > 0 { code } else { PAN123_E_CALLBACK };
        handle::give(ErrorRecord::new(code, one_line(&message)))
    })
}

/// The code of an error: one of the `PAN123_E_`.
///
/// Returns the code that the failed call returned; `PAN123_OK` for NULL.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `e` is NULL or a live error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_error_code(e: *const pan123_error) -> pan123_status {
    // SAFETY: by the contract of this function.
    quiet(PAN123_E_PANIC, || match unsafe { handle::look_if_any(e) } {
        Ok(None) => PAN123_OK,
        Ok(Some(error)) => error.code,
        Err(fault) => fault.code,
    })
}

/// An integer field of an error; `field` is for example `PAN123_F_HTTP_STATUS`.
///
/// Returns the value, or `absent` if the error has no such field, or is NULL.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `e` is NULL or a live error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_error_i64(e: *const pan123_error, field: u32, absent: i64) -> i64 {
    quiet(absent, || {
        // SAFETY: by the contract of this function.
        let error = unsafe { handle::look(e) };
        error.as_ref().ok().and_then(|error| error.fields.get_number(field)).unwrap_or(absent)
    })
}

/// A text field of an error; `field` is for example `PAN123_F_MESSAGE` or `PAN123_F_ADVICE`.
///
/// Returns the text, UTF-8 and with a NUL at its end, and puts its length into `len` (unless NULL); NULL and 0 if
/// the error has no such field, or is NULL.
///
/// Ownership: the text lives as long as the error. Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `e` is NULL or a live error; `len` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_error_str(
    e: *const pan123_error,
    field: u32,
    len: *mut size_t,
) -> *const c_char {
    quiet(std::ptr::null(), || {
        // SAFETY: by the contract of this function.
        let error = unsafe { handle::look(e) };
        // SAFETY: by the contract of this function.
        unsafe { text::lend(error.as_ref().ok().and_then(|error| error.fields.get_text(field, 0)), len) }
    })
}

/// Frees an error. NULL is fine.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `e` is NULL or a live error, which is gone afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_error_free(e: *mut pan123_error) {
    // SAFETY: by the contract of this function.
    quiet((), || unsafe { handle::free(e) });
}

/// The error that a callback left behind, taken over from it.
///
/// # Safety
///
/// `error` is NULL or a live error that the callback gave away.
pub(crate) unsafe fn take(error: *mut pan123_error) -> Option<ErrorRecord> {
    // SAFETY: by the contract.
    let record = unsafe { handle::look(error.cast_const()) }.ok().map(|error| error.clone());
    // SAFETY: by the contract; its reference is ours.
    unsafe { handle::free(error) };
    record
}
