//! Programs beside a task: a service, and an upload whose lines are read while it runs.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::{process, workspace::Workspace};

/// The program as it is released, built now.
pub(crate) fn pan123(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let mut build = workspace.cargo();
    build.args(["build", "--release", "--bin", "pan123"]);
    let log = workspace.scratch().join("logs/pan123-build.log");
    let built = process::run(&mut build, Duration::from_secs(1200), &log)?;
    ensure!(built.success(), "cargo build: {}\n{}", built.verdict(), built.output.trim_end());
    Ok(workspace.target.join("release/pan123"))
}

/// A process that ends with its owner.
pub(crate) struct Owned(Child);

impl Owned {
    /// Starts it with its stdout as a pipe.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<(Self, BufReader<impl Read + use<>>)> {
        let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("run {command:?}"))?;
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Ok((Self(child), stdout))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A service under way.
pub(crate) struct Service {
    _process: Owned,
    /// Where it listens.
    pub(crate) url: String,
    /// A token that it takes.
    pub(crate) token: String,
}

impl Service {
    /// Starts `pan123 serve --json …` and waits until it listens.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let (process, mut stdout) = Owned::start(command)?;
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let said: Value =
            serde_json::from_str(&line).with_context(|| format!("{command:?} said {line:?}"))?;
        let text = |name: &str| said[name].as_str().map(str::to_owned).with_context(|| line.clone());
        Ok(Self { _process: process, url: text("base_url")?, token: text("token")? })
    }
}

/// How a program went.
pub(crate) struct Ended {
    /// Its exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    /// Its lines of JSON, without those of progress.
    pub(crate) lines: Vec<Value>,
    pub(crate) elapsed: Duration,
}

impl Ended {
    /// How often it told of this.
    pub(crate) fn count(&self, event: &str) -> usize {
        self.lines.iter().filter(|line| line["event"] == event).count()
    }

    /// What it said of this, one a line.
    pub(crate) fn said(&self, event: &str) -> String {
        let lines = self.lines.iter().filter(|line| line["event"] == event).take(10);
        lines.map(|line| format!("{line}\n")).collect()
    }
}

/// Runs a program that writes lines of JSON to its end. Each line goes to `told` as it comes, and `look` is called with
/// the process all the while.
pub(crate) fn watch(
    command: &mut Command,
    limit: Duration,
    mut told: impl FnMut(&Value) -> anyhow::Result<()>,
    mut look: impl FnMut(u32),
) -> anyhow::Result<Ended> {
    const LOOK_EVERY: Duration = Duration::from_millis(100);
    let began = Instant::now();
    let (mut process, stdout) = Owned::start(command)?;
    let (lines, coming) = mpsc::channel();
    // Read all the while, so that it never waits for us.
    let reader = thread::spawn(move || {
        stdout.lines().map_while(Result::ok).for_each(|line| _ = lines.send(line));
    });
    let (mut kept, mut looked) = (Vec::new(), began);
    loop {
        ensure!(began.elapsed() < limit, "it is not through after {:.0} s", limit.as_secs_f64());
        if looked.elapsed() >= LOOK_EVERY {
            look(process.id());
            looked = Instant::now();
        }
        match coming.recv_timeout(LOOK_EVERY) {
            Ok(line) => {
                let line: Value = serde_json::from_str(&line).with_context(|| format!("it said {line:?}"))?;
                told(&line)?;
                if line["event"] != "progress" {
                    kept.push(line);
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    reader.join().expect("it only reads");
    let code = process.0.wait()?.code();
    Ok(Ended { code, lines: kept, elapsed: began.elapsed() })
}

/// Bytes that tell any place in any file from any other.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64, file: u64) -> Self {
        Self(seed.wrapping_mul(0x1_0000_0000).wrapping_add(file))
    }

    /// The next number, by SplitMix64.
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.number().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// Compares two files byte for byte.
pub(crate) fn same(one: &Path, two: &Path) -> anyhow::Result<()> {
    let open = |path: &Path| File::open(path).with_context(|| path.display().to_string());
    let (mut left, mut right) = (open(one)?, open(two)?);
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

/// Removes a folder if it is there.
pub(crate) fn clear(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}
