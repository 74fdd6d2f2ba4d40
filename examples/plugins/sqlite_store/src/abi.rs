//! What a plugin with a store needs of `pan123.h`, in Rust. The header is the manual.

use std::ffi::{c_char, c_void};

pub type Status = i32;

pub const OK: Status = 0;
pub const E_INVALID_ARGUMENT: Status = 1;
pub const E_ABI: Status = 2;
pub const E_CALLBACK: Status = 30;
pub const E_STORE: Status = 110;
pub const MAGIC: u32 = 0x3332_3150;
pub const VERSION: u32 = 0x0001_0000;

/// `pan123_error`
pub enum Error {}
/// `pan123_sink`
pub enum Sink {}

/// `pan123_host`; what this plugin does not call has no type.
#[repr(C)]
pub struct Host {
    pub struct_size: u32,
    pub abi_version: u32,
    pub error_new: unsafe extern "C" fn(code: Status, msg: *const c_char, len: usize) -> *mut Error,
    pub others: [*const c_void; 11],
    pub sink_put: unsafe extern "C" fn(to: *mut Sink, data: *const u8, len: usize) -> Status,
}

/// `pan123_vtable`
#[repr(C)]
pub struct Head {
    pub struct_size: u32,
    pub flags: u32,
    pub release: Option<unsafe extern "C" fn(ctx: usize)>,
    pub extension: Option<unsafe extern "C" fn(ctx: usize, id: *const c_char) -> *const c_void>,
}

/// `pan123_store_vtable`
#[repr(C)]
pub struct StoreVtable {
    pub head: Head,
    pub load: unsafe extern "C" fn(usize, *const c_char, usize, *mut Sink, *mut *mut Error) -> Status,
    pub save: unsafe extern "C" fn(usize, *const c_char, usize, *const u8, usize, *mut *mut Error) -> Status,
    pub remove: unsafe extern "C" fn(usize, *const c_char, usize, *mut *mut Error) -> Status,
    pub list: unsafe extern "C" fn(usize, *mut Sink, *mut *mut Error) -> Status,
}

/// `pan123_plugin_parts`
#[repr(C)]
pub struct Parts {
    pub struct_size: u32,
    pub flags: u32,
    pub transport: *const c_void,
    pub transport_ctx: usize,
    pub tokens: *const c_void,
    pub tokens_ctx: usize,
    pub store: *const StoreVtable,
    pub store_ctx: usize,
}

/// `pan123_plugin`
#[repr(C)]
pub struct Plugin {
    pub magic: u32,
    pub struct_size: u32,
    pub abi_version: u32,
    pub flags: u32,
    pub id: *const c_char,
    pub version: *const c_char,
    pub open: unsafe extern "C" fn(*const Host, *const c_char, usize, *mut Parts, *mut *mut Error) -> Status,
}

// SAFETY: functions that may be called from any thread.
unsafe impl Sync for Host {}

// SAFETY: constants, and pointers to such.
unsafe impl Sync for Plugin {}
