//! Loadable plugins: shared objects that bring a transport, tokens or a store.

use std::{
    ffi::{CStr, c_char},
    fmt, mem,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use libc::size_t;
use pan123_upload::{ResumeStore, TokenProvider, transport::Layer};

use crate::{
    calls::Calls,
    error::{self, pan123_error},
    guard::{Fault, calling_out, fault, invalid},
    http::{self, pan123_http},
    info,
    numbers::*,
    sink::{self, pan123_sink},
    store::{HostStore, pan123_store_vtable},
    tokens::{HostTokens, pan123_tokens_vtable},
    transport::{HostLayer, pan123_transport_vtable},
    vtable::{Host, Vtable},
    wait::Cancel,
};

/// What a plugin may call of the library. It needs no other link to it. Lives as long as the process.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pan123_host {
    /// `sizeof(pan123_host)` of the library; a member beyond it is not there.
    pub struct_size: u32,
    /// `PAN123_ABI_VERSION` of the library.
    pub abi_version: u32,
    /// As `pan123_error_new`.
    pub error_new: Option<
        unsafe extern "C" fn(code: pan123_status, msg: *const c_char, len: size_t) -> *mut pan123_error,
    >,
    /// As `pan123_error_code`.
    pub error_code: Option<unsafe extern "C" fn(e: *const pan123_error) -> pan123_status>,
    /// As `pan123_error_i64`.
    pub error_i64: Option<unsafe extern "C" fn(e: *const pan123_error, field: u32, absent: i64) -> i64>,
    /// As `pan123_error_str`.
    pub error_str:
        Option<unsafe extern "C" fn(e: *const pan123_error, field: u32, len: *mut size_t) -> *const c_char>,
    /// As `pan123_error_free`.
    pub error_free: Option<unsafe extern "C" fn(e: *mut pan123_error)>,
    /// As `pan123_http_str`.
    pub http_str:
        Option<unsafe extern "C" fn(x: *const pan123_http, field: u32, len: *mut size_t) -> *const c_char>,
    /// As `pan123_http_i64`.
    pub http_i64: Option<unsafe extern "C" fn(x: *const pan123_http, field: u32, absent: i64) -> i64>,
    /// As `pan123_http_header`.
    pub http_header: Option<
        unsafe extern "C" fn(
            x: *const pan123_http,
            of_answer: i32,
            i: size_t,
            value: *mut *const c_char,
        ) -> *const c_char,
    >,
    /// As `pan123_http_set_header`.
    pub http_set_header: Option<
        unsafe extern "C" fn(
            x: *mut pan123_http,
            of_answer: i32,
            name: *const c_char,
            name_len: size_t,
            value: *const c_char,
            value_len: size_t,
        ) -> pan123_status,
    >,
    /// As `pan123_http_read_body`.
    pub http_read_body: Option<
        unsafe extern "C" fn(
            x: *mut pan123_http,
            offset: u64,
            buf: *mut u8,
            len: size_t,
            out_n: *mut size_t,
            err: *mut *mut pan123_error,
        ) -> pan123_status,
    >,
    /// As `pan123_http_forward`.
    pub http_forward:
        Option<unsafe extern "C" fn(x: *mut pan123_http, err: *mut *mut pan123_error) -> pan123_status>,
    /// As `pan123_http_answer`.
    pub http_answer: Option<
        unsafe extern "C" fn(
            x: *mut pan123_http,
            http_status: i32,
            body: *const u8,
            len: size_t,
        ) -> pan123_status,
    >,
    /// As `pan123_sink_put`.
    pub sink_put:
        Option<unsafe extern "C" fn(to: *mut pan123_sink, data: *const u8, len: size_t) -> pan123_status>,
}

/// What a plugin brings; NULL: nothing of this kind. The library takes each context over and gives it back with
/// `release`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pan123_plugin_parts {
    /// `sizeof(pan123_plugin_parts)` of the library; write no member that lies beyond it.
    pub struct_size: u32,
    /// 0.
    pub flags: u32,
    /// A layer around the client's transport.
    pub transport: *const pan123_transport_vtable,
    /// Its context.
    pub transport_ctx: usize,
    /// A token provider.
    pub tokens: *const pan123_tokens_vtable,
    /// Its context.
    pub tokens_ctx: usize,
    /// A resume store.
    pub store: *const pan123_store_vtable,
    /// Its context.
    pub store_ctx: usize,
}

