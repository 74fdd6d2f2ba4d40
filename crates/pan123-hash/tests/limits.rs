//! What is hashed in a process that may have few files open, or no other thread, seen by processes of their own.

mod common;

use std::{
    env,
    fs::{self, File},
    thread,
};

use common::{CHILD, bytes, child, expected, many, random, settle};
use pan123_hash::{ErrorKind, Options, cache::Cache, hash_file, hash_input};

const MIB: usize = 1 << 20;

/// Opens so many files that no more than `spare` others can be open.
fn take_descriptors(spare: usize) -> Vec<File> {
    let mut open: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(open.len() > spare, "the limit is low, and not that low");
    open.truncate(open.len() - spare);
    open
}

/// Does its work only in the process that the next test starts.
#[test]
fn child_with_few_descriptors() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = random(900_000);
    let lens = [0, 100, 5000, 100_000, 700_000, 900_000];
    let paths: Vec<_> = (0..60).map(|i| dir.path().join(i.to_string())).collect();
    for (path, len) in paths.iter().zip(lens.iter().cycle()) {
        fs::write(path, &data[..*len]).expect("a temporary file");
    }
    for slice_size in [1 << 20, 300_000, 3000] {
        let options = Options::new(bytes(slice_size));
        let expected = lens.map(|len| expected(&data[..len], slice_size));
        for spare in [1, 2, 7, 20] {
            let taken = take_descriptors(spare);
            let results = many(&paths, &options);
            drop(taken);
            for (result, expected) in results.iter().zip(expected.iter().cycle()) {
                assert_eq!(result.as_ref().ok(), Some(expected), "{spare} {slice_size} {result:?}");
            }
        }
        let taken = take_descriptors(0);
        let mut results = many(&paths, &options);
        results.push(hash_file(&paths[0], &options));
        drop(taken);
        for result in results {
            let error = result.expect_err("there is no descriptor");
            assert_eq!(error.kind(), ErrorKind::Read);
            assert_eq!(error.io_error().and_then(|error| error.raw_os_error()), Some(24), "{error}");
            assert!(error.to_string().contains("raise its limit (ulimit -n)"), "{error}");
        }
    }
}

#[test]
fn many_files_are_hashed_with_the_descriptors_that_there_are() {
    child("child_with_few_descriptors", &["sh", "-c", "ulimit -n 64 && exec \"$@\"", "sh"], &[]);
}

/// Does its work only in the process that the next test starts.
#[test]
fn child_without_threads() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    assert!(thread::Builder::new().spawn(|| ()).is_err(), "no thread can be started");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = random(9 * MIB);
    let lens = [9 * MIB, 5, MIB, 100_000];
    let paths: Vec<_> = (0..40).map(|i| dir.path().join(i.to_string())).collect();
    for (path, len) in paths.iter().zip(lens.iter().cycle()) {
        fs::write(path, &data[..*len]).expect("a temporary file");
    }
    let options = Options::new(bytes(MIB as u64));
    let expected = lens.map(|len| expected(&data[..len], MIB as u64));
    assert_eq!(hash_file(&paths[0], &options).expect("a file"), expected[0]);
    assert_eq!(hash_input(&data[..], &options).expect("bytes"), expected[0]);
    settle(&paths[0]);
    let cache = Cache::open(dir.path().join("cache")).expect("a directory");
    assert_eq!(cache.hash_file(&paths[0], &options).expect("a file"), expected[0]);
    for count in [1, 2, paths.len()] {
        for (result, expected) in many(&paths[..count], &options).iter().zip(expected.iter().cycle()) {
            assert_eq!(result.as_ref().expect("a file"), expected);
        }
    }
}

#[test]
fn all_is_hashed_on_the_calling_thread_if_there_is_no_other() {
    // No address space holds the stack of a thread then, and the test runs on the first one.
    child("child_without_threads", &[], &[("RUST_MIN_STACK", &(1_u64 << 50).to_string())]);
}
