//! Resume stores of the host.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use libc::{c_char, size_t};
use pan123_upload::{Error, ErrorKind, ResumeLog, ResumeStore, StoredLog};

use crate::{
    calls::Calls,
    error::pan123_error,
    guard::{Fault, guard, quiet},
    handle::{self, Object},
    numbers::{PAN123_E_CALLBACK, pan123_status},
    sink::{Sink, pan123_sink},
    vtable::{Clock, Host, Vtable, pan123_vtable},
    wait::Cancel,
};

/// Where unfinished uploads are remembered, if not in `PAN123_OPT_STATE_DIR`. May be given to several clients.
#[allow(missing_debug_implementations, reason = "a name for C, without content")]
pub struct pan123_store {
    _private: [u8; 0],
}

impl Object for pan123_store {
    type Inside = Arc<Host<pan123_store_vtable>>;
    const NAME: &'static str = "pan123_store";
}

/// A resume store of yours: opaque bytes under a key, one entry per unfinished upload. All members \[worker thread, may
/// block\]; calls for different keys overlap unless `PAN123_VT_SERIAL` is set. Keys are 1 to 64 characters of `a-z`,
/// `0-9` and `-`, and have a NUL behind them.
///
/// An upload whose `load` fails does not begin, and ends with `PAN123_E_STORE`: it would do again what may be done. One
/// whose `save` or `remove` fails goes on without its store, which a `PAN123_EV_LOG` tells, and can then not be resumed
/// by another run.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pan123_store_vtable {
    /// The head.
    pub h: pan123_vtable,
    /// Puts what was saved last under `key` into `to` with `pan123_sink_put`; nothing, and `PAN123_OK`, if there is
    /// no such key. Required.
    pub load: Option<
        unsafe extern "C" fn(
            ctx: usize,
            key: *const c_char,
            key_len: size_t,
            to: *mut pan123_sink,
            err: *mut *mut pan123_error,
        ) -> pan123_status,
    >,
    /// Keeps `data` under `key` instead of what was there, whole or not at all, and returns when it is safe. Called at each
    /// step that another run must know of, however soon after the one before: when the service is about to be asked for
    /// the upload, when it has answered, when there are digests for another slice size, when all slices are there, and at
    /// the end; and at most once a second while slices finish. A short upload makes five calls within milliseconds.
    /// Required.
    pub save: Option<
        unsafe extern "C" fn(
            ctx: usize,
            key: *const c_char,
            key_len: size_t,
            data: *const u8,
            len: size_t,
            err: *mut *mut pan123_error,
        ) -> pan123_status,
    >,
    /// Forgets `key`; there may be no such key. Called once the result was handed over, or when the state is of no use any
    /// more. The upload's end waits 2 s for it, and leaves it to its thread then. Required.
    pub remove: Option<
        unsafe extern "C" fn(
            ctx: usize,
            key: *const c_char,
            key_len: size_t,
            err: *mut *mut pan123_error,
        ) -> pan123_status,
    >,
    /// Puts all keys into `to`, each with a NUL behind it, in any order. Asked by `pan123 uploads`, and by nothing in the
    /// library itself. May be NULL, for a store that cannot tell.
    pub list: Option<
        unsafe extern "C" fn(ctx: usize, to: *mut pan123_sink, err: *mut *mut pan123_error) -> pan123_status,
    >,
}

// SAFETY: `repr(C)`, head first, functions only.
unsafe impl Vtable for pan123_store_vtable {
    const NAME: &'static str = "pan123_store_vtable";

    fn head(&self) -> &pan123_vtable {
        &self.h
    }

    fn lacks(&self) -> Option<&'static str> {
        let members =
            [(self.load.is_none(), "load"), (self.save.is_none(), "save"), (self.remove.is_none(), "remove")];
        members.into_iter().find_map(|(lacks, name)| lacks.then_some(name))
    }
}

/// How long one call may take before the upload goes on without its store.
const LIMIT: Duration = Duration::from_secs(30);

/// How often at most slices are saved.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// A store of the host's, for one run of one upload.
pub(crate) struct HostStore {
    pub(crate) host: Arc<Host<pan123_store_vtable>>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) cancel: Cancel,
    /// Keys that are open, in this client.
    pub(crate) open: Arc<Mutex<HashSet<String>>>,
}

