//! Servers that stop, crawl or never answer, and requests that are given up.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use std::{
    io::{Read, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    OK, UnboundedReceiver, drain, linger, post, read_head, read_request, send, serve, slice,
    unbounded_channel,
};
use pan123_transport::{Body, Error, ErrorKind, HttpTransport, Meter, Request, Transport};

const SHORT: Duration = Duration::from_millis(200);

/// A server that reads the head of a request and nothing more, until `go` says so; then it reports what
/// else came.
fn paralysed()
-> (std::net::SocketAddr, UnboundedReceiver<()>, std::sync::mpsc::Sender<()>, UnboundedReceiver<usize>) {
    let (heads, head) = unbounded_channel();
    let (ends, end) = unbounded_channel();
    let (go, gate) = std::sync::mpsc::channel();
    let gate = std::sync::Mutex::new(gate);
    let addr = serve(move |mut stream, _| {
        read_head(&mut stream).unwrap();
        heads.send(()).unwrap();
        let _ = gate.lock().unwrap().recv();
        ends.send(drain(&mut stream)).unwrap();
    });
    (addr, head, go, end)
}

fn assert_in_time(error: &Error, clock: Duration) {
    assert!(error.elapsed() >= clock, "{:?}", error.elapsed());
    assert!(error.elapsed() < clock + Duration::from_secs(20), "{:?}", error.elapsed());
}

#[tokio::test]
async fn a_server_that_takes_nothing_is_stalled_and_dropped() {
    let (addr, _head, go, mut end) = paralysed();
    let mut request = post(format!("http://{addr}/secret?token=hunter2"), slice(64 << 20));
    request.clocks.stall = SHORT;
    let error = send(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stalled, "{error}");
    assert_in_time(&error, SHORT);
    assert!(error.to_string().contains(&addr.to_string()), "{error}");
    assert!(!error.server_may_have_acted());
    assert!((1..64 << 20).contains(&error.bytes_sent()));
    go.send(()).unwrap();
    assert!(end.recv().await.unwrap() as u64 <= error.bytes_sent(), "bytes went out after the failure");
}

#[tokio::test]
async fn a_server_that_accepts_all_and_says_nothing_runs_into_the_answer_clock() {
    for body in [Body::from_bytes("{}"), slice(64 << 10), Body::empty()] {
        let (addr, _head, _go, _end) = paralysed();
        let mut request = post(format!("http://{addr}/"), body.clone());
        request.clocks.answer = SHORT;
        let error = send(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AnswerTimeout, "{error}");
        assert_in_time(&error, SHORT);
        assert!(error.server_may_have_acted());
        assert_eq!(error.bytes_sent(), body.len());
    }
}

/// The kernel at our end takes more than the one at the other, and what it holds has not gone out: the
/// system's figures tell the two apart.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_waits_in_our_own_kernel_is_a_stall_and_no_missing_answer() {
    let (addr, _head, _go, _end) = paralysed();
    // The loopback's receive window, unread, opens no further than some 100 KiB at first.
    let mut request = post(format!("http://{addr}/"), slice(600 << 10));
    request.clocks.stall = SHORT;
    request.clocks.answer = SHORT / 2;
    let error = send(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stalled, "{error}");
}

#[tokio::test]
async fn slow_but_moving_is_left_alone() {
    let addr = serve(|mut stream, _| {
        read_head(&mut stream).unwrap();
        let mut left = (12 << 20) + 16;
        let mut buf = vec![0; 256 << 10];
        while left > 0 {
            linger(Duration::from_millis(20));
            let len = left.min(buf.len());
            stream.read_exact(&mut buf[..len]).unwrap();
            left -= len;
        }
        stream.write_all(OK).unwrap();
    });
    let mut request = post(format!("http://{addr}/"), slice(12 << 20));
    request.clocks.stall = Duration::from_millis(500);
    request.clocks.answer = Duration::from_millis(500);
    request.clocks.bytes_per_sec_min = 64 << 10;
    let start = Instant::now();
    assert_eq!(send(request).await.unwrap().status, 200);
    assert!(start.elapsed() > Duration::from_millis(900), "too fast to show anything");
}

