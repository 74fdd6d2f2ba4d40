//! Every kernel of this CPU against `md-5`: one pass in pieces, with a save and a restore in between, and
//! many buffers.
//!
//! The first bytes of the input choose the slice size and the lengths of the pieces; the rest is hashed.

#![no_main]

use std::num::NonZeroU64;

use libfuzzer_sys::fuzz_target;
use md5::{Digest, Md5};
use pan123_hash::{Digests, Kernel, OnePass, Options, hash_buffers};

fuzz_target!(|input: &[u8]| {
    let Some((choices, data)) = input.split_first_chunk::<16>() else { return };
    let slice_size = NonZeroU64::MIN.saturating_add(u16::from_le_bytes([choices[0], choices[1]]).into());
    let pieces = pieces(&choices[2..], data);
    let whole = expected(data, slice_size);
    let each: Vec<_> = pieces.iter().map(|piece| expected(piece, slice_size)).collect();
    for kernel in Kernel::available() {
        let mut pass = OnePass::with_kernel(slice_size, kernel);
        pieces.iter().for_each(|piece| pass.update(piece));
        assert_eq!(pass.finish(), whole, "{kernel:?}");
        let options = Options::new(slice_size).kernel(kernel);
        assert_eq!(hash_buffers(&pieces, &options).expect("nothing is cancelled"), each, "{kernel:?}");
    }
    let mut pass = OnePass::new(slice_size);
    for piece in &pieces {
        pass.update(piece);
        pass = OnePass::restore(&pass.save()).expect("just saved");
    }
    assert_eq!(pass.finish(), whole);
    // Not a saved pass, but it must not do any harm.
    if let Ok(mut pass) = OnePass::restore(data) {
        pass.update(data);
        pass.finish();
    }
});

/// Cuts `data` into at most 100 pieces of lengths that repeat.
fn pieces<'a>(lens: &[u8], mut data: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for &len in lens.iter().cycle().take(99) {
        // Mostly short, some of many blocks.
        let len = if len % 4 == 0 { usize::from(len) * 16 } else { usize::from(len) };
        let (piece, rest) = data.split_at(len.min(data.len()));
        pieces.push(piece);
        data = rest;
    }
    pieces.push(data);
    pieces
}

fn expected(data: &[u8], slice_size: NonZeroU64) -> Digests {
    let md5 = |bytes: &[u8]| <[u8; 16]>::from(Md5::digest(bytes));
    let mut slices: Vec<_> = data.chunks(slice_size.get() as usize).map(md5).collect();
    if slices.is_empty() {
        slices.push(md5(b""));
    }
    Digests { etag: md5(data), slices, size: data.len() as u64, slice_size, sha1: None }
}
