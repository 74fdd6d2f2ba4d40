//! `PAN123_HASH_KERNEL`, seen by a process of its own.

use std::{env, num::NonZeroU64, process::Command};

use pan123_hash::{ErrorKind, Kernel, OnePass, Options, hash_buffers};

const CHILD: &str = "PAN123_HASH_TEST_CHILD";

/// What a process says that has this value in its environment.
fn child(kernel: &str) -> String {
    let this = env::current_exe().expect("a path");
    let mut command = match env::var("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER") {
        // Under qemu, the system cannot run the program by itself.
        Ok(runner) if cfg!(target_arch = "aarch64") => {
            let mut words = runner.split(' ');
            let mut command = Command::new(words.next().expect("a runner"));
            command.args(words).arg(this);
            command
        }
        _ => Command::new(this),
    };
    command.args(["--exact", "the_child", "--nocapture"]).env(CHILD, "1").env("PAN123_HASH_KERNEL", kernel);
    let output = command.output().expect("a child");
    assert!(output.status.success(), "{output:?}");
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
        }
    }
    // Never fails, whatever the environment says.
    let mut pass = OnePass::new(NonZeroU64::MIN);
    pass.update(b"abc");
    assert_eq!(pan123_hash::hex(&pass.finish().etag), "900150983cd24fb0d6963f7d28e17f72");
}

#[test]
fn the_environment_names_the_kernel() {
    for kernel in Kernel::available() {
        let said = child(kernel.name());
        assert!(said.contains(&format!("chosen: {}\n", kernel.name())), "{said}");
    }
    let said = child("");
    assert!(said.contains("chosen: "), "{said}");
}

#[test]
fn a_name_that_is_not_there_is_an_error_that_lists_those_that_are() {
    let said = child("sse9");
    assert!(
        said.contains("error: PAN123_HASH_KERNEL: no kernel \"sse9\" on this CPU; there are portable"),
        "{said}"
    );
}
