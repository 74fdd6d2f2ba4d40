//! Digests of sources, without a client.

use std::{
    io,
    num::NonZeroU64,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use libc::size_t;
use pan123_hash::{Digests, ErrorKind, Options, hex};
use pan123_upload::{
    Source, SourceRead,
    proto::{SLICE_SIZE_ASSUMED, SLICES_MAX, SlicePlan},
    transport::ReadAt,
};
use tokio::sync::oneshot;

use crate::{
    calls::Calls,
    error::pan123_error,
    fields::Fields,
    guard::{Fault, fault, guard, invalid},
    handle::{self, Held},
    numbers::*,
    result::pan123_result,
    signals,
    source::{Failed, Given, Reading, pan123_source, several},
    stop::pan123_stop,
    wait::{self, Cancel},
};

/// Computes the etag (MD5 of the whole) and the MD5 of each slice of `n` sources, reading each byte once. With
/// `PAN123_HASH_SHA1` in `flags`, SHA-1 as well.
///
/// `slice_size` is what `pan123_api_create` answered; 0 means 16 MiB, which is what the service has always answered. A
/// source may have at most 1048576 slices, as in an upload.
/// `out` has `n` places. They get results with `PAN123_F_ETAG`, `PAN123_F_SLICE_MD5`, `PAN123_F_SLICE_COUNT`,
/// `PAN123_F_SLICE_SIZE`, `PAN123_F_SIZE` and perhaps `PAN123_F_SHA1`; where a source fails, NULL.
///
/// Many files and pieces of memory of up to 1 MiB are best given in one call: they are hashed side by side on the CPU's
/// vectors. Larger ones, and sources of your own, come one after the other.
///
/// Returns `PAN123_OK`; the code of the first source that failed, and its error in `*err`: `PAN123_E_SOURCE_IO`,
/// `PAN123_E_SOURCE_CHANGED`, the code of a callback that failed, `PAN123_E_SOURCE_STALLED` for one that takes more than
/// 30 s; `PAN123_E_CANCELLED`
/// when `stop` is fired, and the places that were not reached are NULL; `PAN123_E_UNKNOWN_NUMBER` for unknown flags;
/// `PAN123_E_INTERNAL` when the system gives no thread for a callback; `PAN123_E_WOULD_DEADLOCK` in a callback;
/// `PAN123_E_INVALID_ARGUMENT`, also for a `slice_size` that makes too many
/// slices: nothing is hashed then.
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
        for source in &sources {
            if SlicePlan::new(source.size(), slice_size).is_none() {
                let size = source.size();
                return Err(invalid(format!(
                    "slice_size is {slice_size}, which cuts {size} bytes into more than {SLICES_MAX} slices"
                )));
            }
        }
        let wanted = Wanted { slice_size, sha1: flags & PAN123_HASH_SHA1 != 0 };
        let (results, ended) = hash(&sources, wanted, stop.as_deref());
        let mut first = None;
        for (i, result) in results.into_iter().enumerate() {
            match result {
                // SAFETY: as above.
                Some(Ok(digests)) => unsafe { out.add(i).write(handle::give(fields(&digests))) },
                Some(Err(fault)) => first = first.or(Some(fault)),
                None => {}
            }
        }
        ended?;
        first.map_or(Ok(()), Err)
    })
}

/// How long one callback may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Files and pieces of memory up to this size are hashed together, on the lanes of the CPU's vectors.
const SMALL: u64 = 1 << 20;

/// Up to so many bytes of so many sources are hashed on the thread of the caller: less than a tenth of a millisecond of
/// hashing.
const QUICK: u64 = 64 << 10;
const QUICK_COUNT: usize = 16;

/// How many bytes are hashed together. Bounds the memory for the contents of files.
const TOGETHER: usize = 8 << 20;

/// What to compute.
#[derive(Clone, Copy)]
struct Wanted {
    slice_size: NonZeroU64,
    sha1: bool,
}

/// What became of each source; `None`: it was not reached.
type Results = Vec<Option<Result<Digests, Fault>>>;

