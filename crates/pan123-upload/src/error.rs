//! The one error of this crate: what failed, where, how often it was tried, and what to do about it.

use std::{fmt, io, sync::Arc, time::Duration};

use pan123_proto::{
    Class, Endpoint, Failure,
    machine::{Failed, FailedKind},
};
use serde::{Serialize, Serializer, ser::SerializeStruct};

/// What kind of error it is. Each kind has one exit code of the program and one status of the C library.
///
/// Kinds for which [`is_transient`](Self::is_transient) holds were already tried again within the limits of
/// the client; what the service acknowledged is kept, and a later run goes on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller gave something that cannot work. Nothing was sent; correct the call.
    Usage,
    /// Cancelled as asked. What was acknowledged is kept unless the caller said to forget it.
    Cancelled,
    /// Paused as asked. Start the same upload again to go on.
    Paused,
    /// The local file or other source cannot be opened or read. Not tried again.
    Source,
    /// The source is not what it was when the upload began. Not tried again; start a new upload.
    SourceChanged,
    /// Resume state or the token cache cannot be read, written or locked.
    Store,
    /// No connection, or it kept breaking. Transient.
    Network,
    /// The server's certificate or the TLS handshake is not accepted. Trying again rarely helps.
    Tls,
    /// Nothing moved, or no answer came, for too long. Transient.
    Timeout,
    /// The uplink cannot pass one slice before the gateway drops it. Transient on a better line.
    SlowUplink,
    /// The service kept failing on its side, or did not finish. Transient.
    Server,
    /// The service's answer is not what its protocol promises.
    Protocol,
    /// The service does not let us in: token, client id or secret. A refused token was renewed
    /// once, if it could be.
    Login,
    /// Too many requests, even after slowing down. Transient.
    RateLimited,
    /// The file's name breaks the service's rules. Choose another one.
    Name,
    /// The stored bytes do not have the declared MD5, after one clean restart.
    Verify,
    /// The service refuses for a reason of its own: folder, space, conflict, region. Trying again does not help.
    Refused,
    /// A layer or token provider of the program's own, perhaps in a plugin, failed for a reason of its own. Not tried
    /// again.
    HostCode,
    /// A defect of this program.
    Internal,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [Self; 19] = [
        Self::Usage,
        Self::Cancelled,
        Self::Paused,
        Self::Source,
        Self::SourceChanged,
        Self::Store,
        Self::Network,
        Self::Tls,
        Self::Timeout,
        Self::SlowUplink,
        Self::Server,
        Self::Protocol,
        Self::Login,
        Self::RateLimited,
        Self::Name,
        Self::Verify,
        Self::Refused,
        Self::HostCode,
        Self::Internal,
    ];

    /// The kind's name in JSON output and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Cancelled => "cancelled",
            Self::Paused => "paused",
            Self::Source => "source",
            Self::SourceChanged => "source_changed",
            Self::Store => "store",
            Self::Network => "network",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::SlowUplink => "slow_uplink",
            Self::Server => "server",
            Self::Protocol => "protocol",
            Self::Login => "login",
            Self::RateLimited => "rate_limited",
            Self::Name => "name",
            Self::Verify => "verify",
            Self::Refused => "refused",
            Self::HostCode => "host_code",
            Self::Internal => "internal",
        }
    }

    /// True when the same request may well succeed later, with nothing changed by the caller.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Network | Self::Timeout | Self::SlowUplink | Self::Server | Self::RateLimited)
    }

    /// The exit code of the program for an error of this kind. Listed in `docs/errors.md`.
    ///
    /// 1 a defect, 2 usage, 3 login, 4 local file, name or plugin, 5 gave up but resumable, 6 refused by the
    /// service, 7 verification failed, 130 interrupted. 0 is for uploads that are done.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Login => 3,
            Self::Source | Self::SourceChanged | Self::Name | Self::Store | Self::HostCode => 4,
            Self::Network
            | Self::Tls
            | Self::Timeout
            | Self::SlowUplink
            | Self::Server
            | Self::RateLimited => 5,
            Self::Refused | Self::Protocol => 6,
            Self::Verify => 7,
            Self::Cancelled | Self::Paused => 130,
        }
    }

    /// What to do about an error of this kind of which nothing better is known; empty if there is nothing to say.
    fn usual_advice(self) -> &'static str {
        match self {
            Self::Usage => "Correct what was given, and try again; nothing was sent.",
            Self::Source => "Check the path, and that the file is there, can be read and is not empty.",
            Self::SourceChanged => "Wait until nothing writes to the file, and upload it again.",
            Self::Name => pan123_proto::advice(Class::BadName, Endpoint::Create),
            Self::Store => "Check the folder's permissions and the free space on its disk.",
            Self::HostCode => pan123_proto::advice(Class::HostCode, Endpoint::Create),
            Self::Internal => "This is a defect: report it, with what was done before.",
            _ => "",
        }
    }

    fn of(class: Class) -> Self {
        match class {
            Class::Auth | Class::LoginRefused => Self::Login,
            Class::RateLimited | Class::QueueBusy => Self::RateLimited,
            Class::Verifying | Class::Server => Self::Server,
            Class::VerifyFailed => Self::Verify,
            Class::BadName => Self::Name,
            Class::BodyTimeout | Class::Stalled | Class::NoAnswer => Self::Timeout,
            Class::Connect | Class::Interrupted => Self::Network,
            Class::Tls => Self::Tls,
            Class::Protocol => Self::Protocol,
            Class::Source => Self::Source,
            Class::HostCode => Self::HostCode,
            // NoParent, Exists, NotFound, NoSpace, Blocked, Refused, and classes added later.
            _ => Self::Refused,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What failed. Cheap to move; a clone shares the cause.
///
/// `Display` is one line in lower case, for example
/// `slice 7: 分片md5校验失败 (after 4 attempts, code 1, HTTP 200, trace 6a1f)`; the advice is apart.
/// No error ever holds a token or a secret.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    class: Option<Class>,
    step: &'static str,
    slice_no: Option<u32>,
    message: String,
    attempts: u32,
    http_status: Option<u16>,
    code: Option<i64>,
    trace_id: Option<String>,
    retry_after: Option<Duration>,
    advice: String,
    resumable: bool,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of this kind in this step (for example `read token cache`), tried once.
    ///
    /// `message` is lower case, without a full stop, and without secrets.
    pub fn new(kind: ErrorKind, step: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            class: None,
            step,
            slice_no: None,
            message: one_line(message.into()),
            attempts: 1,
            http_status: None,
            code: None,
            trace_id: None,
            retry_after: None,
            advice: kind.usual_advice().to_owned(),
            resumable: false,
            source: None,
        }))
    }

    /// Adds what to do about it, as a sentence.
    #[must_use]
    pub fn with_advice(mut self, advice: impl Into<String>) -> Self {
        self.0.advice = advice.into();
        self
    }

    /// The same of a finer kind, with its usual advice.
    #[must_use]
    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self.with_advice(kind.usual_advice())
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// Says which slice it was (`sliceNo`, from 1).
    #[must_use]
    pub fn with_slice_no(mut self, slice_no: u32) -> Self {
        self.0.slice_no = Some(slice_no);
        self
    }

    /// Says whether a later run can go on from here.
    #[must_use]
    pub fn with_resumable(mut self, resumable: bool) -> Self {
        self.0.resumable = resumable;
        self
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What the failed request means, finer than the kind; `None` if no request was involved.
    pub fn class(&self) -> Option<Class> {
        self.0.class
    }

    /// The step that failed: a call's name such as `create`, or a local one such as `open source`.
    pub fn step(&self) -> &'static str {
        self.0.step
    }

    /// `sliceNo`, from 1, if it was about one slice.
    pub fn slice_no(&self) -> Option<u32> {
        self.0.slice_no
    }

    /// How often the step was tried, at least 1.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The service's message, or what happened in our words. One line.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The HTTP status, if there was an answer.
    pub fn http_status(&self) -> Option<u16> {
        self.0.http_status
    }

    /// The service's code, if its answer had one.
    pub fn code(&self) -> Option<i64> {
        self.0.code
    }

    /// `x-traceID` of the answer; the service's support asks for it.
    pub fn trace_id(&self) -> Option<&str> {
        self.0.trace_id.as_deref()
    }

    /// How long the service asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What to do about it, in a sentence; empty if there is nothing to say.
    pub fn advice(&self) -> &str {
        &self.0.advice
    }

    /// True when a later run of the same upload goes on from here.
    pub fn is_resumable(&self) -> bool {
        self.0.resumable
    }

    /// The same as a failure of `endpoint`, for the state machine.
    ///
    /// A token that cannot be had fails the call that needed it, in the words of the token request, which is named.
    pub fn to_failure(&self, endpoint: Endpoint) -> Failure {
        let class = self.0.class.unwrap_or(match self.0.kind {
            ErrorKind::Source | ErrorKind::SourceChanged => Class::Source,
            ErrorKind::Login => Class::LoginRefused,
            ErrorKind::Network => Class::Connect,
            ErrorKind::Tls => Class::Tls,
            ErrorKind::Timeout => Class::NoAnswer,
            ErrorKind::Server => Class::Server,
            ErrorKind::RateLimited => Class::RateLimited,
            ErrorKind::Protocol => Class::Protocol,
            ErrorKind::HostCode => Class::HostCode,
            _ => Class::Refused,
        });
        Failure {
            endpoint,
            class,
            http_status: self.0.http_status,
            code: self.0.code,
            message: match self.0.step {
                step if step == endpoint.name() => self.0.message.clone(),
                step => format!("{step}: {}", self.0.message),
            },
            trace_id: self.0.trace_id.clone(),
            retry_after: self.0.retry_after,
        }
    }
}

