//! The log: on stderr, for those who ask for it.

use indicatif::MultiProgress;
use pan123_upload::{Error, ErrorKind};
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::console::LogWriter;

/// What to log, by name of the crate or module: `pan123_upload=debug`.
const VARIABLE: &str = "PAN123_LOG";

/// Without a word from the user: what he has to know and no other line of the program tells.
const QUIET: &str = "warn,pan123_upload::driver=off,pan123_emulator=error";

/// Sets the log up. `verbose`: how often `-v` was given.
///
/// # Errors
///
/// [`ErrorKind::Usage`] when `PAN123_LOG` makes no sense.
pub(crate) fn start(verbose: u8, bars: MultiProgress) -> Result<(), Error> {
    let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let filter = match (verbose, &variable) {
        (0, Some(text)) => text,
        (0, None) => QUIET,
        (1, _) => "info",
        (2, _) => "info,pan123=debug,pan123_upload=debug,pan123_transport=debug,pan123_emulator=debug",
        _ => "trace",
    };
    let filter: Targets = filter.parse().map_err(|error| {
        Error::new(ErrorKind::Usage, "set up log", format!("{VARIABLE} is {filter:?}: {error}")).with_advice(
            "Write a level such as \"info\", or modules with levels: \"pan123_upload=debug,warn\".",
        )
    })?;
    let layer =
        fmt::layer().with_ansi(false).log_internal_errors(false).with_writer(move || LogWriter(bars.clone()));
    tracing_subscriber::registry().with(filter).with(layer).init();
    Ok(())
}