/// Hashes, and says how far it came, and why not to the end.
fn hash(
    given: &[Held<pan123_source>],
    wanted: Wanted,
    stop: Option<&Cancel>,
) -> (Results, Result<(), Fault>) {
    let stopped = || Err(fault(PAN123_E_CANCELLED, "hashing was stopped, as asked"));
    let nothing = || given.iter().map(|_| None).collect::<Results>();
    if stop.is_some_and(Cancel::is_fired) {
        return (nothing(), stopped());
    }
    let (calls, cancel) = (Calls::new(), Cancel::new());
    let reading = || Reading {
        calls: calls.clone(),
        cancel: cancel.clone(),
        limit: LIMIT,
        failed: Failed::default(),
        resume_key: None,
    };
    let sources: Vec<ToHash> = given.iter().map(|given| ToHash::new(given, reading())).collect();
    if is_quick(&sources, stop.is_some()) {
        let mut results = nothing();
        let options = Options::new(wanted.slice_size).sha1(wanted.sha1);
        hash_each(&sources, &options, |i, result| results[i] = Some(result));
        return (results, Ok(()));
    }
    let cancelled = Arc::new(AtomicBool::new(false));
    let results = Arc::new(Mutex::new(nothing()));
    // On a thread of its own, so that a read that hangs does not hold the caller when he wants to stop.
    let (done, ended) = oneshot::channel();
    let (flag, places) = (cancelled.clone(), results.clone());
    let signals = signals::blocked();
    let thread = std::thread::Builder::new().name("pan123-hash".into()).spawn(move || {
        let options = Options::new(wanted.slice_size).sha1(wanted.sha1).cancel(&flag);
        hash_each(&sources, &options, |i, result| lock(&places)[i] = Some(result));
        let _ = done.send(());
    });
    drop(signals);
    let thread = match thread {
        Ok(thread) => thread,
        Err(error) => {
            return (nothing(), Err(fault(PAN123_E_INTERNAL, format!("no thread to hash on: {error}"))));
        }
    };
    let fired = async {
        match stop {
            Some(stop) => stop.fired().await,
            None => std::future::pending().await,
        }
    };
    let answer = wait::until(None, wait::unless(fired, ended)).flatten();
    cancelled.store(true, Ordering::Relaxed);
    cancel.fire();
    // With its reads let go of, it is at its end.
    let panicked = thread.join().is_err();
    // Idle threads are ended before this returns; one that hangs in a callback is not waited for.
    calls.close(Some(std::time::Instant::now()));
    let results = std::mem::take(&mut *lock(&results));
    match answer {
        Some(Ok(())) => (results, Ok(())),
        None => (results, stopped()),
        Some(Err(_)) if panicked => {
            (results, Err(fault(PAN123_E_PANIC, "a panic inside the library, while hashing")))
        }
        Some(Err(_)) => {
            (results, Err(fault(PAN123_E_INTERNAL, "the hashing thread ended without an answer")))
        }
    }
}

/// Whether hashing takes less time than a thread for it would, and nobody has to be let go of meanwhile.
fn is_quick(sources: &[ToHash], can_be_stopped: bool) -> bool {
    let may_hang = |one: &ToHash| one.is_host || can_be_stopped && one.source.as_bytes().is_none();
    let size = sources.iter().fold(0_u64, |sum, one| sum.saturating_add(one.source.size()));
    size <= QUICK && sources.len() <= QUICK_COUNT && !sources.iter().any(may_hang)
}

/// A source, and what is known of it.
struct ToHash {
    source: Source,
    is_host: bool,
    failed: Failed,
}

impl ToHash {
    fn new(given: &Given, reading: Reading) -> Self {
        let is_host = matches!(given, Given::Host { .. });
        Self { source: given.open(&reading), is_host, failed: reading.failed }
    }

    /// The whole of a small file or piece of memory. `None` for what is hashed alone: what is large, what host code
    /// reads, and what cannot be read as it should, so that it says why.
    fn content(&self) -> Option<Bytes> {
        let size = self.source.size();
        if self.is_host || size > SMALL {
            return None;
        }
        if let Some(bytes) = self.source.as_bytes() {
            return Some(bytes.clone());
        }
        let before = self.source.identity().ok()?;
        let mut content = vec![0; usize::try_from(size).ok()?];
        ReadAt::read_at(&self.source, 0, &mut content).ok()?;
        let is_same = before.size == size && self.source.identity().ok()? == before;
        is_same.then(|| content.into())
    }

    fn fault(&self, error: &pan123_hash::Error) -> Fault {
        let code = match error.kind() {
            ErrorKind::Cancelled => PAN123_E_CANCELLED,
            ErrorKind::Kernel => PAN123_E_NOT_SUPPORTED,
            kind => self.failed.code().unwrap_or(match kind {
                ErrorKind::Shrunk | ErrorKind::Grown | ErrorKind::Changed => PAN123_E_SOURCE_CHANGED,
                // It was longer when it was opened.
                _ if ends_early(error) => PAN123_E_SOURCE_CHANGED,
                _ => PAN123_E_SOURCE_IO,
            }),
        };
        fault(code, format!("hash {}: {error}", self.source.describe()))
    }
}

fn ends_early(error: &pan123_hash::Error) -> bool {
    error.io_error().is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
}

/// Hashes small sources together and the others one by one. Ends early when it is cancelled.
fn hash_each(sources: &[ToHash], options: &Options, mut put: impl FnMut(usize, Result<Digests, Fault>)) {
    let mut together: Vec<(usize, Bytes)> = Vec::new();
    let mut bytes = 0;
    let flush = |together: Vec<(usize, Bytes)>, put: &mut dyn FnMut(usize, Result<Digests, Fault>)| {
        let contents: Vec<&Bytes> = together.iter().map(|(_, content)| content).collect();
        match pan123_hash::hash_buffers(&contents, options) {
            Ok(all) => together.iter().zip(all).for_each(|((i, _), digests)| put(*i, Ok(digests))),
            Err(error) if error.kind() == ErrorKind::Cancelled => {}
            Err(error) => together.iter().for_each(|(i, _)| put(*i, Err(sources[*i].fault(&error)))),
        }
    };
    for (i, source) in sources.iter().enumerate() {
        // One by itself has nothing to share lanes with.
        let small = if sources.len() > 1 { source.content() } else { None };
        if let Some(content) = small {
            bytes += content.len();
            together.push((i, content));
            if bytes >= TOGETHER {
                flush(std::mem::take(&mut together), &mut put);
                bytes = 0;
            }
            continue;
        }
        match pan123_hash::hash_input(&source.source, options) {
            Ok(digests) => put(i, Ok(digests)),
            Err(error) if error.kind() == ErrorKind::Cancelled => return,
            Err(error) => put(i, Err(source.fault(&error))),
        }
    }
    flush(together, &mut put);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
