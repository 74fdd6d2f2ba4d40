//! The token calls of the service on a real socket, with one answer after the other as the test says.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread::JoinHandle,
};

use pan123_transport::{HttpTransport, Transport};
use tempfile::TempDir;

/// What came in: the request line and the headers, and the body.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: String,
}

type Answer = dyn Fn(usize, &Seen) -> (u16, String) + Send + Sync;

/// Answers every request; the answer may depend on how many came before.
pub(crate) struct Service {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    acceptor: Option<JoinHandle<()>>,
}

impl Service {
    pub(crate) fn start(answer: impl Fn(usize, &Seen) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (answer, log): (Arc<Answer>, _) = (Arc::new(answer), Arc::clone(&seen));
        let acceptor = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                // A connection without a request is the end, made by `drop`.
                let Some(seen) = read_request(&stream) else { return };
                std::thread::spawn(move || {
                    let no = {
                        let mut log = log.lock().unwrap();
                        log.push(seen.clone());
                        log.len()
                    };
                    let (status, body) = answer(no, &seen);
                    // The client may be gone on purpose.
                    let _ = write!(
                        &stream,
                        "HTTP/1.1 {status} Status\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                        body.len()
                    );
                });
            }
        });
        Self { address, seen, acceptor: Some(acceptor) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap()
    }

    /// How many requests came so far.
    pub(crate) fn requests(&self) -> usize {
        self.seen().len()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(TcpStream::connect(self.address));
        self.acceptor.take().unwrap().join().unwrap();
    }
}

fn read_request(stream: &TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let len =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; len.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { head, body: String::from_utf8(body).unwrap() })
}

/// A good answer of `access_token`: this token, valid for 30 days by the service's clock.
pub(crate) fn token_answer(token: &str) -> (u16, String) {
    token_until(token, "2099-03-23T15:48:37+08:00")
}

pub(crate) fn token_until(token: &str, expired_at: &str) -> (u16, String) {
    let data = format!(r#"{{"accessToken":"{token}","expiredAt":"{expired_at}"}}"#);
    (200, format!(r#"{{"code":0,"message":"ok","data":{data},"x-traceID":"trace-1"}}"#))
}

pub(crate) fn transport() -> Arc<dyn Transport> {
    Arc::new(HttpTransport::new().unwrap())
}

/// The only file in `dir` whose name ends like this.
pub(crate) fn the_file(dir: &TempDir, ending: &str) -> std::path::PathBuf {
    let paths = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.pop().unwrap()
}
