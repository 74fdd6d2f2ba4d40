//! What is told of an upload under way.

use std::ffi::c_char;

use libc::size_t;

use crate::{
    guard::{Fault, fault, invalid},
    numbers::*,
    text::Text,
    vtable::{Vtable, pan123_vtable},
};

/// News of an upload. Which members mean something depends on `kind`; the others are 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pan123_event {
    /// `sizeof(pan123_event)` of the program.
    pub struct_size: u32,
    /// A `PAN123_EV_`. Kinds from 16 on end the upload; ignore kinds that you do not know.
    pub kind: u32,
    /// Given to `pan123_upload_new`.
    pub user: u64,
    /// Counts up per upload, from 1. A gap means that events were left out.
    pub seq: u64,
    /// Bytes that the connections have taken, or while digests are computed, bytes hashed.
    pub bytes_done: u64,
    /// Size in bytes.
    pub bytes_total: u64,
    /// See the kind.
    pub value: i64,
    /// Why, for `PAN123_EV_FAILED`; `PAN123_E_CANCELLED` and `PAN123_E_PAUSED` for those ends; else 0.
    pub code: pan123_status,
    /// `sliceNo`, from 1, or 0.
    pub slice_no: u32,
    /// UTF-8 with a NUL at its end, or NULL. Lives until the next `pan123_queue_next`, or until `on_event` returns.
    pub text: *const c_char,
    /// Length of `text` in bytes.
    pub text_len: size_t,
}

/// An observer of yours.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pan123_observer_vtable {
    /// The head.
    pub h: pan123_vtable,
    /// \[dispatch thread\] Takes an event. Return soon; the next one waits until then. Required.
    pub on_event: Option<unsafe extern "C" fn(ctx: usize, ev: *const pan123_event)>,
}

// SAFETY: `repr(C)`, head first, functions only.
unsafe impl Vtable for pan123_observer_vtable {
    const NAME: &'static str = "pan123_observer_vtable";

    fn head(&self) -> &pan123_vtable {
        &self.h
    }

    fn lacks(&self) -> Option<&'static str> {
        self.on_event.is_none().then_some("on_event")
    }
}

/// An event on its way.
#[derive(Clone, Default)]
pub(crate) struct Event {
    /// Tells uploads apart.
    pub(crate) upload: u64,
    pub(crate) kind: u32,
    pub(crate) user: u64,
    pub(crate) seq: u64,
    pub(crate) bytes_done: u64,
    pub(crate) bytes_total: u64,
    pub(crate) value: i64,
    pub(crate) code: pan123_status,
    pub(crate) slice_no: u32,
    pub(crate) text: Option<String>,
}

impl Event {
    pub(crate) fn is_last(&self) -> bool {
        self.kind >= PAN123_EV_COMPLETED
    }

    /// The event as C sees it, and the text that it points to.
    pub(crate) fn record(self) -> (pan123_event, Option<Text>) {
        let text = self.text.map(Text::new);
        let mut text_len = 0;
        // SAFETY: `text_len` is on this stack. A `Text` is boxed, so its bytes stay where they are.
        let pointer = unsafe { crate::text::lend(text.as_ref(), &raw mut text_len) };
        let record = pan123_event {
            struct_size: size_of::<pan123_event>() as u32,
            kind: self.kind,
            user: self.user,
            seq: self.seq,
            bytes_done: self.bytes_done,
            bytes_total: self.bytes_total,
            value: self.value,
            code: self.code,
            slice_no: self.slice_no,
            text: pointer,
            text_len,
        };
        (record, text)
    }
}

/// How many bytes of a record that starts with its size may be written.
///
/// # Safety
///
/// `place` is NULL or writable for as many bytes as its `struct_size` says.
pub(crate) unsafe fn checked_size<T>(place: *mut T) -> Result<usize, Fault> {
    let name = std::any::type_name::<T>().rsplit("::").next().unwrap_or_default();
    if place.is_null() {
        return Err(invalid(format!("the {name} is NULL")));
    }
    // SAFETY: it starts with its size, by the contract.
    let size = unsafe { place.cast::<u32>().read() } as usize;
    // The size and the kind or state behind it, at least.
    if size < 8 {
        let message =
            format!("{name}.struct_size is {size}; set it to sizeof({name}), which is {}", size_of::<T>());
        return Err(fault(PAN123_E_ABI, message));
    }
    Ok(size.min(size_of::<T>()))
}

/// Writes as much of a record as there is room for; the caller's `struct_size` stays.
///
/// # Safety
///
/// `place` is writable for `size` bytes, at least 8 and at most those of `T`, which is `repr(C)` without padding.
pub(crate) unsafe fn write_sized<T>(place: *mut T, record: T, size: usize) {
    let skip = size_of::<u32>();
    // SAFETY: by the contract.
    unsafe {
        (&raw const record)
            .cast::<u8>()
            .add(skip)
            .copy_to_nonoverlapping(place.cast::<u8>().add(skip), size - skip);
    }
}
