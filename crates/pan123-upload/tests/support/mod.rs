//! An emulator, a drive to look into, and a client that does not wait long.

#![allow(dead_code, reason = "each test program uses its part of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use pan123_emulator::{Behaviour, Emulator, Fault, Faults, Options, Request};
use pan123_upload::{
    Client, ClientBuilder, Error, JournalDir, Source, StaticToken, Target, Token, Uploaded,
    proto::{
        Endpoint,
        machine::{Policy, SingleUse},
    },
    transport::{BoxFuture, Clocks, Error as TransportError, Layer, Request as Sent, Response, Transport},
};

/// Bytes of a slice; three make the usual file.
pub(crate) const SLICE: u64 = 16 << 10;

pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) emulator: Emulator,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::new(dir.path().join("drive"));
        options.slice_size = SLICE;
        change(&mut options);
        Self { emulator: Emulator::start(options).unwrap(), dir }
    }

    pub(crate) fn behaving(behaviour: Behaviour) -> Self {
        Self::with(|options| options.faults = Faults { behaviour, ..Faults::default() })
    }

    pub(crate) fn script(&self, faults: Vec<Fault>) {
        let behaviour = self.emulator.faults().behaviour;
        self.emulator.set_faults(Faults { behaviour, faults, ..Faults::default() }).unwrap();
    }

    pub(crate) fn builder(&self) -> ClientBuilder {
        let token = Token::new(self.emulator.token(), None).unwrap();
        Client::builder()
            .base_url(self.emulator.base_url())
            .tokens(Arc::new(StaticToken::new(token)))
            .store(Arc::new(self.store()))
            .policy(impatient())
            .vip_rates(true)
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    pub(crate) fn store(&self) -> JournalDir {
        JournalDir::new(self.dir.path().join("journal"))
    }

    pub(crate) fn file(&self, name: &str, len: u64, seed: u64) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes(len, seed)).unwrap();
        path
    }

    /// What the drive holds under this name.
    pub(crate) fn stored(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.dir.path().join("drive/files").join(name)).ok()
    }

    pub(crate) fn requests(&self, endpoint: Endpoint) -> Vec<Request> {
        self.emulator.requests().into_iter().filter(|request| request.endpoint == Some(endpoint)).collect()
    }

    /// The journals that are left.
    pub(crate) fn journals(&self) -> usize {
        fs::read_dir(self.dir.path().join("journal")).map_or(0, Iterator::count)
    }
}

/// Waits as little as a test can.
pub(crate) fn impatient() -> Policy {
    Policy {
        single: SingleUse::Never,
        retry_for: Duration::from_secs(20),
        backoff_first: Duration::from_millis(5),
        backoff_max: Duration::from_millis(50),
        poll_every: Duration::from_millis(20),
        poll_for: Duration::from_secs(20),
        ..Policy::default()
    }
}

/// Clocks for tests that wait for them to run out.
pub(crate) const SHORT: Clocks = Clocks {
    connect: Duration::from_secs(5),
    stall: Duration::from_millis(400),
    bytes_per_sec_min: 0,
    answer: Duration::from_millis(400),
    body: None,
};

/// Shortens the clocks of every request.
#[derive(Debug)]
pub(crate) struct ShortClocks(pub(crate) Clocks);

#[derive(Debug)]
struct Hurried(Clocks, Arc<dyn Transport>);

impl Layer for ShortClocks {
    fn wrap(&self, inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(Hurried(self.0, inner))
    }
}

impl Transport for Hurried {
    fn send(&self, mut request: Sent) -> BoxFuture<'_, Result<Response, TransportError>> {
        request.clocks = self.0;
        self.1.send(request)
    }
}

pub(crate) fn bytes(len: u64, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len as usize];
    rng.fill(&mut bytes);
    bytes
}

pub(crate) async fn upload(client: &Client, path: &PathBuf, name: &str) -> Result<Uploaded, Error> {
    client.upload(Source::file(path)?, Target::root(name))?.wait().await
}

pub(crate) async fn upload_bytes(client: &Client, bytes: Vec<u8>, name: &str) -> Result<Uploaded, Error> {
    client.upload(Source::bytes(bytes), Target::root(name))?.wait().await
}

/// The first line of an error and its advice, as a user reads them.
pub(crate) fn words(error: &Error) -> String {
    format!("{error}; {}", error.advice())
}
