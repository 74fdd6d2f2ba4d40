//! What the digests have to be, according to `md-5` and `sha1`, and what several tests need.

use std::{
    env,
    fs::{File, FileTimes},
    num::NonZeroU64,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant, SystemTime},
};

use md5::{Digest, Md5};
use pan123_hash::{Digests, Error, Options, hash_many};

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

/// Waits until the file's times are in the past as the cache wants them. There is no way to set the time of
/// the last change.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn settle(path: &Path) {
    // With a fraction of a second, an hour ago.
    let old = FileTimes::new().set_modified(SystemTime::now() - Duration::new(3600, 1));
    File::options().write(true).open(path).expect("a file").set_times(old).expect("times");
    let changed = Instant::now();
    while changed.elapsed() < Duration::from_millis(150) {
        thread::yield_now();
    }
}

/// Set in the processes that tests start.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) const CHILD: &str = "PAN123_HASH_TEST_CHILD";

/// What a process says that runs just the test of this name of the program that this is. `wrap` is a program, with its
/// first arguments, that takes the command line and runs it, or nothing.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn child(test: &str, wrap: &[&str], variables: &[(&str, &str)]) -> Output {
    // Under qemu, the system cannot run the program by itself.
    let runner = env::var("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER").unwrap_or_default();
    let runner = runner.split_whitespace().filter(|_| cfg!(target_arch = "aarch64"));
    let this = env::current_exe().expect("a path");
    let this = this.to_str().expect("a path of letters");
    let words: Vec<&str> =
        wrap.iter().copied().chain(runner).chain([this, "--exact", test, "--nocapture"]).collect();
    let output =
        Command::new(words[0]).args(&words[1..]).env(CHILD, "1").envs(variables.iter().copied()).output();
    let output = output.expect("a child");
    assert!(output.status.success(), "{output:?}");
    output
}

/// The results of [`hash_many`], each exactly once and in the order of the files.
#[allow(dead_code, reason = "not every test needs it")]
pub(crate) fn many(paths: &[PathBuf], options: &Options) -> Vec<Result<Digests, Error>> {
    let mut results: Vec<_> = paths.iter().map(|_| None).collect();
    hash_many(paths, options, |file, result| {
        assert!(results[file].replace(result).is_none(), "{file} came twice")
    })
    .expect("no kernel is named");
    results.into_iter().map(|result| result.expect("a result for each file")).collect()
}
