//! One HTTP exchange, as a transport of the host sees it.

use std::{
    ffi::c_char,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use libc::size_t;
use pan123_upload::transport::{Error, ErrorKind, Meter, Request, Response, Transport};
use tokio::{runtime::Handle as Runtime, task::AbortHandle};

use crate::{
    error::{Below, ErrorRecord, OwnFailure, pan123_error},
    fork::{self, Process},
    guard::{Fault, fault, guard, invalid, panic_text, quiet},
    handle,
    numbers::*,
    stop::pan123_stop,
    text::{self, Text},
    wait::{self, Cancel},
};

/// One request and its answer, lent to `pan123_transport_vtable.send` until that returns. Until then it may also be
/// used by other threads of yours.
#[allow(missing_debug_implementations, reason = "a name for C, without content")]
pub struct pan123_http {
    _private: [u8; 0],
}

/// What is behind a `pan123_http`.
pub(crate) struct Exchange {
    request: Mutex<Request>,
    /// What no error may repeat.
    token: String,
    response: Mutex<Option<Response>>,
    /// Texts lent to the host; they stay until the exchange is over.
    lent: Mutex<Vec<Text>>,
    below: Arc<dyn Transport>,
    runtime: Runtime,
    process: Process,
    pub(crate) cancel: Cancel,
    meter: Arc<Meter>,
    /// Bytes of the body that were counted.
    counted: AtomicU64,
    pub(crate) activity: Mutex<Activity>,
}

/// When something moved last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activity {
    pub(crate) at: Instant,
    /// The transport below is at it, and minds its own clocks.
    pub(crate) forwarding: bool,
}

impl Exchange {
    pub(crate) fn new(request: Request, below: Arc<dyn Transport>, runtime: Runtime) -> Arc<Self> {
        let token = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        Arc::new(Self {
            token: token
                .map_or_else(String::new, |(_, value)| value.trim_start_matches("Bearer ").to_owned()),
            meter: request.meter.clone(),
            request: Mutex::new(request),
            response: Mutex::default(),
            lent: Mutex::default(),
            below,
            runtime,
            process: fork::process(),
            cancel: Cancel::new(),
            counted: AtomicU64::new(0),
            activity: Mutex::new(Activity { at: Instant::now(), forwarding: false }),
        })
    }

    /// The pointer that the host gets.
    pub(crate) fn lend(self: &Arc<Self>) -> *mut pan123_http {
        Arc::as_ptr(self).cast_mut().cast()
    }

    pub(crate) fn take_response(&self) -> Option<Response> {
        lock(&self.response).take()
    }

    /// How far the body was given out, and how far it goes.
    pub(crate) fn sent(&self) -> (u64, u64) {
        (self.counted.load(Ordering::Relaxed), lock(&self.request).body.len())
    }

    /// How long nothing may move.
    pub(crate) fn patience(&self) -> Duration {
        let (sent, len) = self.sent();
        let clocks = lock(&self.request).clocks;
        if sent < len { clocks.connect + clocks.stall } else { clocks.connect + clocks.answer }
    }

    pub(crate) fn moved(&self) {
        lock(&self.activity).at = Instant::now();
    }

    /// Counts the body up to here, once.
    fn count(&self, end: u64) {
        let before = self.counted.fetch_max(end, Ordering::Relaxed);
        self.meter.add(end.saturating_sub(before));
    }

