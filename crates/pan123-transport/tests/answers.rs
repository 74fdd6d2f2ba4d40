//! Answers of every kind: early, large, slow, broken, and redirects.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use std::{
    io::{Read, Write},
    net::SocketAddr,
    time::Duration,
};

use common::{OK, drain, linger, post, read_head, read_request, send, serve, slice, unbounded_channel};
use pan123_transport::{Body, ErrorKind, HttpTransport, Method, Request, Transport};

fn turned_away(status: u16) -> Vec<u8> {
    let words = format!("{{\"code\":{status}}}");
    format!("HTTP/1.1 {status} No\r\nx-traceID: t\r\ncontent-length: {}\r\n\r\n{words}", words.len())
        .into_bytes()
}

/// A server that reads `len` bytes of a body and then answers with `status`, whatever is still to come.
fn impatient(
    status: u16,
    len: usize,
    then: impl Fn(std::net::TcpStream) + Send + Sync + 'static,
) -> SocketAddr {
    serve(move |mut stream, _| {
        read_head(&mut stream).unwrap();
        let mut some = vec![0; len];
        stream.read_exact(&mut some).unwrap();
        stream.write_all(&turned_away(status)).unwrap();
        then(stream);
    })
}

#[tokio::test]
async fn an_early_answer_is_read_while_the_connection_stays_open() {
    for status in [401, 429, 500] {
        let (ends, mut ended) = unbounded_channel();
        let addr = impatient(status, 20_000, move |mut stream| ends.send(drain(&mut stream)).unwrap());
        let answer = send(post(format!("http://{addr}/"), slice(64 << 20))).await.unwrap();
        assert_eq!((answer.status, answer.early), (status, true));
        assert_eq!(answer.header("x-traceid"), Some("t"));
        assert_eq!(answer.body, format!("{{\"code\":{status}}}"));
        assert!(ended.recv().await.unwrap() < 64 << 20, "the body went on after the answer");
    }
}

