//! What is hashed in a process that has no other thread, seen by a process of its own.

mod common;

use std::{
    env,
    fs,
    path::PathBuf,
    thread,
};

use common::{CHILD, bytes, child, expected, random, settle};
use pan123_hash::{Digests, Error, Options, cache::Cache, hash_file, hash_input, hash_many};

const MIB: usize = 1 << 20;

/// The results of [`hash_many`], each exactly once and in the order of the files.
fn many(paths: &[PathBuf], options: &Options) -> Vec<Result<Digests, Error>> {
    let mut results: Vec<_> = paths.iter().map(|_| None).collect();
    hash_many(paths, options, |file, result| {
        assert!(results[file].replace(result).is_none(), "{file} came twice")
    })
    .expect("no kernel is named");
    results.into_iter().map(|result| result.expect("a result for each file")).collect()
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