impl fmt::Debug for HostStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostStore")
    }
}

fn is_key(key: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=64).contains(&key.len()) && key.bytes().all(fits)
}

/// Waits for a call of the host's.
fn wait<T: Send + 'static>(
    calls: &Calls,
    cancel: &Cancel,
    clock: Clock,
    step: &'static str,
    call: impl FnOnce(&Clock) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Error> {
    let called = clock.clone();
    let answer =
        calls.call_blocking(cancel, (&clock, LIMIT), move || call(&called)).and_then(|answer| answer);
    answer.map_err(|fault| Error::new(ErrorKind::Store, step, fault.message()))
}

fn load(
    host: &Arc<Host<pan123_store_vtable>>,
    calls: &Calls,
    cancel: &Cancel,
    key: Arc<crate::text::Text>,
) -> Result<Vec<u8>, Error> {
    let host = host.clone();
    wait(calls, cancel, host.clock(), "load", move |clock| {
        let (sink, mut len) = (Sink::default(), 0);
        // SAFETY: `len` is on this stack.
        let text = unsafe { key.lend(&raw mut len) };
        host.call(clock, "load", |vtable, ctx, err| match vtable.load {
            // SAFETY: the host gave it for this; key and sink live on.
            Some(load) => unsafe { load(ctx, text, len, sink.lend(), err) },
            None => PAN123_E_CALLBACK,
        })?;
        Ok(sink.take())
    })
}

/// A key that nobody else may open meanwhile.
struct Key {
    text: Arc<crate::text::Text>,
    name: String,
    open: Arc<Mutex<HashSet<String>>>,
}

impl Drop for Key {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.name);
    }
}

impl Key {
    fn lend(&self) -> (*const c_char, size_t) {
        let mut len = 0;
        // SAFETY: `len` is on this stack.
        let pointer = unsafe { self.text.lend(&raw mut len) };
        (pointer, len)
    }
}

impl ResumeStore for HostStore {
    fn open(&self, key: &str) -> Result<Box<dyn ResumeLog>, Error> {
        if !lock(&self.open).insert(key.to_owned()) {
            let message = "the same file is being uploaded to the same place already";
            return Err(Error::new(ErrorKind::Store, "open store", message));
        }
        let key = Key {
            text: Arc::new(crate::text::Text::new(key)),
            name: key.to_owned(),
            open: self.open.clone(),
        };
        Ok(Box::new(HostLog {
            key: Arc::new(key),
            host: self.host.clone(),
            calls: self.calls.clone(),
            cancel: self.cancel.clone(),
            bytes: Vec::new(),
            saved: None,
            is_dirty: false,
            done: Arc::default(),
            version: 0,
        }))
    }

    fn list(&self) -> Result<Vec<StoredLog>, Error> {
        let Some(list) = self.host.vtable().list else {
            return Err(Error::new(
                ErrorKind::Store,
                "list uploads",
                "this store does not tell what it keeps",
            )
            .with_advice("Start the same upload again: it goes on where it was."));
        };
        let host = self.host.clone();
        let keys = wait(&self.calls, &self.cancel, host.clock(), "list uploads", move |clock| {
            let sink = Sink::default();
            // SAFETY: the host gave it for this; the sink lives on.
            host.call(clock, "list", |_, ctx, err| unsafe { list(ctx, sink.lend(), err) })?;
            Ok(sink.take())
        })?;
        let mut logs = Vec::new();
        for key in keys.split(|byte| *byte == 0).filter(|key| !key.is_empty()) {
            let Some(key) = str::from_utf8(key).ok().filter(|key| is_key(key)) else {
                let key = String::from_utf8_lossy(key);
                let message = format!("the store lists {key:?}, which is no key");
                return Err(Error::new(ErrorKind::Store, "list uploads", message));
            };
            let busy = lock(&self.open).contains(key);
            let text = Arc::new(crate::text::Text::new(key));
            let bytes = load(&self.host, &self.calls, &self.cancel, text)?;
            // Gone since, or never written.
            if !bytes.is_empty() {
                logs.push(StoredLog { key: key.to_owned(), bytes, busy });
            }
        }
        Ok(logs)
    }

