//! Clients: one account, its limits and its threads.

use std::{
    collections::HashSet,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use pan123_upload::{
    Client, ClientCredentials, JournalDir, RefreshToken, ResumeStore, StaticToken, Token, TokenProvider,
    proto::machine::Parallel,
    transport::{self, HttpTransport, Layer, PlainHttp, ServerUrl, Transport},
};
use tokio::{
    runtime::{Handle as RuntimeHandle, Runtime},
    sync::{Semaphore, watch},
};

use crate::{
    calls::Calls,
    error::pan123_error,
    guard::{Fault, fault, guard, invalid, may_wait, panic_text, quiet},
    handle::{self, Held, Object},
    numbers::*,
    options::{Scope, Settings, pan123_options},
    queue::{Queue, pan123_queue},
    store::{HostStore, pan123_store, pan123_store_vtable},
    text, threads,
    tokens::{HostTokens, pan123_tokens},
    transport::{HostLayer, pan123_transport},
    upload::Upload,
    vtable::Host,
    wait::{self, Cancel},
};

/// One account of the service, with its limits, connections and threads. Make one and use it for all uploads.
#[allow(missing_debug_implementations, reason = "a name for C, without content")]
pub struct pan123_client {
    _private: [u8; 0],
}

impl Object for pan123_client {
    type Inside = Arc<Core>;
    const NAME: &'static str = "pan123_client";
}

/// What is behind a `pan123_client`. Uploads and calls hold on to it too.
pub(crate) struct Core {
    pub(crate) engine: Client,
    pub(crate) base_url: String,
    pub(crate) runtime: RuntimeHandle,
    pub(crate) calls: Arc<Calls>,
    pub(crate) queue: Option<Arc<Queue>>,
    pub(crate) store: Store,
    pub(crate) source_limit: Duration,
    pub(crate) progress_every: Duration,
    pub(crate) next_upload: AtomicU64,
    /// Files that may be looked at before their upload begins, each on a thread.
    pub(crate) opens: Semaphore,
    uploads: Mutex<Vec<Weak<Upload>>>,
    /// Calls and uploads under way.
    active: watch::Sender<usize>,
    /// Nothing new is begun.
    is_closed: AtomicBool,
    /// Calls that wait are to end.
    closing: Cancel,
    has_left_queue: AtomicBool,
    /// The runtime itself, until it is shut down.
    own_runtime: Mutex<Option<Runtime>>,
}

/// Files that are looked at, at a time.
const OPENS_MAX: usize = 32;

/// Where unfinished uploads are remembered.
pub(crate) enum Store {
    Nowhere,
    Dir(JournalDir),
    Host { host: Arc<Host<pan123_store_vtable>>, open: Arc<Mutex<HashSet<String>>> },
}

/// Counts as one call or upload under way.
pub(crate) struct Active(Arc<Core>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.send_modify(|count| *count -= 1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    /// Begins a call or an upload.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Active, Fault> {
        self.active.send_modify(|count| *count += 1);
        let active = Active(self.clone());
        // Looked at after it was counted, so that a shutdown either sees the count or is seen here.
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(fault(PAN123_E_SHUTDOWN, "the client was shut down"));
        }
        Ok(active)
    }

    /// Does what a call of the host's asks for, on the runtime, and waits for it.
    pub(crate) fn run<T: Send + 'static>(
        self: &Arc<Self>,
        function: &str,
        stop: Option<&Cancel>,
        work: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Result<T, Fault> {
        may_wait(function)?;
        let _active = self.enter()?;
        let cancelled =
            || fault(PAN123_E_CANCELLED, format!("{} was stopped, as asked", text::plain(function)));
        if stop.is_some_and(Cancel::is_fired) {
            return Err(cancelled());
        }
        let task = self.runtime.spawn(work);
        let abort = task.abort_handle();
        let end = async {
            match stop {
                Some(stop) => drop(wait::unless(stop.fired(), self.closing.fired()).await),
                None => self.closing.fired().await,
            }
        };
        match wait::until(None, wait::unless(end, task)).flatten() {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => Err(match error.try_into_panic() {
                Ok(panic) => fault(PAN123_E_PANIC, panic_text(&*panic)),
                Err(_) => fault(PAN123_E_SHUTDOWN, "the client was shut down"),
            }),
            None => {
                abort.abort();
                Err(if stop.is_some_and(Cancel::is_fired) {
                    cancelled()
                } else {
                    fault(PAN123_E_SHUTDOWN, "the client was shut down")
                })
            }
        }
    }

    /// Where one run of an upload is remembered.
    pub(crate) fn store_for(&self, cancel: &Cancel) -> Option<Arc<dyn ResumeStore>> {
        match &self.store {
            Store::Nowhere => None,
            Store::Dir(dir) => Some(Arc::new(dir.clone())),
            Store::Host { host, open } => Some(Arc::new(HostStore {
                host: host.clone(),
                calls: self.calls.clone(),
                cancel: cancel.clone(),
                open: open.clone(),
            })),
        }
    }

    /// Has an upload cancelled by a shutdown that asks for it.
    pub(crate) fn remember(&self, upload: &Arc<Upload>) {
        let mut uploads = lock(&self.uploads);
        uploads.retain(|upload| upload.strong_count() > 0);
        uploads.push(Arc::downgrade(upload));
    }

    fn leave_queue(&self) {
        if let Some(queue) = &self.queue
            && !self.has_left_queue.swap(true, Ordering::SeqCst)
        {
            queue.leave();
        }
    }

    fn shut_down(&self, cancel: bool, deadline: Option<Instant>) -> Result<(), Fault> {
        let late = |what: &str| Err(fault(PAN123_E_TIMEOUT, format!("not shut down in time: {what}")));
        self.is_closed.store(true, Ordering::SeqCst);
        if cancel {
            self.closing.fire();
            let uploads: Vec<_> = lock(&self.uploads).iter().filter_map(Weak::upgrade).collect();
            uploads.iter().for_each(|upload| upload.cancel());
        }
        let mut active = self.active.subscribe();
        if wait::until(deadline, active.wait_for(|count| *count == 0)).is_none() {
            return late("uploads or calls are under way");
        }
        self.leave_queue();
        if let Some(queue) = &self.queue
            && !queue.drain(deadline)
        {
            return late("on_event has not returned");
        }
        if !self.calls.close(deadline) {
            return late("a callback has not returned");
        }
        if let Some(runtime) = lock(&self.own_runtime).take() {
            let left =
                deadline.map_or(Duration::from_secs(60), |at| at.saturating_duration_since(Instant::now()));
            // Nothing is left to do on it, so this is a matter of its threads coming to their end.
            runtime.shutdown_timeout(left.max(Duration::from_secs(1)));
        }
        Ok(())
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.leave_queue();
        if let Some(runtime) = lock(&self.own_runtime).take() {
            // This may be one of its own threads, so it cannot be waited for.
            runtime.shutdown_background();
        }
    }
}

