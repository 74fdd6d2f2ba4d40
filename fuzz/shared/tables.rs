//! Tables of functions as a plugin or a host may fill them, of any size and with any members missing, and a source
//! whose functions answer what they like.
//!
//! Input: kind of table; size of the table, as a choice and a number; flags, likewise; which members are there; size of
//! the source; then what `read_at` does, call by call.

use std::{
    ffi::{c_char, c_void},
    ptr, slice,
    sync::atomic::{AtomicUsize, Ordering},
};

use pan123::{
    error::{pan123_error, pan123_error_free, pan123_error_new, pan123_error_str},
    hash::pan123_hash,
    http::pan123_http,
    numbers::*,
    result::{pan123_result, pan123_result_free, pan123_result_i64},
    sink::pan123_sink,
    source::{pan123_source, pan123_source_free, pan123_source_new, pan123_source_vtable},
    store::{pan123_store, pan123_store_free, pan123_store_new, pan123_store_vtable},
    tokens::{pan123_tokens, pan123_tokens_free, pan123_tokens_new, pan123_tokens_vtable},
    transport::{pan123_transport, pan123_transport_free, pan123_transport_new, pan123_transport_vtable},
    vtable::pan123_vtable,
};

/// A table may say that it is as long as this and be believed.
const TABLE_MAX: usize = 1 << 16;
const SLICE_SIZE: u64 = 1 << 12;

/// What the functions of a table are lent.
struct Context {
    script: Vec<u8>,
    calls: AtomicUsize,
    /// Reads that did not do what they were asked to.
    lies: AtomicUsize,
    released: AtomicUsize,
}

/// One table, given to the library and used as far as it takes it.
pub(crate) fn run(input: &[u8]) {
    let Some((&[kind, size, s0, s1, s2, s3, flags, f0, members, len0, len1], script)) =
        input.split_first_chunk()
    else {
        return;
    };
    let context = Context {
        script: script.to_vec(),
        calls: AtomicUsize::new(0),
        lies: AtomicUsize::new(0),
        released: AtomicUsize::new(0),
    };
    let ctx = &raw const context as usize;
    let raw = u32::from_le_bytes([s0, s1, s2, s3]);
    let struct_size = |ours: usize| match size % 4 {
        0 => ours as u32,
        1 => raw,
        2 => raw % 128,
        _ => ours as u32 + raw % 4096,
    };
    let there = |no: u8| members >> no & 1 != 0;
    let flags = match flags % 4 {
        0 | 1 => 0,
        2 => PAN123_VT_SERIAL,
        _ => u32::from(f0) << (flags >> 2 & 31),
    };
    let head = |ours: usize| pan123_vtable {
        struct_size: struct_size(ours),
        flags,
        release: there(0).then_some(release),
        extension: there(1).then_some(extension),
    };
    let mut err = ptr::null_mut();
    // What `new` said, and what it gave; the source is read before it is freed.
    let status = match kind % 4 {
        0 => {
            let table = pan123_source_vtable {
                h: head(size_of::<pan123_source_vtable>()),
                read_at: there(2).then_some(read_at),
                identity: None,
            };
            let table = Guarded::new(&table, table.h.struct_size);
            let mut source: *mut pan123_source = ptr::null_mut();
            let len = u16::from_le_bytes([len0, len1]);
            // SAFETY: the table is as long as it says, or longer than the library believes; the places are here.
            let status =
                unsafe { pan123_source_new(table.get(), ctx, len.into(), &raw mut source, &raw mut err) };
            assert_eq!(status == PAN123_OK, !source.is_null());
            if status == PAN123_OK {
                hash(source, len, &context);
            }
            // SAFETY: NULL, or made above.
            unsafe { pan123_source_free(source) };
            status
        }
        1 => {
            let table = pan123_transport_vtable {
                h: head(size_of::<pan123_transport_vtable>()),
                send: there(2).then_some(send),
                interrupt: None,
            };
            let table = Guarded::new(&table, table.h.struct_size);
            let (mut transport, inner): (*mut pan123_transport, _) = (ptr::null_mut(), ptr::null_mut());
            // SAFETY: as above.
            unsafe {
                let status = pan123_transport_new(inner, table.get(), ctx, &raw mut transport, &raw mut err);
                assert_eq!(status == PAN123_OK, !transport.is_null());
                pan123_transport_free(transport);
                status
            }
        }
        2 => {
            let table = pan123_tokens_vtable {
                h: head(size_of::<pan123_tokens_vtable>()),
                get: there(2).then_some(get),
            };
            let table = Guarded::new(&table, table.h.struct_size);
            let mut tokens: *mut pan123_tokens = ptr::null_mut();
            // SAFETY: as above.
            unsafe {
                let status = pan123_tokens_new(table.get(), ctx, &raw mut tokens, &raw mut err);
                assert_eq!(status == PAN123_OK, !tokens.is_null());
                pan123_tokens_free(tokens);
                status
            }
        }
        _ => {
            let table = pan123_store_vtable {
                h: head(size_of::<pan123_store_vtable>()),
                load: there(2).then_some(load),
                save: there(3).then_some(save),
                remove: there(4).then_some(remove),
                list: None, // nothing in the library asks for it
            };
            let table = Guarded::new(&table, table.h.struct_size);
            let mut store: *mut pan123_store = ptr::null_mut();
            // SAFETY: as above.
            unsafe {
                let status = pan123_store_new(table.get(), ctx, &raw mut store, &raw mut err);
                assert_eq!(status == PAN123_OK, !store.is_null());
                pan123_store_free(store);
                status
            }
        }
    };
    told(status, err);
    // A context is let go of once if the table could be read so far that it says how, and never if not.
    let head_len = std::mem::offset_of!(pan123_vtable, extension);
    let ours = [
        size_of::<pan123_source_vtable>(),
        size_of::<pan123_transport_vtable>(),
        size_of::<pan123_tokens_vtable>(),
        size_of::<pan123_store_vtable>(),
    ][usize::from(kind % 4)];
    let readable = (head_len..=TABLE_MAX).contains(&(struct_size(ours) as usize));
    let due = usize::from(readable && there(0));
    assert_eq!(context.released.load(Ordering::SeqCst), due, "releases, after status {status}");
}

