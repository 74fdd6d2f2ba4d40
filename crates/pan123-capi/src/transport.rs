//! Transports of the host: layers around the built-in one, and replacements for it.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use pan123_upload::transport::{BoxFuture, Error, ErrorKind, Layer, Request, Response, Transport};
use tokio::runtime::Handle as Runtime;

use crate::{
    calls::Calls,
    error::pan123_error,
    guard::{Fault, guard, quiet},
    handle::{self, Object},
    http::{self, Exchange, pan123_http},
    numbers::{PAN123_E_CALLBACK, pan123_status},
    vtable::{Clock, Host, Vtable, nonsense, pan123_vtable},
};

/// How requests get out: a stack of layers of yours over the built-in transport, or over one of yours at the bottom.
///
/// May be given to several clients.
#[allow(missing_debug_implementations, reason = "a name for C, without content")]
pub struct pan123_transport {
    _private: [u8; 0],
}

impl Object for pan123_transport {
    type Inside = Vec<Arc<Host<pan123_transport_vtable>>>;
    const NAME: &'static str = "pan123_transport";
}

/// A transport of yours. Each is a layer over another one; it forwards what it does not want to answer itself. One
/// that never forwards is the bottom, and replaces the built-in transport.
///
/// ```c
/// static pan123_status send(uintptr_t ctx, pan123_http *x, pan123_error **err)
/// {
///     printf("%s %s\n", pan123_http_str(x, PAN123_F_METHOD, NULL), pan123_http_str(x, PAN123_F_URL, NULL));
///     return pan123_http_forward(x, err);
/// }
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pan123_transport_vtable {
    /// The head.
    pub h: pan123_vtable,
    /// \[worker thread, may block\] Sends the request `x` once, without retries and without following redirects, and
    /// answers it with `pan123_http_answer` or `pan123_http_forward`; any HTTP status is an answer. Calls overlap
    /// unless `PAN123_VT_SERIAL` is set. Fails with `PAN123_E_NETWORK`, `PAN123_E_TLS`, `PAN123_E_NET_TIMEOUT` or
    /// `PAN123_E_PROTOCOL` if there is no answer; any other code is a failure of yours, which is not tried again.
    /// `PAN123_OK` without an answer is `PAN123_E_CALLBACK`. Required.
    pub send: Option<
        unsafe extern "C" fn(ctx: usize, x: *mut pan123_http, err: *mut *mut pan123_error) -> pan123_status,
    >,
    /// \[any thread\] The request was given up: let `send(x)` return soon. It may cross with the return of `send`, so
    /// look `x` up among those that are open. NULL: `pan123_http_read_body` and `pan123_http_forward` fail then, which
    /// may do.
    pub interrupt: Option<unsafe extern "C" fn(ctx: usize, x: *const pan123_http)>,
}

// SAFETY: `repr(C)`, head first, functions only.
unsafe impl Vtable for pan123_transport_vtable {
    const NAME: &'static str = "pan123_transport_vtable";

    fn head(&self) -> &pan123_vtable {
        &self.h
    }

    fn lacks(&self) -> Option<&'static str> {
        self.send.is_none().then_some("send")
    }
}

/// A layer of the host's, for one client.
#[derive(Clone)]
pub(crate) struct HostLayer {
    pub(crate) host: Arc<Host<pan123_transport_vtable>>,
    pub(crate) calls: Arc<Calls>,
}

impl Layer for HostLayer {
    fn wrap(&self, inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(HostTransport { layer: self.clone(), below: inner })
    }
}

impl fmt::Debug for HostLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostLayer")
    }
}

#[derive(Debug)]
struct HostTransport {
    layer: HostLayer,
    below: Arc<dyn Transport>,
}

impl Transport for HostTransport {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>> {
        Box::pin(self.exchange(request))
    }
}

