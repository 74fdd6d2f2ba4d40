//! What goes out and what comes back.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::body::{Body, Meter, Pace};

/// The HTTP methods that the service uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

impl Method {
    /// The method's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// One HTTP request.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Absolute URL, `http://` or `https://`, already checked by the caller.
    pub url: String,
    /// Header names and values, in order. `Content-Length` and `Host` are the transport's.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The body; it is sent with its exact length and never chunked.
    pub body: Body,
    /// How long each part of the exchange may take.
    pub clocks: Clocks,
    /// Counts the body bytes handed to the connection; read it while the request runs.
    pub meter: Arc<Meter>,
    /// Slows the body down, if set.
    pub pace: Option<Arc<dyn Pace>>,
}

impl Request {
    /// A request without headers, body, meter of others, or pace.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Body::empty(),
            clocks: Clocks::default(),
            meter: Arc::default(),
            pace: None,
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl fmt::Debug for Request {
    /// Leaves out header values, because one of them is the access token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_ref()).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &names)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The clocks of one exchange. There is none on the whole of it: a transfer that moves is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Until the connection stands, name lookup and TLS included.
    pub connect: Duration,
    /// While the body goes out: how long not a single byte may be taken by the connection.
    pub stall: Duration,
    /// While the body goes out: the lowest rate in bytes per second, measured over `stall`. 0 turns it off.
    pub bytes_per_sec_min: u64,
    /// From the last body byte handed over until the answer's head, and between pieces of the answer.
    pub answer: Duration,
    /// From the first body byte until the last one, if the server is known to give up then.
    pub body: Option<Duration>,
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            bytes_per_sec_min: 0,
            answer: Duration::from_secs(60),
            body: None,
        }
    }
}

/// An HTTP answer, whole.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case, and values that are visible ASCII.
    pub headers: Vec<(String, String)>,
    /// The body, at most 1 MiB.
    pub body: Bytes,
    /// True when the answer came before the request's body had gone out.
    pub early: bool,
}

impl Response {
    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}
