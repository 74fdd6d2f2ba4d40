//! `cargo xtask bench hash`: MD5 by kernel and case, ours and others, in the same run.
//!
//! The measuring is criterion's, in the package `pan123-benches`. All cases are run one after the other, and
//! that several times, so that what disturbs the machine for a while disturbs all of them; the figure is the
//! median of the rounds.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::{
    bars::{Bar, Chart, Group},
    bench::{Machine, median, write_report},
    process,
    tools::{LIBSSL, PKG_CONFIG, Tools},
    workspace::Workspace,
};

/// What `cargo xtask bench hash` can be told.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// See that everything runs, each case once, and judge no figure
    #[arg(long)]
    quick: bool,
    /// How often all cases are run
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

const COMMAND: &str = "cargo xtask bench hash";
/// No round takes as long as this, the build included.
const LIMIT: Duration = Duration::from_secs(3600);

/// Everything that was measured.
#[derive(Serialize)]
struct Report {
    command: String,
    machine: Machine,
    /// False when OpenSSL was not there to be measured.
    openssl: bool,
    rounds: u32,
    cases: Vec<Case>,
}

/// One kernel with one case.
#[derive(Serialize)]
struct Case {
    kernel: String,
    case: String,
    bytes: u64,
    /// The median of the rounds.
    mb_per_sec: f64,
    /// For each round, nanoseconds for each iteration of each of criterion's samples.
    samples_ns: Vec<Vec<f64>>,
}

/// `benchmark.json` of criterion.
#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: String,
    throughput: BytesPerIteration,
}

#[derive(Deserialize)]
struct BytesPerIteration {
    #[serde(rename = "Bytes")]
    bytes: u64,
}

/// `sample.json` of criterion.
#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// Measures, writes the report and draws the plots.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let tools = Tools::set_up(&workspace, &[PKG_CONFIG, LIBSSL]);
    let missing = tools.missing(PKG_CONFIG).or(tools.missing(LIBSSL));
    let openssl = missing.inspect(|why| println!("without OpenSSL: {why}")).is_none();
    if options.quick {
        bench(&workspace, openssl, &workspace.scratch().join("criterion-quick"), true)?;
        println!("every case ran");
        return Ok(());
    }
    let machine = Machine::this()?;
    let mut cases: BTreeMap<(String, String), Case> = BTreeMap::new();
    for round in 1..=options.rounds {
        println!("round {round} of {} …", options.rounds);
        let home = workspace.scratch().join(format!("criterion-{round}"));
        bench(&workspace, openssl, &home, false)?;
        for (benchmark, sample) in measured(&home)? {
            let kernel = benchmark.group_id.strip_prefix("md5/").unwrap_or(&benchmark.group_id).to_owned();
            let case = cases.entry((benchmark.function_id.clone(), kernel.clone())).or_insert_with(|| Case {
                kernel,
                case: benchmark.function_id,
                bytes: benchmark.throughput.bytes,
                mb_per_sec: 0.0,
                samples_ns: Vec::new(),
            });
            case.samples_ns
                .push(sample.times.iter().zip(sample.iters).map(|(time, count)| time / count).collect());
        }
    }
    let mut cases: Vec<Case> = cases.into_values().collect();
    for case in &mut cases {
        let rounds = case.samples_ns.iter().filter_map(|samples| median(samples.iter().copied()));
        let nanos = median(rounds).context("criterion took no samples")?;
        case.mb_per_sec = (case.bytes as f64 / nanos * 1e4).round() / 10.0;
    }
    let command = format!("{COMMAND} --rounds {}", options.rounds);
    let report = Report { command, machine, openssl, rounds: options.rounds, cases };
    print!("{}", report.table());
    report.print_ratios();
    // The figures first: they cost minutes, the plots nothing.
    write_report(&workspace, "hash", &report)?;
    for (name, chart) in report.charts() {
        let path = workspace.root.join("docs/bench").join(name);
        fs::write(&path, chart.svg()).with_context(|| format!("write {}", path.display()))?;
        println!("written to {}", path.display());
    }
    Ok(())
}

