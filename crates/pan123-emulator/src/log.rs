//! What each request was: in memory for tests, and as JSON lines in a file.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::Mutex,
    time::Duration,
};

use pan123_proto::Endpoint;
use serde::Serialize;

use crate::error::{Error, ErrorKind};

/// How many requests are kept in memory; the oldest go first. The file keeps all.
const KEPT_MAX: usize = 200_000;

/// One request as the emulator saw it. There is never a token in it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Request {
    /// When the head came, RFC 3339.
    pub time: String,
    /// The call; `None` for a path that is none.
    #[serde(serialize_with = "endpoint_name")]
    pub endpoint: Option<Endpoint>,
    /// Method and path, without the query.
    pub line: String,
    /// Upload host by index from 0; `None` on the API port.
    pub server: Option<u32>,
    /// `sliceNo`
    pub slice_no: Option<u32>,
    /// `preuploadID`
    pub preupload_id: Option<String>,
    /// Which try at this slice, upload or file name it is, from 1; 0 when the request was refused before that
    /// was known.
    pub attempt: u32,
    /// HTTP status of the answer; `None` when there was none.
    pub status: Option<u16>,
    /// `code` of the envelope; `None` when there was no envelope.
    pub code: Option<i64>,
    /// `message` of the envelope when the code is not 0.
    pub message: Option<String>,
    /// Bytes of body received.
    pub bytes: u64,
    /// `Content-Length` of the request; `None` when it had none.
    pub content_length: Option<u64>,
    /// The body came chunked.
    pub chunked: bool,
    /// `User-Agent`
    pub user_agent: Option<String>,
    /// From the head of the request to the end of the answer's making.
    #[serde(rename = "duration_ms", serialize_with = "milliseconds")]
    pub duration: Duration,
    /// The faults that it met.
    pub faults: Vec<&'static str>,
    /// First digits of the MD5 of its token, to tell tokens apart.
    pub token: Option<String>,
    /// The client's port: requests with the same one shared a connection.
    pub peer_port: u16,
    /// `x-traceID` of the answer.
    pub trace_id: String,
}

fn endpoint_name<S: serde::Serializer>(
    endpoint: &Option<Endpoint>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    endpoint.map(Endpoint::name).serialize(serializer)
}

fn milliseconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e3)
}

/// The request log.
#[derive(Debug)]
pub(crate) struct Log {
    kept: Mutex<VecDeque<Request>>,
    file: Option<Mutex<File>>,
}

impl Log {
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Error> {
        let open = |path: &Path| {
            let file = OpenOptions::new().append(true).create(true).open(path);
            file.map(Mutex::new)
                .map_err(|error| Error::io(ErrorKind::Log, "open request log", path.display(), error))
        };
        Ok(Self { kept: Mutex::default(), file: path.map(open).transpose()? })
    }

    pub(crate) fn add(&self, request: Request) {
        if let Some(file) = &self.file {
            let mut line = serde_json::to_string(&request).unwrap_or_default();
            line.push('\n');
            let mut file = file.lock().expect("no code panics while it logs");
            if let Err(error) = file.write_all(line.as_bytes()) {
                tracing::warn!(%error, "the request log cannot be written");
            }
        }
        let mut kept = self.kept.lock().expect("no code panics while it logs");
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(request);
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.kept.lock().expect("no code panics while it logs").iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        self.kept.lock().expect("no code panics while it logs").clear();
    }
}
