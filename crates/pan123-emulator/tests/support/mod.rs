//! An emulator in a temporary folder, and a plain HTTP/1.1 client on a socket that hides nothing.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "only tests call this")]

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    path::PathBuf,
    time::Duration,
};

use md5::{Digest, Md5};
use pan123_emulator::{Emulator, Options, Request};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest wait for anything that should come at once.
const PATIENCE: Duration = Duration::from_secs(20);
pub const BOUNDARY: &str = "wL36Yn8afVp8Ag7AmP8qZ0SA4n1v9T";

pub struct Rig {
    pub emulator: Emulator,
    pub folder: TempDir,
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.head, String::from_utf8_lossy(&self.body)))
    }

    /// `data` of an answer with code 0.
    pub fn data(&self) -> Value {
        let json = self.json();
        assert_eq!((self.status, &json["code"]), (200, &json!(0)), "{json}");
        assert!(json["x-traceID"].is_string(), "{json}");
        json["data"].clone()
    }

    pub fn code(&self) -> (u16, i64, String) {
        let json = self.json();
        (self.status, json["code"].as_i64().unwrap(), json["message"].as_str().unwrap().to_owned())
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }
}

impl Rig {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(folder.path());
        options.slice_size = 1000;
        change(&mut options);
        Self { emulator: Emulator::start(options).unwrap(), folder }
    }

    /// Stops the emulator and starts another one in the same folder.
    pub fn restart(self) -> Self {
        let tokens = vec![self.emulator.token().to_owned()];
        self.emulator.stop();
        let options = Options { tokens, slice_size: 1000, ..Options::new(self.folder.path()) };
        Self { emulator: Emulator::start(options).unwrap(), folder: self.folder }
    }

    pub fn stored(&self, path: &str) -> PathBuf {
        self.folder.path().join("files").join(path)
    }

    pub fn headers(&self) -> String {
        format!("Authorization: Bearer {}\r\nPlatform: open_platform\r\n", self.emulator.token())
    }

    pub fn post(&self, path: &str, body: Value) -> Answer {
        let head = format!("{}Content-Type: application/json\r\n", self.headers());
        send(self.emulator.base_url(), "POST", path, &head, body.to_string().as_bytes()).unwrap()
    }

    pub fn get(&self, path: &str) -> Answer {
        send(self.emulator.base_url(), "GET", path, &self.headers(), b"").unwrap()
    }

    /// `create` of these bytes; gives the answer's `data`.
    pub fn create(&self, name: &str, bytes: &[u8]) -> Value {
        self.post("/upload/v2/file/create", create_body(name, bytes)).data()
    }

    pub fn try_slice(&self, server: usize, id: &str, no: u32, bytes: &[u8]) -> io::Result<Answer> {
        let head = format!("{}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n", self.headers());
        let body = slice_body(id, no, &md5(bytes), bytes);
        send(&self.emulator.servers()[server], "POST", "/upload/v2/file/slice", &head, &body)
    }

    pub fn slice(&self, server: usize, id: &str, no: u32, bytes: &[u8]) -> Answer {
        self.try_slice(server, id, no, bytes).unwrap()
    }

    pub fn complete(&self, id: &str) -> Answer {
        self.post("/upload/v2/file/upload_complete", json!({"preuploadID": id}))
    }

    /// A whole upload; gives the file id.
    pub fn upload(&self, name: &str, bytes: &[u8]) -> i64 {
        let created = self.create(name, bytes);
        if created["reuse"] == true {
            return created["fileID"].as_i64().unwrap();
        }
        let id = created["preuploadID"].as_str().unwrap();
        for (index, slice) in bytes.chunks(1000).enumerate() {
            assert_eq!(self.slice(index % 2, id, index as u32 + 1, slice).data(), Value::Null);
        }
        self.completed(id)
    }

    pub fn completed(&self, id: &str) -> i64 {
        let data = self.complete(id).data();
        assert_eq!(data["completed"], true);
        data["fileID"].as_i64().unwrap()
    }

    /// The requests to one endpoint.
    pub fn seen(&self, endpoint: pan123_proto::Endpoint) -> Vec<Request> {
        self.emulator.requests().into_iter().filter(|request| request.endpoint == Some(endpoint)).collect()
    }
}

pub fn md5(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that do not repeat, with line breaks and dashes among them.
pub fn noise(len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(len as u64);
    let mut bytes: Vec<u8> = (0..len).map(|_| random.u8(..)).collect();
    for at in (0..len.saturating_sub(8)).step_by(97) {
        bytes[at..at + 6].copy_from_slice(b"\r\n--wL");
    }
    bytes
}

pub fn create_body(name: &str, bytes: &[u8]) -> Value {
    json!({"parentFileID": 0, "filename": name, "etag": md5(bytes), "size": bytes.len()})
}

/// As the official Python example has it: no quotes, a semicolon after the name.
pub fn slice_body(id: &str, no: u32, md5: &str, bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in [("preuploadID", id), ("sliceNo", &no.to_string()), ("sliceMD5", md5)] {
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name={name};\r\nContent-Type: text/plain\r\n\r\n{value}\r\n"
        );
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=slice; filename=/D:/新建 文本文档 (4).txt\r\nContent-Type: text/plain\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

pub fn connect(url: &str) -> TcpStream {
    let stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends one request with its exact length on a connection of its own. Fails as the socket fails.
pub fn send(url: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{headers}{length}\r\n");
    stream.write_all(&[head.as_bytes(), body].concat())?;
    read_answer(&mut stream)
}

/// Reads one answer up to the end of the connection.
pub fn read_answer(stream: &mut impl Read) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let end =
        bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Ok(Answer { status, body: bytes.split_off(end + 4), head })
}
