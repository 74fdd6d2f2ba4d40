//! Runs a command that may not hang, nor outlive us, nor leave anything running.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{self, Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicI32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};

/// The process group that runs at the moment; 0 for none.
static RUNNING: AtomicI32 = AtomicI32::new(0);

/// How a command ended.
pub(crate) struct Finished {
    /// `None` when it was ended at its time limit.
    pub(crate) status: Option<ExitStatus>,
    /// What it wrote to stdout and stderr, in the order it was written.
    pub(crate) output: String,
    /// How long it took.
    pub(crate) elapsed: Duration,
}

impl Finished {
    /// It ended by itself, with 0.
    pub(crate) fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// How it ended, for a reader.
    pub(crate) fn verdict(&self) -> String {
        match self.status {
            Some(status) => status.to_string(),
            None => format!("ended after {:.0} s, its time limit", self.elapsed.as_secs_f64()),
        }
    }
}

/// Runs `command` without input, its output into the file `log`, for at most `limit`; then it and
/// everything it started is ended.
pub(crate) fn run(command: &mut Command, limit: Duration, log: &Path) -> anyhow::Result<Finished> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let file = File::create(log).with_context(|| format!("create {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let start = Instant::now();
    let status = status_within(command, limit).with_context(|| format!("run {command:?}"))?;
    let elapsed = start.elapsed();
    let output = fs::read(log).with_context(|| format!("read {}", log.display()))?;
    Ok(Finished { status, output: String::from_utf8_lossy(&output).into_owned(), elapsed })
}

/// The exit status of `command`, or `None` when it had to be ended after `limit`.
fn status_within(command: &mut Command, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let mut child = command.process_group(0).spawn()?;
    // A pid fits an i32 on every Unix, and is not 0.
    let group = child.id() as i32;
    RUNNING.store(group, Ordering::SeqCst);
    let status = wait(&mut child, limit);
    end_group(group);
    RUNNING.store(0, Ordering::SeqCst);
    if let Ok(None) = status {
        child.wait()?;
    }
    status
}

/// Waits for `child`, for at most `limit`.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() >= limit {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Ends what is left of a process group. That nothing is left is the usual case, and no error.
fn end_group(group: i32) {
    if let Some(group) = Pid::from_raw(group) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// From here on, Ctrl-C (and `kill`) ends the running command too. It is in a process group of its
/// own, which a terminal's Ctrl-C does not reach.
pub(crate) fn end_children_with_us() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        end_group(RUNNING.load(Ordering::SeqCst));
        process::exit(130);
    })
    .context("watch for Ctrl-C")
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    fn shell(script: &str, limit: Duration) -> Finished {
        let log = env::temp_dir().join(format!("pan123-xtask-{}-{}", process::id(), script.len()));
        let finished = run(Command::new("sh").args(["-c", script]), limit, &log).unwrap();
        fs::remove_file(&log).unwrap();
        finished
    }

    #[test]
    fn a_command_that_hangs_is_ended_and_what_it_said_is_kept() {
        let finished = shell("echo before; sleep 600 & wait", Duration::from_millis(200));
        assert_eq!(finished.status, None);
        assert_eq!(finished.output, "before\n");
        assert!(finished.verdict().contains("its time limit"), "{}", finished.verdict());
    }

    #[test]
    fn what_goes_to_both_outputs_is_kept_in_order() {
        let finished = shell("echo one; echo two >&2; echo three; exit 3", Duration::from_secs(60));
        assert_eq!(finished.output, "one\ntwo\nthree\n");
        assert_eq!(finished.status.and_then(|status| status.code()), Some(3));
    }
}
