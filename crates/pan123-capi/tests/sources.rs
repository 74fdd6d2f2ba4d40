//! Sources of every make, through the C interface: what a callback fails with, and many at once.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::{
    ffi::{CStr, CString},
    fs,
    num::NonZeroU64,
    path::Path,
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

use pan123::{
    client::{pan123_client, pan123_client_free, pan123_client_new},
    error::{pan123_error, pan123_error_code, pan123_error_free, pan123_error_new, pan123_error_str},
    hash::pan123_hash,
    numbers::*,
    options::{pan123_options_free, pan123_options_new, pan123_options_set_str},
    result::{pan123_result, pan123_result_free, pan123_result_i64, pan123_result_str},
    service::pan123_api_slice_from,
    source::{
        pan123_source, pan123_source_free, pan123_source_from_memory, pan123_source_from_path,
        pan123_source_new, pan123_source_vtable,
    },
    stop::{pan123_stop_fire, pan123_stop_free, pan123_stop_new},
    upload::{pan123_upload_free, pan123_upload_new, pan123_upload_start, pan123_upload_wait},
    vtable::pan123_vtable,
};
use pan123_emulator::{Emulator, Options};

/// Takes an error apart and frees it.
fn said(err: *mut pan123_error) -> (i32, String) {
    // SAFETY: a live error, or NULL.
    unsafe {
        let text = pan123_error_str(err, PAN123_F_MESSAGE, ptr::null_mut());
        let text =
            if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() };
        let code = pan123_error_code(err);
        pan123_error_free(err);
        (code, text)
    }
}

#[track_caller]
fn ok(status: i32, err: *mut pan123_error) {
    assert_eq!(status, PAN123_OK, "{:?}", said(err));
}

/// Fails with its context for a code.
unsafe extern "C" fn fail(
    ctx: usize,
    _offset: u64,
    _buf: *mut u8,
    _len: usize,
    _out_n: *mut usize,
    err: *mut *mut pan123_error,
) -> i32 {
    let code = i32::try_from(ctx).unwrap();
    // SAFETY: lent until this returns.
    unsafe { err.write(pan123_error_new(code, c"the vault is shut".as_ptr(), usize::MAX)) };
    code
}

/// Gives as many of these bytes as were asked for.
unsafe fn fill(byte: u8, buf: *mut u8, len: usize, out_n: *mut usize) -> i32 {
    // SAFETY: the caller's buffer has this length, and there is room for a number.
    unsafe {
        buf.write_bytes(byte, len);
        out_n.write(len);
    }
    PAN123_OK
}

/// Gives zeros.
unsafe extern "C" fn zeros(
    _ctx: usize,
    _offset: u64,
    buf: *mut u8,
    len: usize,
    out_n: *mut usize,
    _err: *mut *mut pan123_error,
) -> i32 {
    // SAFETY: lent with this length, until this returns.
    unsafe { fill(0, buf, len, out_n) }
}

/// Gives other bytes each time.
unsafe extern "C" fn other_each_time(
    _ctx: usize,
    _offset: u64,
    buf: *mut u8,
    len: usize,
    out_n: *mut usize,
    _err: *mut *mut pan123_error,
) -> i32 {
    static TIMES: AtomicUsize = AtomicUsize::new(0);
    // SAFETY: lent with this length, until this returns.
    unsafe { fill(TIMES.fetch_add(1, Ordering::Relaxed) as u8, buf, len, out_n) }
}

/// Gives zeros, and counts in its context how often it was asked.
unsafe extern "C" fn counted(
    ctx: usize,
    offset: u64,
    buf: *mut u8,
    len: usize,
    out_n: *mut usize,
    err: *mut *mut pan123_error,
) -> i32 {
    // SAFETY: the test keeps the counter until the source was released.
    unsafe { &*(ctx as *const AtomicUsize) }.fetch_add(1, Ordering::Relaxed);
    // SAFETY: handed on.
    unsafe { zeros(ctx, offset, buf, len, out_n, err) }
}

type ReadAt = unsafe extern "C" fn(usize, u64, *mut u8, usize, *mut usize, *mut *mut pan123_error) -> i32;

fn of_host(read_at: ReadAt, ctx: usize, size: u64) -> *mut pan123_source {
    let struct_size = u32::try_from(size_of::<pan123_source_vtable>()).unwrap();
    let h = pan123_vtable { struct_size, flags: 0, release: None, extension: None };
    let vtable = pan123_source_vtable { h, read_at: Some(read_at), identity: None };
    let (mut source, mut err) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the vtable is read at once, and its functions live as long as the program.
    ok(unsafe { pan123_source_new(&raw const vtable, ctx, size, &raw mut source, &raw mut err) }, err);
    source
}