#[tokio::test]
async fn crawling_is_a_stall_where_a_lowest_rate_is_set() {
    let addr = serve(|mut stream, _| {
        read_head(&mut stream).unwrap();
        let mut some = vec![0; 4 << 10];
        while stream.read_exact(&mut some).is_ok() {
            linger(Duration::from_millis(10));
        }
    });
    let mut request = post(format!("http://{addr}/"), slice(64 << 20));
    request.clocks.stall = Duration::from_secs(2);
    request.clocks.bytes_per_sec_min = 64 << 20;
    let error = send(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stalled, "{error}");
    // Where the system does not tell what the peer takes, a full send buffer looks like a standstill.
    assert!(error.to_string().contains("bytes per second") || !cfg!(target_os = "linux"), "{error}");
}

#[tokio::test]
async fn the_body_has_a_deadline_if_the_server_has_one() {
    let addr = serve(|mut stream, _| {
        read_head(&mut stream).unwrap();
        let mut some = vec![0; 4 << 10];
        while stream.read_exact(&mut some).is_ok() {
            linger(Duration::from_millis(10));
        }
    });
    let mut request = post(format!("http://{addr}/"), slice(64 << 20));
    request.clocks.body = Some(SHORT);
    let error = send(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BodyTimeout, "{error}");
    assert_in_time(&error, SHORT);
}

#[tokio::test]
async fn a_dropped_request_is_gone_at_once_and_sends_no_more() {
    let (addr, mut head, go, mut end) = paralysed();
    let transport = HttpTransport::new().unwrap();
    let meter = Arc::new(Meter::default());
    let request = Request { meter: meter.clone(), ..post(format!("http://{addr}/"), slice(64 << 20)) };
    let mut sending = tokio::spawn(async move { transport.send(request).await });
    head.recv().await.unwrap();
    // Long enough for every buffer on the way to fill up.
    assert!(tokio::time::timeout(SHORT, &mut sending).await.is_err(), "nobody reads, and yet it ended");
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
    let taken = meter.bytes();
    go.send(()).unwrap();
    let arrived = end.recv().await.unwrap() as u64;
    assert!(arrived <= taken, "{arrived} bytes came of {taken} taken");
    if cfg!(target_os = "linux") {
        assert!(arrived < taken, "the kernel went on with what it held");
    }
}

#[tokio::test]
async fn a_request_dropped_before_its_answer_closes_its_connection() {
    for body in [Body::from_bytes("{}"), slice(100_000)] {
        let (read, mut was_read) = unbounded_channel();
        let (ends, mut end) = unbounded_channel();
        let addr = serve(move |mut stream, _| {
            read_request(&mut stream).unwrap();
            read.send(()).unwrap();
            ends.send(drain(&mut stream)).unwrap();
        });
        let sending = tokio::spawn(send(post(format!("http://{addr}/"), body)));
        was_read.recv().await.unwrap();
        sending.abort();
        assert_eq!(end.recv().await.unwrap(), 0);
    }
}

#[tokio::test]
async fn many_requests_run_side_by_side() {
    let all = Arc::new(std::sync::Barrier::new(24));
    let addr = serve(move |mut stream, _| {
        let seen = read_request(&mut stream).unwrap();
        all.wait(); // answers only when every request is there
        stream.write_all(OK).unwrap();
        assert_eq!(seen.body.len(), 300_016);
    });
    let transport = HttpTransport::new().unwrap();
    let tasks: Vec<_> = (0..24)
        .map(|_| {
            let transport = transport.clone();
            tokio::spawn(async move { transport.send(post(format!("http://{addr}/"), slice(300_000))).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().status, 200);
    }
}
