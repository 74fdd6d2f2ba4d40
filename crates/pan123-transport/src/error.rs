//! Why an exchange failed, and how far it came.

use std::time::Duration;

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request is malformed or against the rules (bad URL, plain http to a far host). Never sent.
    Invalid,
    /// The name did not resolve. Nothing was sent; try again later.
    Dns,
    /// No connection, or none in time. Nothing was sent; try again, on another server if there is one.
    Connect,
    /// The TLS handshake failed, for example over a certificate. Trying again rarely helps.
    Tls,
    /// The proxy refused or failed.
    Proxy,
    /// The connection took no byte, or too few, for as long as [`Clocks`](crate::Clocks) allows.
    Stalled,
    /// The body did not go out in the time that the server gives it.
    BodyTimeout,
    /// The body went out, but no answer came in time. The server may have acted on it.
    AnswerTimeout,
    /// The connection broke. If the body had gone out, the server may have acted on it.
    Interrupted,
    /// The answer is not HTTP, is cut short, or is larger than 1 MiB.
    BadAnswer,
    /// The body's source could not be read.
    Source,
    /// The request was cancelled from outside.
    Cancelled,
    /// Something else, in the words of the cause.
    Other,
}

/// The one error of this crate.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    bytes_sent: u64,
    elapsed: Duration,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind. `message` is lower case, without a full stop and without secrets.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), bytes_sent: 0, elapsed: Duration::ZERO, source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds how far the exchange came.
    #[must_use]
    pub fn at(mut self, bytes_sent: u64, elapsed: Duration) -> Self {
        self.bytes_sent = bytes_sent;
        self.elapsed = elapsed;
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Body bytes handed to the connection before it failed.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    /// From the start of the exchange to its failure.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}
