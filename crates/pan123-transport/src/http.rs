//! The transport over reqwest.

use std::{fmt, future::Future, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use reqwest::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use tokio::time::Instant;

use crate::{
    BoxFuture, Error, ErrorKind, Method, PlainHttp, Request, Response, Transport,
    connect::{self, ProxyRule, ProxyTest, ShuffledDns},
    failure::{self, Scene},
    flow::{Flow, Halt, Phase},
    frame::Pool,
    outgoing::Outgoing,
    url::{check_request, host_of, is_loopback},
};

/// Largest answer body, in bytes. The service's answers are a few KiB.
pub const ANSWER_LEN_MAX: usize = 1 << 20;

/// How long an idle connection is kept. Under the 60 s after which the service's web framework (GoFrame
/// with its defaults) drops one, so that a request seldom meets a closing connection.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// When the kernel gives up on a peer that acknowledges nothing. Only a backstop: the clocks of a request
/// are shorter, but what is left in the send buffer after an abort has no other end.
const KERNEL_PATIENCE: Duration = Duration::from_secs(120);

/// An answer that comes in pieces may take this many times [`Clocks::answer`](crate::Clocks) in all.
const ANSWER_STRETCH: u32 = 4;

/// How long a given-up request may take to wind up in the background.
const WIND_UP: Duration = Duration::from_secs(5);

type Pending = Pin<Box<dyn Future<Output = Result<reqwest::Response, reqwest::Error>> + Send>>;

/// Sends requests over HTTP/1.1 with reqwest. Cheap to clone; clones share connections and buffers.
///
/// * Any number of requests may be under way; each has a connection of its own.
/// * Redirects are answers like any other, nothing is retried (but a request that met a pooled connection
///   in its closing, before a byte of it was written, goes out on a fresh one), and no cookie is kept.
/// * Runs on the caller's tokio runtime, of any flavour, with its I/O and time drivers enabled.
/// * Memory is about 0.8 MiB per request in flight at most, whatever the length of its body.
#[derive(Clone)]
pub struct HttpTransport {
    inner: Arc<Inner>,
}

struct Inner {
    client: reqwest::Client,
    /// For this machine, where a proxy from the environment has no business.
    local: Option<reqwest::Client>,
    proxy: ProxyTest,
    plain_http: PlainHttp,
    pool: Arc<Pool>,
}

/// Options of an [`HttpTransport`].
#[derive(Clone, Debug)]
pub struct HttpTransportBuilder {
    plain_http: PlainHttp,
    proxy: ProxyRule,
    ca_file: Option<PathBuf>,
    user_agent: String,
    pool_idle: Duration,
}

impl HttpTransport {
    /// A transport with the defaults: https everywhere but to this machine, the system's certificates
    /// and its proxy settings.
    ///
    /// # Errors
    ///
    /// As [`HttpTransportBuilder::build`].
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// A transport with options.
    pub fn builder() -> HttpTransportBuilder {
        HttpTransportBuilder {
            plain_http: PlainHttp::loopback(),
            proxy: ProxyRule::System,
            ca_file: None,
            user_agent: concat!("pan123/", env!("CARGO_PKG_VERSION")).to_owned(),
            pool_idle: POOL_IDLE,
        }
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("plain_http", &self.inner.plain_http).finish_non_exhaustive()
    }
}

impl HttpTransportBuilder {
    /// Hosts that may be spoken to without TLS. Default: only this machine.
    #[must_use]
    pub fn plain_http(mut self, plain_http: PlainHttp) -> Self {
        self.plain_http = plain_http;
        self
    }

    /// A proxy for every request, as `http://`, `https://`, `socks5://` or `socks5h://` with host and
    /// port. Default: what the environment or the system says, but never for this machine.
    #[must_use]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = ProxyRule::Via(url.into());
        self
    }

    /// No proxy, whatever the environment says.
    #[must_use]
    pub fn no_proxy(mut self) -> Self {
        self.proxy = ProxyRule::Direct;
        self
    }

    /// A file with certificates in PEM form that are trusted beside the system's.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// The `User-Agent`. Default: `pan123/` and the version.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// How long an idle connection is kept for the next request. Default: 20 s.
    #[must_use]
    pub fn pool_idle(mut self, idle: Duration) -> Self {
        self.pool_idle = idle;
        self
    }

    /// Makes the transport. Reads the system's certificates and proxy settings, which takes some
    /// milliseconds; connects to nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] if the proxy's address, the CA file or the user agent is not usable.
    pub fn build(self) -> Result<HttpTransport, Error> {
        let tls = connect::tls_config(self.ca_file.as_deref())?;
        let user_agent = HeaderValue::from_str(&self.user_agent)
            .map_err(|_| Error::new(ErrorKind::Invalid, "the user agent is not visible ascii text"))?;
        let via = self.proxy.via()?;
        let client = |proxied: bool| {
            let mut builder = reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .http1_only()
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .user_agent(user_agent.clone())
                .dns_resolver(ShuffledDns)
                .pool_idle_timeout(self.pool_idle)
                .tcp_user_timeout(KERNEL_PATIENCE);
            match &via {
                _ if !proxied => builder = builder.no_proxy(),
                Some(proxy) => builder = builder.proxy(proxy.clone()),
                None => {}
            }
            builder.build().map_err(|e| {
                Error::new(ErrorKind::Other, "the http client cannot be set up").with_source(e.to_string())
            })
        };
        let inner = Inner {
            client: client(!matches!(self.proxy, ProxyRule::Direct))?,
            local: if matches!(self.proxy, ProxyRule::System) { Some(client(false)?) } else { None },
            proxy: ProxyTest::new(&self.proxy),
            plain_http: self.plain_http,
            pool: Arc::default(),
        };
        Ok(HttpTransport { inner: Arc::new(inner) })
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>> {
        Box::pin(async move {
            let started = Instant::now();
            let mut exchange = self.inner.start(&request)?;
            let outcome = exchange.run(&request).await;
            let (bytes, elapsed) = (exchange.flow.bytes_taken(), started.elapsed());
            match outcome {
                Ok(response) => {
                    let status = response.status;
                    tracing::debug!(
                        host = exchange.host,
                        status,
                        bytes,
                        ?elapsed,
                        early = response.early,
                        "answered"
                    );
                    Ok(response)
                }
                Err(error) => {
                    tracing::debug!(host = exchange.host, kind = ?error.kind(), bytes, ?elapsed, "failed: {error}");
                    Err(error.at(bytes, elapsed).acted(exchange.flow.phase() == Phase::Sent))
                }
            }
        })
    }
}

impl Inner {
    fn start(&self, request: &Request) -> Result<Exchange, Error> {
        let url = check_request(&request.url, &self.plain_http)?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        let local = self.local.as_ref().filter(|_| is_loopback(&url));
        let (host, proxied) = (host_of(&url), local.is_none() && self.proxy.applies(&url));
        let flow = Flow::new(request.clocks, request.body.len(), request.meter.clone());
        let says_empty = request.body.is_empty() && request.method == Method::Post;
        let body =
            Outgoing::new(&request.body, says_empty, flow.clone(), self.pool.clone(), request.pace.clone());
        let mut outgoing = reqwest::Request::new(method, url);
        *outgoing.headers_mut() = headers(request)?;
        *outgoing.body_mut() = Some(reqwest::Body::wrap(body));
        let pending = Box::pin(local.unwrap_or(&self.client).execute(outgoing));
        Ok(Exchange { host, proxied, flow, pending: Some(pending) })
    }
}

fn headers(request: &Request) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::with_capacity(request.headers.len());
    for (name, value) in &request.headers {
        let bad = |why: &str| Error::new(ErrorKind::Invalid, format!("header {name:?} {why}"));
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("has no valid name"))?;
        if [CONTENT_LENGTH, TRANSFER_ENCODING, HOST].contains(&parsed) {
            return Err(bad("is set by the transport"));
        }
        let mut value =
            HeaderValue::from_str(value).map_err(|_| bad("has a value that is not visible ascii text"))?;
        value.set_sensitive(parsed == reqwest::header::AUTHORIZATION);
        headers.append(parsed, value);
    }
    Ok(headers)
}

