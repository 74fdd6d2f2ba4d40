//! The `md-5` crate: runs everywhere, and is the judge of all other kernels.

/// Compresses `blocks` into `state`.
pub(super) fn single(state: &mut [u32; 4], blocks: &[[u8; 64]]) {
    md5::block_api::compress(state, blocks);
}
