//! The C interface called from Rust, with everything that a host can bring: what runs under Rust's own sanitizers.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::{
    ffi::{CStr, CString, c_char},
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

use pan123::{
    client::{pan123_client_free, pan123_client_new, pan123_client_shutdown},
    error::{pan123_error, pan123_error_free, pan123_error_str},
    hash::pan123_hash,
    http::{pan123_http, pan123_http_forward},
    numbers::*,
    options::{pan123_options_free, pan123_options_new, pan123_options_set_str},
    queue::{pan123_queue_free, pan123_queue_new, pan123_queue_next},
    result::{pan123_result_free, pan123_result_i64, pan123_result_str},
    sink::{pan123_sink, pan123_sink_put},
    source::{pan123_source_free, pan123_source_new, pan123_source_vtable},
    tokens::{pan123_tokens_free, pan123_tokens_new, pan123_tokens_vtable},
    transport::{pan123_transport_free, pan123_transport_new, pan123_transport_vtable},
    upload::{
        pan123_upload_cancel, pan123_upload_free, pan123_upload_new, pan123_upload_start, pan123_upload_wait,
    },
    vtable::pan123_vtable,
};
use pan123_emulator::{Emulator, Options};

static RELEASED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn release(_ctx: usize) {
    RELEASED.fetch_add(1, Ordering::SeqCst);
}

fn head<T>() -> pan123_vtable {
    let struct_size = u32::try_from(size_of::<T>()).unwrap();
    pan123_vtable { struct_size, flags: 0, release: Some(release), extension: None }
}

const SIZE: u64 = 20_000_000;

unsafe extern "C" fn read_at(
    ctx: usize,
    offset: u64,
    buf: *mut u8,
    len: usize,
    out_n: *mut usize,
    _err: *mut *mut pan123_error,
) -> i32 {
    // SAFETY: lent with this length, until this returns.
    let buf = unsafe { std::slice::from_raw_parts_mut(buf, len) };
    for (at, byte) in (offset..).zip(buf) {
        *byte = (at.wrapping_mul(ctx as u64) >> 5) as u8;
    }
    // SAFETY: lent until this returns.
    unsafe { out_n.write(len) };
    PAN123_OK
}

unsafe extern "C" fn send(_ctx: usize, x: *mut pan123_http, err: *mut *mut pan123_error) -> i32 {
    // SAFETY: lent until this returns.
    unsafe { pan123_http_forward(x, err) }
}

unsafe extern "C" fn get(
    ctx: usize,
    _refused: *const c_char,
    _refused_len: usize,
    token: *mut pan123_sink,
    _expires: *mut i64,
    _err: *mut *mut pan123_error,
) -> i32 {
    // SAFETY: the context is the token of a test that outlives the client.
    let text = unsafe { CStr::from_ptr(ctx as *const c_char) }.to_bytes();
    // SAFETY: lent until this returns.
    unsafe { pan123_sink_put(token, text.as_ptr(), text.len()) }
}

#[track_caller]
fn ok(status: i32, err: *mut pan123_error) {
    if status != PAN123_OK {
        // SAFETY: a live error, or NULL.
        let text = unsafe { pan123_error_str(err, PAN123_F_MESSAGE, ptr::null_mut()) };
        // SAFETY: a text with a NUL, or NULL.
        let text = if text.is_null() { c"no error" } else { unsafe { CStr::from_ptr(text) } };
        panic!("{status}: {}", text.to_string_lossy());
    }
}

#[test]
fn an_upload_with_a_source_a_transport_and_tokens_of_the_host() {
    let dir = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(Options::new(dir.path())).unwrap();
    let base = CString::new(emulator.base_url().to_string()).unwrap();
    let token = CString::new(emulator.token().to_string()).unwrap();
    // SAFETY: handles are used while they live, and vtables and texts outlive the calls that they are given to.
    unsafe {
        let mut err = ptr::null_mut();
        let (mut o, mut t, mut x, mut s, mut q, mut c) = (
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
        );
        ok(pan123_options_new(&raw mut o, &raw mut err), err);
        ok(pan123_options_set_str(o, PAN123_OPT_BASE_URL, base.as_ptr(), usize::MAX, &raw mut err), err);
        let tokens = pan123_tokens_vtable { h: head::<pan123_tokens_vtable>(), get: Some(get) };
        ok(pan123_tokens_new(&raw const tokens, token.as_ptr() as usize, &raw mut t, &raw mut err), err);
        let transport = pan123_transport_vtable {
            h: head::<pan123_transport_vtable>(),
            send: Some(send),
            interrupt: None,
        };
        ok(pan123_transport_new(ptr::null_mut(), &raw const transport, 0, &raw mut x, &raw mut err), err);
        let source = pan123_source_vtable {
            h: head::<pan123_source_vtable>(),
            read_at: Some(read_at),
            identity: None,
        };
        ok(pan123_source_new(&raw const source, 977, SIZE, &raw mut s, &raw mut err), err);
        ok(pan123_queue_new(ptr::null(), 0, &raw mut q, &raw mut err), err);
        ok(pan123_client_new(o, t, x, ptr::null_mut(), q, &raw mut c, &raw mut err), err);

        let mut digests = ptr::null_mut();
        ok(pan123_hash(&raw const s, 1, 0, 0, ptr::null_mut(), &raw mut digests, &raw mut err), err);
        let etag = CStr::from_ptr(pan123_result_str(digests, PAN123_F_ETAG, 0, ptr::null_mut())).to_owned();
        pan123_result_free(digests);

        for (name, is_cancelled) in [(c"one", false), (c"two", true), (c"three", false)] {
            let (mut u, mut r) = (ptr::null_mut(), ptr::null_mut());
            let new = pan123_upload_new(
                c,
                s,
                0,
                name.as_ptr(),
                usize::MAX,
                ptr::null(),
                7,
                &raw mut u,
                &raw mut err,
            );
            ok(new, err);
            ok(pan123_upload_start(u, &raw mut err), err);
            if is_cancelled {
                pan123_upload_cancel(u);
                let status = pan123_upload_wait(u, -1, &raw mut r, &raw mut err);
                assert_eq!(status, PAN123_E_CANCELLED);
                pan123_error_free(err);
            } else {
                ok(pan123_upload_wait(u, -1, &raw mut r, &raw mut err), err);
                assert!(pan123_result_i64(r, PAN123_F_FILE_ID, 0) > 0);
                let stored = CStr::from_ptr(pan123_result_str(r, PAN123_F_ETAG, 0, ptr::null_mut()));
                assert_eq!(stored, &*etag);
                pan123_result_free(r);
            }
            pan123_upload_free(u);
        }
        let mut ends = 0;
        let mut event: pan123::event::pan123_event = std::mem::zeroed();
        event.struct_size = u32::try_from(size_of_val(&event)).unwrap();
        while pan123_queue_next(q, 0, &raw mut event) == PAN123_OK {
            assert_eq!(event.user, 7);
            ends += usize::from(event.kind >= PAN123_EV_COMPLETED);
        }
        assert_eq!(ends, 3);
        ok(pan123_client_shutdown(c, 1, 60_000, &raw mut err), err);
        assert_eq!(RELEASED.load(Ordering::SeqCst), 0);
        pan123_source_free(s);
        pan123_transport_free(x);
        pan123_tokens_free(t);
        pan123_client_free(c);
        pan123_queue_free(q);
        pan123_options_free(o);
    }
    assert_eq!(RELEASED.load(Ordering::SeqCst), 3);
    emulator.stop();
}
