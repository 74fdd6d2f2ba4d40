//! Development tasks: `cargo xtask TASK`. One module per task; `cargo xtask help` lists them.

mod bench;
mod bench_upload;
mod measure;
mod picture;
mod process;
mod raw_writer;
mod simulate;
mod test;
mod tools;
mod workspace;

use clap::Parser;

/// Development tasks of pan123.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about)]
enum Task {
    /// Run every check of the project, after setting up what the checks need.
    Test(test::Options),
    /// Measure, and compare with others in the same run.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Record the program at work for the README.
    Picture,
    /// Run the upload state machine in virtual time: goodput over links, random schedules of faults, scale.
    Simulate(simulate::Options),
    /// Send a file's slices to an emulator as fast as sockets go (a part of `bench upload`).
    #[command(hide = true)]
    RawWriter(raw_writer::Options),
}

fn main() -> anyhow::Result<()> {
    process::end_children_with_us()?;
    match Task::parse() {
        Task::Test(options) => test::run(&options),
        Task::Bench(bench) => bench::run(&bench),
        Task::Picture => picture::run(),
        Task::Simulate(options) => simulate::run_task(&options),
        Task::RawWriter(options) => raw_writer::run(&options),
    }
}