/// A loadable plugin: a shared object that exports a function `pan123_plugin_entry` of type `pan123_plugin_entry_fn`,
/// which returns one of these.
///
/// ```c
/// static pan123_status open_(const pan123_host *h, const char *config, size_t len, pan123_plugin_parts *out,
///                            pan123_error **err)
/// {
///     host = h;
///     out->tokens = &tokens;
///     return PAN123_OK;
/// }
/// static const pan123_plugin plugin = {
///     PAN123_PLUGIN_MAGIC, sizeof plugin, PAN123_ABI_VERSION, 0, "vault", "1.0", open_ };
/// const pan123_plugin *pan123_plugin_entry(void) { return &plugin; }
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pan123_plugin {
    /// `PAN123_PLUGIN_MAGIC`.
    pub magic: u32,
    /// `sizeof(pan123_plugin)`.
    pub struct_size: u32,
    /// `PAN123_ABI_VERSION` of the header that it was compiled with.
    pub abi_version: u32,
    /// 0.
    pub flags: u32,
    /// Its name, for messages.
    pub id: *const c_char,
    /// Its version, for messages.
    pub version: *const c_char,
    /// Called each time it is added to options, perhaps by several threads. Reads its configuration and says in `out`,
    /// which comes with NULL everywhere, what it brings. If it fails it leaves nothing behind. May block.
    pub open: Option<
        unsafe extern "C" fn(
            host: *const pan123_host,
            config: *const c_char,
            len: size_t,
            out: *mut pan123_plugin_parts,
            err: *mut *mut pan123_error,
        ) -> pan123_status,
    >,
}

/// Type of the function `pan123_plugin_entry` that a plugin exports. What it returns lives as long as the process.
pub type pan123_plugin_entry_fn = Option<unsafe extern "C" fn() -> *const pan123_plugin>;

/// An opened plugin, for the C interface and for programs in Rust.
///
/// From Rust, put [`layer`](Self::layer), [`tokens`](Self::tokens) and [`store`](Self::store) into a
/// [`ClientBuilder`](pan123_upload::ClientBuilder).
pub struct Plugin {
    name: String,
    calls: Arc<Calls>,
    pub(crate) transport: Option<Arc<Host<pan123_transport_vtable>>>,
    pub(crate) tokens: Option<Arc<Host<pan123_tokens_vtable>>>,
    pub(crate) store: Option<Arc<Host<pan123_store_vtable>>>,
    /// Hung up once all contexts were let go of.
    released: Mutex<Receiver<()>>,
}

/// Why a plugin cannot be used, in a sentence that names it.
#[derive(Clone, Debug)]
pub struct PluginError(String);

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PluginError {}

impl Plugin {
    /// Loads the shared object at `path`, which must be absolute, and opens the plugin in it with `config`.
    ///
    /// It is code that runs in this process with all its rights, and is never unloaded.
    ///
    /// # Errors
    ///
    /// [`PluginError`] if the file cannot be loaded, is no plugin, was made for another version of the interface, or if
    /// the plugin says that it cannot be opened.
    pub fn load(path: &Path, config: &str) -> Result<Self, PluginError> {
        Self::open(path, config).map_err(|fault| PluginError(fault.message()))
    }

    /// Its name and version.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until the `release` of everything that it brought has returned, but no longer than `patience`. Drop all
    /// clients and stores that use it before. False if the time is over first, for example because a callback hangs.
    pub fn close(self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let Self { calls, transport, tokens, store, released, .. } = self;
        drop((transport, tokens, store));
        calls.close(Some(deadline));
        let released = released.into_inner().unwrap_or_else(PoisonError::into_inner);
        let left = deadline.saturating_duration_since(Instant::now());
        // Nothing is ever sent.
        released.recv_timeout(left) == Err(RecvTimeoutError::Disconnected)
    }

