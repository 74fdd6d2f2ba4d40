//! `pan123 complete`: one call of `upload_complete`.

use pan123_upload::{Error, ErrorKind};
use serde::Serialize;

use super::DONE;
use crate::{args::Account, console::Console};

/// Says that all slices are sent, and asks whether the service has put the file together.
///
/// That takes it a while: ask again, about once a second, as long as the exit code is 5.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// Which upload, as create names it
    #[arg(value_name = "PREUPLOAD_ID")]
    preupload_id: String,

    #[command(flatten)]
    account: Account,
}

const AFTER_HELP: &str = "\
Example:
  until pan123 complete ID; do [ $? = 5 ] || break; sleep 1; done

With --json: {\"event\":\"complete\",\"completed\":…,\"file_id\":…}";

#[derive(Serialize)]
struct Answer {
    event: &'static str,
    completed: bool,
    file_id: Option<i64>,
}

pub(crate) async fn run(options: Options, console: &Console) -> Result<u8, Error> {
    let file_id = super::client(&options.account, console)?.complete(&options.preupload_id).await?;
    let answer = Answer { event: "complete", completed: file_id.is_some(), file_id };
    console.result(&answer, || match file_id {
        Some(file_id) => format!("file id  {file_id}"),
        None => "not yet: the service is still at it".to_owned(),
    });
    Ok(if file_id.is_some() { DONE } else { ErrorKind::Server.exit_code() })
}
