//! Many buffers at once, with each kernel of this CPU.

mod common;

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use common::{bytes, expected, random};
use pan123_hash::{ErrorKind, Kernel, Options, hash_buffers};

fn check(buffers: &[Vec<u8>], slice_size: u64) {
    let expected: Vec<_> = buffers.iter().map(|data| expected(data, slice_size)).collect();
    for kernel in Kernel::available() {
        let options = Options::new(bytes(slice_size)).kernel(kernel);
        let got = hash_buffers(buffers, &options).expect("nothing is cancelled");
        let lens: Vec<_> = buffers.iter().map(Vec::len).collect();
        assert_eq!(got, expected, "{kernel:?}, slices of {slice_size}, buffers of {lens:?}");
    }
}

#[test]
fn one_to_forty_buffers_of_random_lengths() {
    for count in 1..=40 {
        for len_max in [1, 70, 1000, 20_000] {
            let buffers: Vec<_> = (0..count).map(|_| random(fastrand::usize(0..=len_max))).collect();
            check(&buffers, 1 << 30);
            check(&buffers, fastrand::u64(1..=2 * len_max as u64));
        }
    }
}

#[test]
fn somewhat_more_buffers_than_lanes() {
    for count in 17..=66 {
        check(&vec![random(1000); count], 1 << 30);
        let buffers: Vec<_> = (0..count).map(|_| random(fastrand::usize(..5000))).collect();
        check(&buffers, 1 << 30);
    }
}

#[test]
fn lengths_around_each_boundary() {
    let lens = (0..=300).chain([511, 512, 513, 65_535, 65_536, 65_537, 1 << 20]);
    let buffers: Vec<_> = lens.map(random).collect();
    check(&buffers, 1 << 30);
    check(&buffers, 256);
    check(&buffers, 65_536);
}

#[test]
fn one_huge_buffer_among_many_tiny_ones() {
    for tiny in [0, 1, 3, 50, 2000] {
        let mut buffers: Vec<_> = (0..tiny).map(|_| random(fastrand::usize(0..500))).collect();
        buffers.push(random(3 << 20));
        fastrand::shuffle(&mut buffers);
        check(&buffers, 1 << 20);
    }
}

#[test]
fn more_buffers_than_are_taken_together() {
    let buffers: Vec<_> = (0..10_000).map(|_| random(fastrand::usize(0..80))).collect();
    check(&buffers, 64);
}

#[test]
fn no_buffers_give_no_digests() {
    check(&[], 1);
}

#[test]
fn progress_rises_to_the_number_of_bytes() {
    let buffers: Vec<_> = (0..50).map(|i| random(i * 5000)).collect();
    let total: u64 = buffers.iter().map(|buffer| buffer.len() as u64).sum();
    let seen = Mutex::new(Vec::new());
    let note = |bytes| seen.lock().unwrap().push(bytes);
    hash_buffers(&buffers, &Options::new(bytes(1000)).progress(&note)).unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted(), "{seen:?}");
    assert!(seen.len() > 2, "{seen:?}");
    assert_eq!(seen.last(), Some(&total));
}

#[test]
fn a_cancelled_call_stops_before_the_end() {
    let buffers = vec![random(4 << 20); 4];
    let (cancel, last) = (AtomicBool::new(false), Mutex::new(0));
    let progress = |bytes| {
        *last.lock().unwrap() = bytes;
        cancel.store(true, Ordering::Relaxed);
    };
    let options = Options::new(bytes(1 << 20)).progress(&progress).cancel(&cancel);
    let error = hash_buffers(&buffers, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(*last.lock().unwrap() < 4 << 20);
}

#[test]
fn sha1_comes_only_when_asked_for() {
    let options = Options::new(bytes(10)).sha1(true);
    let got = hash_buffers(&[b"abc"], &options).unwrap();
    assert_eq!(pan123_hash::hex(&got[0].sha1.unwrap()), "a9993e364706816aba3e25717850c26c9cd0d89d");
}
