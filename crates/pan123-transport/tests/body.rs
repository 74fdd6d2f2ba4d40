//! What of a body arrives at the server, and what becomes of one that cannot be read.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use common::{data, drain, linger, post, read_head, recorder, send, serve, unbounded_channel};
use pan123_transport::{
    Body, ErrorKind, FileAt, HttpTransport, Meter, Method, Pace, ReadAt, ReadStarted, Request, Transport,
};

const KIB: usize = 1 << 10;

/// Lengths around everything that is cut somewhere: short and long bodies, frames, what a connection holds.
const LENS: [usize; 14] = [
    0,
    1,
    16 * KIB - 17,
    16 * KIB - 16,
    16 * KIB - 15,
    64 * KIB - 1,
    64 * KIB,
    64 * KIB + 1,
    128 * KIB,
    512 * KIB - 1,
    512 * KIB + 1,
    1024 * KIB + 3,
    3 * 1024 * KIB,
    5 * 1024 * KIB + 12345,
];

/// Hides what a source can do, so that every way of reading is taken.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Memory,
    Cached,
    CachedBits,
    Blocking,
    CachedThenBlocking,
    /// Reads by itself, on a thread of its own.
    Started,
}

struct Source(Bytes, Manner);

impl ReadAt for Source {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        // Less than asked for, which the end alone should give, is put up with.
        let len = buf.len().min(50 * KIB);
        self.0.read_at(offset, &mut buf[..len])
    }

    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> Option<io::Result<usize>> {
        match self.1 {
            Manner::Memory | Manner::Cached => Some(self.0.read_at(offset, buf)),
            Manner::CachedBits => {
                let len = buf.len().min(4097);
                Some(self.0.read_at(offset, &mut buf[..len]))
            }
            Manner::Blocking | Manner::Started => None,
            Manner::CachedThenBlocking if offset < 100_000 => Some(self.0.read_at(offset, buf)),
            Manner::CachedThenBlocking => Some(Err(io::ErrorKind::WouldBlock.into())),
        }
    }

    fn start_read(&self, offset: u64, mut buf: Vec<u8>) -> Result<ReadStarted, Vec<u8>> {
        if !matches!(self.1, Manner::Started) {
            return Err(buf);
        }
        let (data, (sender, receiver)) = (self.0.clone(), tokio::sync::oneshot::channel());
        std::thread::spawn(move || {
            let got = data.read_at(offset, &mut buf).unwrap();
            let _ = sender.send((buf, got));
        });
        Ok(Box::pin(async move { receiver.await.map_err(io::Error::other) }))
    }

    fn as_bytes(&self) -> Option<&Bytes> {
        matches!(self.1, Manner::Memory).then_some(&self.0)
    }
}

#[tokio::test]
async fn every_byte_arrives_with_its_exact_length_and_never_chunked() {
    let (addr, mut seen) = recorder();
    let transport = HttpTransport::new().unwrap();
    let manners = [
        Manner::Memory,
        Manner::Cached,
        Manner::CachedBits,
        Manner::Blocking,
        Manner::CachedThenBlocking,
        Manner::Started,
    ];
    for manner in manners {
        for len in LENS {
            let offset = 777;
            let source = Source(data(offset + len + 100), manner);
            let wanted = [b"prologue", &source.0[offset..offset + len], b"epilogue"].concat();
            let body = Body::framed(
                "prologue".into(),
                Arc::new(source),
                offset as u64,
                len as u64,
                "epilogue".into(),
            );
            assert_eq!(body.len(), wanted.len() as u64);
            let meter = Arc::new(Meter::default());
            let request = Request { meter: meter.clone(), ..post(format!("http://{addr}/slice?x=1"), body) };
            let answer = transport.send(request).await.unwrap();
            assert_eq!((answer.status, &answer.body[..], answer.early), (200, &b"ok"[..], false));
            let seen = seen.recv().await.unwrap();
            assert!(seen.head.starts_with("POST /slice?x=1 HTTP/1.1\r\n"), "{}", seen.head);
            assert_eq!(seen.header("content-length"), Some(&*wanted.len().to_string()));
            assert_eq!(seen.header("transfer-encoding"), None);
            assert_eq!(seen.header("host"), Some(&*addr.to_string()));
            assert!(seen.header("user-agent").unwrap().starts_with("pan123/"));
            assert!(seen.body == wanted, "{manner:?} {len}");
            assert_eq!(meter.bytes(), wanted.len() as u64, "{manner:?} {len}");
        }
    }
}

#[tokio::test]
async fn a_file_is_read_at_its_offset_and_on_a_runtime_of_any_flavour() {
    let (addr, mut seen) = recorder();
    let bytes = data(3 << 20);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let file: Arc<dyn ReadAt> = Arc::new(FileAt::new(file));
    let send = |offset: usize, len: usize| {
        let body = Body::framed(Bytes::new(), file.clone(), offset as u64, len as u64, Bytes::new());
        let request = post(format!("http://{addr}/"), body);
        async move { HttpTransport::new().unwrap().send(request).await.unwrap() }
    };
    send(1 << 20, 2 << 20).await;
    assert!(seen.recv().await.unwrap().body == bytes[1 << 20..]);
    std::thread::scope(|scope| {
        scope.spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(send(5, 1 << 20)));
    });
    assert!(seen.recv().await.unwrap().body == bytes[5..5 + (1 << 20)]);
}