    /// The layer that it brings.
    pub fn layer(&self) -> Option<Arc<dyn Layer>> {
        let host = self.transport.clone()?;
        Some(Arc::new(HostLayer { host, calls: self.calls.clone() }))
    }

    /// The token provider that it brings.
    pub fn tokens(&self) -> Option<Arc<dyn TokenProvider>> {
        Some(Arc::new(HostTokens::new(self.tokens.clone()?, self.calls.clone())))
    }

    /// The resume store that it brings.
    pub fn store(&self) -> Option<Arc<dyn ResumeStore>> {
        Some(Arc::new(HostStore {
            host: self.store.clone()?,
            calls: self.calls.clone(),
            cancel: Cancel::new(),
            open: Arc::new(Mutex::default()),
        }))
    }

    pub(crate) fn open(path: &Path, config: &str) -> Result<Self, Fault> {
        if !path.is_absolute() {
            return Err(invalid(format!(
                "the path of a plugin must be absolute, and {} is not",
                path.display()
            )));
        }
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(invalid("the path of a plugin has a NUL inside"));
        }
        let fail = |why: String| fault(PAN123_E_PLUGIN, format!("plugin {}: {why}", path.display()));
        let plugin = entry(path).map_err(fail)?;
        // SAFETY: `entry` returned what the plugin says is one of these; its magic and size are checked before the rest.
        let (record, name) = unsafe { checked(plugin, path) }?;
        let open = record.open.ok_or_else(|| fail("its open is NULL".into()))?;
        let mut parts = pan123_plugin_parts {
            struct_size: size_of::<pan123_plugin_parts>() as u32,
            flags: 0,
            transport: std::ptr::null(),
            transport_ctx: 0,
            tokens: std::ptr::null(),
            tokens_ctx: 0,
            store: std::ptr::null(),
            store_ctx: 0,
        };
        let config = crate::text::Text::new(config);
        let (mut len, mut error) = (0, std::ptr::null_mut());
        // SAFETY: the plugin gave it for this; everything lent lives on this stack, the host table for ever.
        let code = calling_out(|| unsafe {
            let text = config.lend(&raw mut len);
            open(&raw const HOST, text, len, &raw mut parts, &raw mut error)
        });
        // SAFETY: the plugin gives away what it left there.
        let error = unsafe { error::take(error) };
        if code != PAN123_OK {
            let why = error.map_or_else(|| format!("open failed with code {code}"), |error| error.message());
            return Err(fail(why));
        }
        // All contexts are taken over before anything fails, so that each is given back.
        let (alive, released) = mpsc::channel();
        // SAFETY: the plugin vouches for what it brings.
        let (transport, tokens, store) = unsafe {
            (
                part(parts.transport, parts.transport_ctx, &alive),
                part(parts.tokens, parts.tokens_ctx, &alive),
                part(parts.store, parts.store_ctx, &alive),
            )
        };
        let named = |fault: Fault| fail(fault.message());
        Ok(Self {
            name,
            calls: Calls::new(),
            transport: transport.map_err(named)?,
            tokens: tokens.map_err(named)?,
            store: store.map_err(named)?,
            released: Mutex::new(released),
        })
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One part of a plugin.
///
/// # Safety
///
/// As for `Host::new`.
unsafe fn part<V: Vtable>(
    vtable: *const V,
    ctx: usize,
    alive: &Sender<()>,
) -> Result<Option<Arc<Host<V>>>, Fault> {
    if vtable.is_null() {
        return Ok(None);
    }
    // SAFETY: handed on.
    unsafe { Host::new(vtable, ctx) }.map(|host| Some(Arc::new(host.tell_released(alive.clone()))))
}

/// Loads the object and calls its entry function.
fn entry(path: &Path) -> Result<*const pan123_plugin, String> {
    // The loader would wait for a pipe that nobody writes to.
    let of = std::fs::metadata(path).map_err(|error| format!("it cannot be loaded: {error}"))?;
    if !of.is_file() {
        return Err("it cannot be loaded: it is no regular file".into());
    }
    #[cfg(all(unix, not(target_vendor = "apple")))]
    crate::elf::check(path).map_err(|why| format!("it cannot be loaded: {why}"))?;
    #[cfg(unix)]
    // SAFETY: running the object's initialisers is what the caller asked for.
    let library = unsafe {
        use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
        Library::open(Some(path), RTLD_NOW | RTLD_LOCAL)
    };
    #[cfg(not(unix))]
    // SAFETY: as above.
    let library = unsafe { libloading::Library::new(path) };
    let library = library.map_err(|error| format!("it cannot be loaded: {}", cause(&error)))?;
    // SAFETY: the symbol's type is what the header asks plugins to make it.
    let symbol =
        unsafe { library.get::<unsafe extern "C" fn() -> *const pan123_plugin>(b"pan123_plugin_entry\0") };
    let symbol =
        symbol.map_err(|_| "it has no function pan123_plugin_entry, so it is no plugin".to_owned())?;
    #[cfg(all(unix, not(target_vendor = "apple")))]
    if !crate::elf::is_code(*symbol as *const std::ffi::c_void) {
        return Err("its pan123_plugin_entry is no function, so it is no plugin".into());
    }
    // SAFETY: as above.
    let plugin = calling_out(|| unsafe { symbol() });
    // Never closed: its threads and thread-local destructors may outlive every use of it.
    mem::forget(library);
    if plugin.is_null() { Err("its pan123_plugin_entry returned NULL".into()) } else { Ok(plugin) }
}

/// The loader's own words.
fn cause(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// The plugin's record, once it is sure that it is one that we understand, and its name.
///
/// # Safety
///
/// `plugin` points to at least 4 readable bytes, and to a `pan123_plugin` if these are its magic.
unsafe fn checked(plugin: *const pan123_plugin, path: &Path) -> Result<(pan123_plugin, String), Fault> {
    let path = path.display();
    // SAFETY: by the contract.
    let magic = unsafe { plugin.cast::<u32>().read() };
    if magic != PAN123_PLUGIN_MAGIC {
        let message = format!(
            "plugin {path}: its magic is {magic:#010x} and not {PAN123_PLUGIN_MAGIC:#010x}, so it is no plugin"
        );
        return Err(fault(PAN123_E_PLUGIN, message));
    }
    // SAFETY: by the contract, now that the magic is right. The size is the second member.
    let (size, abi) = unsafe { (plugin.cast::<u32>().add(1).read(), plugin.cast::<u32>().add(2).read()) };
    if !info::fits(abi) {
        let (theirs, ours) = (info::interface(abi), info::interface(PAN123_ABI_VERSION));
        let message = format!(
            "plugin {path} was made for version {theirs} of the interface, and this library has {ours}; get a plugin that fits"
        );
        return Err(fault(PAN123_E_ABI, message));
    }
    if (size as usize) < size_of::<pan123_plugin>() {
        let message = format!("plugin {path}: its struct_size is {size}, too small for its version");
        return Err(fault(PAN123_E_ABI, message));
    }
    // SAFETY: as large as ours, as was just checked.
    let record = unsafe { plugin.read() };
    let word = |text: *const c_char, otherwise: &str| {
        if text.is_null() {
            return otherwise.to_owned();
        }
        // SAFETY: a text with a NUL, by the contract of the record.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    };
    Ok((record, format!("{} {}", word(record.id, "unnamed"), word(record.version, "?"))))
}

/// The library's side, for all plugins.
static HOST: pan123_host = pan123_host {
    struct_size: size_of::<pan123_host>() as u32,
    abi_version: PAN123_ABI_VERSION,
    error_new: Some(error::pan123_error_new),
    error_code: Some(error::pan123_error_code),
    error_i64: Some(error::pan123_error_i64),
    error_str: Some(error::pan123_error_str),
    error_free: Some(error::pan123_error_free),
    http_str: Some(http::pan123_http_str),
    http_i64: Some(http::pan123_http_i64),
    http_header: Some(http::pan123_http_header),
    http_set_header: Some(http::pan123_http_set_header),
    http_read_body: Some(http::pan123_http_read_body),
    http_forward: Some(http::pan123_http_forward),
    http_answer: Some(http::pan123_http_answer),
    sink_put: Some(sink::pan123_sink_put),
};
