//! `cargo xtask soak`: many small files and one large one against a service on which anything goes wrong, while
//! the client's memory, threads and descriptors are watched. Then every byte is compared.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::{process, workspace::Workspace};

/// What `cargo xtask soak` can be told.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many small files, of 1 byte to 64 KiB
    #[arg(long, default_value_t = 10_000)]
    files: u32,
    /// Size of the large file in bytes; it is sparse
    #[arg(long, default_value_t = 10_000_000_000)]
    large: u64,
    /// How likely each slice is to meet trouble, 0 to 1; other calls half of it
    #[arg(long, default_value_t = 0.1)]
    faults: f64,
    /// Seed of files and faults; each round adds one
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Begin new rounds until this many minutes are over
    #[arg(long, default_value_t = 0)]
    minutes: u64,
    /// No upload may take longer than this many minutes
    #[arg(long, default_value_t = 30)]
    limit: u64,
}

/// The most memory that the client may have, whatever it uploads.
const RSS_MIB_MAX: u64 = 128;
/// How much more memory it may have in the last third of a run than in the second.
const GROWTH_MIB_MAX: u64 = 16;
const THREADS_MAX: u64 = 96;
const DESCRIPTORS_MAX: u64 = 256;
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs rounds until the time is over; at least one.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let mut build = workspace.cargo();
    build.args(["build", "--release", "--bin", "pan123"]);
    let log = workspace.scratch().join("logs/soak-build.log");
    let built = process::run(&mut build, Duration::from_secs(1200), &log)?;
    ensure!(built.success(), "cargo build: {}\n{}", built.verdict(), built.output.trim_end());
    let soak =
        Soak { pan123: workspace.target.join("release/pan123"), folder: workspace.scratch().join("soak") };
    let (began, minutes) = (Instant::now(), Duration::from_secs(60 * options.minutes));
    for seed in options.seed.. {
        soak.round(options, seed).with_context(|| {
            format!("round with --seed {seed}; what it left is in {}", soak.folder.display())
        })?;
        if began.elapsed() >= minutes {
            break;
        }
    }
    clear(&soak.folder)
}

struct Soak {
    pan123: PathBuf,
    folder: PathBuf,
}

impl Soak {
    fn round(&self, options: &Options, seed: u64) -> anyhow::Result<()> {
        clear(&self.folder)?;
        let (small, large) = (self.folder.join("small"), self.folder.join("large.bin"));
        small_files(&small, options.files, seed)?;
        File::create(&large)?.set_len(options.large)?;
        let service = self.serve(options.faults, seed)?;
        println!("seed {seed}");
        for (what, path) in [("small files", &small), ("large file", &large)] {
            let watched = self.upload(&service, path, Duration::from_secs(60 * options.limit))?;
            watched.judge(what)?;
        }
        let drive = self.folder.join("drive/files");
        for name in (0..options.files).map(|no| format!("{no}.bin")) {
            let (sent, stored) = (fs::read(small.join(&name))?, fs::read(drive.join("small").join(&name)));
            ensure!(
                stored.with_context(|| format!("{name} is not stored"))? == sent,
                "{name} has other bytes"
            );
        }
        let count = fs::read_dir(drive.join("small"))?.count();
        ensure!(count == options.files as usize, "{count} files are stored, and {} were sent", options.files);
        same(&large, &drive.join("large.bin"))?;
        println!("  every byte compared");
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.pan123);
        command.env_clear().env("HOME", &self.folder).env("PAN123_STATE_DIR", self.folder.join("state"));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    fn serve(&self, faults: f64, seed: u64) -> anyhow::Result<Service> {
        let mut command = self.command();
        command.args([
            "serve",
            "--json",
            "--random-faults",
            &faults.to_string(),
            "--seed",
            &seed.to_string(),
        ]);
        command.arg("--dir").arg(self.folder.join("drive")).arg("--log").arg(self.folder.join("requests"));
        let mut child = command.spawn().context("run pan123 serve")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line)?;
        let url = serde_json::from_str::<Value>(&line)?["base_url"].as_str().unwrap_or_default().to_owned();
        Ok(Service { child, url })
    }

    /// Uploads to the end, whatever it takes, and looks at the process all the while.
    fn upload(&self, service: &Service, path: &Path, limit: Duration) -> anyhow::Result<Watched> {
        let mut command = self.command();
        command.args(["upload", "--json", "--retry-for", "5m"]).arg(path);
        command.env("PAN123_BASE_URL", &service.url);
        // At the rates of a free account small files go both ways: created first, and in one request each.
        // A service that refuses a token has to give another one.
        command.env("PAN123_CLIENT_ID", "emulator-id").env("PAN123_CLIENT_SECRET", "emulator-secret");
        let mut child = Service { child: command.spawn().context("run pan123 upload")?, url: String::new() };
        let stdout = BufReader::new(child.child.stdout.take().expect("piped"));
        // Read all the while, so that it never waits for us; what is kept are failures and the end.
        let reader = thread::spawn(move || {
            let (mut counts, mut last) = (HashMap::<String, u64>::new(), Vec::new());
            for line in stdout.lines().map_while(Result::ok) {
                let event = serde_json::from_str::<Value>(&line).unwrap_or_default();
                let event = event["event"].as_str().unwrap_or_default().to_owned();
                if matches!(event.as_str(), "failed" | "summary") && last.len() < 10 {
                    last.push(line);
                }
                *counts.entry(event).or_default() += 1;
            }
            (counts, last)
        });
        let began = Instant::now();
        let mut looks = Vec::new();
        let status = loop {
            if let Some(status) = child.child.try_wait()? {
                break status;
            }
            ensure!(began.elapsed() < limit, "it is not through after {} minutes", limit.as_secs() / 60);
            looks.extend(Look::at(child.child.id()));
            thread::sleep(LOOK_EVERY);
        };
        let (events, last) = reader.join().expect("reads only");
        ensure!(status.success(), "pan123 upload: {status}\n{}", last.join("\n"));
        Ok(Watched { looks, events, elapsed: began.elapsed() })
    }
}