/// Everything that `pan123_client_new` is given.
struct Parts {
    settings: Settings,
    tokens: Option<Held<pan123_tokens>>,
    transport: Option<Held<pan123_transport>>,
    store: Option<Held<pan123_store>>,
    queue: Option<Arc<Queue>>,
}

impl Parts {
    fn build(self) -> Result<Arc<Core>, Fault> {
        let settings = &self.settings;
        let runtime = threads::runtime()?;
        let calls = Calls::new();
        let base = ServerUrl::base(settings.text(PAN123_OPT_BASE_URL).unwrap_or(pan123_upload::BASE_URL))
            .map_err(|error| invalid(format!("base_url: {error}")))?;
        let transport = {
            let _inside = runtime.enter();
            self.transport(&base, &calls)?
        };
        let tokens = self.tokens(&transport, &base, &calls)?;
        let millis = |option, otherwise| Duration::from_millis(settings.number(option).unwrap_or(otherwise));
        let mut builder = Client::builder()
            .base_url(base.to_string())
            .plain_http(settings.flag(PAN123_OPT_PLAIN_HTTP))
            .transport(transport)
            .tokens(tokens)
            .vip_rates(settings.flag(PAN123_OPT_VIP_RATES))
            .bytes_per_sec(settings.number(PAN123_OPT_BYTES_PER_SEC).filter(|rate| *rate > 0))
            .parallel(match settings.number(PAN123_OPT_SLICES_IN_FLIGHT) {
                None | Some(0) => Parallel::Auto,
                Some(slices) => Parallel::Exactly(u32::try_from(slices).unwrap_or(64)),
            });
        if let Some(time) = settings.number(PAN123_OPT_RETRY_FOR_MS) {
            builder = builder.retry_for(Duration::from_millis(time));
        }
        if let Some(agent) = settings.text(PAN123_OPT_USER_AGENT) {
            builder = builder.user_agent(agent);
        }
        let engine = {
            let _inside = runtime.enter();
            builder.build()?
        };
        if let Some(queue) = &self.queue {
            queue.join();
        }
        Ok(Arc::new(Core {
            engine,
            base_url: base.to_string(),
            runtime: runtime.handle().clone(),
            calls,
            store: self.store(),
            source_limit: millis(PAN123_OPT_SOURCE_TIMEOUT_MS, 30_000),
            progress_every: millis(PAN123_OPT_PROGRESS_MS, 200),
            next_upload: AtomicU64::new(1),
            opens: Semaphore::new(OPENS_MAX),
            uploads: Mutex::default(),
            active: watch::Sender::new(0),
            is_closed: AtomicBool::new(false),
            closing: Cancel::new(),
            has_left_queue: AtomicBool::new(false),
            own_runtime: Mutex::new(Some(runtime)),
            queue: self.queue,
        }))
    }

