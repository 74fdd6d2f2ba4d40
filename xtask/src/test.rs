//! `cargo xtask test`: every check of the project.

use std::{
    env, thread,
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail};

use crate::{
    process::{self, Finished},
    tools::{
        ABIGAIL, CHROMIUM, CLANG, CLIENTS, CLIPPY, CMAKE, CURL, FORM_DATA, GXX, IPROUTE, LIBCURL, NODE, NPM,
        Need, PKG_CONFIG, PYTHON, RUSTFMT, SQLITE, Tools, VALGRIND, VENV,
    },
    workspace::Workspace,
};

/// What `cargo xtask test` can be told.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only the inner loop: formatting, clippy, and the crates' own unit tests
    #[arg(long)]
    quick: bool,
}

/// The checks, in the order they run: what says most in the least time comes first.
///
/// A check is a command in the root folder; `cargo` is the one that runs us. To add one, add a line.
#[rustfmt::skip]
const STEPS: &[Step] = &[
    step("format", Quick, &[RUSTFMT], 2, &["cargo", "fmt", "--all", "--check"]),
    step("clippy", Quick, &[CLIPPY], 20, &["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    step("C header", Quick, &[], 10, &["cargo", "xtask", "header", "--check"]),
    step("unit tests", OnlyQuick, &[], 10, &["cargo", "test", "--lib", "--bins", "--no-fail-fast"]),
    // Those of pan123-capi run against the library as it is released, further down.
    step("tests", Full, &[], 30, &["cargo", "test", "--workspace", "--exclude", "pan123-capi", "--no-fail-fast"])
        .using(&[CURL, PYTHON, NODE, NPM, FORM_DATA, CHROMIUM, GXX, PKG_CONFIG, SQLITE]),
    step("address sanitizer", Full, &[], 30, &[
        "env", "RUSTC_BOOTSTRAP=1", "RUSTFLAGS=-Zsanitizer=address", "CARGO_TARGET_DIR=target/sanitizer", "cargo", "test",
        "--target", "x86_64-unknown-linux-gnu", "--package", "pan123-hash", "--lib", "--tests",
    ]),
    step("miri", Full, &[], 30, &["cargo", "run", "--quiet", "--package", "xtask", "--", "miri"]),
    step("aarch64", Full, &[], 60, &["cargo", "run", "--quiet", "--package", "xtask", "--", "aarch64"]),
    step("bench hash", Full, &[], 30, &["cargo", "run", "--quiet", "--package", "xtask", "--", "bench", "hash", "--quick"]),
    step("C library", Full, &[GXX, ABIGAIL, PKG_CONFIG, CMAKE], 60, &["cargo", "xtask", "capi"])
        .using(&[VALGRIND, LIBCURL, SQLITE]),
    step("C++ and plugins", Full, &[GXX, CLANG, SQLITE], 20, &["cargo", "xtask", "cpp"]),
    step("docs", Full, &[], 10, &["cargo", "doc", "--workspace", "--no-deps"]),
    step("first command", Full, &[], 20, &["cargo", "run", "--release", "--bin", "pan123", "--", "upload", "--local", "README.md"]),
    step("soak", Full, &[], 20, &["cargo", "xtask", "soak", "--quick"]).alongside(),
    step("slow lines", Full, &[IPROUTE], 20, &["cargo", "xtask", "links", "--quick"]).alongside(),
    step("fuzz", Full, &[], 30, &["cargo", "xtask", "fuzz", "--quick", "--seconds", "4"]),
    // It sees to what each language needs by itself, and skips those that cannot be.
    step("bindings", Full, &[], 60, &["cargo", "xtask", "bindings"]),
    step("bench upload", Full, &[PYTHON, VENV, CLIENTS], 10, &["cargo", "xtask", "bench", "upload", "--quick"]),
    step("bench bindings", Full, &[GXX], 20, &["cargo", "xtask", "bench", "bindings", "--quick"]),
];

/// When a step runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// Always.
    Quick,
    /// Unless `--quick` is given.
    Full,
    /// Only if `--quick` is given.
    OnlyQuick,
}
use When::{Full, OnlyQuick, Quick};

/// One check.
struct Step {
    name: &'static str,
    when: When,
    /// Without these it cannot run.
    needs: &'static [Need],
    /// Without these a part of it skips itself: a test that lacks its tool writes a line
    /// `SKIPPED: what, and what to do about it` to stderr, past the test runner's capture.
    uses: &'static [Need],
    limit_minutes: u64,
    /// It mostly waits, and so runs next to those after it.
    alongside: bool,
    command: &'static [&'static str],
}

