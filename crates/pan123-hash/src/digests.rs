//! What a pass over some bytes yields.

use std::{fmt::Write, num::NonZeroU64};

/// The digests of one file, buffer or stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    /// MD5 of all bytes: the service's `etag`.
    pub etag: [u8; 16],
    /// MD5 of each slice, in file order: the service's `sliceMD5`. Every slice but the last has
    /// `slice_size` bytes. Empty input has one empty slice, because the service wants one.
    pub slices: Vec<[u8; 16]>,
    /// How many bytes were hashed.
    pub size: u64,
    /// Length of a slice in bytes.
    pub slice_size: NonZeroU64,
    /// SHA-1 of all bytes, if it was asked for.
    pub sha1: Option<[u8; 20]>,
}

/// A digest as the service writes it: lower-case hex digits.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