    /// Layers of plugins, then layers of the host, then the built-in transport.
    fn transport(&self, base: &ServerUrl, calls: &Arc<Calls>) -> Result<Arc<dyn Transport>, Fault> {
        let settings = &self.settings;
        let plain_http = if settings.flag(PAN123_OPT_PLAIN_HTTP) {
            PlainHttp::anywhere()
        } else {
            PlainHttp::loopback().and_base(base)
        };
        let mut http = HttpTransport::builder().plain_http(plain_http);
        if let Some(proxy) = settings.text(PAN123_OPT_PROXY) {
            http = http.proxy(proxy);
        }
        if let Some(file) = settings.text(PAN123_OPT_CA_FILE) {
            http = http.ca_file(file);
        }
        let http = http.build().map_err(|error| invalid(format!("the transport: {error}")))?;
        let plugins = settings.plugins.iter().filter_map(|plugin| plugin.transport.as_ref());
        let hosts = plugins.chain(self.transport.iter().flat_map(|stack| stack.iter()));
        let layers: Vec<Arc<dyn Layer>> = hosts
            .map(|host| Arc::new(HostLayer { host: host.clone(), calls: calls.clone() }) as Arc<dyn Layer>)
            .collect();
        Ok(transport::stack(Arc::new(http), &layers))
    }

    fn tokens(
        &self,
        transport: &Arc<dyn Transport>,
        base: &ServerUrl,
        calls: &Arc<Calls>,
    ) -> Result<Arc<dyn TokenProvider>, Fault> {
        let settings = &self.settings;
        let of_plugin = || settings.plugins.iter().find_map(|plugin| plugin.tokens.as_ref());
        if let Some(host) = self.tokens.as_deref().or_else(of_plugin) {
            return Ok(Arc::new(HostTokens::new(host.clone(), calls.clone())));
        }
        let text = |option| settings.text(option);
        let (id, secret) = (text(PAN123_OPT_CLIENT_ID), text(PAN123_OPT_CLIENT_SECRET));
        let (refresh_token, cache) = (text(PAN123_OPT_REFRESH_TOKEN), text(PAN123_OPT_TOKEN_CACHE));
        if let Some(token) = text(PAN123_OPT_ACCESS_TOKEN) {
            if id.or(secret).or(refresh_token).is_some() {
                return Err(invalid("give access_token, or client_id and client_secret, but not both"));
            }
            return Ok(Arc::new(StaticToken::new(Token::new(token, None)?)));
        }
        let (id, secret) = match (id, secret) {
            (Some(id), Some(secret)) => (id, secret),
            (Some(_), None) => return Err(invalid("client_id needs client_secret")),
            (None, Some(_)) => return Err(invalid("client_secret needs client_id")),
            (None, None) if refresh_token.is_some() => {
                return Err(invalid("refresh_token needs client_id and client_secret"));
            }
            (None, None) => {
                return Err(invalid(
                    "no access token: give access_token, or client_id and client_secret, or a token source of your own",
                ));
            }
        };
        let (transport, base) = (transport.clone(), base.to_string());
        match (refresh_token, cache.map(Path::new)) {
            (Some(refresh_token), Some(dir)) => {
                Ok(Arc::new(RefreshToken::new(transport, &base, id, secret, refresh_token, dir)?))
            }
            (Some(_), None) => {
                Err(invalid("refresh_token needs token_cache, where the one that comes after it is kept"))
            }
            (None, cache) => {
                let login = ClientCredentials::new(transport, &base, id, secret)?;
                Ok(Arc::new(match cache {
                    Some(dir) => login.cache_in(dir),
                    None => login,
                }))
            }
        }
    }