impl HostTransport {
    async fn exchange(&self, request: Request) -> Result<Response, Error> {
        let start = Instant::now();
        let exchange = Exchange::new(request, self.below.clone(), Runtime::current());
        let (host, lent) = (self.layer.host.clone(), exchange.clone());
        let clock = host.clock();
        let called = clock.clone();
        // Dropped with this future: then the request is given up.
        let _given_up = GiveUp { layer: &self.layer, exchange: &exchange, clock: &clock };
        let sending = self.layer.calls.call(move || send(&host, &called, &lent));
        let sent = tokio::select! {
            biased;
            sent = sending => sent,
            () = stands_still(&exchange, &clock) => {
                let message = format!("the transport did nothing for {} s", exchange.patience().as_secs());
                let (sent, len) = exchange.sent();
                let kind = if sent < len { ErrorKind::Stalled } else { ErrorKind::AnswerTimeout };
                return Err(Error::new(kind, message).at(sent, start.elapsed()).acted(sent == len));
            }
        };
        sent.and_then(|sent| sent)
            .map_err(|fault| http::to_transport_error(&fault, &exchange, start.elapsed()))
    }
}

fn send(
    host: &Host<pan123_transport_vtable>,
    clock: &Clock,
    exchange: &Arc<Exchange>,
) -> Result<Response, Fault> {
    if exchange.cancel.is_fired() {
        return Err(nonsense("given up"));
    }
    host.call(clock, "send", |vtable, ctx, err| match vtable.send {
        Some(send) => {
            // It may have waited long for its turn.
            exchange.moved();
            // SAFETY: the host gave it for this; the exchange lives at least as long as this call.
            unsafe { send(ctx, exchange.lend(), err) }
        }
        None => PAN123_E_CALLBACK,
    })?;
    exchange.take_response().ok_or_else(|| nonsense("send returned PAN123_OK without an answer"))
}

/// Returns once nothing has moved for longer than the request's clocks allow.
async fn stands_still(exchange: &Exchange, clock: &Clock) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let activity = *exchange.activity.lock().unwrap_or_else(|poison| poison.into_inner());
        let patience = exchange.patience();
        let stands = !activity.forwarding && activity.at.elapsed() > patience;
        if if clock.waits_for_turn() { clock.is_stuck(patience) } else { stands } {
            return;
        }
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Tells the host that nobody waits for the answer any more.
struct GiveUp<'a> {
    layer: &'a HostLayer,
    exchange: &'a Arc<Exchange>,
    clock: &'a Clock,
}

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        self.exchange.cancel.fire();
        // Two references more than ours mean that `send` is still running: its own, and that of its thread.
        let is_open = Arc::strong_count(self.exchange) > 1;
        if is_open {
            self.clock.give_up();
        }
        if let (true, Some(interrupt)) = (is_open, self.layer.host.vtable().interrupt) {
            let (host, exchange) = (self.layer.host.clone(), self.exchange.clone());
            // On a thread of its own, as nobody knows how long it takes. No thread, no interruption. Also while the client
            // is closing, which waits for `send` to return.
            let _ = self.layer.calls.submit_late(move || {
                // SAFETY: the host gave it for this; the exchange lives at least as long as this call.
                host.tell(|_, ctx| unsafe { interrupt(ctx, exchange.lend().cast_const()) });
            });
        }
    }
}

/// Makes a transport from functions of yours, over `inner`. `inner` NULL: over the built-in transport.
///
/// The one made last is outermost: it sees a request first and its answer last.
///
/// Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `vt`, its `send` or `out` is NULL; `PAN123_E_ABI` for a
/// `struct_size` that cannot be; `PAN123_E_UNKNOWN_NUMBER` for unknown flags.
///
/// Ownership: takes `ctx` over, also when it fails. Keeps a reference to `inner`; yours stays yours. `*out` is yours;
/// free it with `pan123_transport_free`. Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `inner` is NULL or a live transport; `vt` is NULL or a vtable as long as it says, whose functions may be called with
/// `ctx` from any thread until `release`; `out` and `err` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_transport_new(
    inner: *mut pan123_transport,
    vt: *const pan123_transport_vtable,
    ctx: usize,
    out: *mut *mut pan123_transport,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let host = unsafe { Host::new(vt, ctx) };
        // SAFETY: by the contract of this function.
        let (out, inner) = unsafe { (handle::object_place(out)?, handle::look_if_any(inner.cast_const())?) };
        let mut stack = vec![Arc::new(host?)];
        stack.extend(inner.iter().flat_map(|inner| inner.iter()).cloned());
        *out = handle::give(stack);
        Ok(())
    })
}

/// Drops your reference to a transport. NULL is fine.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `t` is NULL or a live transport, which is gone afterwards as far as the caller is concerned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_transport_free(t: *mut pan123_transport) {
    // SAFETY: by the contract of this function.
    quiet((), || unsafe { handle::free(t) });
}