impl Step {
    const fn alongside(mut self) -> Self {
        self.alongside = true;
        self
    }

    const fn using(mut self, uses: &'static [Need]) -> Self {
        self.uses = uses;
        self
    }
}

/// Makes a [`Step`]; its limit, in minutes, is for a slow machine that has built nothing yet.
const fn step(
    name: &'static str,
    when: When,
    needs: &'static [Need],
    limit_minutes: u64,
    command: &'static [&'static str],
) -> Step {
    Step { name, when, needs, uses: &[], limit_minutes, alongside: false, command }
}

/// How a step went, in tests where it has tests, else as one.
struct Report {
    name: &'static str,
    count: Count,
    elapsed: Duration,
    /// Why it or a part of it was skipped.
    skipped: Vec<String>,
}

/// What is in the closing line.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

const ONE_PASSED: Count = Count { passed: 1, failed: 0, skipped: 0 };
const ONE_FAILED: Count = Count { passed: 0, failed: 1, skipped: 0 };
const ONE_SKIPPED: Count = Count { passed: 0, failed: 0, skipped: 1 };

/// Runs the checks and prints how they went.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    // A machine that calls itself CI has to have everything.
    let strict = env::var_os("CI").is_some_and(|ci| ci == "true");
    let steps: Vec<&Step> =
        STEPS.iter().filter(|step| step.when == Quick || options.quick == (step.when == OnlyQuick)).collect();

    let start = Instant::now();
    let mut needs: Vec<Need> = Vec::new();
    for need in steps.iter().flat_map(|step| step.needs.iter().chain(step.uses)) {
        if !needs.contains(need) {
            needs.push(*need);
        }
    }
    let tools = Tools::set_up(&workspace, &needs);
    println!("{:<24} {:>7.1} s", "tools", start.elapsed().as_secs_f64());

    let run_step = |step| -> anyhow::Result<Report> {
        let report = run_step(&workspace, &tools, step, strict)?;
        println!("{:<24} {:>7.1} s  {}", report.name, report.elapsed.as_secs_f64(), report.count.word());
        Ok(report)
    };
    let reports = thread::scope(|scope| -> anyhow::Result<Vec<Report>> {
        let (mut reports, mut alongside) = (Vec::new(), Vec::new());
        for step in steps {
            if step.alongside {
                alongside.push(scope.spawn(move || run_step(step)));
            } else {
                reports.push(run_step(step)?);
            }
        }
        for thread in alongside {
            reports.push(thread.join().map_err(|_| anyhow!("a check panicked"))??);
        }
        Ok(reports)
    })?;
    let total = summary(&reports, start.elapsed());
    if total.failed > 0 {
        std::process::exit(1);
    }
    Ok(())
}

/// Runs one step, and shows all of its output if it fails.
fn run_step(workspace: &Workspace, tools: &Tools, step: &Step, strict: bool) -> anyhow::Result<Report> {
    let missing = |needs: &[Need]| -> Vec<String> {
        needs.iter().filter_map(|need| tools.missing(*need)).map(str::to_owned).collect()
    };
    let (missing, partly_missing) = (missing(step.needs), missing(step.uses));
    if !missing.is_empty() {
        let count = if strict { ONE_FAILED } else { ONE_SKIPPED };
        return Ok(Report { name: step.name, count, elapsed: Duration::ZERO, skipped: missing });
    }
    let [program, arguments @ ..] = step.command else { bail!("step {:?} has no command", step.name) };
    let mut command = if *program == "cargo" { workspace.cargo() } else { workspace.command(program) };
    command.args(arguments).env("RUSTDOCFLAGS", "-D warnings").env("TERM", "dumb");
    tools.tell(&mut command);

    let log = workspace.scratch().join("logs").join(format!("{}.log", step.name.replace(' ', "-")));
    let finished = process::run(&mut command, Duration::from_secs(60 * step.limit_minutes), &log)?;
    let mut skipped = skips(&finished.output);
    let mut count = count(&finished, skipped.len() as u64, strict);
    let lacking = partly_missing.len() as u64;
    if strict {
        count.failed += lacking
    } else {
        count.skipped += lacking
    }
    skipped.extend(partly_missing);
    if !finished.success() || (strict && !skipped.is_empty()) {
        let line = format!("{}: `{}`", step.name, step.command.join(" "));
        println!("──── {line}: {}\n{}\n──── end of {line}", finished.verdict(), finished.output.trim_end());
    }
    Ok(Report { name: step.name, count, elapsed: finished.elapsed, skipped })
}