fn of_file(path: &Path) -> *mut pan123_source {
    let text = CString::new(path.to_str().unwrap()).unwrap();
    let (mut source, mut err) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: a text with a NUL.
    ok(unsafe { pan123_source_from_path(text.as_ptr(), usize::MAX, &raw mut source, &raw mut err) }, err);
    source
}

fn of_memory(bytes: &'static [u8]) -> *mut pan123_source {
    let (mut source, mut err) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the bytes live as long as the program.
    let status = unsafe {
        pan123_source_from_memory(bytes.as_ptr(), bytes.len(), None, 0, &raw mut source, &raw mut err)
    };
    ok(status, err);
    source
}

/// Hashes them all in one call; frees the sources. Gives the status, the results and the error.
fn hash(
    sources: &[*mut pan123_source],
    slice_size: u64,
    flags: u32,
) -> (i32, Vec<*mut pan123_result>, *mut pan123_error) {
    let mut results = vec![ptr::null_mut(); sources.len()];
    let mut err = ptr::null_mut();
    // SAFETY: live sources, and as many places.
    let status = unsafe {
        let (list, places) = (sources.as_ptr(), results.as_mut_ptr());
        pan123_hash(list, sources.len(), slice_size, flags, ptr::null_mut(), places, &raw mut err)
    };
    // SAFETY: ours.
    sources.iter().for_each(|source| unsafe { pan123_source_free(*source) });
    (status, results, err)
}

/// What callers are told when a source of theirs fails with `code`.
const TOLD: &[(i32, i32)] = &[
    (PAN123_E_SOURCE_IO, PAN123_E_SOURCE_IO),
    (PAN123_E_SOURCE_CHANGED, PAN123_E_SOURCE_CHANGED),
    (PAN123_E_SOURCE_STALLED, PAN123_E_SOURCE_STALLED),
    (PAN123_E_NETWORK, PAN123_E_NETWORK),
    (PAN123_E_LOGIN, PAN123_E_LOGIN),
    (PAN123_E_NOT_SUPPORTED, PAN123_E_NOT_SUPPORTED),
    // How a call of the library stands, and that something was stopped, only the library says; 7777 is no code.
    (PAN123_E_WRONG_STATE, PAN123_E_SOURCE_IO),
    (PAN123_E_WOULD_DEADLOCK, PAN123_E_SOURCE_IO),
    (PAN123_E_FORKED, PAN123_E_SOURCE_IO),
    (PAN123_E_TIMEOUT, PAN123_E_SOURCE_IO),
    (PAN123_E_CANCELLED, PAN123_E_SOURCE_IO),
    (PAN123_E_PAUSED, PAN123_E_SOURCE_IO),
    (PAN123_E_SHUTDOWN, PAN123_E_SOURCE_IO),
    (7777, PAN123_E_SOURCE_IO),
];

#[test]
fn hashing_fails_with_the_code_of_the_callback_that_failed() {
    for &(code, told) in TOLD {
        let good = of_host(zeros, 0, 10);
        let bad = [good, of_host(fail, code as usize, 10), of_host(fail, PAN123_E_TLS as usize, 10)];
        let (status, results, err) = hash(&bad, 0, 0);
        let (of_error, text) = said(err);
        assert_eq!((status, of_error), (told, told), "{code}: {text}");
        assert!(text.contains("the vault is shut"), "{text}");
        assert!(!results[0].is_null() && results[1].is_null() && results[2].is_null());
        // SAFETY: ours.
        unsafe { pan123_result_free(results[0]) };
    }
}

fn client(of: &Emulator) -> *mut pan123_client {
    let (base, token) = (CString::new(of.base_url()).unwrap(), CString::new(of.token()).unwrap());
    let (mut o, mut c, mut err) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: the options live until they are freed, and the texts outlive the calls that they are given to.
    unsafe {
        ok(pan123_options_new(&raw mut o, &raw mut err), err);
        for (option, text) in [(PAN123_OPT_BASE_URL, &base), (PAN123_OPT_ACCESS_TOKEN, &token)] {
            ok(pan123_options_set_str(o, option, text.as_ptr(), usize::MAX, &raw mut err), err);
        }
        let none = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        ok(pan123_client_new(o, none.0, none.1, none.2, none.3, &raw mut c, &raw mut err), err);
        pan123_options_free(o);
    }
    c
}

