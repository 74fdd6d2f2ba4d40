//! The program itself, in a folder of its own, against an emulator.

#![allow(dead_code, reason = "each test program uses its part of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::{
    fs,
    io::{BufRead, BufReader, Lines, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use pan123_emulator::{Emulator, Fault, Faults, Options, Request};
use pan123_upload::proto::Endpoint;
use serde_json::Value;

/// Bytes of a slice.
pub(crate) const SLICE: u64 = 64 << 10;

pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) emulator: Emulator,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::new(dir.path().join("drive"));
        options.slice_size = SLICE;
        change(&mut options);
        Self { emulator: Emulator::start(options).unwrap(), dir }
    }

    /// Puts these faults in force instead of those before.
    pub(crate) fn script(&self, faults: Vec<Fault>) {
        let behaviour = self.emulator.faults().behaviour;
        self.emulator.set_faults(Faults { behaviour, faults, ..Faults::default() }).unwrap();
    }

    /// The program with an account at the emulator.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = program(self.dir.path());
        command.env("PAN123_BASE_URL", self.emulator.base_url());
        command.env("PAN123_ACCESS_TOKEN", self.emulator.token());
        command.args(arguments);
        command
    }

    pub(crate) fn file(&self, name: &str, len: u64, seed: u64) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes(len, seed)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn stored(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.dir.path().join("drive/files").join(name)).ok()
    }

    pub(crate) fn requests(&self, endpoint: Endpoint) -> Vec<Request> {
        self.emulator.requests().into_iter().filter(|request| request.endpoint == Some(endpoint)).collect()
    }

    /// How often a slice was taken.
    pub(crate) fn taken(&self) -> u64 {
        self.requests(Endpoint::Slice).iter().filter(|request| request.code == Some(0)).count() as u64
    }
}

/// The program, with nothing of this machine's settings, and its state in this folder.
pub(crate) fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pan123"));
    command.env_clear().env("HOME", dir).env("PAN123_STATE_DIR", state(dir)).stdin(Stdio::null());
    command
}

pub(crate) fn state(dir: &Path) -> PathBuf {
    dir.join("state")
}

/// A program under way, whose JSON lines are read one by one. Killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line for which this holds; `None` if the program ends before.
    pub(crate) fn line(&mut self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let lines = self.lines.by_ref().map_while(Result::ok);
        lines.filter_map(|line| serde_json::from_str(&line).ok()).find(|line| wanted(line))
    }

    /// Waits until it enters this stage.
    pub(crate) fn stage(&mut self, stage: &str) {
        let found = self.line(|line| line["event"] == "stage" && line["stage"] == stage);
        assert!(found.is_some(), "it ended before {stage}: {}", self.stderr());
    }

    /// `kill -9`, and waits for the end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<Value>) {
        let lines = self.lines.by_ref().map_while(Result::ok);
        let lines = lines.map(|line| serde_json::from_str(&line).unwrap()).collect();
        (self.child.wait().unwrap().code(), lines)
    }

    fn stderr(&mut self) -> String {
        let mut text = String::new();
        let _ = self.child.stderr.take().unwrap().read_to_string(&mut text);
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Its exit code, and its stdout and stderr as one text.
pub(crate) fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    (output.status.code(), text.concat())
}

pub(crate) fn bytes(len: u64, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len as usize];
    rng.fill(&mut bytes);
    bytes
}
