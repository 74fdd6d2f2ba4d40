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
    /// A layer of the caller's own failed, for a reason that is not the network's. Trying again does not help.
    Layer,
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
    may_have_acted: bool,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind. `message` is lower case, without a full stop and without secrets.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            bytes_sent: 0,
            elapsed: Duration::ZERO,
            may_have_acted: false,
            source: None,
        }
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

    /// Adds that the server had the whole request and so may have acted on it.
    #[must_use]
    pub fn acted(mut self, may_have_acted: bool) -> Self {
        self.may_have_acted = may_have_acted;
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Body bytes that the connection had taken when it failed. Up to 512 KiB of them may not have left
    /// this process if the connection broke, and what the kernel held may not have left this machine.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    /// True if the whole request had been handed to the connection, so that the server may have acted on
    /// it. False means that it cannot have: the same request may be sent again without a second thought.
    pub fn server_may_have_acted(&self) -> bool {
        self.may_have_acted
    }

    /// True if the other side's certificate is at fault: not trusted, out of date, or for another host.
    pub fn is_certificate(&self) -> bool {
        let cause = self.source.as_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
    }

    /// From the start of the exchange to its failure.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}
