//! Vtables: what the host brings, as plain functions that may block.

use std::{
    ffi::{CStr, c_void},
    mem::{MaybeUninit, offset_of},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc::Sender},
    time::{Duration, Instant},
};

use crate::{
    error::{self, ErrorRecord, pan123_error},
    guard::{Fault, calling_out, fault, invalid},
    numbers::{
        PAN123_E_ABI, PAN123_E_CALLBACK, PAN123_E_SOURCE_STALLED, PAN123_E_UNKNOWN_NUMBER, PAN123_OK,
        PAN123_VT_SERIAL, is_error, pan123_status, pan123_status_name,
    },
};

/// Head of every vtable.
///
/// A vtable is read once, when it is given to the library, and may go away afterwards. It may be shorter or longer
/// than the library's idea of it: `struct_size` says how long it is, members beyond it count as NULL, and NULL
/// members are not offered. A size that ends inside a member is `PAN123_E_ABI`. No callback may unwind
/// (C++ exception, `longjmp`, panic) out of itself, nor end its thread (`pthread_exit`).
///
/// A callback that fails returns a code that is not `PAN123_OK`, and may put an error made with `pan123_error_new`
/// into `*err`, which the library then owns. What a callback is lent ends when it returns.
///
/// What the call or upload that needed it then fails with, in the callback's own words:
///
/// - `read_at`, `identity`: the same code, at once. 4 to 6, 8, 20 to 22 and numbers that are no code count as
///   `PAN123_E_SOURCE_IO`.
/// - `send`: `PAN123_E_NETWORK`, `PAN123_E_NET_TIMEOUT`, `PAN123_E_TIMEOUT`, `PAN123_E_TLS`, `PAN123_E_PROTOCOL` and the
///   codes of sources mean what they mean when the library's own transport fails, and an upload tries again as then.
///   Any other code: the same code, at once. 4 to 6, 20 to 22 and numbers that are no code count as `PAN123_E_CALLBACK`.
/// - `get`: as `send`, with `PAN123_E_LOGIN`, `PAN123_E_SERVER` and `PAN123_E_RATE_LIMITED` for codes with a meaning.
/// - `load`: `PAN123_E_STORE`, at once. `save`, `remove`: nothing fails, see the store.
///
/// A callback may block for long, but not for ever. Its time runs from when it is called, not while it waits for its turn
/// because of `PAN123_VT_SERIAL`. When it is over, whoever waited goes on without it; its thread stays with it until it
/// returns, and what it then says is lost. One that never returns fails those that wait for a turn behind it, too.
///
/// - `read_at`, `identity`: `PAN123_OPT_SOURCE_TIMEOUT_MS`, in `pan123_hash` 30 s; then `PAN123_E_SOURCE_STALLED`.
/// - `get`: 30 s; then as `PAN123_E_NET_TIMEOUT`.
/// - `load`, `save`, `remove`: 30 s; then as if it had failed. The end of an upload waits for `remove` for 2 s at most.
/// - `send`: `PAN123_F_TIMEOUT_MS` of its exchange without a sign of life, which are bytes of the body that it reads and an
///   answer; while it forwards, the transport below minds the time. Then as `PAN123_E_NET_TIMEOUT`.
/// - `on_event`, `interrupt`, `release`: none; whoever waits for them is `pan123_client_shutdown`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pan123_vtable {
    /// `sizeof` the whole vtable, for example `sizeof(pan123_source_vtable)`.
    pub struct_size: u32,
    /// 0 or `PAN123_VT_SERIAL`.
    pub flags: u32,
    /// \[any thread\] Called exactly once, after every other call on `ctx` has returned, also when the function that
    /// was given the vtable fails. Must not block. May be NULL.
    pub release: Option<unsafe extern "C" fn(ctx: usize)>,
    /// \[any thread\] For abilities that later versions may ask for by name, `"name/1"`. May be NULL; return NULL for
    /// a name that is not known.
    pub extension: Option<unsafe extern "C" fn(ctx: usize, id: *const libc::c_char) -> *const c_void>,
}

/// A vtable type: starts with [`pan123_vtable`], is plain data, and is valid when all zero.
///
/// # Safety
///
/// The type is `repr(C)`, starts with a `pan123_vtable`, and consists of `Option`s of functions behind it.
pub(crate) unsafe trait Vtable: Copy + Send + Sync + 'static {
    /// The type's name in C.
    const NAME: &'static str;

    fn head(&self) -> &pan123_vtable;

    /// The name of a member that is missing and must not be.
    fn lacks(&self) -> Option<&'static str>;
}

/// The longest vtable that is believed to be one.
const SIZE_MAX: usize = 1 << 16;

