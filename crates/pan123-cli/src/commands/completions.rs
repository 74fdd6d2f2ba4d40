//! `pan123 completions`: a script for a shell.

use clap_complete::Shell;

use super::DONE;
use crate::{args, console::Console};

/// Prints a script that completes the arguments of pan123 in a shell.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  pan123 completions bash > ~/.local/share/bash-completion/completions/pan123"
)]
pub(crate) struct Options {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run(options: &Options, console: &Console) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut args::description(), "pan123", &mut script);
    // A script in a JSON object would serve nobody.
    console.out(String::from_utf8_lossy(&script).trim_end().to_owned());
    DONE
}
