//! Token providers of the host.

use std::{fmt, sync::Arc, time::Duration};

use libc::{c_char, size_t};
use pan123_upload::{Error, ErrorKind, Token, TokenProvider, transport::BoxFuture};
use tokio::sync::Mutex;

use crate::{
    calls::Calls,
    error::{self, ErrorRecord, OwnFailure, pan123_error},
    guard::{Fault, fault, guard, quiet},
    handle::{self, Object},
    numbers::{
        PAN123_E_CALLBACK, PAN123_E_NET_TIMEOUT, PAN123_E_SHUTDOWN, PAN123_E_SOURCE_STALLED, pan123_status,
    },
    sink::{Sink, pan123_sink},
    vtable::{Clock, Host, Vtable, pan123_vtable},
    wait::Cancel,
};

/// Where access tokens come from, if not from the options. May be given to several clients.
#[allow(missing_debug_implementations, reason = "a name for C, without content")]
pub struct pan123_tokens {
    _private: [u8; 0],
}

impl Object for pan123_tokens {
    type Inside = Arc<Host<pan123_tokens_vtable>>;
    const NAME: &'static str = "pan123_tokens";
}

/// A token provider of yours.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pan123_tokens_vtable {
    /// The head.
    pub h: pan123_vtable,
    /// \[worker thread, may block\] Puts an access token into `token` with `pan123_sink_put`, and when it expires into
    /// `*expires_unix_ms`, in milliseconds since 1970 UTC, or leaves the 0 there if that is not known.
    ///
    /// `refused` is the token that the service has just turned down, `refused_len` bytes and a NUL, or NULL. Give another
    /// one then, preferably one that somebody else has fetched meanwhile: only three tokens of a client id live at a
    /// time. Called for every request, one call at a time per client: keep what you have. A call that has not returned
    /// after 30 s is given up, and tried again as after `PAN123_E_NET_TIMEOUT`, perhaps before it returns. Fails with `PAN123_E_LOGIN`
    /// if there is no token to be had, `PAN123_E_NETWORK` if another try may help; see `pan123_vtable` for other codes.
    /// Required.
    pub get: Option<
        unsafe extern "C" fn(
            ctx: usize,
            refused: *const c_char,
            refused_len: size_t,
            token: *mut pan123_sink,
            expires_unix_ms: *mut i64,
            err: *mut *mut pan123_error,
        ) -> pan123_status,
    >,
}

// SAFETY: `repr(C)`, head first, functions only.
unsafe impl Vtable for pan123_tokens_vtable {
    const NAME: &'static str = "pan123_tokens_vtable";

    fn head(&self) -> &pan123_vtable {
        &self.h
    }

    fn lacks(&self) -> Option<&'static str> {
        self.get.is_none().then_some("get")
    }
}

/// A token provider of the host's, for one client.
pub(crate) struct HostTokens {
    pub(crate) host: Arc<Host<pan123_tokens_vtable>>,
    pub(crate) calls: Arc<Calls>,
    /// Held by a call until it returns or its time is over, also if nobody waits for it any more.
    turn: Arc<Mutex<()>>,
}

impl HostTokens {
    pub(crate) fn new(host: Arc<Host<pan123_tokens_vtable>>, calls: Arc<Calls>) -> Self {
        Self { host, calls, turn: Arc::default() }
    }
}

impl fmt::Debug for HostTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostTokens")
    }
}

impl TokenProvider for HostTokens {
    fn get<'a>(&'a self, refused: Option<&'a Token>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(async move {
            let refused = refused.map(|token| token.expose().to_owned());
            let turn = self.turn.clone().lock_owned().await;
            let (host, calls) = (self.host.clone(), self.calls.clone());
            // Also when nobody waits for it any more, it has its time; then it is somebody else's turn.
            let asking = tokio::spawn(async move {
                let clock = host.clock();
                let called = clock.clone();
                let begun = calls.begin(move || get(&host, &called, refused.as_deref()));
                let answer = async { begun?.answer_within(&Cancel::new(), (&clock, LIMIT)).await };
                let answer = answer.await.map_err(|fault| late_is_timeout(*fault)).and_then(|answer| answer);
                drop(turn);
                answer
            });
            let answer =
                asking.await.unwrap_or_else(|ended| Err(fault(PAN123_E_SHUTDOWN, ended.to_string())));
            match answer {
                Ok((text, expires)) => Token::new(text, expires),
                Err(fault) => {
                    let kind = error::kind_of(fault.code);
                    let is_said = kind.is_transient()
                        || matches!(kind, ErrorKind::Login | ErrorKind::Tls | ErrorKind::Protocol);
                    Err(if is_said {
                        Error::new(kind, "token", fault.message())
                    } else {
                        let error = Error::new(ErrorKind::HostCode, "token", fault.message());
                        error.with_source(OwnFailure::of(&fault))
                    })
                }
            }
        })
    }
}

/// How long one call may take before it is given up.
const LIMIT: Duration = Duration::from_secs(30);

/// A provider that is stuck is no source that is.
fn late_is_timeout(record: ErrorRecord) -> Fault {
    let code = if record.code == PAN123_E_SOURCE_STALLED { PAN123_E_NET_TIMEOUT } else { record.code };
    Box::new(record.with_code(code))
}

fn get(
    host: &Host<pan123_tokens_vtable>,
    clock: &Clock,
    refused: Option<&str>,
) -> Result<(String, Option<i64>), Fault> {
    let (sink, mut expires) = (Sink::default(), 0_i64);
    let refused = refused.map(crate::text::Text::new);
    host.call(clock, "get", |vtable, ctx, err| match vtable.get {
        Some(get) => {
            let mut len = 0;
            // SAFETY: `len` is on this stack.
            let text = unsafe { crate::text::lend(refused.as_ref(), &raw mut len) };
            // SAFETY: the host gave it for this; everything lent lives on this stack.
            unsafe { get(ctx, text, len, sink.lend(), &raw mut expires, err) }
        }
        None => PAN123_E_CALLBACK,
    })?;
    let text = String::from_utf8(sink.take())
        .map_err(|_| crate::vtable::nonsense("get gave a token that is not UTF-8"))?;
    Ok((text, (expires > 0).then_some(expires)))
}

/// Makes a token provider from a function of yours.
///
/// Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `vt`, its `get` or `out` is NULL; `PAN123_E_ABI` for a
/// `struct_size` that cannot be; `PAN123_E_UNKNOWN_NUMBER` for unknown flags.
///
/// Ownership: takes `ctx` over, also when it fails. `*out` is yours; free it with `pan123_tokens_free`. Thread: any.
/// Blocking: no. Since 0.1.
///
/// # Safety
///
/// `vt` is NULL or a vtable as long as it says, whose functions may be called with `ctx` from any thread until
/// `release`; `out` and `err` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_tokens_new(
    vt: *const pan123_tokens_vtable,
    ctx: usize,
    out: *mut *mut pan123_tokens,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let host = unsafe { Host::new(vt, ctx) };
        // SAFETY: by the contract of this function.
        let out = unsafe { handle::object_place(out) }?;
        *out = handle::give(Arc::new(host?));
        Ok(())
    })
}

/// Drops your reference to a token provider. NULL is fine.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `t` is NULL or a live token provider, which is gone afterwards as far as the caller is concerned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_tokens_free(t: *mut pan123_tokens) {
    // SAFETY: by the contract of this function.
    quiet((), || unsafe { handle::free(t) });
}