    fn store(&self) -> Store {
        let of_plugin = || self.settings.plugins.iter().find_map(|plugin| plugin.store.as_ref());
        match (self.store.as_deref().or_else(of_plugin), self.settings.text(PAN123_OPT_STATE_DIR)) {
            (Some(host), _) => Store::Host { host: host.clone(), open: Arc::default() },
            (None, Some(dir)) => Store::Dir(JournalDir::new(dir)),
            (None, None) => Store::Nowhere,
        }
    }
}

/// Makes a client. Sends nothing yet. Any of `o`, `t`, `x`, `s`, `q` may be NULL: default options, tokens as the options
/// say, the built-in transport, no store but `PAN123_OPT_STATE_DIR`, no events.
///
/// Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` for options that cannot be used, for options that are meant for an
/// upload, and if there is nothing to get an access token from; `PAN123_E_LOGIN` for a token that cannot be one;
/// `PAN123_E_INTERNAL` if the system gives no threads.
///
/// Ownership: keeps references to what it is given; yours stay yours. `*out` is yours; free it with
/// `pan123_client_free`. Thread: any. Blocking: as long as it takes to
/// read the system's certificates and to make threads, named `pan123-io`: as many as there are processors, 2 to 4. More
/// come and go with callbacks that run, uploads and reads of files that take long; descriptors are 3 and one for each connection.
/// Since 0.1.
///
/// # Safety
///
/// Each handle is NULL or live; `out` and `err` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_client_new(
    o: *const pan123_options,
    t: *mut pan123_tokens,
    x: *mut pan123_transport,
    s: *mut pan123_store,
    q: *mut pan123_queue,
    out: *mut *mut pan123_client,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let out = unsafe { handle::object_place(out) }?;
        // SAFETY: by the contract of this function.
        let parts = unsafe {
            Parts {
                settings: Settings::of(o, &[Scope::Client], "pan123_client_new")?,
                tokens: handle::look_if_any(t.cast_const())?,
                transport: handle::look_if_any(x.cast_const())?,
                store: handle::look_if_any(s.cast_const())?,
                queue: handle::look_if_any(q.cast_const())?.map(|queue| Arc::clone(&queue)),
            }
        };
        *out = handle::give(parts.build()?);
        Ok(())
    })
}

/// Adds a reference to a client, for another owner; each is dropped with `pan123_client_free`.
///
/// Returns `c`; NULL if it is NULL or was made before a fork.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `c` is NULL or a live client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_client_retain(c: *mut pan123_client) -> *mut pan123_client {
    // SAFETY: by the contract of this function.
    quiet(std::ptr::null_mut(), || unsafe { handle::retain(c) })
}

/// Ends a client: begins nothing new, waits for what is under way, and joins the client's threads. With `cancel` not 0
/// it cancels what is under way first. Waits for at most `timeout_ms` milliseconds: negative for ever, 0 not at all.
///
/// Afterwards the client, and what was made with it, answers `PAN123_E_SHUTDOWN`; outcomes of uploads can still be asked
/// for. Not needed before `pan123_client_free`, unless you want to know that no thread of the client runs any more.
///
/// Returns `PAN123_OK`, also the second time; `PAN123_E_TIMEOUT` if it takes longer, for example because a callback does
/// not return: the client begins nothing new all the same and goes on ending, so call it again; `PAN123_E_WOULD_DEADLOCK` in a callback.
///
/// Thread: any. Blocking: as long as `timeout_ms` says. Since 0.1.
///
/// # Safety
///
/// `c` is NULL or a live client; `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_client_shutdown(
    c: *mut pan123_client,
    cancel: i32,
    timeout_ms: i64,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let core = unsafe { handle::look(c.cast_const()) }?;
        may_wait("pan123_client_shutdown")?;
        core.shut_down(cancel != 0, wait::deadline(timeout_ms))
    })
}

/// Drops your reference to a client. Uploads that run go on to their end; then the client's threads end by themselves.
/// NULL is fine.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `c` is NULL or a live client, which is gone afterwards as far as the caller is concerned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_client_free(c: *mut pan123_client) {
    // SAFETY: by the contract of this function.
    quiet((), || unsafe { handle::free(c) });
}