/// Runs all cases once.
fn bench(workspace: &Workspace, openssl: bool, home: &Path, as_test: bool) -> anyhow::Result<()> {
    if home.exists() {
        fs::remove_dir_all(home).with_context(|| format!("remove {}", home.display()))?;
    }
    let mut command = workspace.cargo();
    command.args(["bench", "--package", "pan123-benches", "--bench", "hash"]).env("CRITERION_HOME", home);
    if openssl {
        command.args(["--features", "openssl"]);
    }
    command.args(["--", if as_test { "--test" } else { "--noplot" }]);
    let finished = process::run(&mut command, LIMIT, &workspace.scratch().join("logs/bench-hash.log"))?;
    if !finished.success() {
        bail!("{command:?}: {}\n{}", finished.verdict(), finished.output.trim_end());
    }
    Ok(())
}

/// Every benchmark that criterion left below `home`.
fn measured(home: &Path) -> anyhow::Result<Vec<(Benchmark, Sample)>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![home.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() == "benchmark.json" && folder.ends_with("new") {
                let benchmark = serde_json::from_slice(&fs::read(entry.path())?)?;
                let sample = serde_json::from_slice(&fs::read(folder.join("sample.json"))?)?;
                found.push((benchmark, sample));
            }
        }
    }
    if found.is_empty() {
        bail!("criterion left no results in {}", home.display());
    }
    Ok(found)
}

impl Report {
    fn speed(&self, kernel: &str, case: &str) -> Option<f64> {
        self.cases.iter().find(|c| c.kernel == kernel && c.case == case).map(|c| c.mb_per_sec)
    }

