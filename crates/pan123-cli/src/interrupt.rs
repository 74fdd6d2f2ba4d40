//! Ctrl-C, SIGTERM and a terminal that is closed: the first asks the program to stop, the second ends it.

use std::io;

use pan123_upload::{Error, ErrorKind};
use tokio::sync::watch;

/// Whether the program was asked to stop. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

/// The exit code after an interrupt: 128 and the number of SIGINT, as shells have it.
const EXIT_CODE: i32 = 130;

/// Signals that come this soon after the first belong to it.
const SAME_REQUEST: std::time::Duration = std::time::Duration::from_millis(500);

impl Interrupt {
    /// Listens from now on. Within a tokio runtime.
    pub(crate) fn listen() -> Result<Self, Error> {
        let mut signals = Signals::new().map_err(|error| {
            Error::new(ErrorKind::Internal, "listen for signals", error.to_string()).with_source(error)
        })?;
        let (asked, receiver) = watch::channel(false);
        tokio::spawn(async move {
            signals.next().await;
            asked.send_replace(true);
            // `timeout` and others signal a program and then its group: that is one request, not two.
            let first = tokio::time::Instant::now();
            loop {
                signals.next().await;
                if first.elapsed() >= SAME_REQUEST {
                    std::process::exit(EXIT_CODE);
                }
            }
        });
        Ok(Self(receiver))
    }

    /// Returns once the program is asked to stop.
    pub(crate) async fn asked(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|&asked| asked).await.is_err() {
            // The listener is gone only when the program ends anyway.
            std::future::pending().await
        }
    }

    /// Runs `work` unless the program is asked to stop before it is done.
    ///
    /// # Errors
    ///
    /// Those of `work`, and [`ErrorKind::Cancelled`].
    pub(crate) async fn unless<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            result = work => result,
            () = self.asked() => Err(Error::new(ErrorKind::Cancelled, "run command", "interrupted")
                .with_advice("Run the same command again.")),
        }
    }
}

#[cfg(unix)]
struct Signals(tokio::sync::mpsc::UnboundedReceiver<()>);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        // Before the first handler is set, or it would answer for that. `nohup` is to outlive its terminal.
        let hangup = (!ignores_hangup()).then_some(SIGHUP);
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup))?;
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        std::thread::Builder::new().name("pan123-signals".into()).spawn(move || {
            for _ in signals.forever() {
                if sender.send(()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self(receiver))
    }

    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // The thread is gone only when the program ends anyway.
            std::future::pending().await
        }
    }
}

/// Whether we were started with SIGHUP ignored. Where the system does not say, it stays as it is.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Signal 1 is the lowest bit.
    ignored.is_none_or(|mask| mask & 1 != 0)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // An error means that there is no console that could interrupt us.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
