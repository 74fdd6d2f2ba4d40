//! The `pan123` program.

#![forbid(unsafe_code)]

mod account;
mod args;
mod bars;
mod commands;
mod console;
mod destination;
#[cfg(all(test, unix))]
mod fuzzed;
mod interrupt;
mod jobs;
mod local;
mod logging;
mod report;
mod settings;
mod walk;

use std::{process, time::Duration};

use console::Console;
use interrupt::Interrupt;
use pan123_upload::{Error, ErrorKind};

/// How long the end waits for plugins to let go of what they hold.
const PLUGINS_CLOSE: Duration = Duration::from_secs(2);
const PLUGINS_CLOSE_INTERRUPTED: Duration = Duration::from_millis(250);

/// How long the end waits for whoever reads the output.
const LAST_WORDS: Duration = Duration::from_secs(10);
const LAST_WORDS_INTERRUPTED: Duration = Duration::from_millis(100);

fn main() {
    let args = args::parse();
    let console = Console::new(args.common.json);
    let mut exit_code = run(args, &console).unwrap_or_else(|error| {
        console.error(None, &error);
        error.kind().exit_code()
    });
    let interrupted = exit_code == ErrorKind::Cancelled.exit_code();
    account::close_plugins(if interrupted { PLUGINS_CLOSE_INTERRUPTED } else { PLUGINS_CLOSE });
    let patience = if interrupted { LAST_WORDS_INTERRUPTED } else { LAST_WORDS };
    if let Err(error) = console.finish(patience) {
        console.error_of_output(&error);
        let _ = console.finish(patience);
        exit_code = exit_code.max(error.kind().exit_code());
    }
    // At once: a thread may hang in a read from a disk that does not answer.
    process::exit(exit_code.into());
}

/// Runs the command and returns the exit code.
fn run(args: args::Args, console: &Console) -> Result<u8, Error> {
    logging::start(args.common.verbose, console.bars().clone())?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Error::new(ErrorKind::Internal, "start", error.to_string()))?;
    let result = runtime.block_on(async {
        let interrupt = Interrupt::listen()?;
        commands::run(args, console, &interrupt).await
    });
    if account::has_plugins() {
        // What uses them has to be gone before they are closed.
        runtime.shutdown_timeout(PLUGINS_CLOSE_INTERRUPTED);
    } else {
        runtime.shutdown_background();
    }
    result
}
