//! Sources: files, memory, and whatever the host can read at an offset.

use std::{
    ffi::c_char,
    io,
    ops::Range,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use libc::size_t;
use pan123_upload::{
    Error, ErrorKind, Identity, Source, SourceRead,
    transport::{ReadAt, ReadStarted},
};

use crate::{
    calls::Calls,
    error::{ErrorRecord, OwnFailure, pan123_error},
    guard::{Fault, calling_out, guard, invalid, may_wait, quiet},
    handle::{self, Held, Object},
    numbers::{PAN123_E_SOURCE_IO, may_be_said, pan123_status},
    text,
    vtable::{Clock, Host, Vtable, nonsense, pan123_vtable},
    wait::Cancel,
};

/// What is uploaded or hashed: bytes of a known size that can be read at any offset.
///
/// Made from a path, from memory, or from functions of yours. It may serve any number of calls and uploads, one after
/// another or at once. Each keeps a reference, so that you may free yours as soon as you have given it away.
#[allow(missing_debug_implementations, reason = "a name for C, without content")]
pub struct pan123_source {
    _private: [u8; 0],
}

impl Object for pan123_source {
    type Inside = Given;
    const NAME: &'static str = "pan123_source";
}

/// What tells one state of a source from another. If any of it changes during an upload, the upload fails with
/// `PAN123_E_SOURCE_CHANGED`. Members that your source does not have stay 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pan123_identity {
    /// `sizeof(pan123_identity)` of whoever asks; write no member that lies beyond it.
    pub struct_size: u32,
    /// 0.
    pub flags: u32,
    /// Size in bytes.
    pub size: u64,
    /// A number that stays with the source as long as it is the same one.
    pub inode: u64,
    /// Last change of the content, in nanoseconds since 1970 UTC.
    pub mtime_ns: i64,
}

/// A source of yours. All members \[worker thread, may block\]; calls overlap unless `PAN123_VT_SERIAL` is set.
///
/// A member that fails ends what reads the source, with the code that it returned: any `PAN123_E_` but those for
/// something that was stopped (20 to 22), which count as `PAN123_E_SOURCE_IO`, as does a number that is no code.
///
/// ```c
/// static pan123_status read_at(uintptr_t ctx, uint64_t offset, uint8_t *buf, size_t len, size_t *out_n,
///                              pan123_error **err)
/// {
///     struct archive_member *m = (struct archive_member *)ctx;
///     *out_n = archive_read(m, offset, buf, len);
///     return PAN123_OK;
/// }
/// static void release(uintptr_t ctx) { archive_close((struct archive_member *)ctx); }
///
/// pan123_source_vtable vt = { .h = { sizeof vt, 0, release, NULL }, .read_at = read_at };
/// status = pan123_source_new(&vt, (uintptr_t)member, member->size, &source, &err);
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pan123_source_vtable {
    /// The head.
    pub h: pan123_vtable,
    /// Reads `len` bytes from `offset` on into `buf`, and says in `*out_n` how many there were. Fewer than `len` mean
    /// that the source ends there, which is `PAN123_E_SOURCE_CHANGED` if its size promised more. Never asked beyond
    /// the size. Required.
    pub read_at: Option<
        unsafe extern "C" fn(
            ctx: usize,
            offset: u64,
            buf: *mut u8,
            len: size_t,
            out_n: *mut size_t,
            err: *mut *mut pan123_error,
        ) -> pan123_status,
    >,
    /// Says what state the source is in right now. Asked before the first byte is read and before the service is told
    /// that all is there. NULL: it never changes.
    pub identity: Option<
        unsafe extern "C" fn(
            ctx: usize,
            out: *mut pan123_identity,
            err: *mut *mut pan123_error,
        ) -> pan123_status,
    >,
}

// SAFETY: `repr(C)`, head first, functions only.
unsafe impl Vtable for pan123_source_vtable {
    const NAME: &'static str = "pan123_source_vtable";

    fn head(&self) -> &pan123_vtable {
        &self.h
    }

