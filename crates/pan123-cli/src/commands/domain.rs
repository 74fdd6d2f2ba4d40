//! `pan123 domain`: one call of `domain`.

use std::sync::Arc;

use pan123_upload::Error;
use serde::Serialize;

use super::DONE;
use crate::{args::Account, console::Console};

/// Asks the service for its upload hosts, and prints one a line.
#[derive(clap::Args)]
#[command(after_help = "With --json: {\"event\":\"domain\",\"servers\":[…]}")]
pub(crate) struct Options {
    #[command(flatten)]
    account: Account,
}

#[derive(Serialize)]
struct Answer {
    event: &'static str,
    servers: Vec<Arc<str>>,
}

pub(crate) async fn run(options: Options, console: &Console) -> Result<u8, Error> {
    let answer =
        Answer { event: "domain", servers: super::client(&options.account, console)?.domain().await? };
    console.result(&answer, || answer.servers.join("\n"));
    Ok(DONE)
}
