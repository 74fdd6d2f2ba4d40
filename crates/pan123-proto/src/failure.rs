//! What went wrong with one request, and what that means.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{endpoint::Endpoint, words};

/// What a failed request means. Made by the classification table for answers of the service, and by
/// the driver for what happened below HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Class {
    // What the service says.
    /// The token is missing, expired, or was pushed out by a newer one. Renew it.
    Auth,
    /// Too many logins, or no right to the API at all. Renewing makes it worse.
    LoginRefused,
    /// Too many requests. Slow down everything that shares the budget.
    RateLimited,
    /// The file is still being merged and checked (20103). Ask again in a second.
    Verifying,
    /// Accepted, but the instant-upload queue is busy and gave no file id. Ask again in a second.
    QueueBusy,
    /// The whole-file check failed: the stored bytes do not have the declared etag.
    VerifyFailed,
    /// The parent folder does not exist.
    NoParent,
    /// The name breaks the service's rules.
    BadName,
    /// The file or folder exists already.
    Exists,
    /// The named file or upload is not known to the service.
    NotFound,
    /// There is no room left in the drive.
    NoSpace,
    /// The edge refuses this address (for example from outside mainland China).
    Blocked,
    /// The gateway gave up on a body that did not arrive in about 60 s.
    BodyTimeout,
    /// The service failed on its side (5xx, "internal error"). Worth another try.
    Server,
    /// Refused for a reason that this table does not know; the server's words are kept.
    Refused,
    /// The answer is not what the protocol promises.
    Protocol,

    // What happened below HTTP.
    /// No connection: name lookup, connect, or proxy.
    Connect,
    /// TLS failed.
    Tls,
    /// The connection broke under way.
    Interrupted,
    /// Nothing moved, or too slowly.
    Stalled,
    /// No answer after the body.
    NoAnswer,
    /// The source could not be read, or changed.
    Source,
    /// A layer or token provider of the program's own failed, for a reason of its own.
    HostCode,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 23] = [
        Self::Auth,
        Self::LoginRefused,
        Self::RateLimited,
        Self::Verifying,
        Self::QueueBusy,
        Self::VerifyFailed,
        Self::NoParent,
        Self::BadName,
        Self::Exists,
        Self::NotFound,
        Self::NoSpace,
        Self::Blocked,
        Self::BodyTimeout,
        Self::Server,
        Self::Refused,
        Self::Protocol,
        Self::Connect,
        Self::Tls,
        Self::Interrupted,
        Self::Stalled,
        Self::NoAnswer,
        Self::Source,
        Self::HostCode,
    ];

    /// The class's name in JSON output and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::LoginRefused => "login_refused",
            Self::RateLimited => "rate_limited",
            Self::Verifying => "verifying",
            Self::QueueBusy => "queue_busy",
            Self::VerifyFailed => "verify_failed",
            Self::NoParent => "no_parent",
            Self::BadName => "bad_name",
            Self::Exists => "exists",
            Self::NotFound => "not_found",
            Self::NoSpace => "no_space",
            Self::Blocked => "blocked",
            Self::BodyTimeout => "body_timeout",
            Self::Server => "server",
            Self::Refused => "refused",
            Self::Protocol => "protocol",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Interrupted => "interrupted",
            Self::Stalled => "stalled",
            Self::NoAnswer => "no_answer",
            Self::Source => "source",
            Self::HostCode => "host_code",
        }
    }
}