/// Reads the whole source, which goes well only if every answer was right.
fn hash(source: *mut pan123_source, len: u16, context: &Context) {
    let (mut result, mut err): (*mut pan123_result, _) = (ptr::null_mut(), ptr::null_mut());
    let stop = ptr::null_mut();
    // SAFETY: one live source, one place for its result, and a place for an error.
    let status =
        unsafe { pan123_hash(&raw const source, 1, SLICE_SIZE, 0, stop, &raw mut result, &raw mut err) };
    told(status, err);
    let lies = context.lies.load(Ordering::SeqCst);
    assert_eq!(status == PAN123_OK, lies == 0, "status {status} after {lies} wrong answers");
    assert_eq!(status == PAN123_OK, !result.is_null());
    // SAFETY: NULL, or given above.
    unsafe {
        if !result.is_null() {
            assert_eq!(pan123_result_i64(result, PAN123_F_SIZE, -1), i64::from(len));
        }
        pan123_result_free(result);
    }
}

/// An error comes exactly with a status that is one, and has words.
fn told(status: pan123_status, err: *mut pan123_error) {
    assert_eq!(status == PAN123_OK, err.is_null(), "status {status}");
    if !err.is_null() {
        // SAFETY: a live error.
        unsafe {
            assert!(!pan123_error_str(err, PAN123_F_MESSAGE, ptr::null_mut()).is_null());
            pan123_error_free(err);
        }
    }
}

/// A table at the very end of memory that may be read.
struct Guarded {
    map: *mut c_void,
    at: usize,
}

impl Guarded {
    const PAGE: usize = 4096;
    const LEN: usize = TABLE_MAX + Self::PAGE;

