//! `pan123 serve`: the emulator.

use std::path::PathBuf;

use pan123_emulator::{Emulator, Faults};
use pan123_upload::{Error, ErrorKind};
use serde::Serialize;

use super::DONE;
use crate::{console::Console, interrupt::Interrupt, jobs::blocking, local::emulator_error};

/// Runs the service on this machine, as an emulator that keeps real files in a real folder. Ctrl-C ends it.
///
/// The first line on stdout is "listening http://127.0.0.1:PORT"; then come a token that it takes, its upload
/// hosts and its folder.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// Port of the API; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value = "0")]
    port: u16,

    /// Folder for what it stores; what is in it stays. Without one it is a temporary folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Access token that it takes; may be given several times [default: a random one]
    #[arg(long, value_name = "TOKEN")]
    token: Vec<String>,

    /// How many upload hosts there are, 1 to 64
    #[arg(long, value_name = "N", default_value = "2")]
    servers: u32,

    /// Slice size that create names
    #[arg(long, value_name = "BYTES", default_value = "16777216")]
    slice_size: u64,

    /// Count the bytes and drop them, for measurements
    #[arg(long)]
    no_keep: bool,

    /// What is to go wrong: a file with a fault script, or the script itself
    #[arg(long, value_name = "FILE|JSON")]
    faults: Option<String>,

    /// Let each request go wrong with this probability, 0 to 1, in some way that a client should survive. Tokens are
    /// refused too: upload with the client id and secret below, which can get a new one
    #[arg(long, value_name = "P", conflicts_with = "faults", value_parser = probability)]
    random_faults: Option<f64>,

    /// With --random-faults: the same number gives the same faults
    #[arg(long, value_name = "N", requires = "random_faults", default_value = "0")]
    seed: u64,

    /// File that gets a line of JSON for each request
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Example:
  pan123 serve --port 8123 --token secret &
  PAN123_BASE_URL=http://127.0.0.1:8123 PAN123_ACCESS_TOKEN=secret pan123 upload film.mkv

It also lets in the client id \"emulator-id\" with the secret \"emulator-secret\".

With --json the first line is
  {\"event\":\"listening\",\"base_url\":…,\"token\":…,\"servers\":[…],\"dir\":…}";

#[derive(Serialize)]
struct Listening<'a> {
    event: &'static str,
    base_url: &'a str,
    token: &'a str,
    servers: &'a [String],
    dir: String,
}

pub(crate) async fn run(options: Options, console: &Console, interrupt: &Interrupt) -> Result<u8, Error> {
    let mut temporary = None;
    let dir = match &options.dir {
        Some(dir) => dir.clone(),
        None => {
            let dir = tempfile::Builder::new().prefix("pan123-").tempdir().map_err(|error| {
                Error::new(ErrorKind::Store, "make temporary folder", error.to_string())
                    .with_advice("Name a folder with --dir.")
            })?;
            temporary.insert(dir).path().to_owned()
        }
    };
    let settings = options.settings(dir.clone())?;
    let emulator = blocking(|| Emulator::start(settings).map_err(|error| emulator_error(&error))).await?;
    let listening = Listening {
        event: "listening",
        base_url: emulator.base_url(),
        token: emulator.token(),
        servers: emulator.servers(),
        dir: dir.display().to_string(),
    };
    console.result(&listening, || listening.words(temporary.is_some()));
    interrupt.asked().await;
    blocking(move || {
        emulator.stop();
        drop(temporary);
        Ok(())
    })
    .await?;
    Ok(DONE)
}

impl Options {
    fn settings(&self, dir: PathBuf) -> Result<pan123_emulator::Options, Error> {
        let mut settings = pan123_emulator::Options::new(dir);
        settings.port = self.port;
        settings.servers = self.servers;
        settings.tokens.clone_from(&self.token);
        settings.slice_size = self.slice_size;
        settings.keep_bytes = !self.no_keep;
        settings.log.clone_from(&self.log);
        settings.faults = match (&self.faults, self.random_faults) {
            (Some(text), _) => Faults::load(text).map_err(|error| emulator_error(&error))?,
            (None, Some(probability)) => Faults::random(self.seed, probability),
            (None, None) => Faults::default(),
        };
        Ok(settings)
    }
}

impl Listening<'_> {
    fn words(&self, temporary: bool) -> String {
        let Self { base_url, token, dir, .. } = self;
        let servers = self.servers.iter().map(|server| format!("server     {server}\n"));
        let goes = if temporary { " (removed at the end; --dir names one that stays)" } else { "" };
        format!(
            "listening {base_url}\ntoken      {token}\n{}folder     {dir}{goes}",
            servers.collect::<String>()
        )
    }
}

fn probability(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number @ 0.0..=1.0) => Ok(number),
        _ => Err("a probability is a number from 0 to 1".to_owned()),
    }
}
