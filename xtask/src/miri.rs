//! `cargo xtask miri`: tests of `pan123-hash` under Miri, which finds undefined behaviour.
//!
//! Miri runs no assembly, so it is the portable kernel that is tested, with everything around the kernels. It is some
//! hundred times slower than the machine, so it gets the tests that say most for their length.

use std::{process::Command, time::Duration};

use anyhow::bail;

use crate::{process, workspace::Workspace};

/// The tests, by parts of their names: all others are left out. They take a minute.
const TESTS: [&str; 4] = [
    // The published digests, on the streaming API.
    "published",
    // Chains that go on from any state, in jobs and in a pass.
    "beyond_4_gib",
    // Blocks straight from memory.
    "kernel",
    // Buffers, with a SHA-1 next to the MD5.
    "sha1",
];

const INSTALL_LIMIT: Duration = Duration::from_secs(900);
const TEST_LIMIT: Duration = Duration::from_secs(900);

/// Runs the tests and prints what they print, or a line `SKIPPED: …` where there is no Miri.
pub(crate) fn run() -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    if !is_there(&workspace) {
        // With the source of the standard library, which Miri builds for itself.
        let mut install = workspace.command("rustup");
        install.args(["toolchain", "install", "nightly", "--profile", "minimal"]);
        install.args(["--component", "miri", "--component", "rust-src"]);
        let log = workspace.scratch().join("logs/miri-install.log");
        let installed = process::run(&mut install, INSTALL_LIMIT, &log).is_ok_and(|done| done.success());
        if !installed || !is_there(&workspace) {
            eprintln!(
                "SKIPPED: Miri: rustup toolchain install nightly --component miri --component rust-src"
            );
            return Ok(());
        }
    }
    let mut command = miri(&workspace);
    command.args(["test", "--package", "pan123-hash", "--lib", "--test", "one_pass", "--test", "buffers"]);
    command.arg("--").args(TESTS);
    command.env("CARGO_TARGET_DIR", workspace.target.join("miri"));
    // The clock and the file system are the host's.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation");
    let finished = process::run(&mut command, TEST_LIMIT, &workspace.scratch().join("logs/miri-tests.log"))?;
    println!("{}", finished.output.trim_end());
    if !finished.success() {
        bail!("the tests of pan123-hash under Miri: {}", finished.verdict());
    }
    Ok(())
}

fn is_there(workspace: &Workspace) -> bool {
    miri(workspace).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// `cargo miri` of the nightly toolchain, whichever toolchain runs us.
fn miri(workspace: &Workspace) -> Command {
    let mut command = workspace.command("rustup");
    command.args(["run", "nightly", "cargo", "miri"]);
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    command
}
