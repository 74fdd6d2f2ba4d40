//! What every test starts from: a folder, an emulator, and the program.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use pan123_emulator::{Emulator, Faults, Options};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "a-token-for-tests";

/// The token of a run whose requests are to be told from those of a run before, which the server may come to only
/// later.
pub(crate) const SECOND: &str = "second";

/// What the emulator's log has for it: the first digits of its MD5.
pub(crate) const SECOND_LOGGED: &str = "a9f0e61a";

/// Slice size of the emulator, so that small files have several.
pub(crate) const SLICE: usize = 1000;

/// A folder with an emulator. The program runs in it and finds nothing else of this machine.
pub(crate) struct Bench {
    dir: TempDir,
    pub(crate) emulator: Emulator,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_faults("{}")
    }

    /// `faults`: a fault script.
    pub(crate) fn with_faults(faults: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::new(dir.path().join("emulator"));
        options.tokens = vec![TOKEN.to_owned(), SECOND.to_owned()];
        options.slice_size = SLICE as u64;
        options.faults = Faults::load(faults).unwrap();
        let emulator = Emulator::start(options).unwrap();
        Self { dir, emulator }
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a file with these bytes, and the folders on the way to it.
    pub(crate) fn file(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The program with these arguments, with the emulator and its token in the environment.
    pub(crate) fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pan123"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.path("home"))
            .env("PAN123_STATE_DIR", self.path("state"))
            .env("PAN123_BASE_URL", self.emulator.base_url())
            .env("PAN123_ACCESS_TOKEN", TOKEN)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Run {
        Run::of(&mut self.command(args))
    }

    /// Starts the program with a stdout that can be read line by line.
    pub(crate) fn start<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Running {
        Running::of(&mut self.command(args))
    }

    /// The content of a stored file, by its path in the drive.
    pub(crate) fn stored(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.path("emulator/files").join(path)).ok()
    }

    /// How many requests of an endpoint the emulator got.
    pub(crate) fn requests(&self, endpoint: &str) -> usize {
        let requests = self.emulator.requests();
        requests.iter().filter(|request| request.endpoint.is_some_and(|it| it.name() == endpoint)).count()
    }
}

/// A run of the program that is over.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }

    /// Every line of stdout as JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        self.out.lines().map(parse).collect()
    }

    /// The last line of stdout as JSON.
    #[track_caller]
    pub(crate) fn last(&self) -> Value {
        self.json().pop().unwrap_or_else(|| panic!("no output: {self:?}"))
    }

    /// Fails unless it exited with this code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        assert!(!self.err.contains(TOKEN), "the token shows on stderr: {}", self.err);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "stderr should contain {text:?}: {}", self.err);
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program prints UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A run of the program that goes on. It is killed when this is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) out: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// The next line of stdout, without its end; empty at the end of all.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Reads stdout up to the first line that contains `text`, and returns that.
    #[track_caller]
    pub(crate) fn until(&mut self, text: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(text) {
                return line;
            }
            assert!(!line.is_empty(), "the output ended without {text:?}");
        }
    }

    /// Waits for the end; the output is what was not read yet.
    pub(crate) fn finish(mut self) -> Run {
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        Run { code: self.child.wait().unwrap().code(), out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After `finish` there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes that repeat nowhere within a slice.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8).collect()
}

/// Waits until something holds that cannot be waited for in any other way.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::yield_now();
    }
}
