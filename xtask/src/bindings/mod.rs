//! `cargo xtask bindings`: every binding goes through the same scenarios, against the emulator, with its own
//! language's tools; what came of it is the matrix in `docs/bindings.md`.

mod examples;
mod kit;
mod languages;
mod matrix;

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
pub(crate) use kit::{Kit, fresh, words};
pub(crate) use languages::{LANGUAGES, Language};
use matrix::{Matrix, Outcomes, Scenario};

use crate::{
    process,
    tools::{Need, Tools},
    workspace::Workspace,
};

/// What `cargo xtask bindings` can be told.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this language, as docs/bindings.md calls it or in lower case; may be given several times
    #[arg(long, value_name = "LANGUAGE", value_parser = language)]
    only: Vec<&'static Language>,
    /// Write the matrix, instead of checking that it says what came out
    #[arg(long)]
    write: bool,
    /// Take a library and a program that are built in seconds, to try a binding while working on it
    #[arg(long)]
    dev: bool,
}

fn language(name: &str) -> Result<&'static Language, String> {
    let found = LANGUAGES.iter().find(|language| language.name == name || language.title == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = LANGUAGES.iter().map(|language| language.name).collect();
        format!("there are {}", names.join(", "))
    })
}

/// Runs the languages' tests one after another, then their examples, and checks or writes the matrix.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let languages: Vec<&Language> = LANGUAGES
        .iter()
        .filter(|language| options.only.is_empty() || options.only.contains(language))
        .collect();
    let scenarios = matrix::scenarios(&workspace)?;
    let needs: Vec<Need> = languages.iter().flat_map(|language| language.needs).copied().collect();
    let tools = Tools::set_up(&workspace, &needs);
    let kit = Kit::build(workspace, tools, options.dev)?;

    let (mut ran, mut failed, mut skipped) = (Vec::new(), 0, 0);
    for language in languages {
        let missing: Vec<&str> = language.needs.iter().filter_map(|need| kit.tools.missing(*need)).collect();
        if !missing.is_empty() {
            skipped += 1;
            // Where it is told that checks were skipped: a line for each that begins so.
            println!("SKIPPED: the binding for {}: {}", language.title, missing.join("; "));
            continue;
        }
        let start = Instant::now();
        let outcomes = match check(&kit, language, &scenarios) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                failed += 1;
                println!("{:<15} FAILED: {error:#}", language.title);
                continue;
            }
        };
        let unsupported = outcomes.values().filter(|outcome| outcome.is_unsupported()).count();
        let passed = outcomes.len() - unsupported;
        let time = start.elapsed().as_secs_f64();
        println!("{:<15} {time:>6.1} s, {unsupported} unsupported", language.title);
        println!("test result: ok. {passed} passed; 0 failed");
        ran.push((language.title, outcomes));
    }
    if options.only.is_empty()
        && let Err(error) = languages::rust_example(&kit).and_then(|program| examples::check(&kit, &program))
    {
        failed += 1;
        println!("{:<15} FAILED: {error:#}", "example in Rust");
    }
    if options.write && skipped > 0 {
        bail!("the matrix is written from all bindings, and {skipped} were skipped");
    }
    let settled = Matrix::of(&kit.workspace, &scenarios, ran)?.settle(options.write);
    if failed > 0 {
        bail!("the tests of {failed} bindings failed");
    }
    settled
}

/// Runs one language's tests and its example. A scenario that failed or did not run is an error, whatever the
/// tests say of themselves.
fn check(kit: &Kit, language: &Language, scenarios: &[Scenario]) -> anyhow::Result<Outcomes> {
    let results = kit.results(language);
    match fs::remove_file(&results) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).context("old results");
        }
        _ => {}
    }
    for (number, mut command) in (language.tests)(kit)?.into_iter().enumerate() {
        command.env("PAN123_SCENARIO_RESULTS", &results);
        let log = kit.workspace.scratch().join(format!("logs/binding-{}-{number}.log", language.name));
        let finished = process::run(&mut command, Duration::from_secs(60 * language.limit_minutes), &log)?;
        if !finished.success() {
            bail!("{}: {}\n{}", words(&command), finished.verdict(), finished.output.trim_end());
        }
    }
    let outcomes = matrix::read(&results, language.name, scenarios)?;
    if let Some(example) = language.example {
        let checked = example(kit).and_then(|program| examples::check(kit, &program));
        checked.context("the example with one slice")?;
    }
    Ok(outcomes)
}
