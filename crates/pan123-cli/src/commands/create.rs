//! `pan123 create`: one call of `create`.

use std::{num::NonZeroU64, path::PathBuf, sync::Arc};

use pan123_upload::{
    Error, ErrorKind, Source, Target,
    proto::{Md5, SLICE_SIZE_ASSUMED, machine::Reply, names, wire::CreateRequest},
};
use serde::Serialize;

use super::{DONE, hash::hash_error};
use crate::{
    args::Account,
    console::Console,
    destination::{Conflict, Destination, Folder, utf8},
    jobs::blocking,
};

/// Announces a file to the service and prints what it answers: that it has the bytes already, or where to send
/// them.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// File to announce; without it, --name, --etag and --size say what is announced
    #[arg(value_name = "FILE", required_unless_present_all = ["name", "etag", "size"])]
    file: Option<PathBuf>,

    /// Folder in the drive: its id, or its path from / on, which is made if missing
    #[arg(long, value_name = "ID|/PATH", default_value = "0")]
    to: Folder,

    /// Name in the drive [default: that of the file]
    #[arg(long)]
    name: Option<String>,

    /// MD5 of the whole file, 32 hex digits [default: that of the file]
    #[arg(long, value_name = "HEX")]
    etag: Option<Md5>,

    /// Size in bytes [default: that of the file]
    #[arg(long, value_name = "BYTES")]
    size: Option<u64>,

    /// What happens when the name is taken
    #[arg(long, value_name = "HOW", default_value = "fail")]
    on_conflict: Conflict,

    #[command(flatten)]
    account: Account,
}

const AFTER_HELP: &str = "\
With --json:
  {\"event\":\"created\",\"reused\":…,\"file_id\":…,\"preupload_id\":…,\"slice_size\":…,\"servers\":[…]}";

#[derive(Default, Serialize)]
struct Created {
    event: &'static str,
    reused: bool,
    file_id: Option<i64>,
    preupload_id: Option<Arc<str>>,
    slice_size: Option<u64>,
    servers: Vec<Arc<str>>,
}

pub(crate) async fn run(options: Options, console: &Console) -> Result<u8, Error> {
    let Options { file, to, name, etag, size, on_conflict, account } = options;
    let destination = Destination::new(&to, on_conflict)?;
    let name = match (&name, &file) {
        (Some(name), _) => name.as_str(),
        (None, Some(path)) => utf8(path.file_name().unwrap_or(path.as_os_str()), path)?,
        (None, None) => "",
    };
    names::check_filename(name)
        .map_err(|error| Error::new(ErrorKind::Name, "check name", error.to_string()))?;
    let Target { parent_id, filename, contain_dir, duplicate } = destination.target(&[name]);
    let to_read = file.filter(|_| etag.is_none() || size.is_none());
    if let Some(path) = to_read.clone() {
        // Before it is asked for a login.
        blocking(move || Source::file(path).map(drop)).await?;
    }
    let client = super::client(&account, console)?;
    let (etag, size) = match (etag, size, to_read) {
        (Some(etag), Some(size), _) => (etag, size),
        (etag, size, Some(path)) => {
            let (read_etag, read_size) = blocking(move || digest(path)).await?;
            (etag.unwrap_or(read_etag), size.unwrap_or(read_size))
        }
        (_, _, None) => {
            return Err(Error::new(ErrorKind::Usage, "check arguments", "--etag and --size are missing"));
        }
    };
    let request = CreateRequest { parent_id, filename: &filename, etag, size, duplicate, contain_dir };
    let created = match client.create(&request).await? {
        Reply::Created { preupload_id, slice_size, servers } => Created {
            event: "created",
            preupload_id: Some(preupload_id),
            slice_size: Some(slice_size),
            servers,
            ..Created::default()
        },
        Reply::Stored { file_id } => {
            Created { event: "created", reused: true, file_id: Some(file_id), ..Created::default() }
        }
        other => {
            let message = format!("the service answered {other:?}");
            return Err(Error::new(ErrorKind::Protocol, "create", message));
        }
    };
    console.result(&created, || created.words());
    Ok(DONE)
}

fn digest(path: PathBuf) -> Result<(Md5, u64), Error> {
    let slice_size = NonZeroU64::new(SLICE_SIZE_ASSUMED).expect("a constant above 0");
    let options = pan123_hash::Options::new(slice_size);
    let digests = pan123_hash::hash_file(path, &options).map_err(|error| hash_error(&error))?;
    Ok((Md5(digests.etag), digests.size))
}

impl Created {
    fn words(&self) -> String {
        match (self.file_id, &self.preupload_id, self.slice_size) {
            (Some(file_id), _, _) => format!("file id       {file_id}\nThe service had these bytes already."),
            (None, Some(id), Some(size)) => {
                let servers = self.servers.iter().map(|server| format!("\nserver        {server}"));
                format!("preupload id  {id}\nslice size    {size} bytes{}", servers.collect::<String>())
            }
            _ => String::new(),
        }
    }
}