    /// Puts `table` there as if it were as long as it says: what is missing is cut off, what is more are bytes.
    fn new<T: Copy>(table: &T, struct_size: u32) -> Self {
        let len = (struct_size as usize).clamp(size_of::<u32>(), TABLE_MAX);
        // SAFETY: a new map, of which the last page is closed; what is written lies before that.
        unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let map = libc::mmap(ptr::null_mut(), Self::LEN, access, kind, -1, 0);
            assert_ne!(map, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(map.byte_add(TABLE_MAX), Self::PAGE, libc::PROT_NONE), 0);
            // Tables are aligned as C aligns them.
            let at = (TABLE_MAX - len) & !(align_of::<T>() - 1);
            let place = map.cast::<u8>().add(at);
            place.write_bytes(0xEE, len);
            place.copy_from_nonoverlapping(ptr::from_ref(table).cast(), len.min(size_of::<T>()));
            Self { map, at }
        }
    }

    fn get<T>(&self) -> *const T {
        // SAFETY: within the map.
        unsafe { self.map.byte_add(self.at).cast() }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nothing points there any more.
        unsafe { libc::munmap(self.map, Self::LEN) };
    }
}

/// # Safety
///
/// `ctx` is a live context, as for all functions below.
unsafe fn context<'a>(ctx: usize) -> &'a Context {
    // SAFETY: by the contract.
    unsafe { &*(ctx as *const Context) }
}

unsafe extern "C" fn release(ctx: usize) {
    // SAFETY: called before `run` returns.
    unsafe { context(ctx) }.released.fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn extension(_ctx: usize, _id: *const c_char) -> *const c_void {
    ptr::null()
}

unsafe extern "C" fn read_at(
    ctx: usize,
    offset: u64,
    buf: *mut u8,
    len: usize,
    out_n: *mut usize,
    err: *mut *mut pan123_error,
) -> pan123_status {
    // SAFETY: called while the source lives, which `run` outlives.
    let context = unsafe { context(ctx) };
    let call = context.calls.fetch_add(1, Ordering::SeqCst);
    let choice = context.script.get(call).copied().unwrap_or(0);
    // SAFETY: lent until this returns.
    let (buf, out_n, err) = unsafe { (slice::from_raw_parts_mut(buf, len), &mut *out_n, &mut *err) };
    buf.iter_mut().zip(offset..).for_each(|(byte, at)| *byte = at as u8);
    *out_n = len;
    let lie = |status| {
        context.lies.fetch_add(1, Ordering::SeqCst);
        status
    };
    // SAFETY: a text of this length.
    let error = |code| unsafe { pan123_error_new(code, c"\x1b[31m\xff words".as_ptr(), 12) };
    match choice % 8 {
        0..=2 => PAN123_OK,
        3 if len > 0 => {
            *out_n = usize::from(choice) % len;
            lie(PAN123_OK)
        }
        4 => {
            *out_n = len + 1 + usize::from(choice);
            lie(PAN123_OK)
        }
        5 => lie(i32::from(choice) + 1),
        6 => {
            *err = error(i32::from(choice));
            lie(-i32::from(choice) - 1)
        }
        7 => {
            // An error beside a success is nobody's, and is freed.
            *err = error(PAN123_E_SOURCE_IO);
            PAN123_OK
        }
        _ => PAN123_OK,
    }
}

unsafe extern "C" fn send(_ctx: usize, _x: *mut pan123_http, _err: *mut *mut pan123_error) -> pan123_status {
    PAN123_E_NETWORK
}

unsafe extern "C" fn get(
    _ctx: usize,
    _refused: *const c_char,
    _refused_len: usize,
    _token: *mut pan123_sink,
    _expires: *mut i64,
    _err: *mut *mut pan123_error,
) -> pan123_status {
    PAN123_E_LOGIN
}

unsafe extern "C" fn load(
    _ctx: usize,
    _key: *const c_char,
    _key_len: usize,
    _to: *mut pan123_sink,
    _err: *mut *mut pan123_error,
) -> pan123_status {
    PAN123_OK
}

unsafe extern "C" fn save(
    _ctx: usize,
    _key: *const c_char,
    _key_len: usize,
    _data: *const u8,
    _len: usize,
    _err: *mut *mut pan123_error,
) -> pan123_status {
    PAN123_OK
}

unsafe extern "C" fn remove(
    _ctx: usize,
    _key: *const c_char,
    _key_len: usize,
    _err: *mut *mut pan123_error,
) -> pan123_status {
    PAN123_OK
}
