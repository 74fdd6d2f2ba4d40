//! The service's own operations: one request each, for hosts that schedule by themselves.

use std::{
    ffi::c_char,
    io,
    sync::{Arc, PoisonError, RwLock},
};

use libc::size_t;
use pan123_upload::{
    Error, Identity, SliceUpload, Source, SourceRead,
    proto::{
        Md5,
        machine::Reply,
        wire::{CreateRequest, SingleFields},
    },
    transport::ReadAt,
};

use crate::{
    client::{Core, pan123_client},
    error::pan123_error,
    fields::Fields,
    guard::{Fault, guard, invalid},
    handle,
    numbers::*,
    options::{Scope, Settings, pan123_options},
    result::pan123_result,
    source::{Failed, Reading, pan123_source},
    stop::pan123_stop,
    text,
    wait::Cancel,
};

/// Gets the access token that requests are made with, from wherever the client has it.
///
/// Puts a result with `PAN123_F_TOKEN` and, if it is known, `PAN123_F_EXPIRES_UNIX_MS` into `*out`.
///
/// Returns `PAN123_OK`; `PAN123_E_LOGIN` and codes of the 200 and 300 bands; `PAN123_E_CANCELLED`, `PAN123_E_SHUTDOWN`,
/// `PAN123_E_WOULD_DEADLOCK`, `PAN123_E_INVALID_ARGUMENT`.
///
/// Ownership: `*out` is yours; free it with `pan123_result_free`. `stop` may be NULL. Thread: any. Blocking: as long as
/// it takes. Since 0.1.
///
/// # Safety
///
/// `c` is NULL or a live client, `stop` NULL or a live stop object; `out` and `err` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_api_token(
    c: *mut pan123_client,
    stop: *mut pan123_stop,
    out: *mut *mut pan123_result,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let (out, call) = unsafe { (handle::object_place(out)?, Call::new(c, stop, "pan123_api_token")?) };
        let engine = call.core.engine.clone();
        let token = call.run(async move { engine.token().await })?;
        let fields = Fields::default().number_if(PAN123_F_EXPIRES_UNIX_MS, token.expires_unix_ms());
        *out = handle::give(fields.text(PAN123_F_TOKEN, token.expose()).with_json());
        Ok(())
    })
}

/// Asks for upload hosts (`domain`).
///
/// Puts a result with `PAN123_F_SERVER` and `PAN123_F_SERVER_COUNT` into `*out`.
///
/// Returns `PAN123_OK`; codes of the 200, 300 and 400 bands; `PAN123_E_CANCELLED`, `PAN123_E_SHUTDOWN`,
/// `PAN123_E_WOULD_DEADLOCK`, `PAN123_E_INVALID_ARGUMENT`.
///
/// Ownership: `*out` is yours; free it with `pan123_result_free`. `stop` may be NULL. Thread: any. Blocking: until the
/// answer is there. Since 0.1.
///
/// # Safety
///
/// As `pan123_api_token`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_api_domain(
    c: *mut pan123_client,
    stop: *mut pan123_stop,
    out: *mut *mut pan123_result,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let (out, call) = unsafe { (handle::object_place(out)?, Call::new(c, stop, "pan123_api_domain")?) };
        let engine = call.core.engine.clone();
        let hosts = call.run(async move { engine.domain().await })?;
        *out = handle::give(servers(Fields::default(), &hosts).with_json());
        Ok(())
    })
}