#[test]
fn uploads_and_slices_fail_with_the_code_of_the_callback_that_failed() {
    let dir = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(Options { slice_size: 1500, ..Options::new(dir.path()) }).unwrap();
    let server = CString::new(emulator.servers()[0].as_str()).unwrap();
    let (c, mut err) = (client(&emulator), ptr::null_mut());
    // SAFETY: handles are used while they live, and texts outlive the calls that they are given to.
    unsafe {
        // Hashed a second time, when the service has said how long its slices are.
        let changing = (other_each_time as ReadAt, 0, PAN123_E_SOURCE_CHANGED, "the file changed");
        let failing = TOLD.iter().map(|&(code, told)| (fail as ReadAt, code, told, "the vault is shut"));
        for (read_at, code, told, says) in failing.chain([changing]) {
            let s = of_host(read_at, code as usize, 2000);
            let (mut u, mut r) = (ptr::null_mut(), ptr::null_mut());
            let name = c"f".as_ptr();
            ok(pan123_upload_new(c, s, 0, name, usize::MAX, ptr::null(), 0, &raw mut u, &raw mut err), err);
            ok(pan123_upload_start(u, &raw mut err), err);
            let status = pan123_upload_wait(u, -1, &raw mut r, &raw mut err);
            let (of_error, text) = said(err);
            assert_eq!((status, of_error), (told, told), "upload, {code}: {text}");
            assert!(text.contains(says), "{text}");
            pan123_upload_free(u);
            if code == PAN123_OK {
                pan123_source_free(s);
                continue;
            }

            let md5 = c"d41d8cd98f00b204e9800998ecf8427e".as_ptr();
            let (to, id) = (server.as_ptr(), c"some-upload".as_ptr());
            let (nul, stop) = (usize::MAX, ptr::null_mut());
            let status =
                pan123_api_slice_from(c, to, nul, id, nul, 1, md5, nul, s, 0, 1000, stop, &raw mut err);
            let (of_error, text) = said(err);
            assert_eq!((status, of_error), (told, told), "slice, {code}: {text}");
            pan123_source_free(s);
        }
        pan123_client_free(c);
    }
    emulator.stop();
}

/// A call into host code costs; that of some languages costs much.
#[test]
fn an_upload_asks_for_large_pieces() {
    const SIZE: usize = 20 << 20;
    let dir = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(Options::new(dir.path())).unwrap();
    let asked = AtomicUsize::new(0);
    let (c, mut err) = (client(&emulator), ptr::null_mut());
    // SAFETY: handles are used while they live, and texts and the counter outlive what they are given to.
    unsafe {
        let s = of_host(counted, &raw const asked as usize, SIZE as u64);
        let (mut u, mut r) = (ptr::null_mut(), ptr::null_mut());
        let name = c"f".as_ptr();
        ok(pan123_upload_new(c, s, 0, name, usize::MAX, ptr::null(), 0, &raw mut u, &raw mut err), err);
        ok(pan123_upload_start(u, &raw mut err), err);
        ok(pan123_upload_wait(u, -1, &raw mut r, &raw mut err), err);
        pan123_result_free(r);
        pan123_upload_free(u);
        pan123_source_free(s);
        pan123_client_free(c);
    }
    emulator.stop();
    // Both passes: 1 MiB to hash at a time, 512 KiB to send.
    let asked = asked.into_inner();
    assert!(asked <= SIZE / (1 << 20) + SIZE / (512 << 10), "{asked} reads of {SIZE} bytes");
}

fn bytes(len: usize, seed: usize) -> &'static [u8] {
    let bytes = (0..len).map(|i| ((i + seed).wrapping_mul(2_654_435_761) >> 11) as u8);
    Vec::leak(bytes.collect())
}

#[test]
fn many_sources_of_every_make_and_size_get_their_own_digests() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = [0, 1, 55, 56, 64, 999, 1000, 1001, 70_000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20];
    for sha1 in [false, true] {
        let options = pan123_hash::Options::new(NonZeroU64::new(1000).unwrap()).sha1(sha1);
        let (mut sources, mut contents) = (Vec::new(), Vec::new());
        for round in 0..4 {
            for (i, &size) in sizes.iter().enumerate() {
                let content = if i % 3 == 2 {
                    bytes(size, 0).iter().map(|_| 0).collect::<Vec<u8>>().leak()
                } else {
                    bytes(size, round * 1000 + i)
                };
                let path = dir.path().join(format!("{round}-{i}"));
                sources.push(match i % 3 {
                    0 => of_memory(content),
                    1 => {
                        fs::write(&path, content).unwrap();
                        of_file(&path)
                    }
                    _ => of_host(zeros, 0, size as u64),
                });
                contents.push(content);
            }
        }
        let (status, results, err) = hash(&sources, 1000, if sha1 { PAN123_HASH_SHA1 } else { 0 });
        ok(status, err);
        for (content, result) in contents.iter().zip(results) {
            let expected = pan123_hash::hash_input(*content, &options).unwrap();
            let text = |field, index| {
                // SAFETY: a live result.
                let text = unsafe { pan123_result_str(result, field, index, ptr::null_mut()) };
                // SAFETY: a text with a NUL, or NULL.
                (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned())
            };
            assert_eq!(
                text(PAN123_F_ETAG, 0),
                Some(pan123_hash::hex(&expected.etag)),
                "{} bytes",
                content.len()
            );
            assert_eq!(text(PAN123_F_SHA1, 0), expected.sha1.map(|sha1| pan123_hash::hex(&sha1)));
            // SAFETY: a live result.
            let count = unsafe { pan123_result_i64(result, PAN123_F_SLICE_COUNT, -1) };
            assert_eq!(count, expected.slices.len() as i64);
            for (index, slice) in expected.slices.iter().enumerate() {
                assert_eq!(text(PAN123_F_SLICE_MD5, index), Some(pan123_hash::hex(slice)));
            }
            // SAFETY: ours.
            unsafe { pan123_result_free(result) };
        }
    }
}

