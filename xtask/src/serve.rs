//! `pan123 serve` as a child of ours.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use wait4::Wait4;

use crate::workspace::Workspace;

/// An emulator that runs. It ends with this.
pub(crate) struct Serve {
    child: Child,
    /// Kept open, so that it can say what it likes.
    _said: BufReader<ChildStdout>,
    /// Where it listens.
    pub(crate) url: String,
}

impl Serve {
    /// Starts the program `pan123` as an emulator on any free port.
    pub(crate) fn start(
        workspace: &Workspace,
        pan123: &Path,
        token: &str,
        dir: &Path,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = workspace.command(pan123);
        command
            .args(["serve", "--port", "0", "--token", token, "--dir"])
            .arg(dir)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("run {command:?}"))?;
        let mut said = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        said.read_line(&mut line)?;
        let url = line.trim_end().strip_prefix("listening ").map(str::to_owned);
        let serve = Self { child, _said: said, url: url.unwrap_or_default() };
        if serve.url.is_empty() {
            bail!("{command:?} said {line:?} instead of where it listens");
        }
        Ok(serve)
    }

    /// Ends it; returns the CPU time it took.
    pub(crate) fn stop(mut self) -> anyhow::Result<Duration> {
        self.child.kill()?;
        let ended = self.child.wait4()?;
        Ok(ended.rusage.utime + ended.rusage.stime)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // After `stop` there is nothing left to end; else an error is on its way already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