    fn read_body(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Fault> {
        let (body, pace) = {
            let request = lock(&self.request);
            (request.body.clone(), request.pace.clone())
        };
        self.refuse_if_cancelled()?;
        if offset > body.len() {
            return Err(invalid(format!("offset is {offset}, and the body has {} bytes", body.len())));
        }
        let got = body
            .read_at(offset, buf)
            .map_err(|error| fault(PAN123_E_SOURCE_IO, format!("read the request's body: {error}")))?;
        if let Some(pace) = pace {
            let _ = wait::until(Some(Instant::now() + pace.take(got)), self.cancel.fired());
        }
        self.refuse_if_cancelled()?;
        self.count(offset + got as u64);
        self.moved();
        Ok(got)
    }

    fn refuse_if_cancelled(&self) -> Result<(), Fault> {
        if self.cancel.is_fired() {
            Err(fault(PAN123_E_CANCELLED, "the request was given up"))
        } else {
            Ok(())
        }
    }

    fn forward(&self, stop: Option<&Cancel>) -> Result<(), Fault> {
        let refuse_if_stopped = || {
            if stop.is_some_and(Cancel::is_fired) {
                return Err(fault(PAN123_E_CANCELLED, "pan123_http_forward_until was stopped, as asked"));
            }
            self.refuse_if_cancelled()
        };
        refuse_if_stopped()?;
        let mut request = lock(&self.request).clone();
        // Counted apart: the body may have been read here already.
        request.meter = Arc::default();
        let (meter, below) = (request.meter.clone(), self.below.clone());
        lock(&self.activity).forwarding = true;
        // On the runtime and not here: it ends with its client, whoever still waits for something in it, and to run in
        // one that has ended is to panic.
        let task = self.runtime.spawn(async move { below.send(request).await });
        let _end = AbortOnDrop(task.abort_handle());
        let end = async {
            match stop {
                Some(stop) => drop(wait::unless(stop.fired(), self.cancel.fired()).await),
                None => self.cancel.fired().await,
            }
        };
        let mut sending = std::pin::pin!(wait::unless(end, task));
        let outcome = loop {
            let outcome = wait::until(Some(Instant::now() + COUNT_EVERY), sending.as_mut());
            self.count(meter.bytes());
            if let Some(outcome) = outcome {
                break outcome;
            }
        };
        *lock(&self.activity) = Activity { at: Instant::now(), forwarding: false };
        self.refuse_if_cancelled()?;
        match outcome {
            None => refuse_if_stopped(),
            Some(Ok(Ok(response))) => {
                *lock(&self.response) = Some(response);
                Ok(())
            }
            Some(Ok(Err(error))) => Err(below_fault(&error)),
            Some(Err(ended)) => Err(match ended.try_into_panic() {
                Ok(panic) => fault(PAN123_E_PANIC, panic_text(&*panic)),
                Err(_) => fault(PAN123_E_SHUTDOWN, "the client was shut down"),
            }),
        }
    }
}

/// Ends a task that nobody waits for any more.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How often the bytes that went out below are counted here.
const COUNT_EVERY: Duration = Duration::from_millis(100);

/// The largest answer that is taken, as for the built-in transport.
const ANSWER_LEN_MAX: usize = 1 << 20;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the transport below said, for the layer that forwarded to it.
fn below_fault(error: &Error) -> Fault {
    // Another layer of the host's.
    let cause = std::error::Error::source(error);
    if let Some(own) = cause.and_then(|cause| cause.downcast_ref::<OwnFailure>()) {
        return fault(own.code, own.message.clone());
    }
    let mut record = ErrorRecord::new(below_code(error.kind()), error.to_string());
    record.below = Some(Below {
        kind: error.kind(),
        message: error.to_string(),
        may_have_acted: error.server_may_have_acted(),
    });
    Box::new(record)
}

fn below_code(kind: ErrorKind) -> pan123_status {
    match kind {
        ErrorKind::Invalid => PAN123_E_INVALID_ARGUMENT,
        ErrorKind::Tls => PAN123_E_TLS,
        ErrorKind::Stalled | ErrorKind::BodyTimeout | ErrorKind::AnswerTimeout => PAN123_E_NET_TIMEOUT,
        ErrorKind::BadAnswer => PAN123_E_PROTOCOL,
        ErrorKind::Source => PAN123_E_SOURCE_IO,
        ErrorKind::Cancelled => PAN123_E_CANCELLED,
        ErrorKind::Layer => PAN123_E_CALLBACK,
        _ => PAN123_E_NETWORK,
    }
}

/// What a transport of the host said, for the engine.
pub(crate) fn to_transport_error(record: &ErrorRecord, exchange: &Exchange, elapsed: Duration) -> Error {
    let record = &record.clone().without(&exchange.token);
    let (sent, len) = exchange.sent();
    let kind = match record.code {
        PAN123_E_TLS => ErrorKind::Tls,
        PAN123_E_NET_TIMEOUT | PAN123_E_TIMEOUT if sent < len => ErrorKind::Stalled,
        PAN123_E_NET_TIMEOUT | PAN123_E_TIMEOUT => ErrorKind::AnswerTimeout,
        PAN123_E_PROTOCOL => ErrorKind::BadAnswer,
        PAN123_E_SOURCE_IO | PAN123_E_SOURCE_CHANGED | PAN123_E_SOURCE_STALLED => ErrorKind::Source,
        PAN123_E_CANCELLED if exchange.cancel.is_fired() => ErrorKind::Cancelled,
        PAN123_E_NETWORK if sent == 0 => ErrorKind::Connect,
        PAN123_E_NETWORK => ErrorKind::Interrupted,
        _ => ErrorKind::Layer,
    };
    // What the transport below said, if the layer handed it on as it was.
    let below = record.below.as_ref().filter(|below| below_code(below.kind) == record.code);
    let error = match below {
        Some(below) => Error::new(below.kind, below.message.clone()).acted(below.may_have_acted),
        None if kind == ErrorKind::Layer => {
            Error::new(kind, "a layer of the transport failed").with_source(OwnFailure::of(record))
        }
        None => Error::new(kind, record.message()).acted(sent == len),
    };
    error.at(sent, elapsed)
}

/// Looks into an exchange.
///
/// # Safety
///
/// `x` is NULL or an exchange that is lent at the moment.
unsafe fn look<'a>(x: *const pan123_http) -> Result<&'a Exchange, Fault> {
    // SAFETY: it came from `Exchange::lend`, and the library holds it until `send` returns.
    let exchange =
        unsafe { x.cast::<Exchange>().as_ref() }.ok_or_else(|| invalid("the pan123_http is NULL"))?;
    // Its locks and its connections are those of the process that was asked to send.
    handle::refuse_fork(exchange.process, "pan123_http")?;
    Ok(exchange)
}

/// A text field of an exchange; `field` is `PAN123_F_METHOD`, `PAN123_F_URL`, or once there is an answer,
/// `PAN123_F_ANSWER_BODY`.
///
/// Returns the text with a NUL at its end, and puts its length into `len` (unless NULL); NULL and 0 if there is no such
/// field (yet).
///
/// Ownership: the text lives as long as `x` is lent. Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `x` is NULL or lent at the moment; `len` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_http_str(
    x: *const pan123_http,
    field: u32,
    len: *mut size_t,
) -> *const c_char {
    quiet(std::ptr::null(), || {
        // SAFETY: by the contract of this function.
        let exchange = unsafe { look(x) };
        let text = exchange.ok().and_then(|exchange| {
            let text = match field {
                PAN123_F_METHOD => Text::new(lock(&exchange.request).method.as_str()),
                PAN123_F_URL => Text::new(&lock(&exchange.request).url),
                PAN123_F_ANSWER_BODY => Text::new(&lock(&exchange.response).as_ref()?.body),
                _ => return None,
            };
            Some((exchange, text))
        });
        match text {
            None => {
                // SAFETY: by the contract of this function.
                unsafe { text::lend(None, len) }
            }
            Some((exchange, text)) => {
                // SAFETY: by the contract of this function. A `Text` is boxed, so its bytes stay where they are.
                let pointer = unsafe { text.lend(len) };
                lock(&exchange.lent).push(text);
                pointer
            }
        }
    })
}