/// A record whose first member is its size, as somebody of another version gives it: shorter ones are filled up with
/// zeros, longer ones cut, and half a member counts as none. Says how long it claims to be as well.
///
/// # Safety
///
/// `T` is `repr(C)` plain data that is valid when all zero, and starts with its size as `u32`; its members from `least` on
/// are as large as its alignment. `given` is NULL or readable for as many bytes as its size says.
pub(crate) unsafe fn read_sized<T: Copy>(
    given: *const T,
    least: usize,
    name: &str,
) -> Result<(T, usize), Fault> {
    if given.is_null() {
        return Err(invalid(format!("the {name} is NULL")));
    }
    // SAFETY: it starts with its size, by the contract.
    let size = unsafe { given.cast::<u32>().read() } as usize;
    if size < least || size > SIZE_MAX {
        return Err(wrong_size::<T>(name, size));
    }
    let whole = size - size % align_of::<T>();
    let mut ours = MaybeUninit::<T>::zeroed();
    // SAFETY: readable for `size` bytes, by the contract, and `ours` has room for as many as are copied.
    unsafe {
        given.cast::<u8>().copy_to_nonoverlapping(ours.as_mut_ptr().cast(), whole.min(size_of::<T>()));
    }
    // SAFETY: all zero is valid, and so is what the host put over it, by the contract.
    Ok((unsafe { ours.assume_init() }, size))
}

