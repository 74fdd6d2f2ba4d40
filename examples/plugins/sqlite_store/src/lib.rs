//! A plugin that remembers unfinished uploads in a SQLite database.
//!
//! ```sh
//! cargo build --release --manifest-path examples/plugins/sqlite_store/Cargo.toml
//! pan123 upload FILE --plugin .../libpan123_sqlite_store.so=/var/lib/app/uploads.db
//! ```
//!
//! The configuration is the path of the database, which is made if it is missing. Several processes may share it.

mod abi;
mod guard;

use std::{
    ffi::{c_char, c_void},
    ptr, slice, str,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use abi::{E_ABI, Error, Head, Host, OK, Parts, Plugin, Sink, Status, StoreVtable};
use guard::{Fault, guard};
use rusqlite::{Connection, OptionalExtension, params};

/// What the context of the store points to.
struct Store {
    host: &'static Host,
    database: Mutex<Connection>,
}

impl Store {
    fn open(host: &'static Host, path: &str) -> Result<Self, Fault> {
        if path.is_empty() {
            return Err(Fault::misuse("the configuration is empty; give the path of the database"));
        }
        let database = connect(path).map_err(|error| Fault::store(format!("open {path}: {error}")))?;
        Ok(Self { host, database: Mutex::new(database) })
    }

    fn load(&self, key: &str) -> Result<Vec<u8>, Fault> {
        let query = "SELECT state FROM uploads WHERE key = ?1";
        let state = self.database().query_row(query, [key], |row| row.get(0)).optional();
        Ok(state.map_err(sqlite)?.unwrap_or_default())
    }

    fn save(&self, key: &str, state: &[u8]) -> Result<(), Fault> {
        let command = "INSERT INTO uploads (key, state) VALUES (?1, ?2) \
                       ON CONFLICT (key) DO UPDATE SET state = excluded.state";
        self.database().execute(command, params![key, state]).map(drop).map_err(sqlite)
    }

    fn remove(&self, key: &str) -> Result<(), Fault> {
        self.database().execute("DELETE FROM uploads WHERE key = ?1", [key]).map(drop).map_err(sqlite)
    }

    fn keys(&self) -> Result<Vec<String>, Fault> {
        let database = self.database();
        let mut query = database.prepare("SELECT key FROM uploads").map_err(sqlite)?;
        let keys = query.query_map([], |row| row.get(0)).map_err(sqlite)?;
        keys.collect::<Result<_, _>>().map_err(sqlite)
    }

    /// SQLite keeps the database whole whatever happens to a thread that used it.
    fn database(&self) -> std::sync::MutexGuard<'_, Connection> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(path: &str) -> rusqlite::Result<Connection> {
    let database = Connection::open(path)?;
    database.busy_timeout(Duration::from_secs(10))?;
    // A save has reached the disk when it returns.
    database.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
         CREATE TABLE IF NOT EXISTS uploads (key TEXT PRIMARY KEY, state BLOB NOT NULL) STRICT;",
    )?;
    Ok(database)
}

fn sqlite(error: rusqlite::Error) -> Fault {
    Fault::store(error.to_string())
}

/// # Safety
///
/// `ctx` is that of a store that was not released.
unsafe fn store<'a>(ctx: usize) -> &'a Store {
    // SAFETY: it came from `Box::into_raw` in `open`, and lives until `release`.
    unsafe { &*(ctx as *const Store) }
}

/// # Safety
///
/// `key` is readable for `len` bytes.
unsafe fn text<'a>(key: *const c_char, len: usize) -> Result<&'a str, Fault> {
    // SAFETY: by the contract.
    let bytes = unsafe { slice::from_raw_parts(key.cast::<u8>(), len) };
    str::from_utf8(bytes).map_err(|_| Fault::misuse("not UTF-8"))
}