    fn lacks(&self) -> Option<&'static str> {
        self.read_at.is_none().then_some("read_at")
    }
}

/// A source as it was given.
#[derive(Clone)]
pub(crate) enum Given {
    /// A file or memory, which the engine knows how to read.
    Ready(Source),
    /// Functions of the host.
    Host { host: Arc<Host<pan123_source_vtable>>, size: u64 },
}

/// What a source needs to be read for one upload or call.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) calls: Arc<Calls>,
    /// Lets go of reads that do not return.
    pub(crate) cancel: Cancel,
    /// How long one read may take.
    pub(crate) limit: Duration,
    /// How a call of the host's failed first.
    pub(crate) failed: Failed,
    /// What names a source of the host's in another run.
    pub(crate) resume_key: Option<String>,
}

/// What a source of the host's failed with first, for the error that comes of it: the engine knows no more than that
/// the source could not be read. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Failed(Arc<OnceLock<OwnFailure>>);

impl Failed {
    /// Keeps it. A code that a source cannot fail with counts as one that cannot be read.
    fn with(&self, fault: &ErrorRecord) {
        let code = if may_be_said(fault.code) { fault.code } else { PAN123_E_SOURCE_IO };
        // The first is the cause of all others.
        let _ = self.0.set(OwnFailure { code, message: fault.message() });
    }

    /// Keeps it, and makes it an error for the engine.
    fn to_io(&self, fault: &ErrorRecord) -> io::Error {
        self.with(fault);
        io::Error::other(fault.message())
    }

    pub(crate) fn code(&self) -> Option<pan123_status> {
        self.0.get().map(|own| own.code)
    }

    /// What an error of the engine is to the host.
    pub(crate) fn record(&self, error: &Error) -> Fault {
        let of_source = matches!(error.kind(), ErrorKind::Source | ErrorKind::SourceChanged);
        Box::new(ErrorRecord::of(error, self.0.get().filter(|_| of_source)))
    }
}

/// Calls that have not returned, and when one last began or returned.
#[derive(Default)]
struct Pending(Mutex<(u32, Option<Instant>)>);

impl Pending {
    fn change(&self, by: i32) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = state.0.saturating_add_signed(by);
        // More calls on top of those that hang are no sign of life.
        if by < 0 || state.0 == 1 {
            state.1 = Some(Instant::now());
        }
    }

    /// Counts a call until what is returned is dropped.
    fn one(self: &Arc<Self>) -> PendingOne {
        self.change(1);
        PendingOne(self.clone())
    }

    fn hang(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 > 0 && state.1.is_some_and(|since| since.elapsed() > HANGS_AFTER)
    }
}

/// One call that has not returned.
struct PendingOne(Arc<Pending>);

impl Drop for PendingOne {
    fn drop(&mut self) {
        self.0.change(-1);
    }
}

/// Calls that take longer count as hanging.
const HANGS_AFTER: Duration = Duration::from_millis(250);

impl Given {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Ready(source) => source.size(),
            Self::Host { size, .. } => *size,
        }
    }

    /// Whether it is code of the host's, which may hang.
    pub(crate) fn may_hang(&self) -> bool {
        matches!(self, Self::Host { .. })
    }

    /// The source as the engine wants it.
    pub(crate) fn open(&self, reading: &Reading) -> Source {
        match self {
            Self::Ready(source) => {
                Source::custom(Arc::new(Named { source: source.clone(), reading: reading.clone() }))
            }
            Self::Host { host, size } => Source::custom(Arc::new(HostSource {
                host: host.clone(),
                size: *size,
                reading: reading.clone(),
                pending: Arc::default(),
            })),
        }
    }
}

/// The name under which an upload of a source without one is logged: for itself alone.
pub(crate) const NAMELESS: &str = "nameless";

/// A file or memory that the upload's log can name.
struct Named {
    source: Source,
    reading: Reading,
}