/// A process that ends with its owner.
struct Service {
    child: Child,
    url: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process holds at one moment.
#[derive(Clone, Copy)]
struct Look {
    rss_mib: u64,
    threads: u64,
    descriptors: u64,
}

impl Look {
    /// `None` when it is on its way out, and where there is no `/proc`.
    fn at(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Self {
            rss_mib: field("VmRSS:")? / 1024,
            threads: field("Threads:")?,
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64,
        })
    }
}

struct Watched {
    looks: Vec<Look>,
    events: HashMap<String, u64>,
    elapsed: Duration,
}

impl Watched {
    fn judge(&self, what: &str) -> anyhow::Result<()> {
        let most = |looks: &[Look], of: fn(&Look) -> u64| looks.iter().map(of).max().unwrap_or(0);
        let [rss, threads, descriptors]: [fn(&Look) -> u64; 3] =
            [|look| look.rss_mib, |look| look.threads, |look| look.descriptors];
        let count = |event: &str| self.events.get(event).copied().unwrap_or(0);
        println!(
            "  {what}: {:.1} s, at most {} MiB, {} threads, {} descriptors; {} retries, {} restarts",
            self.elapsed.as_secs_f64(),
            most(&self.looks, rss),
            most(&self.looks, threads),
            most(&self.looks, descriptors),
            count("retry"),
            count("restart"),
        );
        for (of, max, unit) in [
            (rss, RSS_MIB_MAX, "MiB"),
            (threads, THREADS_MAX, "threads"),
            (descriptors, DESCRIPTORS_MAX, "descriptors"),
        ] {
            let found = most(&self.looks, of);
            ensure!(found <= max, "{what}: {found} {unit}, and at most {max} are right");
        }
        // Too few looks tell of no trend.
        if let [_, middle, end] =
            self.looks.chunks(self.looks.len().div_ceil(3).max(30)).collect::<Vec<_>>()[..]
        {
            let (before, after) = (most(middle, rss), most(end, rss));
            if after > before + GROWTH_MIB_MAX {
                bail!(
                    "{what}: memory grows, from {before} MiB in the second third to {after} MiB in the last"
                );
            }
        }
        Ok(())
    }
}

/// Files of any bytes, no two alike.
fn small_files(folder: &Path, count: u32, seed: u64) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    for no in 0..count {
        // SplitMix64: enough to tell files apart and to make none that a shift would make alike.
        let mut state = seed.wrapping_mul(0x1_0000_0000).wrapping_add(no.into());
        let mut next = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        };
        let len = 1 + next() as usize % (64 << 10);
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&next().to_le_bytes());
        }
        bytes.truncate(len);
        fs::write(folder.join(format!("{no}.bin")), bytes)?;
    }
    Ok(())
}

fn same(one: &Path, two: &Path) -> anyhow::Result<()> {
    let (mut left, mut right) = (File::open(one)?, File::open(two)?);
    ensure!(left.metadata()?.len() == right.metadata()?.len(), "{} has another size", two.display());
    let (mut buffer, mut other) = (vec![0; 4 << 20], vec![0; 4 << 20]);
    loop {
        let len = left.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        right.read_exact(&mut other[..len])?;
        ensure!(buffer[..len] == other[..len], "{} has other bytes", two.display());
    }
}

fn clear(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}
