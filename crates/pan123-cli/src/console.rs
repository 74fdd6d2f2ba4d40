//! Everything the program prints goes through here, so that bars, results and errors do not mix.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{self, Sender},
    },
    thread,
    time::Duration,
};

use indicatif::{MultiProgress, ProgressDrawTarget};
use pan123_upload::{Error, ErrorKind};
use serde::Serialize;

/// Lines on stdout and stderr, and the bars on a terminal. Cheap to clone.
///
/// A thread of its own does the writing: a reader that is slow to take the output holds up neither an
/// upload nor Ctrl-C.
#[derive(Clone)]
pub(crate) struct Console(Arc<Inner>);

struct Inner {
    json: bool,
    lines: Mutex<Sender<Line>>,
    bars: MultiProgress,
    /// Nobody reads stdout any more.
    closed: AtomicBool,
    /// Why stdout could not be written, other than that.
    failed: Mutex<Option<io::Error>>,
}

enum Line {
    Out(String),
    Err(String),
    /// What is done, for stderr if the line before it could not be written.
    Done(String),
    /// Everything before it is written when this is dropped.
    Flushed {
        _written: Sender<()>,
    },
}

impl Console {
    /// `json`: one JSON object a line on stdout, no bars, and no words on stderr.
    pub(crate) fn new(json: bool) -> Self {
        let bars = MultiProgress::with_draw_target(if json {
            ProgressDrawTarget::hidden()
        } else {
            // Hides itself where stderr is no terminal.
            ProgressDrawTarget::stderr()
        });
        let (lines, queue) = mpsc::channel();
        let inner = Arc::new(Inner {
            json,
            lines: Mutex::new(lines),
            bars,
            closed: AtomicBool::new(false),
            failed: Mutex::default(),
        });
        let console = Self(inner);
        let writer = console.clone();
        thread::spawn(move || queue.into_iter().for_each(|line| writer.write(line)));
        console
    }

    pub(crate) fn is_json(&self) -> bool {
        self.0.json
    }

    /// Bars may be drawn; otherwise there are lines in their place.
    pub(crate) fn draws_bars(&self) -> bool {
        !self.0.json && io::stderr().is_terminal()
    }

    pub(crate) fn bars(&self) -> &MultiProgress {
        &self.0.bars
    }

    /// A result in words, on stdout.
    pub(crate) fn out(&self, text: impl Into<String>) {
        self.send(Line::Out(text.into()));
    }

    /// A result as a line of JSON, on stdout.
    pub(crate) fn json(&self, value: &impl Serialize) {
        let text = serde_json::to_string(value).expect("lines of output hold nothing that JSON cannot");
        self.send(Line::Out(text));
    }

    /// The result of a command: a line of JSON, or words.
    pub(crate) fn result(&self, value: &impl Serialize, words: impl FnOnce() -> String) {
        if self.0.json { self.json(value) } else { self.out(words()) }
    }

    /// After the result of something that is done and cannot be asked for again: names it on stderr if stdout could not
    /// be written.
    pub(crate) fn done(&self, what: impl Into<String>) {
        self.send(Line::Done(what.into()));
    }

    /// News in words, on stderr. Not with `--json`.
    pub(crate) fn note(&self, text: impl Into<String>) {
        if !self.0.json {
            self.send(Line::Err(text.into()));
        }
    }

    /// An error: what failed and what to do about it, or its line of JSON, after one that says whether the same
    /// command goes on from there.
    ///
    /// `path`: which file it is about, when there are several.
    pub(crate) fn error(&self, path: Option<&str>, error: &Error) {
        if !self.0.json {
            return self.note(words(path, error));
        }
        if error.is_resumable() {
            self.json(&Resumable { event: "resumable", path });
        }
        self.json(&Failed::new(path, error));
    }

    /// An error of stdout itself, on stderr with `--json` too: there is no other place.
    pub(crate) fn error_of_output(&self, error: &Error) {
        self.send(Line::Err(words(None, error)));
    }

