//! Answers that no honest service gives: nothing panics, nothing grows, nothing hangs, and the token goes nowhere
//! but to the service.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use pan123_emulator::{Action, At, Fault};
use pan123_upload::{
    Client, Error, ErrorKind, StaticToken, Token,
    proto::{
        Endpoint,
        machine::{Parallel, Policy, SingleUse},
    },
    transport::Clocks,
};
use serde_json::json;
use support::{Bench, SHORT, SLICE, ShortClocks, bytes, impatient, upload_bytes, words};

const TOKEN: &str = "token-that-must-not-leave";

/// A server that says the same to everyone, and counts them.
struct Rogue {
    url: String,
    hits: Arc<AtomicUsize>,
}

fn rogue(answer: impl Fn(&mut TcpStream, &str) + Send + Sync + 'static) -> Rogue {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hits = Arc::<AtomicUsize>::default();
    let (count, answer) = (hits.clone(), Arc::new(answer));
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            count.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            thread::spawn(move || {
                if let Some(line) = read_request(&stream) {
                    answer(&mut stream, &line);
                }
            });
        }
    });
    Rogue { url, hits }
}

/// Reads a request to its end; gives its first line.
fn read_request(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut len = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            len = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    reader.take(len).read_to_end(&mut Vec::new()).ok()?;
    Some(first)
}

fn client(url: &str, clocks: Clocks) -> Client {
    Client::builder()
        .base_url(url)
        .tokens(Arc::new(StaticToken::new(Token::new(TOKEN, None).unwrap())))
        .policy(Policy { retry_for: Duration::from_millis(500), tries_max: 2, ..impatient() })
        .layer(Arc::new(ShortClocks(clocks)))
        .vip_rates(true)
        .build()
        .unwrap()
}