/// An integer field of an exchange; `field` is `PAN123_F_BODY_LEN`, `PAN123_F_TIMEOUT_MS`, or once there is an answer,
/// `PAN123_F_HTTP_STATUS`.
///
/// Returns the value, or `absent` if there is no such field (yet).
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `x` is NULL or lent at the moment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_http_i64(x: *const pan123_http, field: u32, absent: i64) -> i64 {
    quiet(absent, || {
        // SAFETY: by the contract of this function.
        let Ok(exchange) = (unsafe { look(x) }) else { return absent };
        let value = match field {
            PAN123_F_BODY_LEN => i64::try_from(exchange.sent().1).ok(),
            PAN123_F_TIMEOUT_MS => i64::try_from(exchange.patience().as_millis()).ok(),
            PAN123_F_HTTP_STATUS => lock(&exchange.response).as_ref().map(|answer| i64::from(answer.status)),
            _ => None,
        };
        value.unwrap_or(absent)
    })
}

/// Lists the headers of the request (`of_answer` 0) or of the answer (1): gives number `i`, from 0. The headers
/// `Content-Length` and `Host` of the request are the transport's to make. One of the request's headers is the access
/// token: write it to no log.
///
/// Returns the name and puts the value into `value` (unless NULL); NULL after the last one.
///
/// Ownership: name and value live as long as `x` is lent. Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `x` is NULL or lent at the moment; `value` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_http_header(
    x: *const pan123_http,
    of_answer: i32,
    i: size_t,
    value: *mut *const c_char,
) -> *const c_char {
    quiet(std::ptr::null(), || {
        // SAFETY: by the contract of this function.
        let Ok(exchange) = (unsafe { look(x) }) else { return std::ptr::null() };
        let header = if of_answer == 0 {
            lock(&exchange.request).headers.get(i).map(|(name, value)| (name.to_string(), value.clone()))
        } else {
            lock(&exchange.response).as_ref().and_then(|answer| answer.headers.get(i).cloned())
        };
        let Some((name, content)) = header else { return std::ptr::null() };
        let (name, content) = (Text::new(name), Text::new(content));
        // SAFETY: no length is wanted. A `Text` is boxed, so its bytes stay where they are.
        let (name_pointer, value_pointer) =
            unsafe { (name.lend(std::ptr::null_mut()), content.lend(std::ptr::null_mut())) };
        if !value.is_null() {
            // SAFETY: by the contract of this function.
            unsafe { value.write(value_pointer) };
        }
        lock(&exchange.lent).extend([name, content]);
        name_pointer
    })
}