    fn remove(&self, key: &str) -> Result<(), Error> {
        self.open(key)?.clear()
    }
}

/// The entry of one upload.
struct HostLog {
    key: Arc<Key>,
    host: Arc<Host<pan123_store_vtable>>,
    calls: Arc<Calls>,
    cancel: Cancel,
    bytes: Vec<u8>,
    saved: Option<Instant>,
    is_dirty: bool,
    /// The version that was written last. Writes take turns, and one that comes too late is left out.
    done: Arc<Mutex<u64>>,
    version: u64,
}

impl HostLog {
    fn wait(
        &self,
        step: &'static str,
        call: impl FnOnce(&Clock) -> Result<(), Fault> + Send + 'static,
    ) -> Result<(), Error> {
        wait(&self.calls, &self.cancel, self.host.clock(), step, call)
    }

    /// What writes the bytes as they are now, or removes the key if there are none.
    fn write(&mut self) -> impl FnOnce(&Clock) -> Result<(), Fault> + Send + 'static {
        self.version += 1;
        self.is_dirty = false;
        self.saved = Some(Instant::now());
        let (version, bytes) = (self.version, self.bytes.clone());
        let (key, host, done) = (self.key.clone(), self.host.clone(), self.done.clone());
        move |clock| {
            let mut done = lock(&done);
            if *done > version {
                return Ok(());
            }
            *done = version;
            let (text, len) = key.lend();
            host.call(clock, if bytes.is_empty() { "remove" } else { "save" }, |vtable, ctx, err| {
                match (bytes.is_empty(), vtable.remove, vtable.save) {
                    // SAFETY: the host gave it for this; the key lives on.
                    (true, Some(remove), _) => unsafe { remove(ctx, text, len, err) },
                    // SAFETY: as above, and so do the bytes.
                    (false, _, Some(save)) => unsafe {
                        save(ctx, text, len, bytes.as_ptr(), bytes.len(), err)
                    },
                    _ => PAN123_E_CALLBACK,
                }
            })
        }
    }
}

impl ResumeLog for HostLog {
    fn read(&mut self) -> Result<Vec<u8>, Error> {
        self.bytes = load(&self.host, &self.calls, &self.cancel, self.key.text.clone())?;
        Ok(self.bytes.clone())
    }

    fn append(&mut self, lines: &[u8], durable: bool) -> Result<(), Error> {
        self.bytes.extend_from_slice(lines);
        self.is_dirty = true;
        if durable || self.saved.is_none_or(|at| at.elapsed() >= SAVE_EVERY) {
            let write = self.write();
            return self.wait("save", write);
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Error> {
        self.bytes.clear();
        let write = self.write();
        self.wait("remove", write)
    }
}

impl Drop for HostLog {
    /// Saves what was held back; nobody waits for it but `pan123_client_shutdown`.
    fn drop(&mut self) {
        if self.is_dirty {
            let write = self.write();
            let clock = self.host.clock();
            let _ = self.calls.submit(move || drop(write(&clock)));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a resume store from functions of yours.
///
/// Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `vt`, one of its members or `out` is NULL; `PAN123_E_ABI` for a
/// `struct_size` that cannot be; `PAN123_E_UNKNOWN_NUMBER` for unknown flags.
///
/// Ownership: takes `ctx` over, also when it fails. `*out` is yours; free it with `pan123_store_free`. Thread: any.
/// Blocking: no. Since 0.1.
///
/// # Safety
///
/// `vt` is NULL or a vtable as long as it says, whose functions may be called with `ctx` from any thread until
/// `release`; `out` and `err` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_store_new(
    vt: *const pan123_store_vtable,
    ctx: usize,
    out: *mut *mut pan123_store,
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

/// Drops your reference to a resume store. NULL is fine.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `s` is NULL or a live resume store, which is gone afterwards as far as the caller is concerned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_store_free(s: *mut pan123_store) {
    // SAFETY: by the contract of this function.
    quiet((), || unsafe { handle::free(s) });
}