fn harmless(error: &Error, what: &str) {
    let text = format!("{} {error:?}", words(error));
    assert!(!text.contains(TOKEN), "{what}: {text}");
    assert!(text.len() < 6000 && !words(error).contains(['\n', '\u{1b}', '\0']), "{what}: {text}");
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_create_is_answered_with_the_upload_ends_with_an_error() {
    let many_headers: String = (0..5000).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let long = "a".repeat(1 << 20);
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let data = |data: serde_json::Value| ok(&json!({"code": 0, "message": "ok", "data": data}).to_string());
    let created = |slice_size: serde_json::Value, servers: serde_json::Value| {
        data(json!({"reuse": false, "preuploadID": "p", "sliceSize": slice_size, "servers": servers}))
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", b"".to_vec()),
        ("no http", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
        ("http 0.9", b"<html>".to_vec()),
        ("binary", (0..=255).collect()),
        ("status 999", b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("status 0", b"HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("only 100", b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        ("upgrade", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n".to_vec()),
        ("length -1", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}".to_vec()),
        ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x".to_vec()),
        ("length 2^64", b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n{}".to_vec()),
        ("length 2^63", b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n{}".to_vec()),
        ("cut short", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"code\":0".to_vec()),
        ("bad chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec()),
        ("5000 headers", format!("HTTP/1.1 200 OK\r\n{many_headers}\r\n").into_bytes()),
        ("a header of 1 MiB", format!("HTTP/1.1 200 OK\r\nx: {long}\r\n\r\n").into_bytes()),
        ("nul in a header", b"HTTP/1.1 200 OK\r\nx: a\0b\r\nContent-Length: 0\r\n\r\n".to_vec()),
        (
            "gzip that is none",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}".to_vec(),
        ),
        ("deep", ok(&deep)),
        ("utf-16", ok("\u{feff}{\"code\":0}")),
        ("a terminal's escape", ok("\u{1b}[2J\u{1b}]0;title\u{7}\0 and more")),
        ("code as text", ok(r#"{"code":"zero"}"#)),
        ("code 1e400", ok(r#"{"code":1e400}"#)),
        ("code 0.5", ok(r#"{"code":0.5,"data":{"reuse":true,"fileID":1}}"#)),
        ("same key twice", ok(r#"{"code":1,"code":0,"data":{"reuse":true}}"#)),
        ("data is text", data(json!("x"))),
        ("reuse alone", data(json!({"reuse": true}))),
        ("file id 0", data(json!({"reuse": true, "fileID": 0}))),
        ("file id -5", data(json!({"reuse": true, "fileID": -5}))),
        ("file id 2^70", data(json!({"reuse": true, "fileID": "1180591620717411303424"}))),
        ("slice size 0", created(json!(0), json!([]))),
        ("slice size -1", created(json!(-1), json!([]))),
        ("slice size 2^63", created(json!(9_223_372_036_854_775_807_i64), json!([]))),
        ("slice size 1", created(json!(1), json!(["http://127.0.0.1:1"]))),
        ("servers of a wrong type", created(json!(16 << 20), json!({"a": 1}))),
        ("server is a script", created(json!(16 << 20), json!(["javascript:alert(1)"]))),
        ("server is a file", created(json!(16 << 20), json!(["file:///etc/passwd"]))),
        ("server with a user", created(json!(16 << 20), json!(["http://me:pw@127.0.0.1:1"]))),
        ("server with a line break", created(json!(16 << 20), json!(["http://127.0.0.1:1/\r\nX: y"]))),
        ("server with a query", created(json!(16 << 20), json!(["http://127.0.0.1:1/?a=b"]))),
        (
            "the token in all places",
            ok(&json!({"code": 7, "message": TOKEN, "x-traceID": TOKEN}).to_string()),
        ),
    ];
    for (what, answer) in cases {
        let server = rogue(move |stream, line| {
            // Nothing but `create` gets the answer; slices and the rest get none.
            let answer: &[u8] = if line.contains("/create") { &answer } else { b"" };
            let _ = stream.write_all(answer);
        });
        // More than a slice plan of one byte each may have.
        let size = if what == "slice size 1" { 2 << 20 } else { 3 * SLICE };
        let began = Instant::now();
        let error = upload_bytes(&client(&server.url, SHORT), bytes(size, 1), "f").await;
        let error = error.err().unwrap_or_else(|| panic!("{what}: a success"));
        harmless(&error, what);
        assert!(began.elapsed() < Duration::from_secs(20), "{what}: {:?}", began.elapsed());
        assert!(server.hits.load(Ordering::SeqCst) < 40, "{what}: {:?}", server.hits);
        if what.starts_with("slice size") {
            assert_eq!(error.kind(), ErrorKind::Protocol, "{what}: {error}");
        }
        assert!(!matches!(error.kind(), ErrorKind::Internal | ErrorKind::Source), "{what}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_cut_off() {
    let server = rogue(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
        while stream.write_all(&chunk).is_ok() {}
    });
    let error =
        upload_bytes(&client(&server.url, Clocks::default()), bytes(SLICE, 1), "f").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    harmless(&error, "endless");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_drips_has_an_end() {
    let server = rogue(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let error = upload_bytes(&client(&server.url, SHORT), bytes(SLICE, 1), "f").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Timeout), "{error:?}");
    harmless(&error, "dripping");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_redirect_takes_the_token_anywhere() {
    let elsewhere = rogue(|stream, _| {
        let _ = stream.write_all(&ok(r#"{"code":0,"data":{"reuse":true,"fileID":1,"completed":true}}"#));
    });
    for status in [301, 302, 303, 307, 308] {
        for on in [Endpoint::Create, Endpoint::Slice, Endpoint::Complete, Endpoint::Domain, Endpoint::Single]
        {
            let bench = Bench::new();
            let location = format!("{}{}", elsewhere.url, on.path());
            bench.script(vec![Fault::new(on, Action::Redirect { location, status })]);
            let single = matches!(on, Endpoint::Domain | Endpoint::Single);
            let single = if single { SingleUse::Always } else { SingleUse::Never };
            let policy = Policy { single, ..impatient() };
            let client = bench.builder().policy(policy).build().unwrap();
            let ended = upload_bytes(&client, bytes(SLICE, 1), "f").await;
            if let Err(error) = ended {
                assert_eq!(error.kind(), ErrorKind::Protocol, "{on:?} {status}: {error}");
            } else {
                // Small files have another way, without the call that is redirected.
                assert!(bench.stored("f").is_some());
            }
        }
    }
    assert_eq!(elsewhere.hits.load(Ordering::SeqCst), 0, "somebody followed a redirect");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_does_not_go_in_the_clear_to_a_far_host() {
    // 127.0.0.1 by a name that is not known to be this machine: what the service names must be https then.
    let elsewhere = rogue(|stream, _| {
        let _ = stream.write_all(&ok(r#"{"code":0}"#));
    });
    let port = elsewhere.url.rsplit(':').next().unwrap().to_owned();
    let servers = json!([format!("http://far-host.invalid:{port}"), format!("http://0.0.0.0:{port}")]);
    let bench = Bench::new();
    let data = json!({"reuse": false, "preuploadID": "p", "sliceSize": SLICE, "servers": servers});
    let code = |data| Action::Code { code: 0, message: "ok".into(), data, status: 200, retry_after: None };
    bench.script(vec![
        Fault::new(Endpoint::Create, code(data)).at(At::Body),
        // Asked when none of those can be reached.
        Fault::new(Endpoint::Domain, code(servers)),
    ]);
    let policy = Policy { retry_for: Duration::from_secs(1), tries_max: 3, ..impatient() };
    let client = bench.builder().policy(policy).build().unwrap();
    let error = upload_bytes(&client, bytes(2 * SLICE, 1), "f").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Network | ErrorKind::Tls), "{error:?}");
    // A TLS greeting may have come, which is no request.
    let greeted = elsewhere.hits.load(Ordering::SeqCst);
    assert!(greeted <= 80 && bench.requests(Endpoint::Slice).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_cannot_be_used_are_left_out_and_the_others_are_used() {
    let bad = ["ftp://127.0.0.1", "javascript:alert(1)", "http://me:pw@127.0.0.1:1", "", "http://"];
    for with_good in [true, false] {
        let bench = Bench::new();
        let mut servers = bad.map(str::to_owned).to_vec();
        if with_good {
            servers.insert(2, bench.emulator.servers()[0].clone());
        }
        let request = pan123_upload::proto::wire::CreateRequest {
            parent_id: 0,
            filename: "f",
            etag: pan123_upload::proto::Md5(md5(&bytes(3 * SLICE, 1))),
            size: 3 * SLICE,
            duplicate: None,
            contain_dir: false,
        };
        let created = bench.client().create(&request).await.unwrap();
        let pan123_upload::proto::machine::Reply::Created { preupload_id, slice_size, .. } = created else {
            panic!("{created:?}")
        };
        let data = json!({"reuse": false, "preuploadID": &*preupload_id, "sliceSize": slice_size, "servers": servers});
        let code = Action::Code { code: 0, message: "ok".into(), data, status: 200, retry_after: None };
        bench.script(vec![Fault::new(Endpoint::Create, code)]);
        let ended = upload_bytes(&bench.client(), bytes(3 * SLICE, 1), "f").await;
        if with_good {
            ended.unwrap();
            assert!(bench.stored("f").unwrap() == bytes(3 * SLICE, 1));
        } else {
            let error = ended.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
            assert!(error.to_string().contains("no upload host can be used"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_server_failed_is_not_used_again() {
    let bench = Bench::with(|options| options.servers = 1);
    let failure = Action::Status { status: 500, body: "failed".into(), retry_after: None };
    bench.script(vec![Fault { times: Some(1), ..Fault::new(Endpoint::Slice, failure).slices(2..=2) }]);
    let client = bench.builder().parallel(Parallel::Exactly(1)).build().unwrap();
    upload_bytes(&client, bytes(4 * SLICE, 1), "f").await.unwrap();
    let slices = bench.requests(Endpoint::Slice);
    let ports: Vec<u16> = slices.iter().map(|request| request.peer_port).collect();
    let [one, two, rest @ ..] = &ports[..] else { panic!("{ports:?}") };
    assert!(one == two && rest.len() == 3 && !rest.contains(one), "{ports:?}");
    assert!(rest.iter().all(|port| port == &rest[0]), "the others share a new one: {ports:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_servers_are_as_good_as_one() {
    let bench = Bench::new();
    let good = bench.emulator.servers()[0].clone();
    let real = bench.client();
    // A real upload id, and a list that only ends with a server that is there.
    let request = pan123_upload::proto::wire::CreateRequest {
        parent_id: 0,
        filename: "f",
        etag: pan123_upload::proto::Md5(md5(&bytes(3 * SLICE, 1))),
        size: 3 * SLICE,
        duplicate: None,
        contain_dir: false,
    };
    let created = real.create(&request).await.unwrap();
    let pan123_upload::proto::machine::Reply::Created { preupload_id, slice_size, .. } = created else {
        panic!("{created:?}")
    };
    let mut servers = vec![good; 10_000];
    servers.insert(0, "http://127.0.0.1:1".into());
    let data =
        json!({"reuse": false, "preuploadID": &*preupload_id, "sliceSize": slice_size, "servers": servers});
    let code = Action::Code { code: 0, message: "ok".into(), data, status: 200, retry_after: None };
    bench.script(vec![Fault::new(Endpoint::Create, code)]);
    upload_bytes(&bench.client(), bytes(3 * SLICE, 1), "f").await.unwrap();
    assert!(bench.stored("f").unwrap() == bytes(3 * SLICE, 1));
}

fn md5(bytes: &[u8]) -> [u8; 16] {
    use md5::Digest;
    md5::Md5::digest(bytes).into()
}