/// One failed request, in the server's words where it spoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which call failed.
    pub endpoint: Endpoint,
    /// What it means.
    pub class: Class,
    /// The HTTP status, if an answer came.
    pub http_status: Option<u16>,
    /// `code` of the envelope, if there was one.
    pub code: Option<i64>,
    /// The server's message, or what happened instead of an answer. At most 500 characters, no secrets.
    pub message: String,
    /// `x-traceID` of the answer; the service's support asks for it.
    pub trace_id: Option<String>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure of `endpoint` without an answer.
    pub fn local(endpoint: Endpoint, class: Class, message: impl Into<String>) -> Self {
        Self {
            endpoint,
            class,
            http_status: None,
            code: None,
            message: message.into(),
            trace_id: None,
            retry_after: None,
        }
    }

    /// Replaces every occurrence of `secret` in the server's words, also one cut off at their end.
    ///
    /// Decoding hides what looks like a token; whoever sent the request knows what it was and calls
    /// this on top, because some servers repeat the request in their errors. Secrets of less than 8 bytes are
    /// replaced where no letter or digit is next to them.
    pub fn hide(&mut self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        self.message = words::without_secret(&self.message, secret);
        self.trace_id = self.trace_id.take().map(|id| words::without_secret(&id, secret));
        if secret.len() < words::SECRET_LEN_MIN {
            return;
        }
        let Some(shown) = self.message.strip_suffix('…') else { return };
        // Shorter beginnings are as likely chance as secret.
        let cut =
            (4..secret.len()).rev().find(|len| secret.get(..*len).is_some_and(|part| shown.ends_with(part)));
        if let Some(len) = cut {
            self.message = format!("{}{}…", &shown[..shown.len() - len], words::HIDDEN);
        }
    }
}

impl fmt::Display for Failure {
    /// For example `slice: 分片md5校验失败 (code 1, HTTP 200, trace 6a1f…)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint.name(), self.message)?;
        let mut facts = Vec::new();
        facts.extend(self.code.map(|code| format!("code {code}")));
        facts.extend(self.http_status.map(|status| format!("HTTP {status}")));
        facts.extend(self.trace_id.as_ref().map(|id| format!("trace {id}")));
        if facts.is_empty() { Ok(()) } else { write!(f, " ({})", facts.join(", ")) }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_secret_is_hidden_whole_and_cut_off() {
        for (message, shown) in [
            ("no secret here", "no secret here"),
            ("token s3cret-token, again s3cret-token", "token [hidden], again [hidden]"),
            ("cut off s3cret-…", "cut off [hidden]…"),
            ("not cut off s3cret-", "not cut off s3cret-"),
        ] {
            let mut failure = Failure::local(Endpoint::Slice, Class::Refused, message);
            failure.trace_id = Some("s3cret-token".into());
            failure.hide("s3cret-token");
            assert_eq!(failure.message, shown);
            assert_eq!(failure.trace_id.as_deref(), Some("[hidden]"));
            failure.hide("");
            assert_eq!(failure.message, shown);
        }
    }

    #[test]
    fn pieces_of_a_long_secret_are_hidden() {
        for (message, shown) in [
            ("token 0123456789abcdef… is bad", "token [hidden]… is bad"),
            ("令牌456789abcdefghijklm无效", "令牌[hidden]无效"),
            ("ends with 9abcdefghijklmnopq", "ends with [hidden]"),
            ("0123456789ab 0123456789a 56789abcdefgh", "[hidden] 0123456789a [hidden]"),
        ] {
            let mut failure = Failure::local(Endpoint::Slice, Class::Refused, message);
            failure.hide("0123456789abcdefghijklmnopq");
            assert_eq!(failure.message, shown);
        }
    }

    #[test]
    fn a_short_secret_is_hidden_where_it_stands_alone() {
        for (message, shown) in [
            ("Bearer ab1, \"ab1\"", "Bearer [hidden], \"[hidden]\""),
            ("令牌ab1无效", "令牌[hidden]无效"),
            ("ab1", "[hidden]"),
            ("cab1 ab12 ab1ab1", "cab1 ab12 ab1ab1"),
            ("ab1=ab1", "[hidden]=[hidden]"),
        ] {
            let mut failure = Failure::local(Endpoint::Slice, Class::Refused, message);
            failure.trace_id = Some("t-ab1".into());
            failure.hide("ab1");
            assert_eq!(failure.message, shown);
            assert_eq!(failure.trace_id.as_deref(), Some("t-[hidden]"));
        }
    }
}
