//! `pan123 slice`: one call of `slice`.

use std::path::PathBuf;

use pan123_upload::{Error, SliceUpload, Source, proto::Md5};
use serde::Serialize;

use super::DONE;
use crate::{args::Account, console::Console, jobs::blocking};

/// Sends one slice of a file to an upload host.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// The file that the slice is a part of
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Upload host, as create or domain names it
    #[arg(long, value_name = "URL")]
    server: String,

    /// Which upload, as create names it
    #[arg(long, value_name = "ID")]
    preupload_id: String,

    /// Which slice, counted from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    slice_no: u32,

    /// MD5 of the slice, 32 hex digits [default: computed]
    #[arg(long, value_name = "HEX")]
    md5: Option<Md5>,

    /// Where in the file the slice starts, in bytes
    #[arg(long, value_name = "BYTES", default_value = "0")]
    offset: u64,

    /// Length of the slice in bytes [default: all that follows the offset]
    #[arg(long, value_name = "BYTES")]
    length: Option<u64>,

    #[command(flatten)]
    account: Account,
}

const AFTER_HELP: &str = "\
Example, the second slice of 16 MiB:
  pan123 slice film.mkv --server https://… --preupload-id … --slice-no 2 --offset 16777216 --length 16777216

With --json: {\"event\":\"slice_taken\",\"slice_no\":…}";

#[derive(Serialize)]
struct Taken {
    event: &'static str,
    slice_no: u32,
}

pub(crate) async fn run(options: Options, console: &Console) -> Result<u8, Error> {
    let Options { file, server, preupload_id, slice_no, md5, offset, length, account } = options;
    let source = blocking(move || Source::file(file)).await?;
    let client = super::client(&account, console)?;
    let slice = SliceUpload { server, preupload_id, slice_no, md5, source, offset, len: length };
    client.slice(slice).await?;
    console.result(&Taken { event: "slice_taken", slice_no }, || format!("slice {slice_no} is taken"));
    Ok(DONE)
}
