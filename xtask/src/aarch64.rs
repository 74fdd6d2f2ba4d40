//! `cargo xtask aarch64`: the tests of `pan123-hash` on AArch64, whose kernels no x86-64 CPU runs, under qemu.
//!
//! If the host has the Rust target, a linker and qemu, they are used. Otherwise, as root on Debian, all three
//! come from a Debian of their own in a folder that is kept for the next run; nothing on the host changes.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail};

use crate::{
    debian::{Debian, Recipe},
    process,
    workspace::Workspace,
};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";
const QEMU: &str = "qemu-aarch64";
/// Where the cross compiler of Debian has the libraries that the tests are linked with.
const LIBRARIES: &str = "/usr/aarch64-linux-gnu";

/// What is installed in the Debian. It has Rust 1.85.
const RECIPE: Recipe = Recipe {
    name: "aarch64",
    architecture: Some("arm64"),
    packages: "rustc cargo libstd-rust-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user",
};

const FETCH_LIMIT: Duration = Duration::from_secs(1200);
const TEST_LIMIT: Duration = Duration::from_secs(1800);

/// Runs the tests and prints what they print, or a line `SKIPPED: …` where they cannot be run.
pub(crate) fn run() -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let mut command = if on_host(&workspace) {
        let mut command = workspace.cargo();
        command
            .args(test_arguments())
            .envs(test_variables())
            .env("CARGO_TARGET_DIR", target_folder(&workspace));
        command
    } else if Debian::is_possible(&workspace) {
        in_debian(&workspace, &Debian::set_up(&workspace, &RECIPE)?)?
    } else {
        eprintln!(
            "SKIPPED: the AArch64 kernels need qemu: rustup target add {TARGET}, and {LINKER} and {QEMU} \
             (on Debian: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user), or root and debootstrap"
        );
        return Ok(());
    };
    let finished =
        process::run(&mut command, TEST_LIMIT, &workspace.scratch().join("logs/aarch64-tests.log"))?;
    println!("{}", finished.output.trim_end());
    if !finished.success() {
        bail!("the tests of pan123-hash on AArch64: {}", finished.verdict());
    }
    Ok(())
}

fn test_arguments() -> [&'static str; 7] {
    // Debian's Rust is older than AVX-512 asks for, and new enough for the rest.
    ["test", "--no-fail-fast", "--ignore-rust-version", "--target", TARGET, "--package", "pan123-hash"]
}

fn test_variables() -> [(&'static str, String); 2] {
    [
        ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER.to_owned()),
        ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", format!("{QEMU} -L {LIBRARIES}")),
    ]
}

/// Apart from the host's, so that the two compilers do not undo each other's work.
fn target_folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("aarch64")
}

/// Whether the host itself can build and run for AArch64.
fn on_host(workspace: &Workspace) -> bool {
    let libraries =
        workspace.command("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    let has_target =
        libraries.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir());
    has_target
        && answers(Command::new(LINKER).arg("--version"))
        && answers(Command::new(QEMU).arg("--version"))
}

/// The tests as a command that sees the workspace, the target folder and cargo's downloads inside the Debian.
fn in_debian(workspace: &Workspace, debian: &Debian) -> anyhow::Result<Command> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home =
        cargo_home.or_else(|| env::home_dir().map(|home| home.join(".cargo"))).context("no home folder")?;
    let target = target_folder(workspace);
    fs::create_dir_all(&target).with_context(|| format!("create {}", target.display()))?;
    // Cargo in there cannot reach the registry as the one out here may.
    let mut fetch = workspace.cargo();
    fetch.args(["fetch", "--locked", "--target", TARGET]);
    let fetched = process::run(&mut fetch, FETCH_LIMIT, &workspace.scratch().join("logs/aarch64-fetch.log"))?;
    if !fetched.success() {
        bail!("cargo fetch: {}\n{}", fetched.verdict(), fetched.output.trim_end());
    }
    let mut command = debian.command(&[&workspace.root, &target, &cargo_home]);
    command.arg("cargo").args(test_arguments()).envs(test_variables());
    command.env("CARGO_HOME", cargo_home).env("CARGO_TARGET_DIR", target).env("CARGO_NET_OFFLINE", "true");
    // Those of the cargo and the compiler that run us.
    for name in ["RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "CARGO", "LD_LIBRARY_PATH", "TMPDIR"] {
        command.env_remove(name);
    }
    Ok(command)
}

fn answers(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
