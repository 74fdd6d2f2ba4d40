//! `cargo xtask soak`: many small files and a large one against a service on which anything goes wrong, while
//! the client's memory, threads and descriptors are watched. Then every byte is compared.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

use crate::{
    beside::{Ended, Noise, Service, clear, pan123, same, watch},
    workspace::Workspace,
};

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
    /// 300 small files and one of 200 MB
    #[arg(long, conflicts_with_all = ["files", "large"])]
    quick: bool,
}

/// What `--quick` sends.
const QUICK: (u32, u64) = (300, 200_000_000);

/// The most memory that the client may have, whatever it uploads.
const RSS_MIB_MAX: u64 = 128;
/// How much more memory it may have in the last third of a run than in the second.
const GROWTH_MIB_MAX: u64 = 16;
const THREADS_MAX: u64 = 96;
const DESCRIPTORS_MAX: u64 = 256;
/// The large file is sparse: so many bytes that are no others stand at each multiple of this.
const MARK_LEN: usize = 64;
const MARK_EVERY: u64 = 1 << 20;

/// Runs rounds until the time is over; at least one.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let (files, large) = if options.quick { QUICK } else { (options.files, options.large) };
    let soak = Soak {
        pan123: pan123(&workspace)?,
        folder: workspace.scratch().join("soak"),
        files,
        large,
        faults: options.faults,
        limit: Duration::from_secs(60 * options.limit),
    };
    let (began, minutes) = (Instant::now(), Duration::from_secs(60 * options.minutes));
    for seed in options.seed.. {
        soak.round(seed).with_context(|| {
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
    files: u32,
    large: u64,
    faults: f64,
    limit: Duration,
}

impl Soak {
    fn round(&self, seed: u64) -> anyhow::Result<()> {
        clear(&self.folder)?;
        let (small, large) = (self.folder.join("small"), self.folder.join("large.bin"));
        small_files(&small, self.files, seed)?;
        large_file(&large, self.large, seed)?;
        let service = self.serve(seed)?;
        println!("seed {seed}: {} small files and one of {} bytes", self.files, self.large);
        for (what, path) in [("small files", &small), ("large file", &large)] {
            self.upload(&service, path)?.judge(what)?;
        }
        let drive = self.folder.join("drive/files");
        for name in (0..self.files).map(|no| format!("{no}.bin")) {
            same(&small.join(&name), &drive.join("small").join(&name))?;
        }
        let count = fs::read_dir(drive.join("small"))?.count();
        ensure!(count == self.files as usize, "{count} files are stored, and {} were sent", self.files);
        same(&large, &drive.join("large.bin"))?;
        println!("  every byte compared");
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.pan123);
        command.env_clear().env("HOME", &self.folder).env("PAN123_STATE_DIR", self.folder.join("state"));
        command.stdin(Stdio::null());
        command
    }

    fn serve(&self, seed: u64) -> anyhow::Result<Service> {
        let mut command = self.command();
        command.args(["serve", "--json", "--random-faults"]).arg(self.faults.to_string());
        command.arg("--seed").arg(seed.to_string());
        command.arg("--dir").arg(self.folder.join("drive")).arg("--log").arg(self.folder.join("requests"));
        Service::start(&mut command)
    }

    /// Uploads to the end, whatever it takes, and looks at the process all the while.
    fn upload(&self, service: &Service, path: &Path) -> anyhow::Result<Watched> {
        let mut command = self.command();
        command.args(["upload", "--json", "--retry-for", "5m"]).arg(path);
        command.env("PAN123_BASE_URL", &service.url);
        // At the rates of a free account small files go both ways: created first, and in one request each.
        // A service that refuses a token has to give another one.
        command.env("PAN123_CLIENT_ID", "emulator-id").env("PAN123_CLIENT_SECRET", "emulator-secret");
        let mut looks = Vec::new();
        let ended = watch(&mut command, self.limit, |_| Ok(()), |pid| looks.extend(Look::at(pid)))?;
        let said = || format!("{}{}", ended.said("failed"), ended.said("summary"));
        ensure!(ended.code == Some(0), "pan123 upload ended with {:?}\n{}", ended.code, said());
        Ok(Watched { looks, ended })
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
    ended: Ended,
}

impl Watched {
    fn judge(&self, what: &str) -> anyhow::Result<()> {
        let most = |looks: &[Look], of: fn(&Look) -> u64| looks.iter().map(of).max().unwrap_or(0);
        let [rss, threads, descriptors]: [fn(&Look) -> u64; 3] =
            [|look| look.rss_mib, |look| look.threads, |look| look.descriptors];
        println!(
            "  {what}: {:.1} s, at most {} MiB, {} threads, {} descriptors; {} retries, {} restarts",
            self.ended.elapsed.as_secs_f64(),
            most(&self.looks, rss),
            most(&self.looks, threads),
            most(&self.looks, descriptors),
            self.ended.count("retry"),
            self.ended.count("restart"),
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
        let mut noise = Noise::new(seed, no.into());
        let len = 1 + noise.number() as usize % (64 << 10);
        fs::write(folder.join(format!("{no}.bin")), noise.bytes(len))?;
    }
    Ok(())
}

/// A file of holes, with marks from which every place in it can be told.
fn large_file(path: &Path, len: u64, seed: u64) -> anyhow::Result<()> {
    let mut file = File::create(path)?;
    let mut noise = Noise::new(seed, u64::from(u32::MAX));
    for at in (0..len).step_by(MARK_EVERY as usize) {
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&noise.bytes(MARK_LEN))?;
    }
    file.set_len(len)?;
    Ok(())
}