#[test]
fn one_bad_file_among_many_leaves_the_others_their_digests() {
    let dir = tempfile::tempdir().unwrap();
    let mut sources: Vec<_> = (0..300).map(|i| of_memory(bytes(500 + i, i))).collect();
    let path = dir.path().join("f");
    fs::write(&path, b"what it was").unwrap();
    sources.insert(150, of_file(&path));
    fs::write(&path, b"short").unwrap();
    let (status, results, err) = hash(&sources, 0, 0);
    let (code, text) = said(err);
    assert_eq!((status, code), (PAN123_E_SOURCE_CHANGED, PAN123_E_SOURCE_CHANGED), "{text}");
    assert!(text.contains("/f"), "{text}");
    for (i, result) in results.into_iter().enumerate() {
        assert_eq!(result.is_null(), i == 150, "{i}");
        // SAFETY: ours, or NULL.
        unsafe { pan123_result_free(result) };
    }
}

#[test]
fn a_stop_before_the_call_leaves_all_places_empty() {
    let sources: Vec<_> = (0..10).map(|i| of_memory(bytes(100, i))).collect();
    let (mut stop, mut err) = (ptr::null_mut(), ptr::null_mut());
    let mut results = vec![ptr::dangling_mut(); sources.len()];
    // SAFETY: handles are used while they live, and there are as many places as sources.
    unsafe {
        ok(pan123_stop_new(&raw mut stop, &raw mut err), err);
        pan123_stop_fire(stop);
        let (list, places) = (sources.as_ptr(), results.as_mut_ptr());
        let status = pan123_hash(list, sources.len(), 0, 0, stop, places, &raw mut err);
        assert_eq!((status, said(err).0), (PAN123_E_CANCELLED, PAN123_E_CANCELLED));
        pan123_stop_free(stop);
        sources.iter().for_each(|source| pan123_source_free(*source));
    }
    assert!(results.iter().all(|result| result.is_null()));
}

/// On Unix a path is bytes, and some are no text.
#[cfg(unix)]
#[test]
fn a_path_may_be_any_bytes() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(OsStr::from_bytes(b"caf\xe9"));
    fs::write(&path, "abc").unwrap();
    let bytes = path.as_os_str().as_bytes();
    let (mut source, mut err) = (ptr::null_mut(), ptr::null_mut());
    let mut result = ptr::null_mut();
    // SAFETY: the path is readable for its length, and the places are on this stack.
    unsafe {
        ok(pan123_source_from_path(bytes.as_ptr().cast(), bytes.len(), &raw mut source, &raw mut err), err);
        ok(pan123_hash(&raw const source, 1, 0, 0, ptr::null_mut(), &raw mut result, &raw mut err), err);
        let etag = CStr::from_ptr(pan123_result_str(result, PAN123_F_ETAG, 0, ptr::null_mut()));
        assert_eq!(etag, c"900150983cd24fb0d6963f7d28e17f72");
        pan123_result_free(result);
        pan123_source_free(source);
        let status = pan123_source_from_path(b"a\xffb".as_ptr().cast(), 3, &raw mut source, &raw mut err);
        assert_eq!((status, said(err).0), (PAN123_E_SOURCE_IO, PAN123_E_SOURCE_IO));
        let status = pan123_source_from_path(b"a\0b".as_ptr().cast(), 3, &raw mut source, &raw mut err);
        assert_eq!(status, PAN123_E_INVALID_ARGUMENT);
        assert!(said(err).1.contains("path has a NUL inside"));
    }
}
