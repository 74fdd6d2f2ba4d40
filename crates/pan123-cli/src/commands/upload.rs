//! `pan123 upload`: the main job.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use pan123_upload::{Error, ResumeStore, Source, journal::Journal};

use crate::{
    account,
    args::Account,
    console::Console,
    destination::{Conflict, Destination, Folder},
    interrupt::Interrupt,
    jobs::{Batch, Told, blocking},
    local::Local,
    settings::Settings,
    walk::Files,
};

/// Uploads files, or the files of directories.
///
/// An upload that was cut off, by a failure, by Ctrl-C or by a power cut, goes on where it was when the same
/// command is run again.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// Files to upload, or directories whose files are uploaded into a folder of the same name
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Folder in the drive: its id, or its path from / on, which is made if missing
    #[arg(long, value_name = "ID|/PATH", default_value = "0")]
    to: Folder,

    /// Name that the file gets in the drive, instead of its own
    #[arg(long)]
    name: Option<String>,

    /// What happens when the name is taken [default: fail; with --local: keep-both]
    #[arg(long, value_name = "HOW")]
    on_conflict: Option<Conflict>,

    /// Upload to an emulator of the service on this machine: no account needed, nothing leaves it
    ///
    /// The stored bytes are compared with the file. They are kept under the state directory until the next run
    /// with --local.
    #[arg(long, conflicts_with_all = [
        "base_url", "access_token", "client_id", "client_secret", "refresh_token", "proxy", "ca_file", "plain_http",
    ])]
    local: bool,

    /// With --local: the folder that the emulator works in; what is in it stays
    #[arg(long, value_name = "DIR", requires = "local")]
    local_dir: Option<PathBuf>,

    #[command(flatten)]
    account: Account,
}

const AFTER_HELP: &str = "\
Examples:
  pan123 upload --local README.md
  pan123 upload film.mkv --to /films/2026
  pan123 upload a.zip b.zip --to 1234567 --on-conflict overwrite
  pan123 upload photos --json

A directory is walked to its end. What is no file, cannot be read, is empty or is a link is
reported and left out, and the exit code tells: it is the highest of all files.

With --json there is a line for each event: stage, progress, slice, retry, parallel, restart;
with --local, {\"event\":\"kept\",\"file\":…,\"identical\":true} says where the emulator keeps the
bytes; before a failure after which the same command goes on from there, {\"event\":\"resumable\"}.
The last line is one of
  {\"event\":\"completed\",\"file_id\":…,\"etag\":…,\"size\":…,\"slices\":…,\"reused\":…,
   \"earlier\":…,\"bytes_sent\":…,\"elapsed_ms\":…}
  {\"event\":\"failed\",\"kind\":…,\"message\":…,\"code\":…,\"http_status\":…,
   \"trace_id\":…,\"advice\":…}
\"earlier\" is true when an earlier run stored the file, and either was killed before it could say so
or was one of this command over several files that did not end well: until all files of it are
through, and for a day at most, running it again tells of those that are, and sends the others.
With several files each of these lines also has a \"path\", and the last line of all is
  {\"event\":\"summary\",\"completed\":…,\"failed\":…,\"bytes_sent\":…,\"elapsed_ms\":…,
   \"exit_code\":…}
When a file fails because nothing gets through, or everything is refused for too many requests, and
no other file under way is completed after it, no more files are begun. The line before the summary
says so: {\"event\":\"not_begun\",\"files\":…,\"kind\":…,\"advice\":…}

\"pan123 help\" lists the environment variables and the exit codes.";

pub(crate) async fn run(options: Options, console: &Console, interrupt: &Interrupt) -> Result<u8, Error> {
    let Options { paths, to, name, on_conflict, local, local_dir, account } = options;
    let usual = if local { Conflict::KeepBoth } else { Conflict::Fail };
    let destination = Destination::new(&to, on_conflict.unwrap_or(usual))?;
    let mut settings = Settings::load(&account.flags, account.config.as_deref(), console)?;
    let files = interrupt.unless(blocking(move || Files::new(paths, name, destination))).await?;
    let (settings, local) = if local {
        let start = move || {
            let local = Local::start(&mut settings, local_dir.as_deref())?;
            Ok((settings, Some(Arc::new(local))))
        };
        interrupt.unless(blocking(start)).await?
    } else {
        (settings, None)
    };
    // A file that is not there needs no login to be told.
    if let Some(path) = files.only_one() {
        interrupt.unless(blocking(move || Source::file(path).map(drop))).await?;
    }
    let (client, many) = (account::connect(&settings)?, files.are_many());
    let told = match account::store(&settings)? {
        Some(store) if many => {
            interrupt
                .unless(blocking({
                    let store = store.clone();
                    move || forget_stale(&*store)
                }))
                .await?;
            Told::ForgetTogether(store)
        }
        _ => Told::Forget,
    };
    let (console, interrupt) = (console.clone(), interrupt.clone());
    let batch = Batch { console, client, interrupt, many, told, local };
    Ok(batch.run(files.find()).await)
}

/// Forgets what commands that never ended well told long ago.
fn forget_stale(store: &dyn ResumeStore) -> Result<(), Error> {
    let now = SystemTime::now();
    // A store that cannot be read is told of by each upload.
    for log in store.list().unwrap_or_default() {
        let journal = Journal::decode(&log.bytes).ok().flatten();
        if !log.busy && journal.is_some_and(|journal| journal.is_stale(now)) {
            // One that cannot go is in use by now, and otherwise harmless.
            let _ = store.remove(&log.key);
        }
    }
    Ok(())
}
