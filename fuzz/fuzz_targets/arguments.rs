//! The command line of the program, with all that its arguments are made of.

#![no_main]
#![allow(dead_code, unused_imports, reason = "only what reads arguments is used")]

#[path = "../../crates/pan123-cli/src/account.rs"]
mod account;
#[path = "../../crates/pan123-cli/src/args.rs"]
mod args;
#[path = "../shared/arguments.rs"]
mod arguments;
#[path = "../../crates/pan123-cli/src/bars.rs"]
mod bars;
#[path = "../../crates/pan123-cli/src/commands/mod.rs"]
mod commands;
#[path = "../../crates/pan123-cli/src/console.rs"]
mod console;
#[path = "../../crates/pan123-cli/src/destination.rs"]
mod destination;
#[path = "../../crates/pan123-cli/src/interrupt.rs"]
mod interrupt;
#[path = "../../crates/pan123-cli/src/jobs.rs"]
mod jobs;
#[path = "../../crates/pan123-cli/src/local.rs"]
mod local;
#[path = "../../crates/pan123-cli/src/report.rs"]
mod report;
#[path = "../../crates/pan123-cli/src/settings.rs"]
mod settings;
#[path = "../../crates/pan123-cli/src/walk.rs"]
mod walk;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| arguments::run(input));
