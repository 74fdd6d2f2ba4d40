//! What an emulator is started with.

use std::{fmt, path::PathBuf, time::Duration};

use crate::{
    error::{Error, ErrorKind},
    faults::Faults,
};

/// What an emulator is started with. [`Options::new`] gives working values; change the fields you care about.
#[derive(Clone)]
pub struct Options {
    /// Folder for everything the emulator keeps; made if missing. Stored files are under `files/` in it,
    /// at their path in the drive. One emulator at a time may use it.
    pub dir: PathBuf,
    /// Port of the API on 127.0.0.1; 0 takes any free one.
    pub port: u16,
    /// How many upload hosts (`servers`) there are, 1 to 64. Each has a port of its own: the one that it had when
    /// an emulator last used the folder, if that is free.
    pub servers: u32,
    /// Access tokens that are valid from the start and never expire. When empty, one is made up;
    /// [`Emulator::token`](crate::Emulator::token) tells it.
    pub tokens: Vec<String>,
    /// The `clientID` that `access_token` accepts.
    pub client_id: String,
    /// The `clientSecret` that goes with it.
    pub client_secret: String,
    /// The `code` that the OAuth2 token call accepts for `grant_type=authorization_code`.
    pub oauth_code: String,
    /// How long a token from `access_token` lives. The service says 30 days.
    pub token_lifetime: Duration,
    /// The `sliceSize` that `create` names, in bytes, 1 to 4 GiB. The service has always said 16 MiB.
    pub slice_size: u64,
    /// Store the bytes. When false they are received, counted and dropped, and nothing of a file but its
    /// entry remains: for benchmarks.
    pub keep_bytes: bool,
    /// Check `sliceMD5` against the received bytes. `None`: as [`keep_bytes`](Self::keep_bytes) says.
    /// The whole-file check at `upload_complete` reads the stored bytes, so it goes with `keep_bytes` alone.
    pub check_slices: Option<bool>,
    /// Behaviour that is out of the ordinary, and scripted faults.
    pub faults: Faults,
    /// File that gets one JSON line for each request, appended. `None`: no file.
    pub log: Option<PathBuf>,
}

impl Options {
    /// An emulator that keeps its files under `dir`, on any free port, with two upload hosts and 16 MiB slices.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            port: 0,
            servers: 2,
            tokens: Vec::new(),
            client_id: "emulator-id".to_owned(),
            client_secret: "emulator-secret".to_owned(),
            oauth_code: "emulator-code".to_owned(),
            token_lifetime: Duration::from_secs(30 * 24 * 3600),
            slice_size: pan123_proto::SLICE_SIZE_ASSUMED,
            keep_bytes: true,
            check_slices: None,
            faults: Faults::default(),
            log: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |detail: &str| Err(Error::new(ErrorKind::Options, "check options", detail));
        if !(1..=64).contains(&self.servers) {
            return refuse("servers must be 1 to 64");
        }
        if !(1..=4 << 30).contains(&self.slice_size) {
            return refuse("slice_size must be 1 byte to 4 GiB");
        }
        let header_safe =
            |token: &String| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !self.tokens.iter().all(header_safe) {
            return refuse("a token is one or more visible ASCII characters without blanks");
        }
        if self.client_id.is_empty() || self.client_secret.is_empty() || self.oauth_code.is_empty() {
            return refuse("client_id, client_secret and oauth_code must not be empty");
        }
        self.faults.check(self.servers)
    }

    pub(crate) fn checks_slices(&self) -> bool {
        self.check_slices.unwrap_or(self.keep_bytes)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens and the secret stay out.
        f.debug_struct("Options")
            .field("dir", &self.dir)
            .field("port", &self.port)
            .field("servers", &self.servers)
            .field("tokens", &self.tokens.len())
            .field("client_id", &self.client_id)
            .field("token_lifetime", &self.token_lifetime)
            .field("slice_size", &self.slice_size)
            .field("keep_bytes", &self.keep_bytes)
            .field("check_slices", &self.check_slices)
            .field("faults", &self.faults)
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}