impl ReadAt for Named {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.source.read_at(offset, buf)
    }

    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> Option<io::Result<usize>> {
        self.source.try_read_at(offset, buf)
    }

    fn as_bytes(&self) -> Option<&Bytes> {
        self.source.as_bytes()
    }

    /// On threads that can be missing without a panic.
    fn start_read(&self, offset: u64, mut buf: Vec<u8>) -> Result<ReadStarted, Vec<u8>> {
        let Reading { calls, failed, .. } = self.reading.clone();
        let source = self.source.clone();
        let begun = calls.begin(move || {
            let mut got = 0;
            while got < buf.len() {
                match source.read_at(offset + got as u64, &mut buf[got..]) {
                    Ok(0) => break,
                    Ok(n) => got += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok((buf, got))
        });
        Ok(Box::pin(async move {
            match async { begun?.answer().await }.await {
                Ok(read) => read,
                Err(fault) => Err(failed.to_io(&fault)),
            }
        }))
    }
}

impl SourceRead for Named {
    fn size(&self) -> u64 {
        self.source.size()
    }

    fn identity(&self) -> io::Result<Identity> {
        self.source.identity()
    }

    fn may_hang(&self) -> bool {
        self.source.may_hang()
    }

    fn describe(&self) -> String {
        self.source.describe()
    }

    fn resume_name(&self) -> Option<String> {
        let given = self.reading.resume_key.as_ref().map(|key| format!("key:{key}"));
        given.or_else(|| self.source.resume_name()).or_else(|| Some(NAMELESS.into()))
    }
}

/// A source of the host's, read on threads that may block.
struct HostSource {
    host: Arc<Host<pan123_source_vtable>>,
    size: u64,
    reading: Reading,
    pending: Arc<Pending>,
}

impl HostSource {
    fn call<T: Send + 'static>(
        &self,
        function: impl FnOnce(&Host<pan123_source_vtable>, &Clock) -> Result<T, Fault> + Send + 'static,
    ) -> io::Result<T> {
        let Reading { calls, cancel, limit, failed, .. } = &self.reading;
        let _one = self.pending.one();
        let clock = self.host.clock();
        let timed = (&clock, *limit);
        let answer = calls.call_blocking(cancel, timed, self.unless_given_up(clock.clone(), function));
        answer.and_then(|answer| answer).map_err(|fault| failed.to_io(&fault))
    }

    /// It may have waited long for its turn.
    fn unless_given_up<T, F>(
        &self,
        clock: Clock,
        function: F,
    ) -> impl FnOnce() -> Result<T, Fault> + use<T, F>
    where
        F: FnOnce(&Host<pan123_source_vtable>, &Clock) -> Result<T, Fault>,
    {
        let (host, given_up) = (self.host.clone(), self.reading.cancel.clone());
        move || if given_up.is_fired() { Err(nonsense("given up")) } else { function(&host, &clock) }
    }
}

/// Has the host read.
fn read(
    host: &Host<pan123_source_vtable>,
    clock: &Clock,
    offset: u64,
    buf: &mut [u8],
) -> Result<usize, Fault> {
    let (len, mut got) = (buf.len(), 0);
    host.call(clock, "read_at", |vtable, ctx, err| match vtable.read_at {
        // SAFETY: the host gave it for this; `buf` has `len` bytes, and the rest is on this stack.
        Some(read_at) => unsafe { read_at(ctx, offset, buf.as_mut_ptr(), len, &raw mut got, err) },
        None => crate::numbers::PAN123_E_CALLBACK,
    })?;
    if got > len {
        return Err(nonsense(format!("read_at was asked for {len} bytes and claims to have read {got}")));
    }
    Ok(got)
}

