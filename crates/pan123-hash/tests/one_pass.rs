//! The streaming API against `md-5`, with each kernel of this CPU.

mod common;

use common::{bytes, expected, random};
use pan123_hash::{Kernel, OnePass, hex};

/// Updates with pieces of random lengths up to `piece_len_max`.
fn hash(data: &[u8], slice_size: u64, kernel: Kernel, piece_len_max: usize) -> pan123_hash::Digests {
    let mut pass = OnePass::with_kernel(bytes(slice_size), kernel);
    let mut rest = data;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(fastrand::usize(0..=rest.len().min(piece_len_max)));
        pass.update(now);
        rest = later;
    }
    assert_eq!(pass.bytes_hashed(), data.len() as u64);
    pass.finish()
}

/// RFC 1321, section A.5.
#[test]
fn published_digests() {
    for kernel in Kernel::available() {
        for (text, digest) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            (
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
                "d174ab98d277d9f5a5611c2c9f419d9f",
            ),
            (&"1234567890".repeat(8), "57edf4a22be3c955ac49da2e2107b67a"),
        ] {
            let digests = hash(text.as_bytes(), 1 << 24, kernel, 100);
            assert_eq!(hex(&digests.etag), digest, "{kernel:?} {text}");
            assert_eq!(digests.slices, [digests.etag], "{kernel:?} {text}");
        }
    }
}

#[test]
fn every_length_and_slice_size_matches() {
    let data = random(300);
    for kernel in Kernel::available() {
        for len in 0..=300 {
            for slice_size in [1, 2, 55, 56, 63, 64, 65, 100, 127, 128, 129, 299, 300, 301, 1 << 40] {
                let got = hash(&data[..len], slice_size, kernel, 300);
                assert_eq!(got, expected(&data[..len], slice_size), "{kernel:?} {len} {slice_size}");
            }
        }
    }
}

#[test]
fn slice_boundaries_and_one_byte_to_either_side() {
    for slice_size in [4096, 4097, 65_536] {
        let data = random(3 * slice_size + 1);
        for kernel in Kernel::available() {
            for len in (1..=3).flat_map(|slices| slices * slice_size - 1..=slices * slice_size + 1) {
                let got = hash(&data[..len], slice_size as u64, kernel, 10_000);
                assert_eq!(got, expected(&data[..len], slice_size as u64), "{kernel:?} {len} {slice_size}");
            }
        }
    }
}

#[test]
fn any_split_gives_the_same_digests() {
    for _ in 0..500 {
        let (data, slice_size) = (random(fastrand::usize(..3000)), fastrand::u64(1..700));
        let expected = expected(&data, slice_size);
        for kernel in Kernel::available() {
            let got = hash(&data, slice_size, kernel, fastrand::usize(1..400));
            assert_eq!(got, expected, "{kernel:?} {} {slice_size}", data.len());
        }
    }
}

#[test]
fn sha1_of_the_whole_comes_when_asked_for() {
    let mut pass = OnePass::new(bytes(2)).sha1();
    pass.update(b"a");
    pass.update(b"bc");
    assert_eq!(hex(&pass.finish().sha1.unwrap()), "a9993e364706816aba3e25717850c26c9cd0d89d");
}
