//! Exchanges kept in a file, and a transport that plays them back.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use pan123_transport::{BoxFuture, Error, ErrorKind, Layer, Request, Response, Transport};
use serde::{Deserialize, Serialize};

use super::trace::without_query;

/// One exchange, a line of JSON. No request header and no request body is kept, and no answer of a call that
/// hands out tokens, so that a recording can be shown around.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// `GET` or `POST`.
    pub method: String,
    /// The URL's path, without host and query: a recording can be played back on another port.
    pub path: String,
    /// Length of the request's body in bytes.
    pub body_len: u64,
    /// The answer's HTTP status; `None` if there was none.
    pub status: Option<u16>,
    /// The answer's body as text, bytes that are not UTF-8 replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
    /// Why there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Appends every exchange to a file, in the order in which they end.
#[derive(Clone, Debug)]
pub struct Record(Arc<Mutex<File>>);

impl Record {
    /// Records into the file of this name, behind what it holds already.
    ///
    /// # Errors
    ///
    /// What the system says when it cannot be opened.
    pub fn to(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Arc::new(Mutex::new(file))))
    }

    fn write(&self, recording: &Recording) {
        let Ok(mut line) = serde_json::to_vec(recording) else { return };
        line.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(&line) {
            tracing::warn!(%error, "an exchange could not be recorded");
        }
    }
}

impl Layer for Record {
    fn wrap(&self, inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(Recorded { record: self.clone(), inner })
    }
}

#[derive(Debug)]
struct Recorded {
    record: Record,
    inner: Arc<dyn Transport>,
}

impl Transport for Recorded {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>> {
        Box::pin(async move {
            let (method, path) = key(&request);
            let body_len = request.body.len();
            let result = self.inner.send(request).await;
            let (status, answer, error) = match &result {
                Ok(response) if path.ends_with("/access_token") => {
                    (Some(response.status), String::new(), None)
                }
                Ok(response) => {
                    (Some(response.status), String::from_utf8_lossy(&response.body).into_owned(), None)
                }
                Err(error) => (None, String::new(), Some(error.to_string())),
            };
            self.record.write(&Recording { method, path, body_len, status, answer, error });
            result
        })
    }
}

/// Answers from a recording; nothing is sent.
///
/// Each request gets the first answer left over for its method and path. A request for which none is left fails
/// as [`ErrorKind::Connect`].
#[derive(Debug)]
pub struct Replay(Mutex<VecDeque<Recording>>);

impl Replay {
    /// Plays these exchanges back.
    pub fn new(recordings: impl IntoIterator<Item = Recording>) -> Self {
        Self(Mutex::new(recordings.into_iter().collect()))
    }

    /// Plays back what [`Record`] wrote to the file of this name.
    ///
    /// # Errors
    ///
    /// What the system says, and [`io::ErrorKind::InvalidData`] with the line's number for a line that is none.
    pub fn from_file(path: impl AsRef<Path>) -> io::Result<Self> {
        let lines = BufReader::new(File::open(path)?).lines().enumerate();
        let recordings = lines.map(|(index, line)| {
            serde_json::from_str(&line?).map_err(|error| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("line {} is no exchange: {error}", index + 1),
                )
            })
        });
        Ok(Self::new(recordings.collect::<io::Result<Vec<_>>>()?))
    }
}

impl Transport for Replay {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>> {
        let (method, path) = key(&request);
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = left.iter().position(|recording| recording.method == method && recording.path == path);
        let recording = index.and_then(|index| left.remove(index));
        Box::pin(async move {
            let Some(recording) = recording else {
                return Err(Error::new(
                    ErrorKind::Connect,
                    format!("the recording holds no more {method} {path}"),
                ));
            };
            request.meter.add(request.body.len());
            match recording.status {
                Some(status) => {
                    Ok(Response { status, headers: Vec::new(), body: recording.answer.into(), early: false })
                }
                None => Err(Error::new(ErrorKind::Interrupted, recording.error.unwrap_or_default())),
            }
        })
    }
}

fn key(request: &Request) -> (String, String) {
    let url = without_query(&request.url);
    let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|slash| &rest[slash..]));
    (request.method.as_str().to_owned(), path.unwrap_or("/").to_owned())
}
