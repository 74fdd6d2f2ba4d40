//! `cargo xtask bench`: what the benchmarks have in common.

use std::{fs, process::Command};

use anyhow::Context;
use serde::Serialize;

use crate::{bench_bindings, bench_hash, bench_upload, workspace::Workspace};

/// What is measured.
#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// The whole upload and its parts, against a raw writer and other clients of the service.
    Upload(bench_upload::Options),
    /// MD5 by kernel and case, against other crates.
    Hash(bench_hash::Options),
    /// What each binding adds to the Rust crate.
    Bindings(bench_bindings::Options),
}

/// Runs one benchmark.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    match bench {
        Bench::Upload(options) => bench_upload::run(options),
        Bench::Hash(options) => bench_hash::run(options),
        Bench::Bindings(options) => bench_bindings::run(options),
    }
}

/// What figures were taken on.
#[derive(Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cores: usize,
    memory_gib: f64,
    kernel: String,
    compiler: String,
    /// How many processes wanted to run in the last minute. Above a few tenths, others did.
    load_before: f64,
}

impl Machine {
    /// The model of the CPU.
    pub(crate) fn cpu(&self) -> &str {
        &self.cpu
    }

    /// The compiler and its version.
    pub(crate) fn compiler(&self) -> &str {
        &self.compiler
    }

    /// This one, before anything is measured.
    pub(crate) fn this() -> anyhow::Result<Self> {
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
        };
        // Where there is no /proc, "unknown" says so.
        let cpu = field(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default(), "model name");
        let memory = field(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal");
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let memory_kib: f64 = memory.trim_end_matches(" kB").parse().unwrap_or(0.0);
        Ok(Self {
            cpu,
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: (memory_kib / f64::from(1 << 20) * 10.0).round() / 10.0,
            kernel: said(Command::new("uname").arg("-sr"))?,
            compiler: said(Command::new("rustc").arg("--version"))?,
            load_before: load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN),
        })
    }
}

/// The first line that a command prints.
fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// The middle one; the mean of the two in the middle of an even number. `None` of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// Writes `docs/bench/NAME.json`.
pub(crate) fn write_report(workspace: &Workspace, name: &str, report: &impl Serialize) -> anyhow::Result<()> {
    let path = workspace.root.join("docs/bench").join(format!("{name}.json"));
    fs::create_dir_all(path.parent().expect("joined above"))?;
    fs::write(&path, serde_json::to_string_pretty(report)? + "\n")
        .with_context(|| format!("write {}", path.display()))?;
    println!("written to {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }
}
