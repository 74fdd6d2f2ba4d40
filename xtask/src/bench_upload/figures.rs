//! What the runs of `cargo xtask bench upload` come to.

use serde::Serialize;

use crate::bench::{Machine, median};

/// Whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Subject {
    /// `pan123 upload`.
    Pan123,
    /// `pan123 hash`: the part of an upload before the first byte is sent.
    Pan123Hash,
    /// The same bytes over as many sockets, and nothing else.
    RawWriter,
    /// From PyPI.
    Aio123pan,
    /// From PyPI.
    Py123panClient,
}

/// In the order of a round.
pub(super) const SUBJECTS: [Subject; 5] =
    [Subject::Pan123, Subject::RawWriter, Subject::Pan123Hash, Subject::Aio123pan, Subject::Py123panClient];

/// One run of one client.
#[derive(Serialize)]
pub(super) struct Run {
    pub(super) subject: Subject,
    pub(super) round: u32,
    pub(super) file_bytes: u64,
    /// From its first own action to its end; interpreters have started by then.
    pub(super) whole_s: f64,
    /// From before the first slice to after the last, if it says so.
    pub(super) send_s: Option<f64>,
    /// The client's CPU time in `whole_s`.
    pub(super) cpu_s: f64,
    /// The client's peak memory.
    pub(super) rss_mib: f64,
    /// The emulator's CPU time; it shares the machine with the client.
    pub(super) emulator_cpu_s: f64,
}

/// What is written to `docs/bench/upload.json`.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    pub(super) command: String,
    pub(super) machine: Machine,
    pub(super) slices_in_flight: u32,
    pub(super) ratios: Vec<Ratio>,
    pub(super) runs: &'a [Run],
}

/// A figure with its goal.
#[derive(Serialize)]
pub(super) struct Ratio {
    pub(super) what: &'static str,
    pub(super) value: f64,
    pub(super) goal: &'static str,
}

/// The median of `value` over the rounds of `subject`.
fn middle(runs: &[Run], subject: Subject, value: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
    median(runs.iter().filter(|run| run.subject == subject && run.round > 0).filter_map(value))
}

/// Prints the median of each column for each subject, and the memory for each file.
pub(super) fn table(runs: &[Run]) {
    println!(
        "{:<18} {:>8} {:>8} {:>10} {:>8} {:>15}",
        "", "whole s", "send s", "CPU s/GiB", "RSS MiB", "emulator CPU s"
    );
    for subject in SUBJECTS {
        let cell = |value: fn(&Run) -> Option<f64>, digits: usize| {
            middle(runs, subject, value).map_or("-".to_owned(), |middle| format!("{middle:.digits$}"))
        };
        println!(
            "{:<18} {:>8} {:>8} {:>10} {:>8} {:>15}",
            format!("{subject:?}"),
            cell(|run| Some(run.whole_s), 3),
            cell(|run| run.send_s, 3),
            cell(|run| Some(run.cpu_s_per_gib()), 2),
            cell(|run| Some(run.rss_mib), 1),
            cell(|run| Some(run.emulator_cpu_s), 2),
        );
    }
    for run in runs.iter().filter(|run| run.round == 0) {
        println!("{:?} with {} bytes: {:.1} MiB", run.subject, run.file_bytes, run.rss_mib);
    }
}

impl Run {
    fn cpu_s_per_gib(&self) -> f64 {
        self.cpu_s * f64::from(1 << 30) / self.file_bytes as f64
    }
}

/// The figures that have goals. Each is taken within a round, whose runs follow each other closely, and
/// the median is over the rounds: so what else the machine does weighs least.
pub(super) fn ratios(runs: &[Run]) -> Vec<Ratio> {
    use Subject::{Aio123pan, Pan123, Pan123Hash, Py123panClient, RawWriter};
    let rounds = runs.iter().map(|run| run.round).max().unwrap_or(0);
    let each =
        |value: &dyn Fn(u32) -> Option<f64>| median((1..=rounds).filter_map(value)).unwrap_or(f64::NAN);
    let of = |round, subject| runs.iter().find(|run| run.subject == subject && run.round == round);
    let whole = |round, subject| of(round, subject).map(|run| run.whole_s);
    let send = |round, subject| of(round, subject)?.send_s;
    let cpu = |round, subject| of(round, subject).map(Run::cpu_s_per_gib);
    let rss = runs.iter().filter(|run| run.subject == Pan123).map(|run| run.rss_mib).fold(0.0, f64::max);
    vec![
        Ratio {
            what: "speed of sending, pan123 / raw writer",
            value: each(&|round| Some(send(round, RawWriter)? / send(round, Pan123)?)),
            goal: "at least 0.90",
        },
        Ratio {
            what: "time of the whole, pan123 / (its hash + raw writer's sending)",
            value: each(&|round| {
                Some(whole(round, Pan123)? / (whole(round, Pan123Hash)? + send(round, RawWriter)?))
            }),
            goal: "at most 1.10",
        },
        Ratio {
            what: "time of the whole, aio123pan / pan123",
            value: each(&|round| Some(whole(round, Aio123pan)? / whole(round, Pan123)?)),
            goal: "above 1",
        },
        Ratio {
            what: "time of the whole, py-123pan-client / pan123",
            value: each(&|round| Some(whole(round, Py123panClient)? / whole(round, Pan123)?)),
            goal: "above 1",
        },
        Ratio {
            what: "CPU seconds per GiB, pan123",
            value: each(&|round| cpu(round, Pan123)),
            goal: "at most 1.6",
        },
        Ratio {
            what: "CPU seconds per GiB, aio123pan / pan123",
            value: each(&|round| Some(cpu(round, Aio123pan)? / cpu(round, Pan123)?)),
            goal: "above 1",
        },
        Ratio {
            what: "CPU seconds per GiB, py-123pan-client / pan123",
            value: each(&|round| Some(cpu(round, Py123panClient)? / cpu(round, Pan123)?)),
            goal: "above 1",
        },
        Ratio {
            what: "peak memory of pan123 in MiB, the worst of all files",
            value: rss,
            goal: "at most 32",
        },
    ]
}
