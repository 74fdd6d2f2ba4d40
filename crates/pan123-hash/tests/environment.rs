//! `PAN123_HASH_KERNEL`, seen by a process of its own.

mod common;

use std::{env, fs, num::NonZeroU64};

use common::{CHILD, bytes, expected, random, settle};
use pan123_hash::{ErrorKind, FileInput, Kernel, OnePass, Options, cache::Cache, hash_buffers};

/// What a process says that has this value in its environment.
fn with_kernel(kernel: &str) -> String {
    let output = common::child("the_child", &[], &[("PAN123_HASH_KERNEL", kernel)]);
    String::from_utf8(output.stdout).expect("text")
}

/// Does its work only in the processes that the other tests start.
#[test]
fn the_child() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    match Kernel::from_env() {
        Ok(kernel) => println!("chosen: {}", kernel.name()),
        Err(error) => {
            let options = Options::new(NonZeroU64::MIN);
            assert_eq!(hash_buffers(&[b"a"], &options).unwrap_err().kind(), ErrorKind::Kernel);
            println!("error: {error}");
            it_is_an_error_though_the_digests_are_known(&error.to_string());
        }
    }
    // Never fails, whatever the environment says.
    let mut pass = OnePass::new(NonZeroU64::MIN);
    pass.update(b"abc");
    assert_eq!(pan123_hash::hex(&pass.finish().etag), "900150983cd24fb0d6963f7d28e17f72");
}

/// A cache needs no kernel for what it has.
fn it_is_an_error_though_the_digests_are_known(message: &str) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (path, data) = (dir.path().join("file"), random(1 << 20));
    fs::write(&path, &data).expect("a temporary file");
    settle(&path);
    let cache = Cache::open(dir.path().join("cache")).expect("a directory");
    let options = Options::new(bytes(1 << 16));
    let digests = cache.hash_file(&path, &options.kernel(Kernel::best())).expect("a kernel that there is");
    assert_eq!(digests, expected(&data, 1 << 16));
    assert_eq!(fs::read_dir(dir.path().join("cache")).expect("a directory").count(), 1, "they are kept");
    let input = FileInput::open(&path).expect("a file");
    for result in [
        cache.hash_file(&path, &options),
        cache.hash_open_file(&input, &path, &options),
        cache.hash_file(dir.path().join("missing"), &options),
    ] {
        let error = result.expect_err("the environment is wrong");
        assert_eq!(error.kind(), ErrorKind::Kernel, "{error}");
        assert!(error.to_string().ends_with(message), "{error}");
    }
}

#[test]
fn the_environment_names_the_kernel() {
    for kernel in Kernel::available() {
        let said = with_kernel(kernel.name());
        assert!(said.contains(&format!("chosen: {}\n", kernel.name())), "{said}");
    }
    let said = with_kernel("");
    assert!(said.contains("chosen: "), "{said}");
}

#[test]
fn a_name_that_is_not_there_is_an_error_that_lists_those_that_are() {
    let said = with_kernel("sse9");
    assert!(
        said.contains("error: PAN123_HASH_KERNEL: no kernel \"sse9\" on this CPU; there are portable"),
        "{said}"
    );
}