/// What a finished step adds to the closing line. The tests that `cargo test` ran are counted one by
/// one; a step without tests counts as one.
fn count(finished: &Finished, skips: u64, strict: bool) -> Count {
    let mut count = Count::default();
    for line in finished.output.lines() {
        let Some(result) = line.strip_prefix("test result: ") else { continue };
        let number = |what: &str| {
            let before = result.split_once(what).map_or("", |(before, _)| before.trim_end());
            before.rsplit([' ', '.']).next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0)
        };
        count.passed += number("passed");
        count.failed += number("failed");
        count.skipped += number("ignored");
    }
    if count == Count::default() {
        count = if finished.success() { ONE_PASSED } else { ONE_FAILED };
    }
    // A test that lacked its tool returned without having tested anything.
    count.passed -= skips.min(count.passed);
    if strict {
        count.failed += skips
    } else {
        count.skipped += skips
    }
    // A test program that crashed, or did not compile, has no failed tests of its own.
    if !finished.success() {
        count.failed = count.failed.max(1);
    }
    count
}

/// The lines in which tests say that they were skipped: `SKIPPED: what, and what to do about it`.
fn skips(output: &str) -> Vec<String> {
    output.lines().filter_map(|line| line.strip_prefix("SKIPPED: ")).map(str::to_owned).collect()
}

impl Count {
    fn word(self) -> String {
        let parts = [(self.passed, "passed"), (self.failed, "FAILED"), (self.skipped, "SKIPPED")];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, word)| format!("{number} {word}"))
            .collect();
        parts.join(", ")
    }
}

/// Prints the table, what was skipped and why, and the closing line.
fn summary(reports: &[Report], elapsed: Duration) -> Count {
    println!("\n{:<24} {:>9}  result", "step", "time");
    let mut total = Count::default();
    for Report { name, count, elapsed, .. } in reports {
        println!("{name:<24} {:>7.1} s  {}", elapsed.as_secs_f64(), count.word());
        total.passed += count.passed;
        total.failed += count.failed;
        total.skipped += count.skipped;
    }
    println!("{:<24} {:>7.1} s", "all", elapsed.as_secs_f64());
    for report in reports.iter().filter(|report| !report.skipped.is_empty()) {
        for reason in &report.skipped {
            println!("SKIPPED in {}: {reason}", report.name);
        }
    }
    println!();
    match total.skipped {
        0 => println!("{} passed, {} failed", total.passed, total.failed),
        skipped => println!("{} passed, {} failed, {skipped} skipped", total.passed, total.failed),
    }
    total
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const PASSED: &str = "test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out";
    const FAILED: &str = "test result: FAILED. 5 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";

    fn finished(exit: i32, output: &str) -> Finished {
        let status = Some(std::process::ExitStatus::from_raw(exit << 8));
        Finished { status, output: output.to_owned(), elapsed: Duration::ZERO }
    }

    #[track_caller]
    fn check(finished: &Finished, strict: bool, passed: u64, failed: u64, skipped: u64) {
        let skips = skips(&finished.output).len() as u64;
        assert_eq!(count(finished, skips, strict), Count { passed, failed, skipped });
    }

    #[test]
    fn tests_are_counted_one_by_one_and_other_steps_as_one() {
        check(&finished(0, PASSED), true, 7, 0, 1);
        check(&finished(101, &format!("{PASSED}\n{FAILED}\n")), true, 12, 3, 1);
        check(&finished(0, "nothing to say"), true, 1, 0, 0);
        check(&finished(1, "Diff in src/lib.rs"), true, 0, 1, 0);
    }

    #[test]
    fn a_crash_or_a_time_limit_is_a_failure_though_no_test_failed() {
        check(&finished(101, PASSED), true, 7, 1, 1);
        check(&Finished { status: None, ..finished(0, PASSED) }, true, 7, 1, 1);
    }

    #[test]
    fn a_test_without_its_tool_is_skipped_or_fails_in_ci() {
        let output = format!("SKIPPED: needs node\n{PASSED}");
        check(&finished(0, &output), false, 6, 0, 2);
        check(&finished(0, &output), true, 6, 1, 1);
    }
}