/// Sets a header of the request (`of_answer` 0; counts when it is forwarded) or of the answer (1, after it was given); one of
/// the same name is replaced.
///
/// Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` for a name or value that cannot stand in a header, and for
/// `Content-Length`, `Transfer-Encoding` and `Host` of the request; `PAN123_E_WRONG_STATE` while there is no answer; `PAN123_E_FORKED`.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `x` is NULL or lent at the moment; `name` and `value` are NULL or readable for as many bytes as is said, or up to
/// their NUL for `PAN123_NUL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_http_set_header(
    x: *mut pan123_http,
    of_answer: i32,
    name: *const c_char,
    name_len: size_t,
    value: *const c_char,
    value_len: size_t,
) -> pan123_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: by the contract of this function.
        let exchange = unsafe { look(x) }?;
        // SAFETY: by the contract of this function.
        let (name, value) =
            unsafe { (text::text(name, name_len, "name")?, text::text(value, value_len, "value")?) };
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(invalid(format!("{name:?} is no name of a header")));
        }
        if !value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
            return Err(invalid(format!("the value of {name} is not visible ASCII")));
        }
        if of_answer == 0 {
            let ours = ["content-length", "transfer-encoding", "host"];
            if ours.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
                return Err(invalid(format!("{name} is made by the transport")));
            }
            let mut request = lock(&exchange.request);
            request.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            request.headers.push((name.to_owned().into(), value.to_owned()));
        } else {
            let mut response = lock(&exchange.response);
            let answer =
                response.as_mut().ok_or_else(|| fault(PAN123_E_WRONG_STATE, "there is no answer yet"))?;
            let name = name.to_ascii_lowercase();
            answer.headers.retain(|(known, _)| *known != name);
            answer.headers.push((name, value.to_owned()));
        }
        Ok(())
    })
}

