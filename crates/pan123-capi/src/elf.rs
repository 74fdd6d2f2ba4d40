//! Whether a file can be a shared library, before the system's loader believes what its header says.
//!
//! The loader maps what the header names, also where the file ends earlier, and the first touch of that kills the process.
//! So a library that a copy or a download cut short has to be found out before. No more is looked at than what is mapped:
//! a library that somebody damages on purpose can do what it likes anyway, once it runs.

use std::{
    ffi::{CStr, OsStr, c_void},
    fs::File,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::Path,
};

/// Bytes of the header of a 64-bit object, and of an entry of its table of segments.
const HEADER_LEN: usize = 64;
const SEGMENT_LEN: usize = 56;

/// The most segments that are believed; libraries have about ten.
const SEGMENTS_MAX: usize = 1024;

/// Checks that each segment of the file lies within it. Objects for machines of another kind are left to the loader,
/// which refuses them before it maps anything.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    let Some((segments, size)) = segments(path)? else { return Ok(()) };
    let fits = |segment: &[u8]| lies_within(size, long(segment, 8), long(segment, 32));
    if segments.chunks_exact(SEGMENT_LEN).all(fits) { Ok(()) } else { Err(cut_short(size)) }
}

/// Whether there is code at an address that the loader has named. True where that cannot be told.
pub(crate) fn is_code(address: *const c_void) -> bool {
    // SAFETY: valid when all zero, and written by the call.
    let mut object: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked for, and there is room for the answer.
    if unsafe { libc::dladdr(address, &raw mut object) } == 0 || object.dli_fname.is_null() {
        return true;
    }
    // SAFETY: a text of the loader's, which lives as long as the object.
    let path = unsafe { CStr::from_ptr(object.dli_fname) };
    let path = Path::new(OsStr::from_bytes(path.to_bytes()));
    let Ok(Some((segments, _))) = segments(path) else { return true };
    let place = (address as u64).wrapping_sub(object.dli_fbase as u64);
    segments.chunks_exact(SEGMENT_LEN).any(|segment| {
        let (start, len) = (long(segment, 16), long(segment, 40));
        let [kind, flags] = [word(segment, 0), word(segment, 4)];
        kind == libc::PT_LOAD
            && flags & libc::PF_X != 0
            && place.checked_sub(start).is_some_and(|place| place < len)
    })
}

/// The table of segments, and the length of the file; `None` for an object of another kind of machine.
fn segments(path: &Path) -> Result<Option<(Vec<u8>, u64)>, String> {
    let unreadable = |error: std::io::Error| format!("it cannot be read: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let mut start = [0; 6];
    let no_library = || "it is not a shared library".to_owned();
    if size < start.len() as u64 {
        return Err(no_library());
    }
    file.read_exact_at(&mut start, 0).map_err(unreadable)?;
    let [magic @ .., class, order] = start;
    if magic != *b"\x7fELF" {
        return Err(no_library());
    }
    let ours = (
        if cfg!(target_pointer_width = "64") { 2 } else { 1 },
        if cfg!(target_endian = "little") { 1 } else { 2 },
    );
    if (class, order) != ours || ours.0 != 2 {
        return Ok(None);
    }
    if size < HEADER_LEN as u64 {
        return Err(cut_short(size));
    }
    let mut header = [0; HEADER_LEN];
    file.read_exact_at(&mut header, 0).map_err(unreadable)?;
    let (table, entry_len, count) = (long(&header, 32), short(&header, 54), short(&header, 56));
    if entry_len != SEGMENT_LEN || count == 0 || count > SEGMENTS_MAX {
        return Err(format!("{}: its header names {count} segments of {entry_len} bytes", no_library()));
    }
    let table_len = count * SEGMENT_LEN;
    if !lies_within(size, table, table_len as u64) {
        return Err(cut_short(size));
    }
    let mut segments = vec![0; table_len];
    file.read_exact_at(&mut segments, table).map_err(unreadable)?;
    Ok(Some((segments, size)))
}

fn cut_short(size: u64) -> String {
    format!("it was cut short: it has {size} bytes, and its header names more")
}

fn lies_within(size: u64, offset: u64, len: u64) -> bool {
    offset.checked_add(len).is_some_and(|end| end <= size)
}

fn short(bytes: &[u8], at: usize) -> usize {
    bytes[at..].first_chunk().map_or(0, |bytes| u16::from_ne_bytes(*bytes).into())
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}
