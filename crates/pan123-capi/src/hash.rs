//! Digests of sources, without a client.

use std::{
    io,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use libc::size_t;
use pan123_hash::{Digests, ErrorKind, Input, Options, hex};
use pan123_upload::{Source, SourceRead, proto::SLICE_SIZE_ASSUMED, transport::ReadAt};
use tokio::sync::oneshot;

use crate::{
    calls::Calls,
    error::pan123_error,
    fields::Fields,
    guard::{Fault, fault, guard, invalid},
    handle,
    numbers::*,
    result::pan123_result,
    source::{Given, Reading, pan123_source, several},
    stop::pan123_stop,
    wait::{self, Cancel},
};

/// Computes the etag (MD5 of the whole) and the MD5 of each slice of `n` sources, reading each byte once. With
/// `PAN123_HASH_SHA1` in `flags`, SHA-1 as well.
///
/// `slice_size` is what `pan123_api_create` answered; 0 means 16 MiB, which is what the service has always answered.
/// `out` has `n` places. They get results with `PAN123_F_ETAG`, `PAN123_F_SLICE_MD5`, `PAN123_F_SLICE_COUNT`,
/// `PAN123_F_SLICE_SIZE`, `PAN123_F_SIZE` and perhaps `PAN123_F_SHA1`; where a source fails, NULL.
///
/// Returns `PAN123_OK`; the code of the first source that failed, and its error in `*err`: `PAN123_E_SOURCE_IO`,
/// `PAN123_E_SOURCE_CHANGED`, `PAN123_E_SOURCE_STALLED` for a callback that takes more than 30 s; `PAN123_E_CANCELLED`
/// when `stop` is fired, and the places that were not reached are NULL; `PAN123_E_UNKNOWN_NUMBER` for unknown flags;
/// `PAN123_E_WOULD_DEADLOCK` in a callback; `PAN123_E_INVALID_ARGUMENT`.
///
/// Ownership: the results are yours, also when it fails; free each with `pan123_result_free`. `stop` may be NULL.
/// Thread: any. Blocking: as long as reading and hashing take. Since 0.1.
///
/// ```c
/// pan123_result *digests = NULL;
/// if (pan123_hash(&source, 1, 0, 0, NULL, &digests, &err) == PAN123_OK)
///     puts(pan123_result_str(digests, PAN123_F_ETAG, 0, NULL));
/// pan123_result_free(digests);
/// ```
///
/// # Safety
///
/// `s` is NULL or an array of `n` pointers, each NULL or a live source; `out` is NULL or an array of `n` writable places;
/// `stop` is NULL or a live stop object; `err` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pan123_hash(
    s: *const *mut pan123_source,
    n: size_t,
    slice_size: u64,
    flags: u32,
    stop: *mut pan123_stop,
    out: *mut *mut pan123_result,
    err: *mut *mut pan123_error,
) -> pan123_status {
    guard(err, || {
        if out.is_null() && n > 0 {
            return Err(invalid("out is NULL, so there is no place for the results"));
        }
        if n > isize::MAX as usize / size_of::<usize>() {
            return Err(invalid(format!("n is {n}, more than there can be")));
        }
        for i in 0..n {
            // SAFETY: `out` has `n` places, by the contract of this function.
            unsafe { out.add(i).write(std::ptr::null_mut()) };
        }
        if flags & !PAN123_HASH_SHA1 != 0 {
            return Err(fault(
                PAN123_E_UNKNOWN_NUMBER,
                format!("flags has bits that are not known: {flags:#x}"),
            ));
        }
        // SAFETY: by the contract of this function.
        let (sources, stop) =
            unsafe { (several(s, n, "pan123_hash")?, handle::look_if_any(stop.cast_const())?) };
        let slice_size = NonZeroU64::new(slice_size).or(NonZeroU64::new(SLICE_SIZE_ASSUMED));
        let slice_size = slice_size.unwrap_or(NonZeroU64::MIN);
        let mut first = None;
        for (i, source) in sources.into_iter().enumerate() {
            match hash(source, slice_size, flags & PAN123_HASH_SHA1 != 0, stop) {
                // SAFETY: as above.
                Ok(digests) => unsafe { out.add(i).write(handle::give(fields(&digests))) },
                Err(fault) if fault.code == PAN123_E_CANCELLED => return Err(fault),
                Err(fault) => first = first.or(Some(fault)),
            }
        }
        first.map_or(Ok(()), Err)
    })
}

