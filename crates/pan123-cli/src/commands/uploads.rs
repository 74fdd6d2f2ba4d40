//! `pan123 uploads`: what is not finished.

use std::{path::PathBuf, sync::Arc};

use clap::Subcommand;
use pan123_upload::{
    Error, ErrorKind, ResumeStore, StoredLog, Target,
    journal::{Header, Journal},
};
use serde::Serialize;
use tokio::sync::mpsc;

use super::DONE;
use crate::{
    account,
    args::Account,
    console::Console,
    interrupt::Interrupt,
    jobs::{self, Batch, Job, Task, Told, blocking},
    settings::Settings,
};

/// Lists unfinished uploads, goes on with them, or forgets them.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    account: Account,
}

const AFTER_HELP: &str = "\
With --json there is a line for each:
  {\"event\":\"unfinished\",\"key\":…,\"path\":…,\"base_url\":…,\"parent_id\":…,\"filename\":…,\"size\":…,
   \"slices_done\":…,\"slices_total\":…,\"started_unix_ms\":…,\"running\":…,\"unreadable\":…,
   \"file_id\":…,\"told_unix_ms\":…}
A \"file_id\" means that the file is stored and only the telling was cut off; \"resume\" tells, also if
the local file is gone or another one by now. With
\"told_unix_ms\" it was told, too, and belongs to a command over several files that did not end well:
the same command again tells it once more and sends the others, within a day. \"resume --all\" leaves
it out.";

#[derive(Subcommand)]
enum Action {
    /// List them; the same as no word at all
    List {
        #[command(flatten)]
        account: Account,
    },
    /// Go on with some of them, or with all that are neither running nor told
    Resume {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        account: Account,
    },
    /// Forget some of them, or all that are not running; the files are not touched
    Forget {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        account: Account,
    },
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Keys from the list; their first digits will do
    #[arg(value_name = "KEY")]
    keys: Vec<String>,

    /// All that are not running
    #[arg(long)]
    all: bool,
}

/// A log, as far as it can be read.
struct Entry {
    log: StoredLog,
    journal: Result<Journal, String>,
}

#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    key: &'a str,
    path: Option<&'a str>,
    base_url: Option<&'a str>,
    parent_id: Option<i64>,
    filename: Option<&'a str>,
    size: Option<u64>,
    slices_done: Option<u32>,
    slices_total: Option<u32>,
    started_unix_ms: Option<i64>,
    running: bool,
    unreadable: Option<&'a str>,
    /// The file is stored.
    file_id: Option<i64>,
    /// Somebody was told.
    told_unix_ms: Option<i64>,
}

#[derive(Serialize)]
struct Forgotten<'a> {
    event: &'static str,
    key: &'a str,
}

pub(crate) async fn run(options: Options, console: &Console, interrupt: &Interrupt) -> Result<u8, Error> {
    let (which, account, forget) = match options.action {
        None => return list(&options.account, console).await,
        Some(Action::List { account }) => return list(&account, console).await,
        Some(Action::Resume { which, account }) => (which, account, false),
        Some(Action::Forget { which, account }) => (which, account, true),
    };
    let settings = Settings::load(&account.flags, account.config.as_deref(), console)?;
    let entries = read(&settings).await?;
    // What a command over several files still has to tell may include these.
    let told = if entries.iter().any(|entry| entry.told().is_some()) { Told::Keep } else { Told::Forget };
    let all = which.all;
    let mut entries = which.choose(entries)?;
    if all && !forget {
        entries.retain(|entry| entry.told().is_none());
    }
    if entries.is_empty() {
        // It takes no login to find that out.
        console.note("nothing is unfinished that is not running already");
        if !forget && console.is_json() {
            jobs::summary_of_none(console);
        }
        Ok(DONE)
    } else if forget {
        forget_all(&settings, entries, console).await
    } else {
        resume(&settings, entries, told, console, interrupt).await
    }
}

async fn list(account: &Account, console: &Console) -> Result<u8, Error> {
    let settings = Settings::load(&account.flags, account.config.as_deref(), console)?;
    let entries = read(&settings).await?;
    if entries.is_empty() {
        console.note("nothing is unfinished");
    }
    for entry in &entries {
        let line = entry.line();
        console.result(&line, || line.words());
    }
    Ok(DONE)
}

async fn resume(
    settings: &Settings,
    entries: Vec<Entry>,
    told: Told,
    console: &Console,
    interrupt: &Interrupt,
) -> Result<u8, Error> {
    let client = account::connect(settings)?;
    let store = store(settings)?;
    let (queue, jobs) = mpsc::channel(entries.len().max(1));
    for entry in &entries {
        // The queue is long enough for all of them.
        let _ = queue.try_send(entry.job(settings, &store));
    }
    drop(queue);
    let many = entries.len() > 1;
    let (console, interrupt) = (console.clone(), interrupt.clone());
    let batch = Batch { console, client, interrupt, many, told, local: None };
    Ok(batch.run(jobs).await)
}

async fn forget_all(settings: &Settings, entries: Vec<Entry>, console: &Console) -> Result<u8, Error> {
    let store = store(settings)?;
    for Entry { log: StoredLog { key, .. }, .. } in entries {
        let (store, removed) = (store.clone(), key.clone());
        blocking(move || store.remove(&removed)).await?;
        console.result(&Forgotten { event: "forgotten", key: &key }, || format!("forgot {key}"));
    }
    Ok(DONE)
}

fn store(settings: &Settings) -> Result<Arc<dyn ResumeStore>, Error> {
    Ok(account::store(settings)?.expect("only --local goes without"))
}

