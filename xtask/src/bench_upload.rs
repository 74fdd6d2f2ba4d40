//! `cargo xtask bench upload`: how fast, and at what cost, a file gets out of the page cache and into
//! the sockets of an emulator that throws it away.
//!
//! Each client is a process of its own, and each run has a fresh emulator, so that nothing is known
//! from the run before. The clients take turns, and what is reported is the median over the rounds.

mod figures;

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail};
use figures::{Ratio, Report, Run, SUBJECTS, Subject, ratios, table};

use crate::{
    bench::{Machine, write_report},
    measure::{self, Measured},
    process,
    serve::Serve,
    tools::{CLIENTS, PYTHON, Tools, VENV},
    workspace::Workspace,
};

/// What `cargo xtask bench upload` can be told.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// See that everything runs, with a small file and one round, and judge no figure
    #[arg(long)]
    quick: bool,
    /// How often each client uploads the file
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Slices in flight, and sockets of the raw writer
    #[arg(long, default_value_t = 8)]
    in_flight: u32,
}

const MIB: u64 = 1 << 20;
/// The file of the comparison.
const FILE_BYTES: u64 = 1 << 30;
/// Above what one client sends in a single request, so that all of them cut slices.
const QUICK_FILE_BYTES: u64 = 128 * MIB;
/// The files that memory is measured with. The last is the largest that the service takes.
const RSS_FILES_BYTES: [u64; 3] = [100 * MIB, 1 << 30, 10_000_000_000];
/// No run takes as long as this.
const LIMIT: Duration = Duration::from_secs(300);
const TOKEN: &str = "bench-token";

/// What all runs share.
struct Bench {
    workspace: Workspace,
    tools: Tools,
    pan123: PathBuf,
    folder: PathBuf,
    in_flight: u32,
}

/// Runs the benchmark and prints a table.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let bench = Bench::set_up(options.in_flight)?;
    let (file_bytes, rounds) =
        if options.quick { (QUICK_FILE_BYTES, 1) } else { (FILE_BYTES, options.rounds.max(1)) };
    let file = bench.random_file(file_bytes)?;

    let machine = Machine::this()?;
    let mut runs = Vec::new();
    for round in 1..=rounds {
        for subject in SUBJECTS {
            eprintln!("round {round} of {rounds}: {subject:?}");
            runs.push(bench.run(subject, round, &file)?);
        }
    }
    let rss_files: &[u64] = if options.quick { &[] } else { &RSS_FILES_BYTES };
    for &bytes in rss_files {
        eprintln!("memory with a file of {bytes} bytes");
        runs.push(bench.run(Subject::Pan123, 0, &bench.sparse_file(bytes)?)?);
    }

    table(&runs);
    if options.quick {
        println!("a quick run: it shows that everything works, and its figures mean nothing");
        return Ok(());
    }
    let ratios = ratios(&runs);
    for Ratio { what, value, goal } in &ratios {
        println!("{what:<58} {value:>7.2}   goal {goal}");
    }
    let report = Report {
        command: format!("cargo xtask bench upload --rounds {rounds} --in-flight {}", bench.in_flight),
        machine,
        slices_in_flight: bench.in_flight,
        ratios,
        runs: &runs,
    };
    write_report(&bench.workspace, "upload", &report)
}