/// Announces a file of `size` bytes (`create`). `etag` is the MD5 of the whole in hex; of `o`, `PAN123_OPT_DUPLICATE` and
/// `PAN123_OPT_CONTAIN_DIR` count. `parent_id` 0 is the root.
///
/// Puts a result into `*out`. If `PAN123_F_REUSED` is 1 the service had the bytes: `PAN123_F_FILE_ID` is there, and all is
/// done. Else send each slice with `pan123_api_slice`, then `pan123_api_complete`; the result has
/// `PAN123_F_PREUPLOAD_ID`, `PAN123_F_SLICE_SIZE`, `PAN123_F_SLICE_COUNT`, `PAN123_F_SERVER` and
/// `PAN123_F_SERVER_COUNT`.
///
/// Returns `PAN123_OK`; `PAN123_E_REFUSED`, `PAN123_E_NAME` and other codes of the 200, 300 and 400 bands;
/// `PAN123_E_CANCELLED`, `PAN123_E_SHUTDOWN`, `PAN123_E_WOULD_DEADLOCK`, `PAN123_E_INVALID_ARGUMENT`.
///
/// Ownership: `*out` is yours; free it with `pan123_result_free`. `o` and `stop` may be NULL. Thread: any. Blocking:
/// until the answer is there. One request, not repeated; `PAN123_F_RETRYABLE` and `PAN123_F_RETRY_AFTER_MS` of the error
/// say whether to. Since 0.1.
///
/// # Safety
///
/// `c` is NULL or a live client, `o` NULL or live options, `stop` NULL or a live stop object; `name` and `etag` are NULL
/// or readable for as many bytes as is said, or up to their NUL for `PAN123_NUL`; `out` and `err` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_api_create(
    c: *mut pan123_client,
    parent_id: i64,
    name: *const c_char,
    name_len: size_t,
    etag: *const c_char,
    etag_len: size_t,
    size: u64,
    o: *const pan123_options,
    stop: *mut pan123_stop,
    out: *mut *mut pan123_result,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let (out, call) = unsafe { (handle::object_place(out)?, Call::new(c, stop, "pan123_api_create")?) };
        // SAFETY: by the contract of this function.
        let (name, etag, settings) = unsafe {
            (
                text::text(name, name_len, "name")?.to_owned(),
                md5(etag, etag_len, "etag")?,
                Settings::of(o, &[Scope::Target], "pan123_api_create")?,
            )
        };
        let contain_dir = settings.flag(PAN123_OPT_CONTAIN_DIR);
        crate::upload::check_target(parent_id, &name, contain_dir, size)?;
        let (engine, duplicate) = (call.core.engine.clone(), settings.duplicate());
        let reply = call.run(async move {
            let request = CreateRequest { parent_id, filename: &name, etag, size, duplicate, contain_dir };
            engine.create(&request).await
        })?;
        *out = handle::give(match reply {
            Reply::Created { preupload_id, slice_size, servers: hosts } => {
                let fields = Fields::default()
                    .number(PAN123_F_REUSED, 0)
                    .text(PAN123_F_PREUPLOAD_ID, &*preupload_id)
                    .size(PAN123_F_SLICE_SIZE, slice_size)
                    .size(PAN123_F_SLICE_COUNT, size.div_ceil(slice_size.max(1)).max(1));
                servers(fields, &hosts).with_json()
            }
            reply => stored(&reply).number(PAN123_F_REUSED, 1).with_json(),
        });
        Ok(())
    })
}

/// Sends one slice from memory. `server` and `preupload_id` are from `pan123_api_create`; `slice_no` counts from 1;
/// `md5` is the MD5 of these bytes in hex, or NULL to have it computed.
///
/// A slice that the service has already is no error.
///
/// Returns `PAN123_OK`; codes of the 200, 300 and 400 bands; `PAN123_E_CANCELLED`, `PAN123_E_SHUTDOWN`,
/// `PAN123_E_WOULD_DEADLOCK`, `PAN123_E_INVALID_ARGUMENT`.
///
/// Ownership: `data` is not copied, and nobody reads it once this has returned. `stop` may be NULL. Thread: any; send
/// several slices from several threads. Blocking: until the answer is there. One request, not repeated. Since 0.1.
///
/// # Safety
///
/// `c` is NULL or a live client, `stop` NULL or a live stop object; each text is NULL or readable for as many bytes as is
/// said, or up to its NUL for `PAN123_NUL`; `data` is NULL or readable for `len` bytes; `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_api_slice(
    c: *mut pan123_client,
    server: *const c_char,
    server_len: size_t,
    preupload_id: *const c_char,
    id_len: size_t,
    slice_no: u32,
    md5: *const c_char,
    md5_len: size_t,
    data: *const u8,
    len: size_t,
    stop: *mut pan123_stop,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let (call, data) =
            unsafe { (Call::new(c, stop, "pan123_api_slice")?, text::bytes(data, len, "data")?) };
        // SAFETY: by the contract of this function.
        let slice = unsafe {
            SliceUpload {
                server: text::text(server, server_len, "server")?.to_owned(),
                preupload_id: text::text(preupload_id, id_len, "preupload_id")?.to_owned(),
                slice_no,
                md5: md5_if_any(md5, md5_len)?,
                source: Source::bytes(Vec::new()),
                offset: 0,
                len: None,
            }
        };
        let borrowed = Borrowed::new(data);
        let slice = SliceUpload { source: Source::custom(borrowed.0.clone()), ..slice };
        let engine = call.core.engine.clone();
        call.run(async move { engine.slice(slice).await })
    })
}

