//! `pan123 token`: logs in.

use pan123_upload::Error;
use serde::Serialize;

use super::DONE;
use crate::{args::Account, console::Console};

/// Prints an access token on stdout, for use by another program.
///
/// Whoever has it can use your account until it expires: keep it out of logs. It is taken from the state
/// directory while it is good, because the service lets only three be alive at a time.
#[derive(clap::Args)]
#[command(after_help = "With --json: {\"event\":\"token\",\"access_token\":…,\"expires_unix_ms\":…}")]
pub(crate) struct Options {
    #[command(flatten)]
    account: Account,
}

#[derive(Serialize)]
struct Answer<'a> {
    event: &'static str,
    access_token: &'a str,
    expires_unix_ms: Option<i64>,
}

pub(crate) async fn run(options: Options, console: &Console) -> Result<u8, Error> {
    let token = super::client(&options.account, console)?.token().await?;
    let answer =
        Answer { event: "token", access_token: token.expose(), expires_unix_ms: token.expires_unix_ms() };
    console.result(&answer, || token.expose().to_owned());
    Ok(DONE)
}
