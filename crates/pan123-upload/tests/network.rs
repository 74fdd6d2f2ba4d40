//! Servers that stand still, proxies that die, certificates that nobody trusts: whole uploads on real sockets.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use pan123_emulator::{Behaviour, Emulator, Faults, Options};
use pan123_upload::{
    Client, ClientBuilder, ErrorKind, JournalDir, Source, StaticToken, Target, Token,
    proto::machine::{Event, Parallel, Policy},
};
use rustix::process::{Pid, Signal, kill_process};
use support::{Bench, SHORT, SLICE, ShortClocks, bytes, impatient, upload, words};

const FOLDER: &str = "PAN123_TEST_SERVE";
const TOKEN: &str = "standing-still";

/// Not a test by itself: a service in a process of its own, for the tests that stop it.
#[test]
fn child_serves() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let mut options = Options::new(folder);
    options.tokens = vec![TOKEN.to_owned()];
    options.slice_size = SLICE;
    let behaviour = Behaviour { total_bytes_per_sec: 1 << 20, reuse: false, ..Behaviour::default() };
    options.faults = Faults { behaviour, ..Faults::default() };
    let emulator = Emulator::start(options).unwrap();
    println!("listening {} ", emulator.base_url());
    // Ends by a kill, or with the pipe when the parent is gone.
    let _ = std::io::stdin().lines().next();
}

struct Served {
    child: Child,
    base_url: String,
}

fn serve(folder: &Path) -> Served {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child_serves", "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("listening ")).expect("it says where it listens");
    let base_url = line.split_once("listening ").unwrap().1.trim().to_owned();
    Served { child, base_url }
}

impl Served {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn builder(&self, dir: &Path) -> ClientBuilder {
        Client::builder()
            .base_url(&self.base_url)
            .tokens(Arc::new(StaticToken::new(Token::new(TOKEN, None).unwrap())))
            .store(Arc::new(JournalDir::new(dir.join("journal"))))
            .parallel(Parallel::Exactly(4))
            .layer(Arc::new(ShortClocks(SHORT)))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_is_noticed_and_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let served = serve(&dir.path().join("drive"));
    let client = served.builder(dir.path()).policy(impatient()).build().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, bytes(40 * SLICE, 1)).unwrap();
    let upload = client.upload(Source::file(&path).unwrap(), Target::root("f")).unwrap();
    let mut events = upload.events();
    upload.start();
    while !matches!(events.recv().await, Some(Event::Slice { done: 8, .. })) {}
    served.signal(Signal::STOP);
    let told = loop {
        match events.recv().await {
            Some(Event::Retry { reason, .. }) => break reason,
            Some(_) => {}
            None => panic!("it ended: {:?}", upload.wait().await),
        }
    };
    // The kernel of a process that stands still goes on taking bytes, so both may come to light.
    assert!(told.contains("no answer from 127.0.0.1") || told.contains("took no byte"), "{told}");
    served.signal(Signal::CONT);
    upload.wait().await.unwrap();
    assert!(fs::read(dir.path().join("drive/files/f")).unwrap() == bytes(40 * SLICE, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_still_is_a_timeout_and_the_next_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let served = serve(&dir.path().join("drive"));
    let policy = Policy { retry_for: Duration::from_secs(1), ..impatient() };
    let client = served.builder(dir.path()).policy(policy).build().unwrap();
    let path = dir.path().join("f");
    fs::write(&path, bytes(40 * SLICE, 1)).unwrap();
    let target = Target::root("f");
    let first = client.upload(Source::file(&path).unwrap(), target).unwrap();
    let mut events = first.events();
    first.start();
    while !matches!(events.recv().await, Some(Event::Slice { done: 8, .. })) {}
    served.signal(Signal::STOP);
    let error = first.wait().await.unwrap_err();
    assert_eq!((error.kind(), error.kind().exit_code()), (ErrorKind::Timeout, 5), "{error}");
    assert!(error.is_resumable() && error.step() == "slice" && error.attempts() >= 2, "{error:?}");
    assert!(words(&error).contains("127.0.0.1") && words(&error).contains("run the same command again"));
    let acknowledged = first.progress().slices_done;
    served.signal(Signal::CONT);
    let second = upload(&client, &path, "f").await.unwrap();
    assert_eq!(second.bytes_sent, u64::from(40 - acknowledged) * SLICE);
    assert!(fs::read(dir.path().join("drive/files/f")).unwrap() == bytes(40 * SLICE, 1));
}

/// Forwards bytes both ways until it is told to die, which resets what is open.
struct Relay {
    address: std::net::SocketAddr,
    dead: Arc<AtomicBool>,
}

/// A proxy for `http://` URLs and for tunnels, or a TLS endpoint, is all in `begin`: it does what comes before the
/// bytes, and says where they go.
fn relay(begin: impl Fn(TcpStream) -> Option<(Box<dyn Both>, TcpStream)> + Send + Sync + 'static) -> Relay {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let dead = Arc::new(AtomicBool::new(false));
    let (gone, begin) = (dead.clone(), Arc::new(begin));
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            if gone.load(Ordering::SeqCst) {
                continue;
            }
            let (gone, begin) = (gone.clone(), begin.clone());
            thread::spawn(move || {
                let Some((mut near, mut far)) = begin(stream) else { return };
                near.forward(&mut far, &gone);
            });
        }
    });
    Relay { address, dead }
}

