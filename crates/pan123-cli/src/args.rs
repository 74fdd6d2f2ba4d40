//! The command line.

use std::{io::Write, path::PathBuf};

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};

use crate::{commands, console, settings::Layer};

/// Uploads files to 123 Cloud Drive (123云盘) through the upload API v2 of its open platform
#[derive(Parser)]
#[command(name = "pan123", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(clap::Args)]
pub(crate) struct Common {
    /// Print one JSON object a line on stdout, and nothing else
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,

    /// Log to stderr what happens; -vv logs more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub(crate) verbose: u8,
}

// Each command's own description is at its options.
#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "a run of the program has one of them")]
pub(crate) enum Command {
    Upload(commands::upload::Options),
    Uploads(commands::uploads::Options),
    Hash(commands::hash::Options),
    Create(commands::create::Options),
    Slice(commands::slice::Options),
    Complete(commands::complete::Options),
    Domain(commands::domain::Options),
    Token(commands::token::Options),
    Serve(commands::serve::Options),
    Completions(commands::completions::Options),
}

/// How to reach the service and how to log in.
#[derive(clap::Args)]
pub(crate) struct Account {
    #[command(flatten)]
    pub(crate) flags: Layer,

    /// Configuration file to read instead of the usual one
    #[arg(long, value_name = "FILE", help_heading = "Account")]
    pub(crate) config: Option<PathBuf>,
}

/// Reads the command line; ends the program when there is nothing more to do.
pub(crate) fn parse() -> Args {
    let error = match Args::try_parse() {
        Ok(args) => return args,
        Err(error) => error,
    };
    let wants_json = std::env::args_os().skip(1).take_while(|arg| arg != "--").any(|arg| arg == "--json");
    if error.use_stderr() && wants_json {
        let message = if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            "no command was given".to_owned()
        } else {
            on_one_line(&error.render().to_string())
        };
        // Whoever does not read it will see the exit code.
        let _ = writeln!(std::io::stdout(), "{}", console::usage_line(&message));
        std::process::exit(error.exit_code());
    }
    error.exit()
}

/// What clap says, without the usage and the pointer to the help below it.
fn on_one_line(text: &str) -> String {
    let words = text.trim_start_matches("error: ").lines();
    let words =
        words.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    words
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
        .replace(" tip: ", "; tip: ")
}

/// The description that completions are made from.
pub(crate) fn description() -> clap::Command {
    Args::command()
}

const AFTER_HELP: &str = "\
Examples:
  pan123 upload --local README.md            try it, without an account
  pan123 upload film.mkv --to /films         upload a file into a folder
  pan123 upload photos --on-conflict keep-both
                                             upload the files of a directory
  pan123 uploads                             see what is not finished
  pan123 help upload                         all about one command

Settings: a flag wins over the environment, which wins over the configuration file.
  PAN123_ACCESS_TOKEN                        a ready access token
  PAN123_CLIENT_ID, PAN123_CLIENT_SECRET     a developer's id and secret
  PAN123_REFRESH_TOKEN                       with an app's id and secret
  PAN123_BASE_URL                            another API host; with http:// your token and files
                                             can be read by everyone on the way
  PAN123_STATE_DIR                           where tokens and unfinished uploads are kept
  PAN123_CONFIG                              the configuration file; else
                                             $XDG_CONFIG_HOME/pan123/config.toml
  PAN123_LOG                                 what to log, such as pan123_upload=debug
  HTTPS_PROXY, NO_PROXY                      the proxy

The file is TOML, with the long names of the flags: base_url, access_token, client_id,
client_secret, refresh_token, state_dir, proxy, ca_file, plain_http, vip, retry_for, limit_rate,
parallel. Make it readable for yourself alone.

Exit codes:
  0 done   2 wrong usage   3 the service does not let you in   4 the local file, or its name
  5 gave up on network or service; the same command again goes on   6 refused by the service
  7 the stored bytes are not those of the file   130 interrupted   1 a defect of this program";
