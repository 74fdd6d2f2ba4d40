//! `pan123 hash`: digests, and nothing sent.

use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use pan123_hash::{Digests, hex};
use pan123_upload::{Error, ErrorKind};
use serde::Serialize;
use tokio::sync::mpsc::unbounded_channel;

use super::DONE;
use crate::{console::Console, interrupt::Interrupt, jobs::blocking};

/// Prints the etag (the MD5 of the whole) and the MD5 of each slice, from one pass over each file.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// Files to hash
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Slice size in bytes: what create answers, so far always 16 MiB
    #[arg(long, value_name = "BYTES", default_value = "16777216", value_parser = slice_size)]
    slice_size: NonZeroU64,
}

fn slice_size(text: &str) -> Result<NonZeroU64, String> {
    text.parse().map_err(|_| "a slice size is a whole number of bytes, at least 1".to_owned())
}

const AFTER_HELP: &str = "\
With --json there is a line for each file:
  {\"event\":\"hashed\",\"path\":…,\"etag\":…,\"size\":…,\"slice_size\":…,\"slices\":[…]}";

#[derive(Serialize)]
struct Hashed {
    event: &'static str,
    path: String,
    etag: String,
    size: u64,
    slice_size: NonZeroU64,
    slices: Vec<String>,
}

pub(crate) async fn run(options: Options, console: &Console, interrupt: &Interrupt) -> Result<u8, Error> {
    let mut exit_code = DONE;
    let Options { files, slice_size } = options;
    let many = files.len() > 1;
    let paths: Arc<[PathBuf]> = files.into();
    let stop = Stop(Arc::new(AtomicBool::new(false)));
    let (sender, mut receiver) = unbounded_channel();
    let (to_hash, flag) = (paths.clone(), stop.0.clone());
    let mut work = tokio::spawn(blocking(move || {
        let options = pan123_hash::Options::new(slice_size).cancel(&flag);
        // Nobody listens any more when the program is about to end.
        let each = |file, result| _ = sender.send((file, result));
        pan123_hash::hash_many(&to_hash, &options, each).map_err(|error| hash_error(&error))
    }));
    // Results come in any order, and are told in that of the command line.
    let mut early = BTreeMap::new();
    for (file, path) in paths.iter().enumerate() {
        let result = loop {
            if let Some(result) = early.remove(&file) {
                break result;
            }
            // The results end when the work does; then it says whether it could be done at all.
            let next = async {
                if let Some(next) = receiver.recv().await {
                    return Ok(next);
                }
                Err(match (&mut work).await {
                    Ok(Err(error)) => error,
                    _ => Error::new(ErrorKind::Internal, "hash", "a file was left out"),
                })
            };
            let (place, result) = interrupt.unless(next).await?;
            early.insert(place, result);
        };
        if console.is_closed() {
            break;
        }
        match result.map_err(|error| hash_error(&error)) {
            Ok(digests) => {
                let hashed = Hashed::new(path, &digests);
                console.result(&hashed, || hashed.words());
            }
            Err(error) => {
                let path = path.display().to_string();
                console.error(Some(path.as_str()).filter(|_| many && console.is_json()), &error);
                exit_code = exit_code.max(error.kind().exit_code());
            }
        }
    }
    Ok(exit_code)
}

/// Stops the hashing when it is dropped.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// What could not be hashed, as an error of the program.
pub(super) fn hash_error(error: &pan123_hash::Error) -> Error {
    use pan123_hash::ErrorKind as Kind;
    let kind = match error.kind() {
        Kind::Cancelled => ErrorKind::Cancelled,
        Kind::Shrunk | Kind::Grown | Kind::Changed => ErrorKind::SourceChanged,
        Kind::Kernel => ErrorKind::Usage,
        _ => ErrorKind::Source,
    };
    let text = error.to_string();
    Error::new(kind, "hash", text.strip_prefix("hash ").unwrap_or(&text))
}

impl Hashed {
    fn new(path: &Path, digests: &Digests) -> Self {
        Self {
            event: "hashed",
            path: path.display().to_string(),
            etag: hex(&digests.etag),
            size: digests.size,
            slice_size: digests.slice_size,
            slices: digests.slices.iter().map(|slice| hex(slice)).collect(),
        }
    }

    fn words(&self) -> String {
        let Self { path, etag, size, .. } = self;
        let slices = (1..).zip(&self.slices).map(|(no, md5)| format!("\n  slice {no:<4} {md5}"));
        format!("{path}\n  etag       {etag}\n  size       {size} bytes{}", slices.collect::<String>())
    }
}