#[tokio::test]
async fn requests_without_a_body_say_so_as_their_method_wants() {
    let (addr, mut seen) = recorder();
    send(post(format!("http://{addr}/"), Body::empty())).await.unwrap();
    assert_eq!(seen.recv().await.unwrap().header("content-length"), Some("0"));
    let get = Request::new(Method::Get, format!("http://{addr}/a")).header("Platform", "open_platform");
    send(get).await.unwrap();
    let seen = seen.recv().await.unwrap();
    assert!(seen.head.starts_with("GET /a HTTP/1.1\r\n"));
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (None, None));
    assert_eq!(seen.header("platform"), Some("open_platform"));
}

#[test]
fn a_body_can_be_read_at_any_offset() {
    let bytes = data(1000);
    for manner in [Manner::Memory, Manner::Blocking] {
        let source = Arc::new(Source(bytes.clone(), manner));
        let body = Body::framed("head".into(), source, 100, 800, "tail".into());
        let whole = [b"head", &bytes[100..900], b"tail"].concat();
        for (offset, len) in
            [(0, 808), (0, 4), (3, 2), (4, 800), (0, 2000), (803, 5), (804, 4), (807, 9), (808, 1), (9999, 1)]
        {
            let mut buf = vec![0; len];
            let n = body.read_at(offset, &mut buf).unwrap();
            let wanted = &whole[whole.len().min(offset as usize)..whole.len().min(offset as usize + len)];
            assert_eq!(&buf[..n], wanted, "{offset} {len}");
        }
    }
    let short = Body::framed(Bytes::new(), Arc::new(Source(bytes, Manner::Blocking)), 500, 800, Bytes::new());
    assert_eq!(short.read_at(400, &mut [0; 200]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

/// A source that fails from some offset on.
struct Failing {
    good_len: u64,
    blocking: bool,
}

impl ReadAt for Failing {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if offset >= self.good_len {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the disk says no"));
        }
        let n = buf.len().min((self.good_len - offset) as usize);
        buf[..n].fill(7);
        Ok(n)
    }

    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> Option<io::Result<usize>> {
        (!self.blocking).then(|| self.read_at(offset, buf))
    }
}

#[tokio::test]
async fn a_source_that_fails_ends_the_request_and_its_connection() {
    let (ends, mut ended) = unbounded_channel();
    let addr = serve(move |mut stream, _| {
        // Not even the head may come, if the source fails within what the connection takes at once.
        let _ = read_head(&mut stream);
        ends.send(drain(&mut stream)).unwrap();
    });
    for blocking in [false, true] {
        let source = Arc::new(Failing { good_len: 300_000, blocking });
        let body = Body::framed("head".into(), source, 0, 1 << 20, "tail".into());
        let error = send(post(format!("http://{addr}/"), body)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Source, "{error}");
        assert!(common::words(&error).contains("the disk says no"), "{}", common::words(&error));
        assert!(!error.server_may_have_acted());
        assert!(ended.recv().await.unwrap() <= 300_004);
    }
}

#[tokio::test]
async fn a_source_that_ends_early_is_named_as_the_culprit() {
    let addr = serve(|mut stream, _| {
        drain(&mut stream);
    });
    let long = [Manner::Cached, Manner::Blocking, Manner::Started].map(|manner| (manner, 2 << 20));
    for (manner, len) in long.into_iter().chain([(Manner::Cached, 1000)]) {
        let source = Arc::new(Source(data(len / 2), manner));
        let body = Body::framed(Bytes::new(), source, 0, len as u64, Bytes::new());
        let error = send(post(format!("http://{addr}/"), body)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Source, "{error}");
        let cause = std::error::Error::source(&error).and_then(|e| e.downcast_ref::<io::Error>()).unwrap();
        assert_eq!(cause.kind(), io::ErrorKind::UnexpectedEof);
    }
}

/// A source that gives its first bytes at once and then takes its time.
struct Slow(Duration);

impl ReadAt for Slow {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if offset >= 200_000 {
            linger(self.0);
        }
        buf.fill(1);
        Ok(buf.len())
    }
}

#[tokio::test]
async fn a_slow_source_is_no_stall() {
    let (addr, mut seen) = recorder();
    let stall = Duration::from_millis(100);
    let body = Body::framed(Bytes::new(), Arc::new(Slow(stall * 5)), 0, 400_000, Bytes::new());
    let mut request = post(format!("http://{addr}/"), body);
    request.clocks.stall = stall;
    request.clocks.bytes_per_sec_min = 1 << 20;
    assert_eq!(send(request).await.unwrap().status, 200);
    assert_eq!(seen.recv().await.unwrap().body.len(), 400_000);
}

#[derive(Default)]
struct Metronome(Mutex<Vec<usize>>);

impl Pace for Metronome {
    fn take(&self, len: usize) -> Duration {
        self.0.lock().unwrap().push(len);
        Duration::from_millis(10)
    }
}

#[tokio::test]
async fn the_pace_is_asked_for_every_frame_and_kept() {
    let (addr, _seen) = recorder();
    let pace = Arc::new(Metronome::default());
    let request =
        Request { pace: Some(pace.clone()), ..post(format!("http://{addr}/"), common::slice(1 << 20)) };
    let start = std::time::Instant::now();
    send(request).await.unwrap();
    let frames = pace.0.lock().unwrap();
    assert_eq!(frames.iter().sum::<usize>(), (1 << 20) + 16);
    assert_eq!(frames.len(), 18);
    assert!(start.elapsed() >= Duration::from_millis(10) * 18);
}
