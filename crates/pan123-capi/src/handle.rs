//! Objects as the host sees them: a pointer to something it cannot look into.
//!
//! In C each type is incomplete. In Rust it is a marker without fields, because a debugger's view of private fields
//! would make every private change look like a break of the interface. The real thing is a [`Handle`], counted.

use std::{ops::Deref, sync::Arc};

use crate::{
    fork::{self, Process},
    guard::{Fault, fault, invalid},
    numbers::PAN123_E_FORKED,
};

/// A marker type, and what is behind pointers to it.
pub(crate) trait Object {
    /// What is behind the pointer.
    type Inside: Send + Sync + 'static;
    /// The type's name in C.
    const NAME: &'static str;
}

/// What a pointer points to.
pub(crate) struct Handle<T> {
    /// The process that made it.
    process: Process,
    inside: T,
}

/// Hands a new object to the host, with one reference.
pub(crate) fn give<O: Object>(inside: O::Inside) -> *mut O {
    Arc::into_raw(Arc::new(Handle { process: fork::process(), inside })).cast_mut().cast()
}

/// An object that is in use: it holds a reference of its own, so that the host may free its own meanwhile.
pub(crate) struct Held<O: Object>(Arc<Handle<O::Inside>>);

impl<O: Object> Deref for Held<O> {
    type Target = O::Inside;

    fn deref(&self) -> &O::Inside {
        &self.0.inside
    }
}

/// Checks that an object can be used in this process.
///
/// # Safety
///
/// As [`look`].
unsafe fn check<O: Object>(object: *const O) -> Result<(), Fault> {
    if object.is_null() {
        return Err(invalid(format!("the {} is NULL", O::NAME)));
    }
    // SAFETY: it is a live `Handle` of this type, by the contract.
    let made_by = unsafe { (*object.cast::<Handle<O::Inside>>()).process };
    refuse_fork(made_by, O::NAME)
}

/// Refuses what belongs to a process that this one was forked off.
pub(crate) fn refuse_fork(made_by: Process, name: &str) -> Result<(), Fault> {
    if made_by == fork::process() {
        return Ok(());
    }
    let pid = made_by.pid;
    let message =
        format!("this {name} was made by process {pid}, before a fork; make a new one in this process");
    Err(fault(PAN123_E_FORKED, message))
}

/// Takes hold of an object.
///
/// # Safety
///
/// `object` is NULL or came from [`give`] of the same type and has not been freed when this is called.
pub(crate) unsafe fn look<O: Object>(object: *const O) -> Result<Held<O>, Fault> {
    // SAFETY: handed on.
    unsafe { check(object) }?;
    let object = object.cast::<Handle<O::Inside>>();
    // SAFETY: it came from `Arc::into_raw` in `give`, and is alive. The count that is added is the one that is taken.
    Ok(Held(unsafe {
        Arc::increment_strong_count(object);
        Arc::from_raw(object)
    }))
}

/// As [`look`], for a parameter that may be NULL.
///
/// # Safety
///
/// As [`look`].
pub(crate) unsafe fn look_if_any<O: Object>(object: *const O) -> Result<Option<Held<O>>, Fault> {
    if object.is_null() {
        return Ok(None);
    }
    // SAFETY: handed on.
    unsafe { look(object) }.map(Some)
}

/// Adds a reference, and returns the object; NULL when it cannot be used.
///
/// # Safety
///
/// As [`look`].
pub(crate) unsafe fn retain<O: Object>(object: *mut O) -> *mut O {
    // SAFETY: handed on.
    if unsafe { check(object) }.is_err() {
        return std::ptr::null_mut();
    }
    // SAFETY: it came from `Arc::into_raw` in `give`, and is alive.
    unsafe { Arc::increment_strong_count(object.cast::<Handle<O::Inside>>()) };
    object
}

/// Drops a reference. After a fork the object leaks: its threads and locks exist in the other process only.
///
/// # Safety
///
/// As [`look`]; the caller's reference is gone afterwards.
pub(crate) unsafe fn free<O: Object>(object: *mut O) {
    // SAFETY: handed on.
    if unsafe { check(object.cast_const()) }.is_ok() {
        // SAFETY: it came from `Arc::into_raw` in `give`, and the caller gives its reference away.
        drop(unsafe { Arc::from_raw(object.cast::<Handle<O::Inside>>()) });
    }
}

/// A place for something that comes out.
///
/// # Safety
///
/// `place` is NULL or writable.
pub(crate) unsafe fn place<'a, T>(place: *mut T, name: &str) -> Result<&'a mut T, Fault> {
    // SAFETY: by the contract.
    unsafe { place.as_mut() }
        .ok_or_else(|| invalid(format!("{name} is NULL, so there is no place for the answer")))
}

/// A place for an object that comes out, which is NULL until the call has succeeded.
///
/// # Safety
///
/// As [`place`].
pub(crate) unsafe fn object_place<'a, O>(out: *mut *mut O) -> Result<&'a mut *mut O, Fault> {
    // SAFETY: handed on.
    let out = unsafe { place(out, "out") }?;
    *out = std::ptr::null_mut();
    Ok(out)
}
