//! Raw servers on loopback, one thread per connection, and what the tests send to them.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses its part"
)]

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, mpsc as blocking},
    time::Duration,
};

use bytes::Bytes;
use pan123_transport::{Body, Clocks, Error, HttpTransport, Method, Request, Response, Transport};
pub use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Runs `handler` for each connection, with its number from 0 on.
pub fn serve(handler: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let handler = Arc::new(handler);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let handler = handler.clone();
            std::thread::spawn(move || handler(stream.unwrap(), number));
        }
    });
    addr
}

/// A port of this machine that nobody listens on.
pub fn dead_addr() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Reads the head of a request, byte for byte so that none of the body is swallowed.
pub fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head).unwrap())
}

/// Reads a whole request by its `Content-Length`.
pub fn read_request(stream: &mut impl Read) -> io::Result<Seen> {
    let mut seen = Seen { head: read_head(stream)?, body: Vec::new() };
    let len = seen.header("content-length").map_or(0, |value| value.parse().unwrap());
    seen.body.resize(len, 0);
    stream.read_exact(&mut seen.body)?;
    Ok(seen)
}

/// Reads to the end, orderly or not, and returns how many bytes came.
pub fn drain(stream: &mut impl Read) -> usize {
    let mut buf = vec![0; 64 << 10];
    let mut total = 0;
    while let Ok(n @ 1..) = stream.read(&mut buf) {
        total += n;
    }
    total
}

/// A server that answers [`OK`] and reports every request it read.
pub fn recorder() -> (SocketAddr, UnboundedReceiver<Seen>) {
    let (seen_in, seen_out) = unbounded_channel();
    let addr = serve(move |mut stream, _| {
        while let Ok(seen) = read_request(&mut stream) {
            seen_in.send(seen).unwrap();
            stream.write_all(OK).unwrap();
        }
    });
    (addr, seen_out)
}

/// Passes time at the server's side, as a slow disk or a slow link would.
pub fn linger(time: Duration) {
    let (_keep, never) = blocking::channel::<()>();
    let _ = never.recv_timeout(time);
}

/// Bytes that differ from place to place.
pub fn data(len: usize) -> Bytes {
    (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Clocks that only run out if something hangs.
pub fn patient() -> Clocks {
    let long = Duration::from_secs(60);
    Clocks { connect: long, stall: long, answer: long, ..Clocks::default() }
}

pub fn post(url: impl Into<String>, body: Body) -> Request {
    Request { body, clocks: patient(), ..Request::new(Method::Post, url) }
}

/// Some MiB in memory, in the shape of a slice.
pub fn slice(len: usize) -> Body {
    Body::framed("prologue".into(), Arc::new(Bytes::from(vec![7; len])), 0, len as u64, "epilogue".into())
}

pub async fn send(request: Request) -> Result<Response, Error> {
    HttpTransport::new()?.send(request).await
}

/// The error's text and that of its causes.
pub fn words(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |e| e.source());
    causes.map(|cause| cause.to_string()).collect::<Vec<_>>().join(": ")
}