/// One request under way.
struct Exchange {
    host: String,
    proxied: bool,
    flow: Arc<Flow>,
    /// Until the answer's head is there.
    pending: Option<Pending>,
}

impl Exchange {
    async fn run(&mut self, request: &Request) -> Result<Response, Error> {
        let head = self.head(request).await?;
        let early = self.flow.phase() != Phase::Sent;
        self.flow.halt(Halt::Answered);
        answer(head, &self.host, early, request.clocks.answer).await
    }

    /// Waits for the answer's head and watches the clocks.
    async fn head(&mut self, request: &Request) -> Result<reqwest::Response, Error> {
        let clocks = &request.clocks;
        let shortest =
            clocks.connect.min(clocks.stall).min(clocks.answer).min(clocks.body.unwrap_or(Duration::MAX));
        let tick = (shortest / 8).clamp(Duration::from_millis(5), Duration::from_secs(1));
        loop {
            let Some(pending) = &mut self.pending else {
                return Err(Error::new(ErrorKind::Other, "the request is already over"));
            };
            match tokio::time::timeout(tick, pending).await {
                Ok(outcome) => {
                    self.pending = None;
                    return outcome.map_err(|error| {
                        let scene = Scene {
                            host: &self.host,
                            proxied: self.proxied,
                            phase: self.flow.phase(),
                            source_error: self.flow.take_source_error(),
                        };
                        failure::no_answer(&error, scene)
                    });
                }
                Err(_) => self.flow.check().map_err(|clock| failure::ran_out(clock, &self.host, clocks))?,
            }
        }
    }
}

