//! Runs a program and takes down when it said what, and what it cost.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use wait4::Wait4;

/// What one run of a program cost.
pub(crate) struct Measured {
    /// Each line on stdout, with the time since the start at which it came.
    pub(crate) lines: Vec<(Duration, String)>,
    /// From the start to the end of the process.
    pub(crate) wall: Duration,
    /// User and system time of the process.
    pub(crate) cpu: Duration,
    /// The most memory it had at any moment. The kernel counts from before `exec`, so that this is at
    /// least what `xtask` itself holds, some 10 MiB.
    pub(crate) rss_bytes: u64,
}

impl Measured {
    /// When the first line that `is_it` came.
    pub(crate) fn time_of(&self, is_it: impl Fn(&str) -> bool) -> Option<Duration> {
        self.lines.iter().find(|(_, line)| is_it(line)).map(|(time, _)| *time)
    }
}

/// Runs `command` to its end, which has to come within `limit` and be a success.
pub(crate) fn run(command: &mut Command, limit: Duration) -> anyhow::Result<Measured> {
    let start = Instant::now();
    let mut child = command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {command:?}"))?;
    let group = Pid::from_child(&child);
    let (stdout, mut stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));

    // stdout ends when the program does, so whoever waits for it needs somebody to end the program.
    let (over, is_over) = mpsc::channel::<()>();
    let watchdog = thread::spawn(move || {
        let hangs = is_over.recv_timeout(limit).is_err_and(|error| error == mpsc::RecvTimeoutError::Timeout);
        if hangs {
            let _ = kill_process_group(group, Signal::KILL);
        }
        hangs
    });
    let errors = thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    let mut lines = Vec::new();
    for line in BufReader::new(stdout).lines() {
        lines.push((start.elapsed(), line.with_context(|| format!("output of {command:?}"))?));
    }
    let ended = child.wait4().with_context(|| format!("wait for {command:?}"))?;
    let wall = start.elapsed();
    drop(over);
    let errors = errors.join().expect("reads only").context("stderr")?;
    if watchdog.join().expect("waits only") {
        bail!("{command:?} was ended after {} s, its time limit\n{errors}", limit.as_secs());
    }
    if !ended.status.success() {
        let said: Vec<&str> = lines.iter().map(|(_, line)| line.as_str()).collect();
        bail!("{command:?}: {}\n{}\n{errors}", ended.status, said.join("\n"));
    }
    let cpu = ended.rusage.utime + ended.rusage.stime;
    Ok(Measured { lines, wall, cpu, rss_bytes: ended.rusage.maxrss })
}
