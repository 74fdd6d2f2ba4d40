//! Tells how one upload goes: as bars, as lines of words, or as lines of JSON.

use std::time::{Duration, Instant};

use indicatif::HumanBytes;
use pan123_upload::{
    Progress, Uploaded,
    proto::machine::{Event, Stage},
};
use serde::Serialize;

use crate::{bars::Bar, console::Console};

/// How often progress is looked at. On a terminal that is a redraw, with `--json` a line at most.
pub(crate) const EVERY: Duration = Duration::from_millis(200);

/// How often there is a line about progress where there is no terminal.
const WORDS_EVERY: Duration = Duration::from_secs(10);

/// The report of one upload.
pub(crate) struct Report {
    console: Console,
    /// The path as the user knows it.
    name: String,
    /// There are other files, so each line says which one it is about.
    many: bool,
    bar: Option<Bar>,
    last: Option<Progress>,
    last_words: Instant,
}

/// A line of JSON about a file among others.
#[derive(Serialize)]
struct About<'a, T> {
    #[serde(flatten)]
    line: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
}

#[derive(Serialize)]
struct ProgressLine {
    event: &'static str,
    #[serde(flatten)]
    progress: Progress,
}

#[derive(Serialize)]
struct CompletedLine<'a> {
    event: &'static str,
    #[serde(flatten)]
    uploaded: &'a Uploaded,
}

#[derive(Serialize)]
struct KeptLine<'a> {
    event: &'static str,
    file: &'a str,
    identical: bool,
}

impl Report {
    pub(crate) fn new(console: &Console, name: String, many: bool) -> Self {
        let bar = console.draws_bars().then(|| Bar::new(console.bars(), &name));
        Self { console: console.clone(), name, many, bar, last: None, last_words: Instant::now() }
    }

    /// Which file it is, when there are several.
    pub(crate) fn path(&self) -> Option<&str> {
        self.many.then_some(&self.name)
    }

    pub(crate) fn event(&mut self, event: &Event, progress: Progress) {
        if self.console.is_json() {
            return self.json(event);
        }
        let name = &self.name;
        match event {
            Event::Stage { stage } if self.bar.is_none() => {
                let size = HumanBytes(progress.bytes_total);
                match stage {
                    Stage::Hashing => self.console.note(format!("{name}: hashing {size}")),
                    Stage::Sending => self.console.note(format!("{name}: sending {size}")),
                    Stage::Completing => {
                        self.console.note(format!("{name}: all is sent; the service is checking it"))
                    }
                    Stage::Creating | Stage::Done => {}
                }
            }
            Event::Retry { step, slice_no, wait_ms, reason, .. } => {
                let slice = slice_no.map(|no| format!(" {no}")).unwrap_or_default();
                let reason =
                    reason.strip_prefix(step).and_then(|text| text.strip_prefix(": ")).unwrap_or(reason);
                let wait = *wait_ms as f64 / 1000.0;
                self.console.note(format!("{name}: {step}{slice}: {reason}; again in {wait:.1} s"));
            }
            Event::Restart { reason } => self.console.note(format!("{name}: starting over: {reason}")),
            _ => {}
        }
    }

    pub(crate) fn progress(&mut self, progress: Progress) {
        if let Some(bar) = &mut self.bar {
            bar.show(progress);
        } else if self.console.is_json() {
            if self.last != Some(progress) {
                self.json(&ProgressLine { event: "progress", progress });
            }
        } else if self.last_words.elapsed() >= WORDS_EVERY {
            self.last_words = Instant::now();
            let (name, total) = (&self.name, HumanBytes(progress.bytes_total));
            let (hashed, acknowledged) =
                (HumanBytes(progress.bytes_hashed), HumanBytes(progress.bytes_acknowledged));
            match progress.stage {
                Stage::Hashing => self.console.note(format!("{name}: {hashed} of {total} hashed")),
                Stage::Sending => {
                    self.console.note(format!("{name}: {acknowledged} of {total} acknowledged"))
                }
                _ => {}
            }
        }
        self.last = Some(progress);
    }

    /// `kept`: where the emulator keeps it, with the same bytes.
    pub(crate) fn completed(self, uploaded: &Uploaded, kept: Option<&str>) {
        let (console, name) = (self.console.clone(), self.name.clone());
        self.result(uploaded, kept);
        console.done(format!("{name} is uploaded: it is stored with file id {}", uploaded.file_id));
    }

    fn result(mut self, uploaded: &Uploaded, kept: Option<&str>) {
        self.bar = None;
        if self.console.is_json() {
            if let Some(file) = kept {
                self.json(&KeptLine { event: "kept", file, identical: true });
            }
            return self.json(&CompletedLine { event: "completed", uploaded });
        }
        let Uploaded { file_id, etag, size, slices, reused, earlier, elapsed_ms, .. } = uploaded;
        let how = match (slices, reused) {
            _ if *earlier => "none now: an earlier run stored it and ended before it could say so".to_owned(),
            (_, true) => "none sent: the service had these bytes already".to_owned(),
            (0, false) => "none: it went out in one request".to_owned(),
            (slices, false) => slices.to_string(),
        };
        let (name, time) = (&self.name, *elapsed_ms as f64 / 1000.0);
        if self.many {
            let kept = kept.map(|file| format!("  {file}")).unwrap_or_default();
            let time = if *earlier { "stored by an earlier run".to_owned() } else { format!("{time:.2} s") };
            return self.console.out(format!("{file_id}  {etag}  {name}  ({time}){kept}"));
        }
        let kept = kept.map(|file| format!("\n  kept in  {file}, compared byte by byte")).unwrap_or_default();
        self.console.out(format!(
            "{name}\n  file id  {file_id}\n  etag     {etag}\n  size     {size} bytes\n  slices   {how}\n  time     {time:.2} s{kept}"
        ));
    }

    pub(crate) fn failed(mut self, error: &pan123_upload::Error) {
        self.bar = None;
        self.console.error(Some(self.name.as_str()).filter(|_| self.many), error);
    }

    fn json(&self, line: impl Serialize) {
        self.console.json(&About { line, path: self.path() });
    }
}
