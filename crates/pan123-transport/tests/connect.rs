//! Names, ports, TLS and proxies, and the token that must not leak.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use common::{
    OK, data, dead_addr, drain, post, read_head, read_request, send, serve, slice, unbounded_channel, words,
};
use pan123_transport::{
    Body, Error, ErrorKind, HttpTransport, HttpTransportBuilder, PlainHttp, Request, Response, ServerUrl,
    Transport,
};
use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};

type Tls = StreamOwned<ServerConnection, TcpStream>;

/// A CA of its own, in a PEM file, and a server with a certificate from it.
struct Authority {
    _dir: tempfile::TempDir,
    ca_file: std::path::PathBuf,
    config: Arc<ServerConfig>,
}

fn authority(names: &[&str]) -> Authority {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let cert = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, ca_cert.pem()).unwrap();
    Authority { _dir: dir, ca_file, config: Arc::new(config) }
}

fn serve_tls(authority: &Authority, handler: impl Fn(Tls) + Send + Sync + 'static) -> SocketAddr {
    let config = authority.config.clone();
    serve(move |stream, _| handler(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream)))
}

fn answer_once<S: io::Read + Write>(mut stream: S) {
    if read_request(&mut stream).is_ok() {
        let _ = stream.write_all(OK);
        let _ = stream.flush();
    }
}

async fn through(builder: HttpTransportBuilder, request: Request) -> Result<Response, Error> {
    builder.build()?.send(request).await
}

#[tokio::test]
async fn a_ca_file_is_trusted_and_the_body_arrives() {
    let authority = authority(&["localhost", "127.0.0.1"]);
    for len in [100, (3 << 20) + 1] {
        let (bodies, mut body) = unbounded_channel();
        let addr = serve_tls(&authority, move |mut stream| {
            bodies.send(read_request(&mut stream).unwrap().body).unwrap();
            stream.write_all(OK).unwrap();
        });
        for host in ["127.0.0.1", "localhost"] {
            let request = post(format!("https://{host}:{}/", addr.port()), Body::from_bytes(data(len)));
            let answer =
                through(HttpTransport::builder().ca_file(&authority.ca_file), request).await.unwrap();
            assert_eq!(answer.status, 200);
            assert!(body.recv().await.unwrap() == data(len));
        }
    }
}

#[tokio::test]
async fn an_early_answer_is_read_over_tls_too() {
    let authority = authority(&["127.0.0.1"]);
    let addr = serve_tls(&authority, |mut stream| {
        read_head(&mut stream).unwrap();
        io::Read::read_exact(&mut stream, &mut [0; 100_000]).unwrap();
        stream.write_all(b"HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\nno").unwrap();
    });
    let transport = HttpTransport::builder().ca_file(&authority.ca_file).build().unwrap();
    for _ in 0..50 {
        let answer = transport.send(post(format!("https://{addr}/"), slice(16 << 20))).await.unwrap();
        assert_eq!((answer.status, answer.early, &answer.body[..]), (401, true, &b"no"[..]));
    }
}

#[tokio::test]
async fn an_untrusted_certificate_is_named_as_such() {
    let (ours, other) = (authority(&["127.0.0.1"]), authority(&["elsewhere.example"]));
    for (served, trusted) in [(&ours, &other), (&other, &other)] {
        let addr = serve_tls(served, answer_once);
        for body in [Body::from_bytes("{}"), slice(100_000)] {
            let request = post(format!("https://{addr}/"), body);
            let error =
                through(HttpTransport::builder().ca_file(&trusted.ca_file), request).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Tls, "{}", words(&error));
            assert!(error.is_certificate());
            assert!(error.to_string().contains("certificate"), "{error}");
            assert_eq!(error.bytes_sent(), 0);
        }
    }
    for body in [Body::from_bytes("{}"), slice(100_000)] {
        let addr =
            serve(|mut stream, _| stream.write_all(b"HTTP/1.1 400 speak http\r\n\r\n").unwrap_or_default());
        let error = send(post(format!("https://{addr}/"), body)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{}", words(&error));
        assert!(!error.is_certificate());
    }
}

