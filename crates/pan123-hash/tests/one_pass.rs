//! The streaming API against `md-5`, with each kernel.

use std::num::NonZeroU64;

use md5::{Digest, Md5};
use pan123_hash::{Digests, OnePass};

fn expected(data: &[u8], slice_size: u64) -> Digests {
    let md5 = |bytes: &[u8]| <[u8; 16]>::from(Md5::digest(bytes));
    let mut slices: Vec<_> = data.chunks(slice_size as usize).map(md5).collect();
    if slices.is_empty() {
        slices.push(md5(b""));
    }
    let slice_size = NonZeroU64::new(slice_size).expect("slices are not empty");
    Digests { etag: md5(data), slices, size: data.len() as u64, slice_size, sha1: None }
}

#[test]
fn every_length_and_slice_size_matches() {
    let data: Vec<u8> = (0..300).map(|_| fastrand::u8(..)).collect();
    for len in 0..=300 {
        for slice_size in [1, 2, 55, 56, 63, 64, 65, 100, 127, 128, 129, 299, 300, 301, 1 << 40] {
            let mut pass = OnePass::new(NonZeroU64::new(slice_size).unwrap());
            pass.update(&data[..len]);
            assert_eq!(pass.finish(), expected(&data[..len], slice_size), "{len} {slice_size}");
        }
    }
}

#[test]
fn any_split_gives_the_same_digests() {
    for _ in 0..2000 {
        let data: Vec<u8> = (0..fastrand::usize(..2000)).map(|_| fastrand::u8(..)).collect();
        let slice_size = fastrand::u64(1..700);
        let mut pass = OnePass::new(NonZeroU64::new(slice_size).unwrap());
        let mut rest = &data[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(fastrand::usize(0..=rest.len().min(300)));
            pass.update(now);
            rest = later;
        }
        assert_eq!(pass.finish(), expected(&data, slice_size), "{} {slice_size}", data.len());
    }
}
