//! Development tasks: `cargo xtask TASK`. One module per task; `cargo xtask help` lists them.

mod process;
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
}

fn main() -> anyhow::Result<()> {
    process::end_children_with_us()?;
    match Task::parse() {
        Task::Test(options) => test::run(&options),
    }
}