#[test]
fn a_bad_ca_file_is_refused_when_the_transport_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name)
    };
    let pem = |inner: &str| format!("-----BEGIN CERTIFICATE-----\n{inner}\n-----END CERTIFICATE-----\n");
    for path in [
        dir.path().join("missing.pem"),
        dir.path().to_owned(),
        write("empty.pem", ""),
        write("words.pem", "trust me"),
        write("damaged.pem", &pem("?")),
        write("no-certificate.pem", &pem("aGVsbG8=")),
        // A file without an end.
        "/dev/zero".into(),
    ] {
        let error = HttpTransport::builder().ca_file(&path).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(Path::file_name(&path).unwrap().to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_no_connection() {
    let addr = dead_addr();
    for body in [Body::from_bytes("{}"), slice(100_000)] {
        let error = send(post(format!("http://{addr}/a?token=hunter2"), body)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{}", words(&error));
        assert!(error.to_string().contains(&addr.to_string()), "{error}");
        assert!(words(&error).contains("refused"), "{}", words(&error));
        assert!(!format!("{error:?} {}", words(&error)).contains("hunter2"));
        assert!(!error.server_may_have_acted());
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_runs_into_the_connect_clock() {
    let addr = serve(|mut stream, _| {
        drain(&mut stream);
    });
    for body in [Body::from_bytes("{}"), slice(100_000)] {
        let mut request = post(format!("https://{addr}/"), body);
        request.clocks.connect = Duration::from_millis(200);
        let error = send(request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{}", words(&error));
        assert!(!error.server_may_have_acted());
    }
}

#[tokio::test]
async fn a_name_that_cannot_exist_does_not_resolve() {
    // Labels end at 63 bytes (RFC 1035, 2.3.4), so no resolver asks anybody.
    let host = format!("{}.invalid", "x".repeat(64));
    for body in [Body::from_bytes("{}"), slice(100_000)] {
        let request = post(format!("http://{host}/"), body);
        let builder = HttpTransport::builder().no_proxy().plain_http(PlainHttp::anywhere());
        let error = through(builder, request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Dns, "{}", words(&error));
    }
}

#[tokio::test]
async fn plain_http_to_a_far_host_is_refused_before_anything_is_sent() {
    for url in ["http://far.invalid/", "http://10.0.0.1/", "http://localhost.far.invalid/"] {
        let error =
            send(post(url, Body::empty()).header("Authorization", "Bearer hunter2")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("plain http"), "{error}");
    }
    for url in ["ftp://127.0.0.1/", "nonsense", "http://me:hunter2@127.0.0.1/", ""] {
        let error = send(post(url, Body::empty())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
    let (addr, _seen) = common::recorder();
    for (name, value) in [
        ("content-length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("host", "x"),
        ("a b", "x"),
        ("token", "line\nbreak"),
    ] {
        let error = send(post(format!("http://{addr}/"), slice(10)).header(name, value)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(name) && !words(&error).contains("break"), "{error}");
    }
}

/// A proxy that answers what it should forward, and reports it.
#[tokio::test]
async fn a_proxy_gets_the_whole_url_and_its_password() {
    let (addr, mut seen) = common::recorder();
    let plain = PlainHttp::loopback().and_base(&ServerUrl::base("http://far.invalid").unwrap());
    for (len, url) in [
        (10, "http://far.invalid/a?b=1"),
        (100_000, "http://far.invalid/a?b=1"),
        (100_000, "http://127.0.0.9:1/x"),
    ] {
        let builder =
            HttpTransport::builder().plain_http(plain.clone()).proxy(format!("http://me:pass@{addr}"));
        let answer = through(builder, post(url, slice(len))).await.unwrap();
        assert_eq!(answer.status, 200);
        let seen = seen.recv().await.unwrap();
        assert!(seen.head.starts_with(&format!("POST {url} HTTP/1.1\r\n")), "{}", seen.head);
        assert_eq!(seen.header("proxy-authorization"), Some("Basic bWU6cGFzcw=="));
        assert_eq!(seen.body.len(), len + 16);
    }
}

#[tokio::test]
async fn a_tunnel_carries_tls() {
    let authority = authority(&["far.invalid"]);
    let (bodies, mut body) = unbounded_channel();
    let target = serve_tls(&authority, move |mut stream| {
        bodies.send(read_request(&mut stream).unwrap().body.len()).unwrap();
        stream.write_all(OK).unwrap();
    });
    let (asked, mut was_asked) = unbounded_channel();
    let proxy = serve(move |mut stream, _| {
        asked.send(read_head(&mut stream).unwrap()).unwrap();
        stream.write_all(b"HTTP/1.1 200 go on\r\n\r\n").unwrap();
        let mut far = TcpStream::connect(target).unwrap();
        let (mut back_from, mut back_to) = (far.try_clone().unwrap(), stream.try_clone().unwrap());
        std::thread::spawn(move || io::copy(&mut back_from, &mut back_to));
        let _ = io::copy(&mut stream, &mut far);
    });
    for len in [10, 1 << 20] {
        let builder =
            HttpTransport::builder().ca_file(&authority.ca_file).proxy(format!("http://me:pass@{proxy}"));
        let answer = through(builder, post("https://far.invalid/", slice(len))).await.unwrap();
        assert_eq!(answer.status, 200);
        let asked = was_asked.recv().await.unwrap();
        assert!(asked.starts_with("CONNECT far.invalid:443 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.to_lowercase().contains("proxy-authorization: basic bwu6cgfzcw=="), "{asked}");
        assert_eq!(body.recv().await.unwrap(), len + 16);
    }
}

#[tokio::test]
async fn a_proxy_that_fails_is_named_as_the_culprit() {
    let hangs_up = serve(|mut stream, _| {
        let _ = io::Read::read(&mut stream, &mut [0]);
    });
    let refuses = serve(|mut stream, _| {
        let _ = read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 407 who are you\r\ncontent-length: 0\r\n\r\n");
    });
    for proxy in [
        format!("http://{}", dead_addr()),
        format!("http://{hangs_up}"),
        format!("http://{refuses}"),
        format!("socks5h://{hangs_up}"),
        format!("socks5://{}", dead_addr()),
    ] {
        for body in [Body::from_bytes("{}"), slice(100_000)] {
            let builder = HttpTransport::builder().proxy(proxy.clone());
            let error = through(builder, post("https://127.0.0.1:9/", body)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Proxy, "{proxy}: {}", words(&error));
            assert_eq!(error.bytes_sent(), 0);
        }
    }
    for bad in ["", "127.0.0.1:8080", "ftp://127.0.0.1", "http://", "https://127.0.0.1", "http://me:hunter2@"]
    {
        let error = HttpTransport::builder().proxy(bad).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}");
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[tokio::test]
async fn a_proxy_that_dies_midway_interrupts() {
    let proxy = serve(|mut stream, _| {
        read_head(&mut stream).unwrap();
        io::Read::read_exact(&mut stream, &mut [0; 50_000]).unwrap();
    });
    let builder = HttpTransport::builder().proxy(format!("http://{proxy}"));
    let error = through(builder, post("http://127.0.0.1:9/", slice(16 << 20))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{}", words(&error));
    assert!(!error.server_may_have_acted());
}

#[tokio::test]
async fn a_socks_proxy_is_asked_for_the_host() {
    let (target, mut seen) = common::recorder();
    let (names, mut name) = unbounded_channel();
    let proxy = serve(move |mut stream, _| {
        let take = |stream: &mut TcpStream, len: usize| {
            let mut bytes = vec![0; len];
            io::Read::read_exact(stream, &mut bytes).unwrap();
            bytes
        };
        let methods = take(&mut stream, 2)[1];
        take(&mut stream, methods.into());
        stream.write_all(&[5, 0]).unwrap();
        let head = take(&mut stream, 5);
        assert_eq!(head[..4], [5, 1, 0, 3], "CONNECT to a name");
        let host = take(&mut stream, head[4].into());
        let port = take(&mut stream, 2);
        names
            .send(format!("{}:{}", String::from_utf8(host).unwrap(), u16::from_be_bytes([port[0], port[1]])))
            .unwrap();
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        let mut far = TcpStream::connect(target).unwrap();
        let (mut back_from, mut back_to) = (far.try_clone().unwrap(), stream.try_clone().unwrap());
        std::thread::spawn(move || io::copy(&mut back_from, &mut back_to));
        let _ = io::copy(&mut stream, &mut far);
    });
    for len in [10, 1 << 20] {
        let builder =
            HttpTransport::builder().plain_http(PlainHttp::anywhere()).proxy(format!("socks5h://{proxy}"));
        let answer = through(builder, post("http://far.invalid/", slice(len))).await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(name.recv().await.unwrap(), "far.invalid:80");
        assert_eq!(seen.recv().await.unwrap().body.len(), len + 16);
    }
}

/// What the test below does in a process of its own, with a proxy in its environment.
async fn with_a_proxy_in_the_environment(local: SocketAddr) {
    for len in [10, 100_000] {
        let builder = || HttpTransport::builder().plain_http(PlainHttp::anywhere());
        assert_eq!(through(builder(), post("http://far.invalid/", slice(len))).await.unwrap().status, 200);
        assert_eq!(
            through(builder(), post(format!("http://{local}/"), slice(len))).await.unwrap().status,
            200
        );
        let direct =
            through(builder().no_proxy(), post(format!("http://{}/", dead_addr()), slice(len))).await;
        assert_eq!(direct.unwrap_err().kind(), ErrorKind::Connect);
    }
}

#[tokio::test]
async fn the_environment_names_the_proxy_but_not_for_this_machine() {
    if let Ok(local) = std::env::var("PAN123_TEST_LOCAL") {
        return with_a_proxy_in_the_environment(local.parse().unwrap()).await;
    }
    let ((proxy, mut by_proxy), (local, mut directly)) = (common::recorder(), common::recorder());
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_environment_names_the_proxy_but_not_for_this_machine"])
        .env("http_proxy", format!("http://{proxy}"))
        .env("PAN123_TEST_LOCAL", local.to_string())
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    for _ in 0..2 {
        assert!(by_proxy.recv().await.unwrap().head.starts_with("POST http://far.invalid/ HTTP/1.1\r\n"));
        assert!(directly.recv().await.unwrap().head.starts_with("POST / HTTP/1.1\r\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_leaves_at_most_64_idle_connections() {
    for body in [Body::from_bytes(data(100)), slice(100)] {
        let (closed_in, mut closed) = unbounded_channel();
        // Nobody is answered before all are there.
        let burst = Arc::new(std::sync::Barrier::new(100));
        let addr = serve(move |mut stream, _| {
            read_request(&mut stream).unwrap();
            burst.wait();
            stream.write_all(OK).unwrap();
            drain(&mut stream);
            let _ = closed_in.send(());
        });
        let transport = HttpTransport::builder().pool_idle(Duration::from_secs(600)).build().unwrap();
        let requests = (0..100).map(|_| {
            let (transport, request) = (transport.clone(), post(format!("http://{addr}/"), body.clone()));
            tokio::spawn(async move { transport.send(request).await.unwrap() })
        });
        for answer in requests.collect::<Vec<_>>() {
            assert_eq!(answer.await.unwrap().status, 200);
        }
        for _ in 64..100 {
            let one = tokio::time::timeout(Duration::from_secs(30), closed.recv());
            one.await.expect("the connection is closed").unwrap();
        }
        assert!(closed.try_recv().is_err(), "fewer than 64 are kept");
    }
}
