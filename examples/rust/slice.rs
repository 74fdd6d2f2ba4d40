//! Sends one slice: slice SERVER PREUPLOAD_ID SLICE_NO FILE [OFFSET LENGTH]
//!
//! SERVER and PREUPLOAD_ID are from `create`. Without OFFSET and LENGTH the slice is the whole of FILE.

use std::{env, error::Error, process, sync::Arc};

use pan123_upload::{Client, SliceUpload, Source, StaticToken, Token};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [server, preupload_id, slice_no, file, range @ ..] = arguments.as_slice() else { process::exit(2) };
    let source = Source::file(file)?;
    let (offset, len) = match range {
        [] => (0, None),
        [offset, length] => (offset.parse()?, Some(length.parse()?)),
        _ => process::exit(2),
    };
    let token = Token::new(env::var("PAN123_ACCESS_TOKEN")?, None)?;
    let client = Client::builder().tokens(Arc::new(StaticToken::new(token))).build()?;
    // The library computes the MD5 that goes with the slice.
    let (server, preupload_id, md5) = (server.clone(), preupload_id.clone(), None);
    let slice = SliceUpload { server, preupload_id, slice_no: slice_no.parse()?, md5, source, offset, len };
    client.slice(slice).await?;
    println!("slice {slice_no} ok");
    Ok(())
}