/// A read that was given up may still write into its buffer, so the buffer always goes along with it.
impl ReadAt for HostSource {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len();
        let mut own = vec![0; len];
        let got = self.read_owned(offset, &mut own, 0..len)?;
        buf[..got].copy_from_slice(&own[..got]);
        Ok(got)
    }

    fn read_owned(&self, offset: u64, buf: &mut Vec<u8>, range: Range<usize>) -> io::Result<usize> {
        let mut bytes = std::mem::take(buf);
        let (bytes, got) = self.call(move |host, clock| {
            let got = read(host, clock, offset, &mut bytes[range])?;
            Ok((bytes, got))
        })?;
        *buf = bytes;
        Ok(got)
    }

    fn start_read(&self, offset: u64, mut buf: Vec<u8>) -> Result<ReadStarted, Vec<u8>> {
        let Reading { calls, cancel, limit, failed, .. } = self.reading.clone();
        let one = self.pending.one();
        let clock = self.host.clock();
        let begun = calls.begin(self.unless_given_up(clock.clone(), move |host, clock| {
            let got = read(host, clock, offset, &mut buf)?;
            Ok((buf, got))
        }));
        Ok(Box::pin(async move {
            let answer = async { begun?.answer_within(&cancel, (&clock, limit)).await? };
            let answer = answer.await.map_err(|fault| failed.to_io(&fault));
            drop(one);
            answer
        }))
    }
}

impl SourceRead for HostSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn identity(&self) -> io::Result<Identity> {
        let size = self.size;
        if self.host.vtable().identity.is_none() {
            return Ok(Identity { size, mtime_ns: 0, ctime_ns: 0, inode: 0, device: 0 });
        }
        let identity = self.call(move |host, clock| {
            let struct_size = size_of::<pan123_identity>() as u32;
            let mut identity = pan123_identity { struct_size, flags: 0, size, inode: 0, mtime_ns: 0 };
            host.call(clock, "identity", |vtable, ctx, err| match vtable.identity {
                // SAFETY: the host gave it for this; the place is on this stack.
                Some(function) => unsafe { function(ctx, &raw mut identity, err) },
                None => crate::numbers::PAN123_OK,
            })?;
            Ok(identity)
        })?;
        Ok(Identity {
            size: identity.size,
            mtime_ns: identity.mtime_ns,
            ctime_ns: 0,
            inode: identity.inode,
            device: 0,
        })
    }

    fn is_waiting(&self) -> bool {
        self.pending.hang()
    }

    fn describe(&self) -> String {
        match &self.reading.resume_key {
            Some(key) => format!("source {key:?}"),
            None => format!("a source of {} bytes", self.size),
        }
    }

    fn resume_name(&self) -> Option<String> {
        let key = self.reading.resume_key.as_ref().map(|key| format!("key:{key}"));
        key.or_else(|| Some(NAMELESS.into()))
    }
}

/// Makes a source from functions of yours. `size` is its size in bytes and never changes.
///
/// Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `vt`, its `read_at` or `out` is NULL; `PAN123_E_ABI` for a
/// `struct_size` that cannot be; `PAN123_E_UNKNOWN_NUMBER` for unknown flags.
///
/// Ownership: takes `ctx` over, also when it fails; `release` gives it back (unless `vt` itself cannot be read).
/// `*out` is yours; free it with `pan123_source_free`. Thread: any. Blocking: no, and no other callback comes before
/// this has returned. Since 0.1.
///
/// # Safety
///
/// `vt` is NULL or a vtable as long as it says, whose functions may be called with `ctx` from any thread until
/// `release`; `out` and `err` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_source_new(
    vt: *const pan123_source_vtable,
    ctx: usize,
    size: u64,
    out: *mut *mut pan123_source,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let host = unsafe { Host::new(vt, ctx) };
        // SAFETY: by the contract of this function.
        let out = unsafe { handle::object_place(out) }?;
        *out = handle::give(Given::Host { host: Arc::new(host?), size });
        Ok(())
    })
}

