//! `cargo xtask bench bindings`: what each binding adds to the Rust crate.
//!
//! Every language has a program `cost` that uploads from a byte source of its own, and makes small calls. Each run is a
//! process of its own against a fresh emulator that throws the bytes away. The languages take turns, each round begins
//! with another one, and what is reported is the median of what the rounds say by themselves.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::{
    bench::{Machine, median, write_report},
    bindings::{Kit, LANGUAGES, Language, fresh, words},
    measure,
    serve::Serve,
    tools::{Need, Tools},
    workspace::Workspace,
};

/// What `cargo xtask bench bindings` can be told.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// See that everything runs, with little to do and one round, and judge no figure
    #[arg(long)]
    quick: bool,
    /// How often each program runs
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Only this language, besides Rust; may be given several times
    #[arg(long, value_name = "LANGUAGE")]
    only: Vec<String>,
    /// Take a library and programs that are built in seconds, whose figures mean nothing
    #[arg(long, requires = "quick")]
    dev: bool,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Case {
    /// An upload from a byte source of the program.
    Upload,
    /// Calls of `slice`, one after another, of 4 KiB each.
    Slices,
    /// Calls that hash 1 KiB each.
    Hash,
}
use Case::{Hash, Slices, Upload};

impl Case {
    const ALL: [Self; 3] = [Upload, Slices, Hash];

    fn word(self) -> &'static str {
        match self {
            Upload => "upload",
            Slices => "slices",
            Hash => "hash",
        }
    }

    /// Bytes of the upload, or calls.
    fn count(self, quick: bool) -> u64 {
        match (self, quick) {
            (Upload, false) => 1 << 30,
            (Upload, true) => 64 << 20,
            (Slices, false) => 1000,
            (Hash, false) => 5000,
            (Slices | Hash, true) => 50,
        }
    }
}

/// No run takes as long as this.
const LIMIT: Duration = Duration::from_secs(300);
const TOKEN: &str = "bench-token";
/// The most that a binding may add to the time of an upload.
const GOAL: f64 = 1.05;
const RUST: &str = "Rust";

/// A program to be run.
struct Subject {
    title: &'static str,
    command: Box<dyn Fn() -> anyhow::Result<Command>>,
}

/// What a program says at its end.
#[derive(Deserialize, Serialize, Clone, Copy)]
struct Cost {
    /// From before the source is made to after the last answer.
    wall_s: f64,
    /// The process's CPU time in `wall_s`.
    cpu_s: f64,
}

/// One run of one program.
#[derive(Serialize)]
struct Run {
    language: &'static str,
    case: Case,
    round: u32,
    count: u64,
    #[serde(flatten)]
    cost: Cost,
    /// Peak memory, of which 64 MiB are the bytes that are uploaded.
    rss_mib: f64,
}

/// What a language adds.
#[derive(Serialize)]
struct Added {
    language: &'static str,
    /// Time of the upload, over that of Rust in the same round.
    upload_ratio: f64,
    /// CPU time of the upload, likewise.
    upload_cpu_ratio: f64,
    goal: f64,
    /// Of one call of `slice`.
    slice_us: f64,
    slice_ratio: f64,
    /// CPU time of one call that hashes.
    hash_us: f64,
    rss_mib: f64,
}

/// What is written to `docs/bench/bindings.json`.
#[derive(Serialize)]
struct Report<'a> {
    command: String,
    machine: Machine,
    slices_in_flight: u32,
    added: &'a [Added],
    runs: &'a [Run],
}

/// Runs the benchmark and prints a table.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let named = |language: &&Language| {
        options.only.is_empty() || options.only.iter().any(|name| name == language.name)
    };
    let languages: Vec<&Language> = LANGUAGES.iter().filter(named).collect();
    let needs: Vec<Need> = languages.iter().flat_map(|language| language.needs).copied().collect();
    let tools = Tools::set_up(&workspace, &needs);
    let mut there = Vec::new();
    for language in languages {
        match language.needs.iter().find_map(|need| tools.missing(*need)) {
            None => there.push(language),
            // Said so that it counts as a check that was skipped.
            Some(missing) if options.quick => println!("SKIPPED: the cost of {}: {missing}", language.title),
            Some(missing) => bail!("for {}: {missing}", language.title),
        }
    }
    let kit: &'static Kit = Box::leak(Box::new(Kit::build(workspace, tools, options.dev)?));
    let subjects = subjects(kit, &there, options.dev)?;

    let machine = Machine::this()?;
    let rounds = if options.quick { 1 } else { options.rounds.max(1) };
    let mut runs = Vec::new();
    for round in 1..=rounds {
        for case in Case::ALL {
            let first = round as usize % subjects.len();
            for subject in subjects[first..].iter().chain(&subjects[..first]) {
                eprintln!("round {round} of {rounds}: {}, {}", case.word(), subject.title);
                runs.push(measured(kit, subject, case, round, options.quick)?);
            }
        }
    }

    let added: Vec<Added> = subjects.iter().map(|subject| added(&runs, subject.title)).collect();
    table(&added);
    if options.quick {
        println!("a quick run: it shows that everything works, and its figures mean nothing");
        return Ok(());
    }
    let command = format!("cargo xtask bench bindings --rounds {rounds}");
    let report = Report { command, machine, slices_in_flight: 8, added: &added, runs: &runs };
    write_report(&kit.workspace, "bindings", &report)
}