trait Both: Send {
    /// Copies both ways on this one thread, until an end closes or `gone`.
    fn forward(&mut self, far: &mut TcpStream, gone: &AtomicBool);
}

impl<T: Read + Write + Send + Waiting> Both for T {
    fn forward(&mut self, far: &mut TcpStream, gone: &AtomicBool) {
        far.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        self.wait_at_most(Duration::from_millis(1));
        let mut buffer = vec![0; 64 << 10];
        while !gone.load(Ordering::SeqCst) {
            match self.read(&mut buffer) {
                Ok(0) => return,
                Ok(len) => {
                    if far.write_all(&buffer[..len]).is_err() {
                        return;
                    }
                }
                Err(error) if waits(&error) => {}
                Err(_) => return,
            }
            match far.read(&mut buffer) {
                Ok(0) => return,
                Ok(len) => {
                    if self.write_all(&buffer[..len]).is_err() {
                        return;
                    }
                }
                Err(error) if waits(&error) => {}
                Err(_) => return,
            }
        }
    }
}

fn waits(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

trait Waiting {
    fn wait_at_most(&self, time: Duration);
}

impl Waiting for TcpStream {
    fn wait_at_most(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
    }
}

type Tls = rustls::StreamOwned<rustls::ServerConnection, TcpStream>;

impl Waiting for Tls {
    fn wait_at_most(&self, time: Duration) {
        self.sock.set_read_timeout(Some(time)).unwrap();
    }
}

/// A proxy that is asked for whole URLs (`POST http://host:port/path`).
fn proxy() -> Relay {
    relay(|near| {
        // The request's line is looked at and left where it is: servers take whole URLs too.
        let mut seen = [0; 400];
        let len = near.peek(&mut seen).ok()?;
        let line = String::from_utf8_lossy(&seen[..len]).into_owned();
        let host = line.split_once("http://")?.1.split('/').next()?.to_owned();
        Some((Box::new(near) as Box<dyn Both>, TcpStream::connect(host).ok()?))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_dies_is_named_and_the_next_run_goes_on_without_it() {
    let bench = Bench::behaving(Behaviour { total_bytes_per_sec: 1 << 20, ..Behaviour::default() });
    let proxy = proxy();
    let path = bench.file("f", 40 * SLICE, 1);
    let policy = Policy { retry_for: Duration::from_secs(1), ..impatient() };
    let client = bench.builder().policy(policy).proxy(format!("http://{}", proxy.address)).build().unwrap();
    let first = client.upload(Source::file(&path).unwrap(), Target::root("f")).unwrap();
    let mut events = first.events();
    first.start();
    while !matches!(events.recv().await, Some(Event::Slice { done: 8, .. })) {}
    proxy.dead.store(true, Ordering::SeqCst);
    let error = first.wait().await.unwrap_err();
    assert_eq!((error.kind(), error.kind().exit_code()), (ErrorKind::Network, 5), "{error:?}");
    assert!(error.is_resumable() && error.step() == "slice", "{error:?}");
    let acknowledged = first.progress().slices_done;
    assert!(acknowledged >= 8);
    let second = upload(&bench.client(), &path, "f").await.unwrap();
    assert_eq!(second.bytes_sent, u64::from(40 - acknowledged) * SLICE);
    assert!(bench.stored("f").unwrap() == bytes(40 * SLICE, 1));
}

/// A TLS endpoint before the emulator, with a certificate from an authority of its own.
fn tls(bench: &Bench) -> (Relay, std::path::PathBuf) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let cert = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let config = rustls::ServerConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let ca_file = bench.dir.path().join("ca.pem");
    fs::write(&ca_file, ca_cert.pem()).unwrap();
    let (config, host) = (Arc::new(config), bench.emulator.base_url().replace("http://", ""));
    let relay = relay(move |near| {
        let connection = rustls::ServerConnection::new(config.clone()).unwrap();
        let near = rustls::StreamOwned::new(connection, near);
        Some((Box::new(near) as Box<dyn Both>, TcpStream::connect(&host).ok()?))
    });
    (relay, ca_file)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_counts_only_if_its_authority_was_named() {
    let bench = Bench::new();
    let (relay, ca_file) = tls(&bench);
    let path = bench.file("f", 3 * SLICE, 1);
    let policy = Policy { tries_max: 2, ..impatient() };
    let url = format!("https://localhost:{}", relay.address.port());
    let client = bench.builder().policy(policy.clone()).base_url(&url).build().unwrap();
    let error = upload(&client, &path, "f").await.unwrap_err();
    assert_eq!((error.kind(), error.kind().exit_code()), (ErrorKind::Tls, 5), "{error:?}");
    assert_eq!(error.step(), "create");
    assert!(words(&error).contains("certificate of localhost"), "{}", words(&error));
    assert!(words(&error).contains("ca file"), "{}", words(&error));
    assert!(bench.emulator.requests().is_empty(), "nothing reached the service");
    // Another name than that in the certificate.
    let other = format!("https://127.0.0.1:{}", relay.address.port());
    let client = bench.builder().policy(policy.clone()).base_url(other).ca_file(&ca_file).build().unwrap();
    assert_eq!(upload(&client, &path, "f").await.unwrap_err().kind(), ErrorKind::Tls);

    let client = bench.builder().policy(policy).base_url(&url).ca_file(&ca_file).build().unwrap();
    upload(&client, &path, "f").await.unwrap();
    assert!(bench.stored("f").unwrap() == bytes(3 * SLICE, 1));
}