/// Makes a source from a file on disk. Opens it; links are followed. It stays open as long as the source lives, but of
/// many files no more than 128 do: the others are opened again by their path when they are read, and have to be the same
/// ones then. `path` is the bytes that the system knows the file by; on Windows it is UTF-8.
///
/// Returns `PAN123_OK`; `PAN123_E_SOURCE_IO` if there is no such file, if it is no regular file (a directory, a pipe, a
/// device) or may not be read; `PAN123_E_INVALID_ARGUMENT`.
///
/// Ownership: `*out` is yours; free it with `pan123_source_free`. Thread: any. Blocking: as long as the file system
/// takes to open a file. Since 0.1.
///
/// # Safety
///
/// `path` is NULL or readable for `len` bytes, or up to its NUL if `len` is `PAN123_NUL`; `out` and `err` are NULL or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_source_from_path(
    path: *const c_char,
    len: size_t,
    out: *mut *mut pan123_source,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        // SAFETY: by the contract of this function.
        let out = unsafe { handle::object_place(out) }?;
        // SAFETY: by the contract of this function.
        let path = unsafe { text::path(path, len) }?;
        *out = handle::give(Given::Ready(Source::file(path)?));
        Ok(())
    })
}

/// Makes a source from bytes in memory, which are not copied: they must stay as they are until `release`.
///
/// `release` \[any thread\] is called with `ctx` once nobody reads the bytes any more; NULL if you do not need to know,
/// because the bytes live longer than the source and everything that was given it.
///
/// Returns `PAN123_OK`; `PAN123_E_INVALID_ARGUMENT` if `out` is NULL, or `data` is NULL and `len` is not 0.
///
/// Ownership: takes `ctx` over, also when it fails. `*out` is yours; free it with `pan123_source_free`. Thread: any.
/// Blocking: no. Since 0.1.
///
/// # Safety
///
/// `data` is NULL or readable for `len` bytes until `release` is called; `out` and `err` are NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_source_from_memory(
    data: *const u8,
    len: size_t,
    release: Option<unsafe extern "C" fn(ctx: usize)>,
    ctx: usize,
    out: *mut *mut pan123_source,
    err: *mut *mut pan123_error,
) -> pan123_status {
    /// The host's bytes, until nobody needs them.
    struct Lent {
        data: &'static [u8],
        release: Option<unsafe extern "C" fn(ctx: usize)>,
        ctx: usize,
    }
    impl AsRef<[u8]> for Lent {
        fn as_ref(&self) -> &[u8] {
            self.data
        }
    }
    impl Drop for Lent {
        fn drop(&mut self) {
            if let Some(release) = self.release {
                // SAFETY: the host gave it for exactly this.
                calling_out(|| unsafe { release(self.ctx) });
            }
        }
    }
    guard(err, || {
        // The lifetime is the host's promise: the bytes stay until `release`, and `Lent` calls it last of all.
        // Made first, so that the context is let go of whatever fails.
        let mut lent = Lent { data: &[], release, ctx };
        // SAFETY: by the contract of this function.
        let out = unsafe { handle::object_place(out) }?;
        // SAFETY: by the contract of this function.
        lent.data = unsafe { text::bytes(data, len, "data") }?;
        *out = handle::give(Given::Ready(Source::bytes(Bytes::from_owner(lent))));
        Ok(())
    })
}

/// Drops your reference to a source. NULL is fine.
///
/// Thread: any. Blocking: no. Since 0.1.
///
/// # Safety
///
/// `s` is NULL or a live source, which is gone afterwards as far as the caller is concerned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_source_free(s: *mut pan123_source) {
    // SAFETY: by the contract of this function.
    quiet((), || unsafe { handle::free(s) });
}

/// The sources of an array, for a call that waits.
///
/// # Safety
///
/// `sources` is NULL or an array of `n` pointers, each NULL or a live source.
pub(crate) unsafe fn several(
    sources: *const *mut pan123_source,
    n: size_t,
    function: &str,
) -> Result<Vec<Held<pan123_source>>, Fault> {
    may_wait(function)?;
    if n == 0 {
        return Ok(Vec::new());
    }
    if sources.is_null() || n > isize::MAX as usize / size_of::<usize>() {
        return Err(invalid(format!("the array of {n} sources is NULL or too long")));
    }
    // SAFETY: by the contract.
    let sources = unsafe { std::slice::from_raw_parts(sources, n) };
    // SAFETY: by the contract.
    sources.iter().map(|source| unsafe { handle::look(source.cast_const()) }).collect()
}