impl From<Failure> for Error {
    /// One call of the service that failed, tried once.
    fn from(failure: Failure) -> Self {
        let mut error = Self::new(ErrorKind::of(failure.class), failure.endpoint.name(), failure.message);
        let inner = &mut *error.0;
        inner.class = Some(failure.class);
        inner.advice = pan123_proto::advice(failure.class, failure.endpoint).to_owned();
        inner.http_status = failure.http_status;
        inner.code = failure.code;
        inner.trace_id = failure.trace_id;
        inner.retry_after = failure.retry_after;
        error
    }
}

impl From<Failed> for Error {
    /// A whole upload that failed.
    fn from(failed: Failed) -> Self {
        let class = failed.failure.class;
        let mut error = Self::from(failed.failure);
        let inner = &mut *error.0;
        inner.kind = match failed.kind {
            FailedKind::Source => ErrorKind::Source,
            FailedKind::Login => ErrorKind::Login,
            FailedKind::Verify => ErrorKind::Verify,
            FailedKind::SlowUplink => ErrorKind::SlowUplink,
            FailedKind::Protocol => ErrorKind::Protocol,
            // What kept failing until the upload gave up is in the class; so is a refused name.
            _ => ErrorKind::of(class),
        };
        inner.slice_no = failed.slice_no;
        inner.attempts = failed.attempts.max(1);
        inner.advice = failed.advice;
        inner.resumable = failed.resumable;
        error
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.write_str(inner.step)?;
        if let Some(no) = inner.slice_no {
            write!(f, " {no}")?;
        }
        write!(f, ": {}", inner.message)?;
        let mut facts = Vec::new();
        facts.extend((inner.attempts > 1).then(|| format!("after {} attempts", inner.attempts)));
        facts.extend(inner.code.map(|code| format!("code {code}")));
        facts.extend(inner.http_status.map(|status| format!("HTTP {status}")));
        facts.extend(inner.trace_id.as_ref().map(|id| format!("trace {id}")));
        if facts.is_empty() { Ok(()) } else { write!(f, " ({})", facts.join(", ")) }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("text", &self.to_string())
            .field("advice", &self.0.advice)
            .field("resumable", &self.0.resumable)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl Serialize for Error {
    /// A flat object; every field is always there, `null` where nothing is known.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let inner = &*self.0;
        let mut object = serializer.serialize_struct("Error", 10)?;
        object.serialize_field("kind", &inner.kind)?;
        object.serialize_field("step", inner.step)?;
        object.serialize_field("slice_no", &inner.slice_no)?;
        object.serialize_field("attempts", &inner.attempts)?;
        object.serialize_field("message", &inner.message)?;
        object.serialize_field("code", &inner.code)?;
        object.serialize_field("http_status", &inner.http_status)?;
        object.serialize_field("trace_id", &inner.trace_id)?;
        object.serialize_field("advice", &inner.advice)?;
        object.serialize_field("resumable", &inner.resumable)?;
        object.end()
    }
}

/// An I/O error without the `(os error 2)` at its end, which helps nobody.
pub(crate) fn io_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Keeps an error on one line whatever a server or a path puts into it.
fn one_line(text: String) -> String {
    if text.chars().any(char::is_control) {
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    } else {
        text
    }
}