unsafe extern "C" fn load(
    ctx: usize,
    key: *const c_char,
    key_len: usize,
    to: *mut Sink,
    err: *mut *mut Error,
) -> Status {
    // SAFETY: the library calls this with the context and what it lends.
    let store = unsafe { store(ctx) };
    guard(store.host, err, || {
        // SAFETY: as above.
        let state = store.load(unsafe { text(key, key_len) }?)?;
        // SAFETY: the sink is lent until this returns.
        unsafe { put(store, to, &state) }
    })
}

/// # Safety
///
/// `to` is lent at the moment.
unsafe fn put(store: &Store, to: *mut Sink, bytes: &[u8]) -> Result<(), Fault> {
    // SAFETY: by the contract; the bytes are ours.
    match unsafe { (store.host.sink_put)(to, bytes.as_ptr(), bytes.len()) } {
        OK => Ok(()),
        code => Err(Fault::new(code, "the library does not take what was saved")),
    }
}

unsafe extern "C" fn save(
    ctx: usize,
    key: *const c_char,
    key_len: usize,
    data: *const u8,
    len: usize,
    err: *mut *mut Error,
) -> Status {
    // SAFETY: the library calls this with the context and what it lends.
    let store = unsafe { store(ctx) };
    guard(store.host, err, || {
        // SAFETY: as above.
        let (key, data) = unsafe { (text(key, key_len)?, slice::from_raw_parts(data, len)) };
        store.save(key, data)
    })
}

unsafe extern "C" fn remove(ctx: usize, key: *const c_char, key_len: usize, err: *mut *mut Error) -> Status {
    // SAFETY: the library calls this with the context and what it lends.
    let store = unsafe { store(ctx) };
    // SAFETY: as above.
    guard(store.host, err, || store.remove(unsafe { text(key, key_len) }?))
}

unsafe extern "C" fn list(ctx: usize, to: *mut Sink, err: *mut *mut Error) -> Status {
    // SAFETY: the library calls this with the context and what it lends.
    let store = unsafe { store(ctx) };
    guard(store.host, err, || {
        for key in store.keys()? {
            // SAFETY: the sink is lent until this returns.
            unsafe { put(store, to, format!("{key}\0").as_bytes()) }?;
        }
        Ok(())
    })
}

unsafe extern "C" fn release(ctx: usize) {
    // SAFETY: the last call with this context, which came from `Box::into_raw`.
    drop(unsafe { Box::from_raw(ctx as *mut Store) });
}

static STORE: StoreVtable = StoreVtable {
    head: Head {
        struct_size: size_of::<StoreVtable>() as u32,
        flags: 0,
        release: Some(release),
        extension: None,
    },
    load,
    save,
    remove,
    list,
};

unsafe extern "C" fn open(
    host: *const Host,
    config: *const c_char,
    len: usize,
    out: *mut Parts,
    err: *mut *mut Error,
) -> Status {
    // SAFETY: both start with their size, whatever version they are of.
    if unsafe {
        *host.cast::<u32>() < size_of::<Host>() as u32 || *out.cast::<u32>() < size_of::<Parts>() as u32
    } {
        return E_ABI;
    }
    // SAFETY: as large as ours, and it lives as long as the process.
    let host: &'static Host = unsafe { &*host };
    guard(host, err, || {
        // SAFETY: the library lends it for this call.
        let store = Store::open(host, unsafe { text(config, len) }?)?;
        // SAFETY: the library lends the place for this call.
        let out = unsafe { &mut *out };
        out.store_ctx = Box::into_raw(Box::new(store)) as usize;
        out.store = &raw const STORE;
        Ok(())
    })
}

static PLUGIN: Plugin = Plugin {
    magic: abi::MAGIC,
    struct_size: size_of::<Plugin>() as u32,
    abi_version: abi::VERSION,
    flags: 0,
    id: c"sqlite_store".as_ptr(),
    version: c"1.0".as_ptr(),
    open,
};

/// What the library looks for.
#[unsafe(no_mangle)]
pub extern "C" fn pan123_plugin_entry() -> *const c_void {
    ptr::from_ref(&PLUGIN).cast()
}