/// Builds every language's program. Rust's is built as the library is.
fn subjects(kit: &'static Kit, languages: &[&Language], dev: bool) -> anyhow::Result<Vec<Subject>> {
    let profile = if dev { "dev" } else { "dist" };
    let mut cargo = kit.workspace.cargo();
    kit.sh(
        cargo.args(["build", "--package", "pan123-bindings-bench", "--bin", "cost", "--profile", profile]),
        45,
    )?;
    let rust: PathBuf = kit.workspace.target.join(if dev { "debug/cost" } else { "dist/cost" });
    let mut subjects = vec![Subject { title: RUST, command: Box::new(move || Ok(kit.command(&rust))) }];
    for language in languages {
        let program = (language.cost)(kit).with_context(|| format!("the program in {}", language.title))?;
        subjects.push(Subject { title: language.title, command: Box::new(move || Ok(program(kit))) });
    }
    Ok(subjects)
}

/// One run against an emulator that knows nothing yet and keeps no bytes.
fn measured(kit: &Kit, subject: &Subject, case: Case, round: u32, quick: bool) -> anyhow::Result<Run> {
    let folder = kit.folder.join("bench");
    fresh(&folder)?;
    let slice_size = if case == Slices { "4096" } else { "16777216" };
    let arguments = ["--servers", "1", "--no-keep", "--slice-size", slice_size];
    let serve = Serve::start(&kit.workspace, &kit.pan123, TOKEN, &folder.join("drive"), &arguments)?;
    let count = case.count(quick);
    let mut command = (subject.command)()?;
    command.args([case.word(), &count.to_string()]);
    command.env("PAN123_BASE_URL", &serve.url).env("PAN123_ACCESS_TOKEN", TOKEN);
    let measured = measure::run(&mut command, LIMIT)?;
    serve.stop()?;
    let line = measured.lines.last().map_or("", |(_, line)| line.as_str());
    let cost = serde_json::from_str(line).with_context(|| format!("{} said {line:?}", words(&command)))?;
    let rss_mib = measured.rss_bytes as f64 / f64::from(1 << 20);
    Ok(Run { language: subject.title, case, round, count, cost, rss_mib })
}

/// What the runs of a language come to.
fn added(runs: &[Run], language: &'static str) -> Added {
    let of = |language: &str, case: Case, round: u32| {
        runs.iter().find(|run| run.language == language && run.case == case && run.round == round)
    };
    let rounds = runs.iter().map(|run| run.round).max().unwrap_or(0);
    let each =
        |value: &dyn Fn(u32) -> Option<f64>| median((1..=rounds).filter_map(value)).unwrap_or(f64::NAN);
    let ratio = |case: Case, value: fn(&Cost) -> f64| {
        each(&|round| Some(value(&of(language, case, round)?.cost) / value(&of(RUST, case, round)?.cost)))
    };
    let micros = |case: Case, value: fn(&Cost) -> f64| {
        each(&|round| of(language, case, round).map(|run| value(&run.cost) * 1e6 / run.count as f64))
    };
    let rss = runs.iter().filter(|run| run.language == language && run.case == Upload).map(|run| run.rss_mib);
    Added {
        language,
        upload_ratio: ratio(Upload, |cost| cost.wall_s),
        upload_cpu_ratio: ratio(Upload, |cost| cost.cpu_s),
        goal: GOAL,
        slice_us: micros(Slices, |cost| cost.wall_s),
        slice_ratio: ratio(Slices, |cost| cost.wall_s),
        hash_us: micros(Hash, |cost| cost.cpu_s),
        rss_mib: rss.fold(0.0, f64::max),
    }
}

fn table(added: &[Added]) {
    println!(
        "{:<16} {:>14} {:>12} {:>10} {:>14} {:>16} {:>9}",
        "", "upload / Rust", "CPU / Rust", "slice µs", "slice / Rust", "hash 1 KiB, µs", "RSS MiB"
    );
    for one in added {
        println!(
            "{:<16} {:>14.3} {:>12.3} {:>10.1} {:>14.3} {:>16.1} {:>9.1}",
            one.language,
            one.upload_ratio,
            one.upload_cpu_ratio,
            one.slice_us,
            one.slice_ratio,
            one.hash_us,
            one.rss_mib
        );
    }
    println!("goal: upload / Rust at most {GOAL}");
}