/// All logs, oldest first.
async fn read(settings: &Settings) -> Result<Vec<Entry>, Error> {
    let store = store(settings)?;
    let logs = blocking(move || store.list()).await?;
    let mut entries: Vec<Entry> = logs
        .into_iter()
        .filter_map(|log| match Journal::decode(&log.bytes) {
            Ok(journal) => journal.map(|journal| Entry { log, journal: Ok(journal) }),
            Err(error) => Some(Entry { log, journal: Err(error.to_string()) }),
        })
        .collect();
    let started = |entry: &Entry| entry.header().map(|header| header.started_unix_ms);
    entries.sort_by_cached_key(|entry| (started(entry), entry.log.key.clone()));
    Ok(entries)
}

impl Which {
    fn choose(&self, mut entries: Vec<Entry>) -> Result<Vec<Entry>, Error> {
        if self.all {
            entries.retain(|entry| !entry.log.busy);
            return Ok(entries);
        }
        let mut chosen = Vec::new();
        for key in &self.keys {
            let mut matching =
                entries.extract_if(.., |entry| entry.log.key.starts_with(key)).collect::<Vec<_>>();
            match (matching.pop(), matching.len()) {
                (Some(entry), 0) => chosen.push(entry),
                (found, _) => {
                    let how = if found.is_none() {
                        "no unfinished upload has"
                    } else {
                        "several unfinished uploads have"
                    };
                    let message = format!("{how} a key that begins with {key:?}");
                    return Err(Error::new(ErrorKind::Usage, "choose uploads", message)
                        .with_advice("\"pan123 uploads\" lists the keys."));
                }
            }
        }
        Ok(chosen)
    }
}

impl Entry {
    fn header(&self) -> Option<&Header> {
        self.journal.as_ref().ok().map(|journal| &journal.header)
    }

    /// When it was told, if it is kept all the same.
    fn told(&self) -> Option<i64> {
        self.journal.as_ref().ok()?.told_unix_ms
    }

    /// It is over, and nobody was told.
    fn is_untold(&self) -> bool {
        self.told().is_none() && self.journal.as_ref().is_ok_and(|journal| journal.done().is_some())
    }

    fn job(&self, settings: &Settings, store: &Arc<dyn ResumeStore>) -> Job {
        let fail = |kind, message: String, advice: &str| {
            Err(Error::new(kind, "resume upload", message).with_advice(advice))
        };
        let header = match &self.journal {
            Ok(journal) => &journal.header,
            Err(why) => {
                let advice = "Forget it, and upload the file again.";
                let task = fail(ErrorKind::Store, format!("{}: {why}", self.log.key), advice);
                return Job { path: PathBuf::from(&self.log.key), task };
            }
        };
        let source = &header.source;
        let path = PathBuf::from(header.path.as_ref().unwrap_or(source));
        if self.is_untold() {
            // Its file may be gone, or another one by now.
            return Job { path, task: Ok(Task::Tell(store.clone(), self.log.key.clone())) };
        }
        // The token is for one service and goes to no other.
        let ours = settings.base_url.trim_end_matches('/') == header.base_url.trim_end_matches('/');
        let task = match &header.path {
            None => fail(
                ErrorKind::Source,
                format!("{source} is no file with a UTF-8 path"),
                "Upload it again as it was.",
            ),
            Some(_) if !ours => fail(
                ErrorKind::Usage,
                format!("{source} was going to {}, not to {}", header.base_url, settings.base_url),
                "Name that service with --base-url.",
            ),
            Some(_) => {
                let spec = header.spec.clone();
                Ok(Task::Upload(Target {
                    parent_id: spec.parent_id,
                    filename: spec.filename,
                    contain_dir: spec.contain_dir,
                    duplicate: spec.duplicate,
                }))
            }
        };
        Job { path, task }
    }

    fn line(&self) -> Line<'_> {
        let header = self.header();
        let slices = self.journal.as_ref().ok().and_then(Journal::slices);
        Line {
            event: "unfinished",
            key: &self.log.key,
            path: header.map(|header| header.source.as_str()),
            base_url: header.map(|header| header.base_url.as_str()),
            parent_id: header.map(|header| header.spec.parent_id),
            filename: header.map(|header| header.spec.filename.as_str()),
            size: header.map(|header| header.spec.size),
            slices_done: slices.map(|(done, _)| done),
            slices_total: slices.map(|(_, total)| total),
            started_unix_ms: header.map(|header| header.started_unix_ms),
            running: self.log.busy,
            unreadable: self.journal.as_ref().err().map(String::as_str),
            file_id: self.journal.as_ref().ok().and_then(Journal::done).map(|done| done.file_id),
            told_unix_ms: self.told(),
        }
    }
}

impl Line<'_> {
    fn words(&self) -> String {
        let running = if self.running { ", running" } else { "" };
        if let Some(why) = self.unreadable {
            return format!("{}  cannot be read: {why}{running}", self.key);
        }
        let slices = match (self.file_id, self.slices_done, self.slices_total) {
            (Some(id), ..) if self.told_unix_ms.is_some() => {
                format!("finished as file id {id}, one of a command that did not end well")
            }
            (Some(id), ..) => format!("finished as file id {id}, result not yet told"),
            (None, Some(done), Some(total)) => format!("{done} of {total} slices"),
            _ => "not begun".to_owned(),
        };
        let size = indicatif::HumanBytes(self.size.unwrap_or_default());
        let (path, filename) = (self.path.unwrap_or_default(), self.filename.unwrap_or_default());
        let folder =
            self.parent_id.filter(|&id| id != 0).map(|id| format!(" in folder {id}")).unwrap_or_default();
        format!("{}  {slices}, {size}{running}\n  {path} as {filename}{folder}", self.key)
    }
}