#[tokio::test]
async fn an_early_answer_is_read_although_the_server_hangs_up_on_the_rest() {
    let transport = HttpTransport::new().unwrap();
    for (status, len) in [(401, 1), (429, 64 << 10), (500, 300_000), (413, 2 << 20)] {
        let addr = impatient(status, len, drop);
        for _ in 0..50 {
            let answer = transport.send(post(format!("http://{addr}/"), slice(16 << 20))).await.unwrap();
            assert_eq!((answer.status, answer.early), (status, true));
            assert_eq!(answer.body, format!("{{\"code\":{status}}}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn early_answers_survive_on_several_threads_too() {
    let transport = HttpTransport::new().unwrap();
    let addr = impatient(401, 100_000, drop);
    for _ in 0..100 {
        let answer = transport.send(post(format!("http://{addr}/"), slice(16 << 20))).await.unwrap();
        assert_eq!((answer.status, answer.early), (401, true));
    }
}

#[tokio::test]
async fn the_status_counts_even_if_the_words_of_an_early_answer_are_cut_off() {
    let addr = serve(|mut stream, _| {
        read_head(&mut stream).unwrap();
        stream.write_all(b"HTTP/1.1 503 No\r\ncontent-length: 1000\r\n\r\nbusy").unwrap();
    });
    let answer = send(post(format!("http://{addr}/"), slice(16 << 20))).await.unwrap();
    assert_eq!((answer.status, answer.early, &answer.body[..]), (503, true, &b"busy"[..]));
}

#[tokio::test]
async fn a_connection_that_breaks_without_an_answer_is_interrupted() {
    let addr = serve(|mut stream, _| {
        read_head(&mut stream).unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
    });
    let error = send(post(format!("http://{addr}/"), slice(16 << 20))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
    assert!(!error.server_may_have_acted());
    assert!(error.bytes_sent() < 16 << 20);

    for body in [slice(100_000), Body::from_bytes("{}")] {
        let addr = serve(|mut stream, _| drop(read_request(&mut stream).unwrap()));
        let error = send(post(format!("http://{addr}/"), body.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
        assert!(error.server_may_have_acted());
        assert_eq!(error.bytes_sent(), body.len());
    }
}

async fn outcome(answer: Vec<u8>) -> Result<usize, ErrorKind> {
    let addr = serve(move |mut stream, _| {
        read_request(&mut stream).unwrap();
        let _ = stream.write_all(&answer);
    });
    match send(post(format!("http://{addr}/"), Body::from_bytes("{}"))).await {
        Ok(answer) => Ok(answer.body.len()),
        Err(error) => Err(error.kind()),
    }
}

#[tokio::test]
async fn an_answer_may_have_one_mebibyte_and_not_a_byte_more() {
    let sized = |len: usize| {
        [format!("HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n").as_bytes(), &vec![b'x'; len]].concat()
    };
    assert_eq!(outcome(sized(1 << 20)).await, Ok(1 << 20));
    assert_eq!(outcome(sized((1 << 20) + 1)).await, Err(ErrorKind::BadAnswer));
    let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..64 {
        chunked.extend(b"10000\r\n");
        chunked.extend(vec![b'x'; 0x10000]);
        chunked.extend(b"\r\n");
    }
    assert_eq!(outcome(chunked).await, Err(ErrorKind::BadAnswer));
    assert_eq!(
        outcome([&b"HTTP/1.1 200 OK\r\nx: "[..], &vec![b'x'; 2 << 20]].concat()).await,
        Err(ErrorKind::BadAnswer)
    );
}

#[tokio::test]
async fn what_is_not_http_or_not_whole_is_a_bad_answer() {
    for answer in [
        &b"220 smtp.example ESMTP\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        b"\x16\x03\x01\x00\x00",
    ] {
        assert_eq!(outcome(answer.to_vec()).await, Err(ErrorKind::BadAnswer), "{answer:?}");
    }
    assert_eq!(outcome(b"HTTP/1.1 200 OK\r\n\r\nto the end".to_vec()).await, Ok(10));
    assert_eq!(
        outcome(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n".to_vec()).await,
        Ok(0)
    );
}

#[tokio::test]
async fn a_dripping_answer_has_an_end() {
    for body in [Body::from_bytes("{}"), slice(100_000)] {
        let addr = serve(|mut stream, _| {
            read_request(&mut stream).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").unwrap();
            while stream.write_all(b"x").is_ok() {
                linger(Duration::from_millis(20));
            }
        });
        let mut request = post(format!("http://{addr}/"), body);
        request.clocks.answer = Duration::from_millis(200);
        let error = send(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AnswerTimeout, "{error}");
        assert!(error.server_may_have_acted());
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let (hits, mut hit) = unbounded_channel();
    let elsewhere = serve(move |_, _| hits.send(()).unwrap());
    for status in [301, 302, 307] {
        let addr = serve(move |mut stream, _| {
            read_request(&mut stream).unwrap();
            let head =
                format!("HTTP/1.1 {status} Go\r\nlocation: http://{elsewhere}/\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
        });
        let url = format!("http://{addr}/");
        for request in [
            Request::new(Method::Get, &*url),
            post(&*url, Body::from_bytes("{}")),
            post(&*url, slice(100_000)),
        ] {
            let answer = send(request).await.unwrap();
            assert_eq!(answer.status, status);
            assert_eq!(answer.header("location"), Some(&*format!("http://{elsewhere}/")));
        }
    }
    assert!(hit.try_recv().is_err());
}

#[tokio::test]
async fn connections_are_used_again_and_a_closed_one_does_no_harm() {
    for len in [100, 100_000] {
        let (opened, mut opens) = unbounded_channel();
        let (closers, mut closed) = unbounded_channel();
        let addr = serve(move |mut stream, number| {
            opened.send(number).unwrap();
            for _ in 0..3 {
                read_request(&mut stream).unwrap();
                stream.write_all(OK).unwrap();
            }
            drop(stream);
            closers.send(()).unwrap();
        });
        let transport = HttpTransport::new().unwrap();
        for round in 0..20 {
            for _ in 0..3 {
                let request = || Request { ..post(format!("http://{addr}/"), slice(len)) };
                match transport.send(request()).await {
                    Ok(answer) => assert_eq!(answer.status, 200),
                    // The server hung up at the very moment; the request never reached anybody.
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Interrupted, "{round}: {error}");
                        assert_eq!(transport.send(request()).await.unwrap().status, 200);
                    }
                }
            }
            closed.recv().await.unwrap();
        }
        assert_eq!(std::iter::from_fn(|| opens.try_recv().ok()).count(), 20);
    }
}
