//! What the digests have to be, according to `md-5` and `sha1`.

use std::num::NonZeroU64;

use md5::{Digest, Md5};
use pan123_hash::Digests;

#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn expected(data: &[u8], slice_size: u64) -> Digests {
    let md5 = |bytes: &[u8]| <[u8; 16]>::from(Md5::digest(bytes));
    let mut slices: Vec<_> = data.chunks(slice_size as usize).map(md5).collect();
    if slices.is_empty() {
        slices.push(md5(b""));
    }
    Digests { etag: md5(data), slices, size: data.len() as u64, slice_size: bytes(slice_size), sha1: None }
}

#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn bytes(count: u64) -> NonZeroU64 {
    NonZeroU64::new(count).expect("slices are not empty")
}

#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn random(len: usize) -> Vec<u8> {
    let mut data = vec![0; len];
    fastrand::Rng::new().fill(&mut data);
    data
}
