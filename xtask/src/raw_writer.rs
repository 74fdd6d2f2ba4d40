//! The fastest way to get a file's slices into sockets: read a frame, write it, nothing else.
//!
//! It hashes nothing and checks nothing, so only a server that does not look at the bytes takes it
//! for a client. What it reaches is what any client may hope for. One thread per socket and writes
//! that block are as fast on loopback as one thread that polls all sockets, and simpler.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    num::NonZeroU64,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use serde_json::{Value, json};

/// The bytes of one write.
const FRAME: usize = 256 << 10;
/// An MD5 of nothing in particular.
const SOME_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

/// What to write, and where to.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The emulator, as `http://127.0.0.1:PORT`
    #[arg(long)]
    base_url: String,
    /// A token it takes
    #[arg(long)]
    token: String,
    /// How many sockets
    #[arg(long)]
    sockets: u32,
    /// The file
    file: PathBuf,
}

/// Creates an upload, sends its slices, completes it; prints the stages as `pan123 --json` does.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let file = File::open(&options.file).with_context(|| format!("open {}", options.file.display()))?;
    let size = file.metadata()?.len();
    let token = &options.token;

    let mut base = Connection::open(&options.base_url, token)?;
    let create = json!({"parentFileID": 0, "filename": "raw", "etag": SOME_MD5, "size": size});
    let created = base.json("/upload/v2/file/create", &create)?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let id = text(&created["preuploadID"]).context("create gave no preuploadID")?;
    let server = text(&created["servers"][0]).context("create gave no servers")?;
    let slice_size =
        created["sliceSize"].as_u64().and_then(NonZeroU64::new).context("create gave no sliceSize")?;

    println!(r#"{{"event":"stage","stage":"sending"}}"#);
    let next = AtomicU64::new(0);
    let send = || -> anyhow::Result<()> {
        let mut connection = Connection::open(&server, token)?;
        let mut frame = vec![0; FRAME];
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let start = index * slice_size.get();
            if start >= size {
                return Ok(());
            }
            let end = size.min(start + slice_size.get());
            connection.slice(&id, index + 1, &file, start..end, &mut frame)?;
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..options.sockets).map(|_| scope.spawn(send)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic in a sender"))
    })?;
    println!(r#"{{"event":"stage","stage":"completing"}}"#);

    let completed = base.json("/upload/v2/file/upload_complete", &json!({"preuploadID": id}))?;
    if completed["completed"] != true {
        bail!("not complete: {completed}");
    }
    Ok(())
}

/// An HTTP/1.1 connection that stays open.
struct Connection {
    host: String,
    token: String,
    reader: BufReader<TcpStream>,
}

impl Connection {
    fn open(url: &str, token: &str) -> anyhow::Result<Self> {
        let host = url
            .strip_prefix("http://")
            .with_context(|| format!("{url} is no http URL"))?
            .trim_end_matches('/');
        let stream = TcpStream::connect(host).with_context(|| format!("connect to {host}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_write_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { host: host.to_owned(), token: token.to_owned(), reader: BufReader::new(stream) })
    }

    /// Sends one slice: `range` of `file`, through `frame`.
    fn slice(
        &mut self,
        id: &str,
        number: u64,
        file: &File,
        range: std::ops::Range<u64>,
        frame: &mut [u8],
    ) -> anyhow::Result<()> {
        let boundary = "raw-writer-boundary";
        let mut before = String::new();
        for (name, value) in [("preuploadID", id), ("sliceNo", &number.to_string()), ("sliceMD5", SOME_MD5)] {
            before += &format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
        }
        before += &format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"slice\"; filename=\"slice\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let after = format!("\r\n--{boundary}--\r\n");
        let length = before.len() as u64 + (range.end - range.start) + after.len() as u64;
        let head =
            self.head("/upload/v2/file/slice", &format!("multipart/form-data; boundary={boundary}"), length);
        self.write((head + &before).as_bytes())?;
        let mut offset = range.start;
        while offset < range.end {
            let want = frame.len().min(usize::try_from(range.end - offset).unwrap_or(usize::MAX));
            file.read_exact_at(&mut frame[..want], offset).context("read the file")?;
            self.write(&frame[..want])?;
            offset += want as u64;
        }
        self.write(after.as_bytes())?;
        self.answer().map(|_| ())
    }

    /// Sends JSON and returns the `data` of the answer.
    fn json(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = body.to_string();
        let head = self.head(path, "application/json", body.len() as u64);
        self.write((head + &body).as_bytes())?;
        self.answer()
    }

    fn head(&self, path: &str, content_type: &str, length: u64) -> String {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nPlatform: open_platform\r\n\
             Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n",
            self.host, self.token
        )
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.reader.get_mut().write_all(bytes).with_context(|| format!("write to {}", self.host))
    }

    /// Reads an answer; an error unless it says `code` 0.
    fn answer(&mut self) -> anyhow::Result<Value> {
        let mut length = None;
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                bail!("{} closed the connection", self.host);
            }
            if line.trim_end().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse::<usize>()?);
            }
        }
        let mut body = vec![0; length.context("an answer without Content-Length")?];
        self.reader.read_exact(&mut body)?;
        let mut answer: Value = serde_json::from_slice(&body).context("the answer is no JSON")?;
        if answer["code"] != 0 {
            bail!("refused: {answer}");
        }
        Ok(answer["data"].take())
    }
}