/// Sends one slice from a source: `len` bytes from `offset` on. Otherwise as `pan123_api_slice`.
///
/// Returns as `pan123_api_slice`; also `PAN123_E_SOURCE_IO`, `PAN123_E_SOURCE_CHANGED`, `PAN123_E_SOURCE_STALLED`.
///
/// Ownership: keeps a reference to `s` while it runs. `stop` may be NULL. Thread: any. Blocking: until the answer is
/// there. One request, not repeated. Since 0.1.
///
/// # Safety
///
/// As `pan123_api_slice`; `s` is NULL or a live source.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_api_slice_from(
    c: *mut pan123_client,
    server: *const c_char,
    server_len: size_t,
    preupload_id: *const c_char,
    id_len: size_t,
    slice_no: u32,
    md5: *const c_char,
    md5_len: size_t,
    s: *mut pan123_source,
    offset: u64,
    len: u64,
    stop: *mut pan123_stop,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let call = unsafe { Call::new(c, stop, "pan123_api_slice_from") }?;
        // SAFETY: by the contract of this function.
        let (given, slice) = unsafe {
            (
                handle::look(s.cast_const())?,
                SliceUpload {
                    server: text::text(server, server_len, "server")?.to_owned(),
                    preupload_id: text::text(preupload_id, id_len, "preupload_id")?.to_owned(),
                    slice_no,
                    md5: md5_if_any(md5, md5_len)?,
                    source: Source::bytes(Vec::new()),
                    offset,
                    len: Some(len),
                },
            )
        };
        let slice = SliceUpload { source: given.open(&call.reading), ..slice };
        let engine = call.core.engine.clone();
        call.run(async move { engine.slice(slice).await })
    })
}

/// Asks the service to put the slices together and to check them (`upload_complete`).
///
/// Puts a result into `*out`: `PAN123_F_COMPLETED` 1 and `PAN123_F_FILE_ID`, or `PAN123_F_COMPLETED` 0 while the service is
/// still at it: ask again in a second.
///
/// Returns `PAN123_OK`; `PAN123_E_VERIFY_FAILED` if the service holds other bytes than were announced; other codes of the
/// 200, 300 and 400 bands; `PAN123_E_CANCELLED`, `PAN123_E_SHUTDOWN`, `PAN123_E_WOULD_DEADLOCK`,
/// `PAN123_E_INVALID_ARGUMENT`.
///
/// Ownership: `*out` is yours; free it with `pan123_result_free`. `stop` may be NULL. Thread: any. Blocking: until the
/// answer is there. Since 0.1.
///
/// # Safety
///
/// `c` is NULL or a live client, `stop` NULL or a live stop object; `preupload_id` is NULL or readable for `id_len`
/// bytes, or up to its NUL for `PAN123_NUL`; `out` and `err` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_api_complete(
    c: *mut pan123_client,
    preupload_id: *const c_char,
    id_len: size_t,
    stop: *mut pan123_stop,
    out: *mut *mut pan123_result,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let (out, call) = unsafe { (handle::object_place(out)?, Call::new(c, stop, "pan123_api_complete")?) };
        // SAFETY: by the contract of this function.
        let id = unsafe { text::text(preupload_id, id_len, "preupload_id") }?.to_owned();
        let engine = call.core.engine.clone();
        let file_id = call.run(async move { engine.complete(&id).await })?;
        *out = handle::give(completed(file_id));
        Ok(())
    })
}

/// Sends a whole file of up to 1 GiB in one request (`single/create`), without `create` and slices. `server` is from
/// `pan123_api_domain`; `etag` is the MD5 of the whole in hex; of `o`, `PAN123_OPT_DUPLICATE` and
/// `PAN123_OPT_CONTAIN_DIR` count.
///
/// Puts a result into `*out`: `PAN123_F_COMPLETED` 1 and `PAN123_F_FILE_ID`, or `PAN123_F_COMPLETED` 0 if the service has
/// not stored the file yet.
///
/// Returns `PAN123_OK`; codes of the 100, 200, 300 and 400 bands; `PAN123_E_CANCELLED`, `PAN123_E_SHUTDOWN`,
/// `PAN123_E_WOULD_DEADLOCK`, `PAN123_E_INVALID_ARGUMENT`.
///
/// Ownership: `*out` is yours; free it with `pan123_result_free`. Keeps a reference to `s` while it runs. `o` and `stop`
/// may be NULL. Thread: any. Blocking: until the answer is there. One request, not repeated. Since 0.1.
///
/// # Safety
///
/// As `pan123_api_create`; `s` is NULL or a live source.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_api_single(
    c: *mut pan123_client,
    server: *const c_char,
    server_len: size_t,
    parent_id: i64,
    name: *const c_char,
    name_len: size_t,
    etag: *const c_char,
    etag_len: size_t,
    s: *mut pan123_source,
    o: *const pan123_options,
    stop: *mut pan123_stop,
    out: *mut *mut pan123_result,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let (out, call) = unsafe { (handle::object_place(out)?, Call::new(c, stop, "pan123_api_single")?) };
        // SAFETY: by the contract of this function.
        let (server, name, etag, given, settings) = unsafe {
            (
                text::text(server, server_len, "server")?.to_owned(),
                text::text(name, name_len, "name")?.to_owned(),
                md5(etag, etag_len, "etag")?,
                handle::look(s.cast_const())?,
                Settings::of(o, &[Scope::Target], "pan123_api_single")?,
            )
        };
        let (size, contain_dir) = (given.size(), settings.flag(PAN123_OPT_CONTAIN_DIR));
        crate::upload::check_target(parent_id, &name, contain_dir, size)?;
        let (engine, source, duplicate) =
            (call.core.engine.clone(), given.open(&call.reading), settings.duplicate());
        let file_id = call.run(async move {
            let fields = SingleFields { parent_id, filename: &name, etag, size, duplicate, contain_dir };
            engine.single(&server, &fields, source).await
        })?;
        *out = handle::give(completed(file_id));
        Ok(())
    })
}