    /// The fastest of the kernels that `which` picks, with its name.
    fn fastest(&self, case: &str, which: impl Fn(&str) -> bool) -> Option<(&str, f64)> {
        let rivals = self.cases.iter().filter(|c| c.case == case && which(&c.kernel));
        rivals.map(|c| (&*c.kernel, c.mb_per_sec)).max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The kernel that a program would use here: the files are measured with no other.
    fn best(&self) -> Option<&str> {
        let is_ours = |c: &&Case| c.case == "files_1_of_256_mib" && !is_peer(&c.kernel);
        self.cases.iter().find(is_ours).map(|c| &*c.kernel)
    }

    fn table(&self) -> String {
        let mut table = format!("{:<28} {:<16} {:>10}\n", "case", "kernel", "MB/s");
        for Case { kernel, case, mb_per_sec, .. } in &self.cases {
            let _ = writeln!(table, "{case:<28} {kernel:<16} {mb_per_sec:>10.0}");
        }
        table
    }

    fn print_ratios(&self) {
        let Some(best) = self.best() else { return };
        for size in ["1_mib", "16_mib", "64_mib_odd_slices", "1_gib"] {
            let ours = self.fastest(&format!("one_pass_{size}"), |kernel| kernel == best);
            let theirs = self.fastest(&format!("etag_{size}"), is_peer);
            if let (Some((ours, our_speed)), Some((theirs, their_speed))) = (ours, theirs) {
                println!(
                    "{size}: one pass with {ours} / etag alone with {theirs} = {:.3}",
                    our_speed / their_speed
                );
            }
        }
        for piece in [1, 64] {
            let ours = self.speed(best, &format!("one_pass_in_pieces_of_{piece}"));
            if let (Some(ours), Some(plain)) =
                (ours, self.speed("peer-md-5", &format!("etag_in_pieces_of_{piece}")))
            {
                println!(
                    "in pieces of {piece}: one pass with {best} / etag alone with md-5 = {:.2}",
                    ours / plain
                );
            }
        }
        for Case { kernel, case, mb_per_sec, .. } in &self.cases {
            let plain = self.speed("peer-md-5", case);
            if let (Some(plain), false, true) = (plain, is_peer(kernel), case.starts_with("buffers_")) {
                println!("{case}: {kernel} / md-5 = {:.2}", mb_per_sec / plain);
            }
        }
        for case in [
            "files_10000_of_1_kib",
            "files_10000_of_4_kib",
            "files_10000_of_16_kib",
            "files_1000_of_100_kib",
            "files_100_of_4_mib",
            "files_mixed",
            "files_1_of_256_mib",
            "cold_files_1000_of_1_kib",
            "cold_files_1000_of_4_kib",
            "cold_files_1000_of_16_kib",
            "cold_files_500_of_64_kib",
        ] {
            let [ours, read, plain] = [best, "peer-read", "peer-md-5"].map(|kernel| self.speed(kernel, case));
            if let (Some(ours), Some(read), Some(plain)) = (ours, read, plain) {
                println!(
                    "{case}: {best} / reading alone = {:.2}, / md-5 on as many threads = {:.2}",
                    ours / read,
                    ours / plain
                );
            }
        }
        for case in ["files_1_of_64", "files_3_of_64", "files_1_of_4_kib"] {
            if let (Some(ours), Some(plain)) = (self.speed(best, case), self.speed("peer-md-5", case)) {
                println!("{case}: {best} / read and md-5 = {:.2}", ours / plain);
            }
        }
        let file = self.speed(best, "files_1_of_256_mib");
        let memory = self.speed(best, "memory_1_of_256_mib");
        if let (Some(file), Some(memory)) = (file, memory) {
            println!("one file of 256 MiB / the same in memory = {:.3}", file / memory);
        }
    }

    fn charts(&self) -> [(&'static str, Chart); 4] {
        let by_kernel = |case: &str, label: &str| Group {
            label: label.to_owned(),
            bars: self.cases.iter().filter(|c| c.case == case).map(bar).collect(),
        };
        let chart = |title: &str, groups: Vec<Group>| Chart {
            title: title.to_owned(),
            note: format!(
                "MB/s, more is better. {}; {}. {}",
                self.machine.cpu(),
                self.machine.compiler(),
                self.command
            ),
            groups,
        };
        let one_pass = |size: &str, label: &str| Group {
            label: label.to_owned(),
            bars: ["etag", "one_pass", "two_passes"]
                .into_iter()
                .flat_map(|what| {
                    let case = format!("{what}_{size}");
                    let bars = self.cases.iter().filter(move |c| c.case == case).map(bar);
                    let word = what.replace('_', " ");
                    bars.map(move |bar| Bar { label: format!("{}, {word}", bar.label), ..bar })
                        .collect::<Vec<_>>()
                })
                .collect(),
        };
        [
            (
                "hash-kernels.svg",
                chart(
                    "MD5 of many buffers on one core, by kernel",
                    vec![
                        by_kernel("buffers_96_of_16_kib", "96 of 16 KiB, in the cache"),
                        by_kernel("buffers_640_of_100_kib", "640 of 100 KiB"),
                        by_kernel("buffers_mixed_to_64_kib", "1000 of up to 64 KiB"),
                        by_kernel("buffers_2_of_16_mib", "2 of 16 MiB"),
                    ],
                ),
            ),
            (
                "hash-one-pass.svg",
                chart(
                    "Etag and slice MD5s of one stream",
                    vec![one_pass("16_mib", "16 MiB in slices of 4 MiB")],
                ),
            ),
            (
                "hash-files.svg",
                chart(
                    "Files in the page cache",
                    vec![
                        by_kernel("files_10000_of_1_kib", "10 000 of 1 KiB"),
                        by_kernel("files_10000_of_4_kib", "10 000 of 4 KiB"),
                        by_kernel("files_10000_of_16_kib", "10 000 of 16 KiB"),
                        by_kernel("files_1000_of_100_kib", "1000 of 100 KiB"),
                        by_kernel("files_100_of_4_mib", "100 of 4 MiB"),
                        by_kernel("files_mixed", "300 of up to 512 KiB"),
                        by_kernel("files_1_of_256_mib", "1 of 256 MiB"),
                    ],
                ),
            ),
            (
                "hash-files-cold.svg",
                chart(
                    "Files on the disk, not in the page cache",
                    vec![
                        by_kernel("cold_files_1000_of_1_kib", "1000 of 1 KiB"),
                        by_kernel("cold_files_1000_of_4_kib", "1000 of 4 KiB"),
                        by_kernel("cold_files_1000_of_16_kib", "1000 of 16 KiB"),
                        by_kernel("cold_files_500_of_64_kib", "500 of 64 KiB"),
                    ],
                ),
            ),
        ]
    }
}

fn is_peer(kernel: &str) -> bool {
    kernel.starts_with("peer-")
}

fn bar(case: &Case) -> Bar {
    let label = case.kernel.strip_prefix("peer-").unwrap_or(&case.kernel).to_owned();
    Bar { label, value: case.mb_per_sec, ours: !is_peer(&case.kernel) }
}