fn wrong_size<T>(name: &str, size: usize) -> Fault {
    let message =
        format!("{name}.struct_size is {size}; it must be sizeof({name}), which is {}", size_of::<T>());
    fault(PAN123_E_ABI, message)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The turns of calls that must not overlap.
#[derive(Default)]
struct Turns {
    lock: Mutex<()>,
    /// Since when one of them has been at it.
    since: Mutex<Option<Instant>>,
    /// Since when nobody has waited for that one any more.
    given_up: Mutex<Option<Instant>>,
}

/// When a call began, for whoever waits for it: its time runs from there, and not while it waits for its turn.
#[derive(Clone)]
pub(crate) struct Clock {
    asked: Instant,
    began: Arc<OnceLock<Instant>>,
    turns: Option<Arc<Turns>>,
}

impl Clock {
    /// When to look again whether `limit` is over, or why there is nothing more to wait for.
    pub(crate) fn look_again(&self, limit: Duration) -> Result<Option<Instant>, Fault> {
        let now = Instant::now();
        let began = self.began.get().copied();
        let since = match (began, &self.turns) {
            (Some(began), _) => began,
            // Between two turns there is nobody whose time could be over.
            (None, Some(turns)) => lock(&turns.since).unwrap_or(now),
            (None, None) => self.asked,
        };
        match since.checked_add(limit) {
            Some(end) if end <= now => Err(self.stalled(limit)),
            end => Ok(end),
        }
    }

    fn stalled(&self, limit: Duration) -> Fault {
        let millis = limit.as_millis();
        let message = if self.began.get().is_some() {
            format!("a callback did not return within {millis} ms")
        } else if self.turns.is_some() {
            format!(
                "waited for its turn (PAN123_VT_SERIAL) behind a callback that did not return within {millis} ms"
            )
        } else {
            format!("no thread was free to call a callback on for {millis} ms")
        };
        fault(PAN123_E_SOURCE_STALLED, message)
    }

    fn has_begun(&self) -> bool {
        self.began.get().is_some()
    }

    pub(crate) fn waits_for_turn(&self) -> bool {
        self.turns.is_some() && !self.has_begun()
    }

    /// Nobody waits for this call any more.
    pub(crate) fn give_up(&self) {
        if let Some(turns) = self.turns.as_ref().filter(|_| self.has_begun()) {
            *lock(&turns.given_up) = Some(Instant::now());
        }
    }

    /// Whether this call has its turn behind one that was given up this long ago and has not returned.
    pub(crate) fn is_stuck(&self, patience: Duration) -> bool {
        let behind = self.turns.as_ref().filter(|_| !self.has_begun());
        behind.and_then(|turns| *lock(&turns.given_up)).is_some_and(|since| since.elapsed() > patience)
    }
}

/// Host code with its context. Dropping it lets go of the context.
pub(crate) struct Host<V: Vtable> {
    vtable: V,
    ctx: usize,
    serial: Option<Arc<Turns>>,
    /// Hung up, as all members are, after the context was let go of.
    _released: Option<Sender<()>>,
}

impl<V: Vtable> Host<V> {
    /// Takes a vtable and its context over, also if it fails: then the context is released.
    ///
    /// # Safety
    ///
    /// `vtable` is NULL or readable for as many bytes as its `struct_size` says.
    pub(crate) unsafe fn new(vtable: *const V, ctx: usize) -> Result<Self, Fault> {
        // SAFETY: `Vtable` promises the shape, the caller the bytes.
        let read = unsafe { read_sized(vtable, size_of::<pan123_vtable>(), V::NAME) };
        let (copy, size) = read.inspect_err(|_| {
            // SAFETY: as above, and a vtable starts with its head.
            unsafe { release_only(vtable.cast(), ctx) }
        })?;
        // From here on the context is let go of by `drop`.
        let serial = (copy.head().flags & PAN123_VT_SERIAL != 0).then(Arc::default);
        let host = Self { vtable: copy, ctx, serial, _released: None };
        if !size.is_multiple_of(align_of::<V>()) {
            return Err(wrong_size::<V>(V::NAME, size));
        }
        let unknown = copy.head().flags & !PAN123_VT_SERIAL;
        if unknown != 0 {
            let message = format!("{}.flags has bits that are not known: {unknown:#x}", V::NAME);
            return Err(fault(PAN123_E_UNKNOWN_NUMBER, message));
        }
        if let Some(member) = copy.lacks() {
            return Err(invalid(format!("{}.{member} is NULL", V::NAME)));
        }
        Ok(host)
    }

    /// Hangs up on the other end once the context was let go of.
    pub(crate) fn tell_released(mut self, sender: Sender<()>) -> Self {
        self._released = Some(sender);
        self
    }

    pub(crate) fn vtable(&self) -> &V {
        &self.vtable
    }

    /// For one call to come.
    pub(crate) fn clock(&self) -> Clock {
        Clock { asked: Instant::now(), began: Arc::default(), turns: self.serial.clone() }
    }

    /// Calls a member, alone if the host wants it so, and takes over the error it leaves.
    pub(crate) fn call(
        &self,
        clock: &Clock,
        what: &str,
        member: impl FnOnce(&V, usize, *mut *mut pan123_error) -> pan123_status,
    ) -> Result<(), Fault> {
        let turns = self.serial.as_ref();
        let _alone = turns.map(|turns| lock(&turns.lock));
        let begun = Instant::now();
        let _ = clock.began.set(begun);
        let tell = |since| {
            if let Some(turns) = turns {
                *lock(&turns.since) = since;
                *lock(&turns.given_up) = None;
            }
        };
        tell(Some(begun));
        let mut error = std::ptr::null_mut();
        let code = calling_out(|| member(&self.vtable, self.ctx, &raw mut error));
        tell(None);
        // SAFETY: the callback gives away what it left there.
        let record = unsafe { error::take(error) };
        match (code, record) {
            (PAN123_OK, _) => Ok(()),
            (code, Some(record)) => Err(Box::new(record.with_code(code))),
            (code, None) => {
                Err(Box::new(ErrorRecord::new(code, format!("{what} failed with {}", code_name(code)))))
            }
        }
    }

    /// Calls a member that cannot fail and does not wait for its turn.
    pub(crate) fn tell(&self, member: impl FnOnce(&V, usize)) {
        calling_out(|| member(&self.vtable, self.ctx));
    }
}

impl<V: Vtable> Drop for Host<V> {
    fn drop(&mut self) {
        if let Some(release) = self.vtable.head().release {
            // SAFETY: the host gave it for exactly this, and nothing else is called on the context any more.
            calling_out(|| unsafe { release(self.ctx) });
        }
    }
}

/// Lets go of the context of a vtable that is too short to be one, if it has a place for how.
///
/// # Safety
///
/// `head` is NULL or readable for as many bytes as its size says.
unsafe fn release_only(head: *const pan123_vtable, ctx: usize) {
    let least = offset_of!(pan123_vtable, extension);
    // SAFETY: by the contract.
    if let Ok((head, _)) = unsafe { read_sized(head, least, "") }
        && let Some(release) = head.release
    {
        // SAFETY: the host gave it for exactly this, and nothing else is called on the context.
        calling_out(|| unsafe { release(ctx) });
    }
}

/// A code in words.
fn code_name(code: pan123_status) -> String {
    if !is_error(code) {
        return format!("{code}, which is no code of the library's");
    }
    // SAFETY: a text of the library's, with a NUL at its end, which lives for ever.
    let name = unsafe { CStr::from_ptr(pan123_status_name(code)) };
    name.to_string_lossy().into_owned()
}

/// The answer of a callback that makes no sense.
pub(crate) fn nonsense(message: impl Into<String>) -> Fault {
    fault(PAN123_E_CALLBACK, message)
}