impl Drop for Exchange {
    /// Whatever is still going out stops here. hyper only notices while somebody waits for the answer: if
    /// nobody does, it first writes out what it holds, however long the peer makes that take. So the wait goes
    /// on in the background for the moment that the connection's task needs to see the abort.
    fn drop(&mut self) {
        let can_abort = self.flow.can_abort();
        self.flow.halt(Halt::Aborted);
        if let Some(pending) = self.pending.take()
            && can_abort
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(WIND_UP, pending));
        }
    }
}

/// Reads the answer's body.
async fn answer(
    mut head: reqwest::Response,
    host: &str,
    early: bool,
    clock: Duration,
) -> Result<Response, Error> {
    let status = head.status().as_u16();
    let fail =
        |kind, what: String| Error::new(kind, format!("the answer of {host} (status {status}) {what}"));
    let headers = head.headers().iter();
    let headers =
        headers.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let headers = headers.collect();
    let end = Instant::now() + clock * ANSWER_STRETCH;
    let mut body = Vec::new();
    loop {
        let piece_end = end.min(Instant::now() + clock);
        let piece = match tokio::time::timeout_at(piece_end, head.chunk()).await {
            Ok(Ok(Some(piece))) => piece,
            Ok(Ok(None)) => break,
            // The server turned us away and hung up: its status is what matters, with or without all of
            // its words.
            Ok(Err(_)) if early && status >= 400 => break,
            Ok(Err(e)) => return Err(failure::cut_short(&e, host, status, body.len())),
            Err(_) => {
                return Err(fail(
                    ErrorKind::AnswerTimeout,
                    format!("did not come whole, {} bytes so far", body.len()),
                ));
            }
        };
        if body.len() + piece.len() > ANSWER_LEN_MAX {
            return Err(fail(ErrorKind::BadAnswer, format!("is larger than {ANSWER_LEN_MAX} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Response { status, headers, body: body.into(), early })
}
