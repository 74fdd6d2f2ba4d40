//! A plugin in Rust that panics: in `open` or `load` if its configuration says so, else in `save`, `remove` and `list`.

#[allow(dead_code)]
#[path = "../../../../examples/plugins/sqlite_store/src/abi.rs"]
mod abi;
#[allow(dead_code)]
#[path = "../../../../examples/plugins/sqlite_store/src/guard.rs"]
mod guard;

use std::{
    ffi::{c_char, c_void},
    sync::OnceLock,
};

use abi::{Error, Head, Host, Parts, Plugin, Sink, Status, StoreVtable};
use guard::guard;

static HOST: OnceLock<&Host> = OnceLock::new();

unsafe extern "C" fn load(
    in_load: usize,
    _: *const c_char,
    _: usize,
    _: *mut Sink,
    err: *mut *mut Error,
) -> Status {
    guard(HOST.get().unwrap(), err, || {
        assert!(in_load == 0, "in load");
        Ok(())
    })
}

unsafe extern "C" fn save(
    _: usize,
    _: *const c_char,
    _: usize,
    _: *const u8,
    _: usize,
    err: *mut *mut Error,
) -> Status {
    guard(HOST.get().unwrap(), err, || panic!("in save of {}", 7))
}

unsafe extern "C" fn remove(_: usize, _: *const c_char, _: usize, err: *mut *mut Error) -> Status {
    guard(HOST.get().unwrap(), err, || std::panic::panic_any(7))
}

unsafe extern "C" fn list(_: usize, _: *mut Sink, err: *mut *mut Error) -> Status {
    guard(HOST.get().unwrap(), err, || panic!("in list"))
}

static STORE: StoreVtable = StoreVtable {
    head: Head { struct_size: size_of::<StoreVtable>() as u32, flags: 0, release: None, extension: None },
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
    // SAFETY: the library's table lives as long as the process; the rest is lent.
    let (host, out, config) =
        unsafe { (&*host, &mut *out, std::slice::from_raw_parts(config.cast::<u8>(), len)) };
    let _ = HOST.set(host);
    guard(host, err, || {
        assert!(config != b"open", "in open");
        out.store_ctx = usize::from(config == b"load");
        out.store = &raw const STORE;
        Ok(())
    })
}

static PLUGIN: Plugin = Plugin {
    magic: abi::MAGIC,
    struct_size: size_of::<Plugin>() as u32,
    abi_version: abi::VERSION,
    flags: 0,
    id: c"panics".as_ptr(),
    version: c"1.0".as_ptr(),
    open,
};

#[unsafe(no_mangle)]
pub extern "C" fn pan123_plugin_entry() -> *const c_void {
    std::ptr::from_ref(&PLUGIN).cast()
}