/// How long one callback may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Hashes on a thread of its own, so that a read that hangs does not hold the caller when he wants to stop.
fn hash(given: &Given, slice_size: NonZeroU64, sha1: bool, stop: Option<&Cancel>) -> Result<Digests, Fault> {
    let stopped = || fault(PAN123_E_CANCELLED, "hashing was stopped, as asked");
    if stop.is_some_and(Cancel::is_fired) {
        return Err(stopped());
    }
    let reading = Reading {
        calls: Calls::new(),
        cancel: Cancel::new(),
        limit: LIMIT,
        stalled: Cancel::new(),
        resume_key: None,
    };
    let source = given.open(&reading);
    let cancelled = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = oneshot::channel();
    let flag = cancelled.clone();
    let thread = std::thread::Builder::new().name("pan123-hash".into()).spawn(move || {
        let options = Options::new(slice_size).sha1(sha1).cancel(&flag);
        let result = pan123_hash::hash_input(&SourceInput(&source), &options);
        let _ = sender
            .send(result.map_err(|error| (error.kind(), format!("hash {}: {error}", source.describe()))));
    });
    let thread =
        thread.map_err(|error| fault(PAN123_E_INTERNAL, format!("no thread to hash on: {error}")))?;
    let fired = async {
        match stop {
            Some(stop) => stop.fired().await,
            None => std::future::pending().await,
        }
    };
    let answer = wait::until(None, wait::unless(fired, receiver)).flatten();
    cancelled.store(true, Ordering::Relaxed);
    reading.cancel.fire();
    // With its reads let go of, it is at its end.
    let panicked = thread.join().is_err();
    // Idle threads are ended before this returns; one that hangs in a callback is not waited for.
    reading.calls.close(Some(std::time::Instant::now()));
    match answer {
        None => Err(stopped()),
        Some(Ok(Ok(digests))) => Ok(digests),
        Some(Ok(Err((kind, message)))) => Err(fault(code_of(kind, &reading), message)),
        Some(Err(_)) if panicked => Err(fault(PAN123_E_PANIC, "a panic inside the library, while hashing")),
        Some(Err(_)) => Err(fault(PAN123_E_INTERNAL, "the hashing thread ended without an answer")),
    }
}

fn code_of(kind: ErrorKind, reading: &Reading) -> pan123_status {
    match kind {
        _ if reading.stalled.is_fired() => PAN123_E_SOURCE_STALLED,
        ErrorKind::Shrunk | ErrorKind::Grown | ErrorKind::Changed => PAN123_E_SOURCE_CHANGED,
        ErrorKind::Cancelled => PAN123_E_CANCELLED,
        ErrorKind::Kernel => PAN123_E_NOT_SUPPORTED,
        _ => PAN123_E_SOURCE_IO,
    }
}

fn fields(digests: &Digests) -> Fields {
    Fields::default()
        .text(PAN123_F_ETAG, hex(&digests.etag))
        .text_if(PAN123_F_SHA1, digests.sha1.map(|sha1| hex(&sha1)))
        .list(PAN123_F_SLICE_MD5, digests.slices.iter().map(|md5| hex(md5)))
        .size(PAN123_F_SIZE, digests.size)
        .size(PAN123_F_SLICE_SIZE, digests.slice_size.get())
        .size(PAN123_F_SLICE_COUNT, digests.slices.len() as u64)
        .with_json()
}

/// A source as the hashing crate wants it.
struct SourceInput<'a>(&'a Source);

impl Input for SourceInput<'_> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.identity()?.size)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        ReadAt::read_at(self.0, offset, buf)
    }

    fn version(&self) -> io::Result<u128> {
        let identity = self.0.identity()?;
        Ok(u128::from(identity.mtime_ns as u64) << 64 | u128::from(identity.inode))
    }
}
