//! Vtables: what the host brings, as plain functions that may block.

use std::{
    ffi::c_void,
    mem::MaybeUninit,
    sync::{Mutex, mpsc::Sender},
};

use crate::{
    error::{self, ErrorRecord, pan123_error},
    guard::{Fault, calling_out, fault, invalid},
    numbers::{
        PAN123_E_ABI, PAN123_E_CALLBACK, PAN123_E_UNKNOWN_NUMBER, PAN123_OK, PAN123_VT_SERIAL, pan123_status,
    },
};

/// Head of every vtable.
///
/// A vtable is read once, when it is given to the library, and may go away afterwards. It may be shorter or longer
/// than the library's idea of it: `struct_size` says how long it is, members beyond it count as NULL, and NULL
/// members are not offered. A size that ends inside a member is `PAN123_E_ABI`. No callback may unwind (C++ exception, `longjmp`, panic) out of itself.
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

/// Host code with its context. Dropping it lets go of the context.
pub(crate) struct Host<V: Vtable> {
    vtable: V,
    ctx: usize,
    serial: Option<Mutex<()>>,
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
        let (copy, size) = unsafe { read_sized(vtable, size_of::<pan123_vtable>(), V::NAME) }?;
        // From here on the context is let go of by `drop`.
        let serial = (copy.head().flags & PAN123_VT_SERIAL != 0).then(Mutex::default);
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

    /// Calls a member, alone if the host wants it so, and takes over the error it leaves.
    pub(crate) fn call(
        &self,
        what: &str,
        member: impl FnOnce(&V, usize, *mut *mut pan123_error) -> pan123_status,
    ) -> Result<(), Fault> {
        let _alone =
            self.serial.as_ref().map(|lock| lock.lock().unwrap_or_else(|poison| poison.into_inner()));
        let mut error = std::ptr::null_mut();
        let code = calling_out(|| member(&self.vtable, self.ctx, &raw mut error));
        // SAFETY: the callback gives away what it left there.
        let record = unsafe { error::take(error) };
        // Codes are positive; what is not says no more than that it failed.
        let code = if code < 0 { PAN123_E_CALLBACK } else { code };
        match (code, record) {
            (PAN123_OK, _) => Ok(()),
            (code, Some(record)) => Err(Box::new(record.with_code(code))),
            (code, None) => Err(Box::new(ErrorRecord::new(code, format!("{what} failed with code {code}")))),
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

/// The answer of a callback that makes no sense.
pub(crate) fn nonsense(message: impl Into<String>) -> Fault {
    fault(PAN123_E_CALLBACK, message)
}