impl Bench {
    /// Builds the program, fetches the other clients, makes a folder.
    fn set_up(in_flight: u32) -> anyhow::Result<Self> {
        let workspace = Workspace::find()?;
        let tools = Tools::set_up(&workspace, &[PYTHON, VENV, CLIENTS]);
        if let Some(missing) = [PYTHON, VENV, CLIENTS].into_iter().find_map(|need| tools.missing(need)) {
            bail!("{missing}");
        }
        let mut build = workspace.cargo();
        build.args(["build", "--release", "--bin", "pan123"]);
        let log = workspace.scratch().join("logs/bench-build.log");
        let built = process::run(&mut build, Duration::from_secs(1800), &log)?;
        if !built.success() {
            bail!("{build:?}: {}\n{}", built.verdict(), built.output);
        }
        let pan123 = workspace.target.join("release/pan123");
        let folder = workspace.scratch().join("bench");
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Self { workspace, tools, pan123, folder, in_flight })
    }

    /// A file that no compression and no reuse helps with, in the page cache.
    fn random_file(&self, bytes: u64) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(format!("random-{bytes}"));
        if fs::metadata(&path).map_or(0, |found| found.len()) != bytes {
            let mut file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
            io::copy(&mut File::open("/dev/urandom")?.take(bytes), &mut file)?;
            file.sync_all()?;
        }
        io::copy(&mut File::open(&path)?, &mut io::sink())?;
        Ok(path)
    }

    /// A file of zeros that takes no room.
    fn sparse_file(&self, bytes: u64) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(format!("sparse-{bytes}"));
        File::create(&path)
            .and_then(|file| file.set_len(bytes))
            .with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// One run of one client.
    fn run(&self, subject: Subject, round: u32, file: &Path) -> anyhow::Result<Run> {
        let emulator = self.emulator()?;
        let measured = measure::run(&mut self.command(subject, &emulator.url, file), LIMIT)?;
        let emulator_cpu = emulator.stop()?;

        let (mut begin, mut cpu_before) = (Duration::ZERO, 0.0);
        for (time, line) in &measured.lines {
            if let Ok(Said::Started { cpu_s }) = serde_json::from_str(line) {
                (begin, cpu_before) = (*time, cpu_s);
            }
        }
        Ok(Run {
            subject,
            round,
            file_bytes: fs::metadata(file)?.len(),
            whole_s: (measured.wall - begin).as_secs_f64(),
            send_s: send_time(&measured).map(|time| time.as_secs_f64()),
            cpu_s: measured.cpu.as_secs_f64() - cpu_before,
            rss_mib: measured.rss_bytes as f64 / MIB as f64,
            emulator_cpu_s: emulator_cpu.as_secs_f64(),
        })
    }

    /// An emulator that knows nothing yet and keeps no bytes.
    fn emulator(&self) -> anyhow::Result<Serve> {
        // What earlier runs left: stored files would be reused, digests would not be computed.
        for left in ["emulator", "state"] {
            match fs::remove_dir_all(self.folder.join(left)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).context(left),
                _ => {}
            }
        }
        let dir = self.folder.join("emulator");
        Serve::start(&self.workspace, &self.pan123, TOKEN, &dir, &["--servers", "1", "--no-keep"])
    }

    fn command(&self, subject: Subject, url: &str, file: &Path) -> Command {
        let in_flight = self.in_flight.to_string();
        let mut command = match subject {
            Subject::Pan123 => {
                let mut command = self.workspace.command(&self.pan123);
                command.args(["upload", "--json", "--parallel", &in_flight]);
                command
            }
            Subject::Pan123Hash => {
                let mut command = self.workspace.command(&self.pan123);
                command.arg("hash");
                command
            }
            Subject::RawWriter => {
                // Ourselves, in a process of its own.
                let mut command = self.workspace.command("/proc/self/exe");
                command.args(["raw-writer", "--base-url", url, "--token", TOKEN, "--sockets", &in_flight]);
                command
            }
            Subject::Aio123pan | Subject::Py123panClient => {
                let name = if subject == Subject::Aio123pan { "aio123pan" } else { "py-123pan-client" };
                let python = self.tools.variable(CLIENTS).expect("set up, or we would not be here");
                let mut command = self.workspace.command(python);
                command.arg("xtask/clients/upload.py").args([name, url, TOKEN]);
                command
            }
        };
        command
            .arg(file)
            .env("PAN123_BASE_URL", url)
            .env("PAN123_ACCESS_TOKEN", TOKEN)
            .env("PAN123_STATE_DIR", self.folder.join("state"));
        command
    }
}

/// A line in which a client of another project tells that it begins.
#[derive(serde::Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Said {
    Started { cpu_s: f64 },
}

/// The time between the stages `sending` and `completing`.
fn send_time(measured: &Measured) -> Option<Duration> {
    let stage = |name: &str| {
        let stage = format!(r#""stage":"{name}""#);
        measured.time_of(|line| line.contains(&stage))
    };
    Some(stage("completing")? - stage("sending")?)
}
