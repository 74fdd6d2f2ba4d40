//! Whether a file can be a shared library, before the system's loader believes what its header says.
//!
//! The loader maps what the header names, also where the file ends earlier, and the first touch of that kills the process.
//! So a library that a copy or a download cut short has to be found out before. No more is looked at than what is mapped:
//! a library that somebody damages on purpose can do what it likes anyway, once it runs.

use std::{fs::File, os::unix::fs::FileExt, path::Path};

/// Bytes of the header of a 64-bit object, and of an entry of its table of segments.
const HEADER_LEN: usize = 64;
const SEGMENT_LEN: usize = 56;

/// The most segments that are believed; libraries have about ten.
const SEGMENTS_MAX: usize = 1024;

/// Checks that each segment of the file lies within it. Objects for machines of another kind are left to the loader,
/// which refuses them before it maps anything.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("it cannot be read: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let mut start = [0; 6];
    let no_library = || "it is not a shared library".to_owned();
    let cut_short = || format!("it was cut short: it has {size} bytes, and its header names more");
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
        return Ok(());
    }
    if size < HEADER_LEN as u64 {
        return Err(cut_short());
    }
    let mut header = [0; HEADER_LEN];
    file.read_exact_at(&mut header, 0).map_err(unreadable)?;
    let (table, entry_len, count) = (long(&header, 32), short(&header, 54), short(&header, 56));
    if entry_len != SEGMENT_LEN || count == 0 || count > SEGMENTS_MAX {
        return Err(format!("{}: its header names {count} segments of {entry_len} bytes", no_library()));
    }
    let table_len = count * SEGMENT_LEN;
    if !lies_within(size, table, table_len as u64) {
        return Err(cut_short());
    }
    let mut segments = vec![0; table_len];
    file.read_exact_at(&mut segments, table).map_err(unreadable)?;
    let fits = |segment: &[u8]| lies_within(size, long(segment, 8), long(segment, 32));
    if segments.chunks_exact(SEGMENT_LEN).all(fits) { Ok(()) } else { Err(cut_short()) }
}

fn lies_within(size: u64, offset: u64, len: u64) -> bool {
    offset.checked_add(len).is_some_and(|end| end <= size)
}

fn short(bytes: &[u8], at: usize) -> usize {
    bytes[at..].first_chunk().map_or(0, |bytes| u16::from_ne_bytes(*bytes).into())
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}
