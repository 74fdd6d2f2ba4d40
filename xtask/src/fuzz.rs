//! `cargo xtask fuzz`: runs the fuzz targets for a while each.
//!
//! They are those of `cargo fuzz`, which is not needed for it: the flags below are what it would pass. A crash is
//! kept under `target/xtask/fuzz/TARGET`, and goes into `fuzz/corpus/TARGET` with the commit that mends it.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, bail};

use crate::{process, workspace::Workspace};

/// What `cargo xtask fuzz` can be told.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this target
    target: Option<String>,
    /// For how long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Leave out the targets that stand on the whole program and take minutes to build
    #[arg(long)]
    quick: bool,
}

/// The targets that need the feature `program` of fuzz/Cargo.toml. Ordinary tests run them too, from the same seeds.
const PROGRAM: [&str; 2] = ["arguments", "tables"];

/// Coverage of edges and comparisons, and an address sanitizer.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Cdebug-assertions --cfg fuzzing";

/// For a machine that has built nothing yet.
const BUILD_LIMIT: Duration = Duration::from_secs(1200);

/// A single input may not take longer, in seconds, nor more memory, in MiB.
const INPUT_SECONDS_MAX: u64 = 10;
const MEMORY_MIB_MAX: u64 = 1024;

/// Builds and runs the targets.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let fuzz = workspace.root.join("fuzz");
    let mut targets = Vec::new();
    for entry in fs::read_dir(fuzz.join("fuzz_targets"))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).context("a target's name")?.to_owned();
        let left_out = options.quick && PROGRAM.contains(&name.as_str());
        if options.target.as_ref().is_none_or(|target| *target == name) && !left_out {
            targets.push(name);
        }
    }
    targets.sort();
    if targets.is_empty() {
        bail!("no such target in fuzz/fuzz_targets");
    }
    let bin = build(&workspace, &targets)?;
    let mut failed = 0;
    for target in &targets {
        // New inputs are found beside the seeds, which stay as they are.
        let found = workspace.scratch().join("fuzz").join(target);
        let inputs = found.join("inputs");
        fs::create_dir_all(&inputs)?;
        let mut command = workspace.command(bin.join(target));
        command.arg(&inputs);
        let seeds = fuzz.join("corpus").join(target);
        if seeds.exists() {
            command.arg(seeds);
        }
        command.args([
            format!("-max_total_time={}", options.seconds),
            format!("-timeout={INPUT_SECONDS_MAX}"),
            format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
            format!("-artifact_prefix={}/", found.display()),
        ]);
        let limit = Duration::from_secs(options.seconds + 120);
        let finished = process::run(&mut command, limit, &found.join("log"))?;
        let runs = finished.output.lines().rev().find_map(|line| line.strip_prefix("Done ")).unwrap_or("-");
        println!("{target:<12} {}", if finished.success() { runs } else { "FAILED" });
        if !finished.success() {
            failed += 1;
            println!("{}", finished.output.trim_end());
        }
    }
    if failed > 0 {
        bail!("{failed} of {} targets failed", targets.len());
    }
    Ok(())
}

/// Builds the targets; returns the folder that they are in.
fn build(workspace: &Workspace, targets: &[String]) -> anyhow::Result<PathBuf> {
    let host = host(workspace)?;
    let target_dir = workspace.target.join("fuzz");
    let mut cargo = workspace.cargo();
    // With a target named, build scripts and macros are built without the flags.
    cargo.args(["build", "--locked", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
    targets.iter().for_each(|target| _ = cargo.args(["--bin", target]));
    if targets.iter().any(|target| PROGRAM.contains(&target.as_str())) {
        cargo.args(["--features", "program"]);
    }
    cargo.args(["--target", &host, "--target-dir"]).arg(&target_dir);
    // The sanitizer needs a flag that is not stable; the compiler is the usual one all the same.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", FLAGS);
    let log = workspace.scratch().join("logs/fuzz-build.log");
    let finished = process::run(&mut cargo, BUILD_LIMIT, &log)?;
    if !finished.success() {
        bail!("the targets do not build: {}\n{}", finished.verdict(), finished.output.trim_end());
    }
    Ok(target_dir.join(host).join("release"))
}

/// The platform that we run on, as the compiler calls it.
fn host(workspace: &Workspace) -> anyhow::Result<String> {
    let output = workspace.command("rustc").arg("-vV").output().context("run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    Ok(host.to_owned())
}