    /// Nobody reads stdout any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.closed.load(Relaxed)
    }

    /// Waits until everything is written, but not for a reader that takes nothing for `patience`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] when stdout could not be written, for example on a full disk. That nobody reads
    /// it is no error.
    pub(crate) fn finish(&self, patience: Duration) -> Result<(), Error> {
        self.flush(patience);
        match self.failed().take() {
            None => Ok(()),
            Some(error) => {
                let message = format!("the results cannot be written to stdout: {error}");
                Err(Error::new(ErrorKind::Store, "write output", message)
                    .with_advice("Free some space, or send the output somewhere else."))
            }
        }
    }

    /// Whether everything so far is written, waiting for a slow reader for at most `patience`.
    pub(crate) fn is_told(&self, patience: Duration) -> bool {
        self.flush(patience) && !self.is_closed()
    }

    /// Waits until everything so far was written or cannot be; false if that takes longer than `patience`.
    fn flush(&self, patience: Duration) -> bool {
        let (written, done) = mpsc::channel();
        self.send(Line::Flushed { _written: written });
        // Ends with an error in any case: nothing is ever sent.
        done.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Disconnected)
    }

    fn send(&self, line: Line) {
        let lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.send(line).expect("the writing thread lives as long as the program");
    }

    fn write(&self, line: Line) {
        match line {
            Line::Out(text) if !self.is_closed() => self.0.bars.suspend(|| self.write_out(&text)),
            // Without stderr there is nobody left to tell.
            Line::Err(text) => drop(self.0.bars.suspend(|| writeln!(io::stderr(), "{text}"))),
            Line::Done(what) if self.failed().is_some() => {
                drop(self.0.bars.suspend(|| writeln!(io::stderr(), "{what}")));
            }
            Line::Out(_) | Line::Done(_) | Line::Flushed { .. } => {}
        }
    }

    fn write_out(&self, text: &str) {
        let mut stdout = io::stdout().lock();
        let Err(error) = writeln!(stdout, "{text}").and_then(|()| stdout.flush()) else { return };
        self.0.closed.store(true, Relaxed);
        if error.kind() != io::ErrorKind::BrokenPipe {
            *self.failed() = Some(error);
        }
    }

    fn failed(&self) -> MutexGuard<'_, Option<io::Error>> {
        self.0.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line before that of an upload that failed, if the same command again goes on from there.
#[derive(Serialize)]
struct Resumable<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
}

/// The last line of an upload or another command that failed.
#[derive(Serialize)]
struct Failed<'a> {
    event: &'static str,
    kind: ErrorKind,
    message: String,
    code: Option<i64>,
    http_status: Option<u16>,
    trace_id: Option<&'a str>,
    advice: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
}

impl<'a> Failed<'a> {
    fn new(path: Option<&'a str>, error: &'a Error) -> Self {
        let slice = error.slice_no().map(|no| format!(" {no}")).unwrap_or_default();
        let tries = Some(error.attempts()).filter(|&tries| tries > 1);
        let tries = tries.map(|tries| format!(" (after {tries} attempts)")).unwrap_or_default();
        Self {
            event: "failed",
            kind: error.kind(),
            message: format!("{}{slice}: {}{tries}", error.step(), error.message()),
            code: error.code(),
            http_status: error.http_status(),
            trace_id: error.trace_id(),
            advice: error.advice(),
            path,
        }
    }
}

/// The `failed` line of a command line that could not be understood.
pub(crate) fn usage_line(message: &str) -> String {
    let error = Error::new(ErrorKind::Usage, "check arguments", message)
        .with_advice("Correct the command; \"pan123 help COMMAND\" explains it.");
    serde_json::to_string(&Failed::new(None, &error)).expect("a message is a text like any other")
}

fn words(path: Option<&str>, error: &Error) -> String {
    let (advice, error) = (error.advice(), error.to_string());
    let path = path.filter(|path| !error.contains(path)).map(|path| format!("{path}: ")).unwrap_or_default();
    let advice = if advice.is_empty() { String::new() } else { format!("\n  {}", sentence(advice)) };
    format!("error: {path}{error}{advice}")
}

/// With a capital in front and a full stop behind.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(char::to_uppercase).into_iter().flatten();
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    first.chain(chars).chain(end.chars()).collect()
}

/// For the log: stderr, with the bars out of the way.
pub(crate) struct LogWriter(pub(crate) MultiProgress);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("json", &self.0.json).finish_non_exhaustive()
    }
}