/// Reads the request's body, at any offset and any number of times: fills `buf` with up to `len` bytes from `offset` on
/// and says in `*out_n` how many there were; fewer only at the body's end, where it is 0.
///
/// It keeps the bandwidth cap by returning late, and tells the library that the exchange is alive.
///
/// Returns `PAN123_OK`; `PAN123_E_CANCELLED` when the request was given up, upon which `send` should return soon;
/// `PAN123_E_SOURCE_IO` when the source cannot be read; `PAN123_E_INVALID_ARGUMENT`, also for an offset beyond the body's
/// end; `PAN123_E_FORKED`.
///
/// Thread: any. Blocking: as long as the source takes. Since 0.1.
///
/// # Safety
///
/// `x` is NULL or lent at the moment; `buf` is NULL or writable for `len` bytes; `out_n` and `err` are NULL or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_http_read_body(
    x: *mut pan123_http,
    offset: u64,
    buf: *mut u8,
    len: size_t,
    out_n: *mut size_t,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let exchange = unsafe { look(x.cast_const()) }?;
        // SAFETY: by the contract of this function.
        let out_n = unsafe { handle::place(out_n, "out_n") }?;
        *out_n = 0;
        if len == 0 {
            return exchange.refuse_if_cancelled();
        }
        if buf.is_null() || isize::try_from(len).is_err() {
            return Err(invalid(format!("buf is NULL, or cannot have {len} bytes")));
        }
        // SAFETY: by the contract of this function. Whatever is there now is overwritten without being looked at.
        let buf = unsafe { std::slice::from_raw_parts_mut(buf, len) };
        *out_n = exchange.read_body(offset, buf)?;
        Ok(())
    })
}

/// Sends the request through the transport below, and takes its answer, which may then be looked at and changed. May be
/// repeated.
///
/// Returns `PAN123_OK` for an answer of any HTTP status; a code of the 200 band if there was none;
/// `PAN123_E_CANCELLED` when the request was given up; `PAN123_E_SHUTDOWN` when the client has ended meanwhile;
/// `PAN123_E_FORKED`.
///
/// Thread: any. Blocking: until the answer is there. Since 0.1.
///
/// # Safety
///
/// `x` is NULL or lent at the moment; `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_http_forward(
    x: *mut pan123_http,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        unsafe { look(x.cast_const()) }?.forward(None)
    })
}

/// As `pan123_http_forward`, and ends early when `stop` is fired: for a transport with a time limit of its own. The request
/// is not given up by that: it may be forwarded again, or answered. `stop` may be NULL.
///
/// Returns as `pan123_http_forward`; `PAN123_E_CANCELLED` also when it was stopped.
///
/// Thread: any. Blocking: until the answer is there, or up to 250 ms after `stop` is fired. Since 0.1.
///
/// # Safety
///
/// `x` is NULL or lent at the moment; `stop` is NULL or a live stop object; `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_http_forward_until(
    x: *mut pan123_http,
    stop: *mut pan123_stop,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let (exchange, stop) = unsafe { (look(x.cast_const())?, handle::look_if_any(stop.cast_const())?) };
        exchange.forward(stop.as_deref())
    })
}

/// Answers the request with `http_status` and `body`, which is copied; headers are set afterwards with
/// `pan123_http_set_header`. A second answer replaces the first.
/// What was lent of the first stays until `send` returns, and takes its memory.
///
/// Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` for a status outside 100 to 599, and for a body of more than 1 MiB;
/// `PAN123_E_FORKED`.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `x` is NULL or lent at the moment; `body` is NULL or readable for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_http_answer(
    x: *mut pan123_http,
    http_status: i32,
    body: *const u8,
    len: size_t,
) -> pan123_status {
    guard(std::ptr::null_mut(), || {
        // SAFETY: by the contract of this function.
        let exchange = unsafe { look(x.cast_const()) }?;
        let status = u16::try_from(http_status).ok().filter(|status| (100..=599).contains(status));
        let status = status.ok_or_else(|| invalid(format!("http_status is {http_status}")))?;
        if len > ANSWER_LEN_MAX {
            return Err(invalid(format!("the answer has {len} bytes; at most {ANSWER_LEN_MAX} are taken")));
        }
        // SAFETY: by the contract of this function.
        let body = Bytes::copy_from_slice(unsafe { text::bytes(body, len, "body") }?);
        let (sent, whole) = exchange.sent();
        *lock(&exchange.response) = Some(Response { status, headers: Vec::new(), body, early: sent < whole });
        exchange.moved();
        Ok(())
    })
}