/// One call of the host's. When it is over, reads that hang are let go of.
struct Call {
    core: Arc<Core>,
    stop: Option<Cancel>,
    function: &'static str,
    reading: Reading,
}

impl Call {
    /// # Safety
    ///
    /// `client` is NULL or a live client, `stop` NULL or a live stop object.
    unsafe fn new(
        client: *mut pan123_client,
        stop: *mut pan123_stop,
        function: &'static str,
    ) -> Result<Self, Fault> {
        // SAFETY: by the contract.
        let (core, stop) =
            unsafe { (handle::look(client.cast_const())?, handle::look_if_any(stop.cast_const())?) };
        let (core, stop) = (Arc::clone(&core), stop.map(|stop| stop.clone()));
        let reading = Reading {
            calls: core.calls.clone(),
            cancel: Cancel::new(),
            limit: core.source_limit,
            failed: Failed::default(),
            resume_key: None,
        };
        Ok(Self { core, stop, function, reading })
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Fault> {
        let failed = self.reading.failed.clone();
        let work = async move { work.await.map_err(|error| failed.record(&error)) };
        self.core.run(self.function, self.stop.as_ref(), work)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.reading.cancel.fire();
    }
}

/// Memory of the host's that is read until this is dropped, and not a moment longer.
struct Borrowed(Arc<BorrowedBytes>);

struct BorrowedBytes {
    /// `None` once the memory is the host's again.
    data: RwLock<Option<&'static [u8]>>,
    len: usize,
}

impl Borrowed {
    fn new(data: &[u8]) -> Self {
        // SAFETY: the lifetime is a lie that `drop` makes good: it takes the slice away before the memory may go, and
        // waits for those who are reading at that moment.
        let data: &'static [u8] = unsafe { std::slice::from_raw_parts(data.as_ptr(), data.len()) };
        Self(Arc::new(BorrowedBytes { len: data.len(), data: RwLock::new(Some(data)) }))
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        *self.0.data.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl ReadAt for BorrowedBytes {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let data = self.data.read().unwrap_or_else(PoisonError::into_inner);
        let data = data.ok_or_else(|| io::Error::other("the call is over"))?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
        let len = buf.len().min(data.len() - start);
        buf[..len].copy_from_slice(&data[start..start + len]);
        Ok(len)
    }

    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> Option<io::Result<usize>> {
        Some(self.read_at(offset, buf))
    }
}

impl SourceRead for BorrowedBytes {
    fn size(&self) -> u64 {
        self.len as u64
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity { size: self.size(), mtime_ns: 0, ctime_ns: 0, inode: 0, device: 0 })
    }

    fn describe(&self) -> String {
        format!("{} bytes in memory", self.len)
    }
}

/// # Safety
///
/// As for `text::text`.
unsafe fn md5(pointer: *const c_char, len: size_t, name: &str) -> Result<Md5, Fault> {
    // SAFETY: handed on.
    let digits = unsafe { text::text(pointer, len, name) }?;
    digits.parse().map_err(|error| invalid(format!("{name} is {digits:?}: {error}")))
}

/// # Safety
///
/// As for `text::text`.
unsafe fn md5_if_any(pointer: *const c_char, len: size_t) -> Result<Option<Md5>, Fault> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: handed on.
    unsafe { md5(pointer, len, "md5") }.map(Some)
}

fn servers(fields: Fields, hosts: &[Arc<str>]) -> Fields {
    fields
        .size(PAN123_F_SERVER_COUNT, hosts.len() as u64)
        .list(PAN123_F_SERVER, hosts.iter().map(|host| &**host))
}

fn stored(reply: &Reply) -> Fields {
    match reply {
        Reply::Stored { file_id } => Fields::default().number(PAN123_F_FILE_ID, *file_id),
        _ => Fields::default(),
    }
}

fn completed(file_id: Option<i64>) -> Fields {
    Fields::default()
        .number(PAN123_F_COMPLETED, file_id.is_some())
        .number_if(PAN123_F_FILE_ID, file_id)
        .with_json()
}
