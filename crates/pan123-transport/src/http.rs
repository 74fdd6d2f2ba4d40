//! The transport over reqwest.

use std::{fmt, future::Future, path::PathBuf, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::{Uri, http::Extensions};
use hyper_util::client::{
    legacy::connect::{CaptureConnection, capture_connection},
    proxy::matcher::Intercept,
};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
    TRANSFER_ENCODING, USER_AGENT,
};
use tokio::time::Instant;

use crate::{
    BoxFuture, Clocks, Error, ErrorKind, Method, PlainHttp, Request, Response, Transport,
    connect::{self, Proxies, ProxyRule, ShuffledDns},
    failure::{self, Scene},
    flow::{Flow, Phase},
    frame::Pools,
    outgoing::Outgoing,
    stream::{self, StreamClient},
    url::{check_request, host_of, is_loopback},
    wire::Control,
};

/// Largest answer body, in bytes. The service's answers are a few KiB.
const ANSWER_LEN_MAX: usize = 1 << 20;

/// How long an idle connection is kept. Under the 60 s after which the service's web framework (GoFrame
/// with its defaults) drops one, so that a request seldom meets a closing connection.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// How many idle connections to a host are kept. As many requests as are often in flight; what a burst of small
/// files leaves beyond that costs descriptors and does not come again.
const POOL_IDLE_MAX: usize = 64;

/// When the kernel gives up on a peer that acknowledges nothing. Only a backstop: the clocks of a request
/// are shorter, but what is left in the send buffer after an abort has no other end.
const KERNEL_PATIENCE: Duration = Duration::from_secs(120);

/// An answer that comes in pieces may take this many times [`Clocks::answer`](crate::Clocks) in all.
const ANSWER_STRETCH: u32 = 4;

/// Bodies up to this length fit into one frame and into any socket at once.
const WHOLE_LEN_MAX: u64 = 16 << 10;

/// How often the clocks are looked at: an eighth of the shortest, within these bounds.
const TICK_MIN: Duration = Duration::from_millis(5);
const TICK_MAX: Duration = Duration::from_secs(1);

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answer = hyper::Response<UnsyncBoxBody<Bytes, BoxError>>;
type Pending = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

/// Sends requests over HTTP/1.1 with reqwest. Cheap to clone; clones share connections and buffers.
///
/// * Any number of requests may be under way; each has a connection of its own.
/// * Redirects are answers like any other, nothing is retried (but a request that met a pooled connection
///   in its closing, before a byte of it was written, goes out on a fresh one), and no cookie is kept.
/// * Runs on the caller's tokio runtime, of any flavour, with its I/O and time drivers enabled. Connections
///   live on the runtime that made them, so a transport is for one runtime.
/// * Memory is about 1 MiB per request in flight at most, whatever the length of its body.
#[derive(Clone)]
pub struct HttpTransport {
    inner: Arc<Inner>,
}

struct Inner {
    client: reqwest::Client,
    /// For this machine, where a proxy from the environment has no business.
    local: Option<reqwest::Client>,
    streams: StreamClient,
    user_agent: HeaderValue,
    proxies: Proxies,
    plain_http: PlainHttp,
    pools: Pools,
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

    /// A proxy for every request, as `http://`, `socks4://`, `socks4a://`, `socks5://` or `socks5h://` with host and
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

    /// How long an idle connection is kept for the next request. Default: 20 s. Of each host at most 64 are kept.
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
                .pool_max_idle_per_host(POOL_IDLE_MAX)
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
        let proxies = Proxies::new(&self.proxy);
        let inner = Inner {
            client: client(!matches!(self.proxy, ProxyRule::Direct))?,
            local: if proxies.spares(true) { Some(client(false)?) } else { None },
            streams: stream::client(
                tls.clone(),
                proxies.clone(),
                (self.pool_idle, POOL_IDLE_MAX),
                KERNEL_PATIENCE,
            ),
            user_agent,
            proxies,
            plain_http: self.plain_http,
            pools: Pools::default(),
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
        let host = host_of(&url);
        let uri: Uri = url
            .as_str()
            .parse()
            .map_err(|_| Error::new(ErrorKind::Invalid, "the request's url is not usable"))?;
        let proxy = self.proxies.intercept(&uri);
        let method = match request.method {
            Method::Get => hyper::Method::GET,
            Method::Post => hyper::Method::POST,
        };
        let flow = Flow::new(request.clocks, request.body.len(), request.meter.clone());
        let says_empty = request.body.is_empty() && request.method == Method::Post;
        let body =
            Outgoing::new(&request.body, says_empty, flow.clone(), self.pools.clone(), request.pace.clone());
        let mut outgoing = hyper::Request::new(body);
        *outgoing.method_mut() = method;
        *outgoing.headers_mut() = headers(request)?;
        *outgoing.uri_mut() = uri;
        let (pending, captured) = if request.body.len() > WHOLE_LEN_MAX {
            self.stream(outgoing, proxy.as_ref())
        } else {
            (self.whole(outgoing, is_loopback(&url))?, None)
        };
        let proxied = proxy.is_some();
        Ok(Exchange { host, proxied, flow, pending, captured, control: None, complete: false })
    }

    /// Sends a short body with reqwest.
    fn whole(&self, outgoing: hyper::Request<Outgoing>, is_loopback: bool) -> Result<Pending, Error> {
        let client = self.local.as_ref().filter(|_| is_loopback).unwrap_or(&self.client);
        let outgoing = reqwest::Request::try_from(outgoing.map(reqwest::Body::wrap))
            .map_err(|_| Error::new(ErrorKind::Invalid, "the request cannot be put into http"))?;
        let sending = client.execute(outgoing);
        Ok(Box::pin(async move {
            let answer = hyper::Response::<reqwest::Body>::from(sending.await?);
            Ok(answer.map(|body| body.map_err(Into::into).boxed_unsync()))
        }))
    }

    /// Sends a long body over a connection that lets itself be asked and aborted.
    fn stream(
        &self,
        mut outgoing: hyper::Request<Outgoing>,
        proxy: Option<&Intercept>,
    ) -> (Pending, Option<CaptureConnection>) {
        let headers = outgoing.headers_mut();
        headers.entry(USER_AGENT).or_insert_with(|| self.user_agent.clone());
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        // A proxy that tunnels is asked with its own request; one that forwards reads this header.
        let forwards = proxy.filter(|_| outgoing.uri().scheme_str() == Some("http"));
        if let Some(auth) = forwards.and_then(Intercept::basic_auth).cloned() {
            outgoing.headers_mut().insert(PROXY_AUTHORIZATION, auth);
        }
        let captured = capture_connection(&mut outgoing);
        let sending = self.streams.request(outgoing);
        let pending = Box::pin(async move {
            let answer = sending.await?;
            Ok(answer.map(|body| body.map_err(Into::into).boxed_unsync()))
        });
        (pending, Some(captured))
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
        value.set_sensitive(parsed == AUTHORIZATION);
        headers.append(parsed, value);
    }
    Ok(headers)
}

/// One request under way.
struct Exchange {
    host: String,
    proxied: bool,
    flow: Arc<Flow>,
    pending: Pending,
    captured: Option<CaptureConnection>,
    control: Option<Arc<Control>>,
    /// Body and answer went through whole, so that the connection may be used again.
    complete: bool,
}

impl Exchange {
    async fn run(&mut self, request: &Request) -> Result<Response, Error> {
        let head = self.head(&request.clocks).await?;
        let early = self.flow.answered();
        let answer = answer(head, &self.host, early, request.clocks.answer).await?;
        // A gateway that fails often closes the connection right after; the next body would break on it.
        self.complete = !early && answer.status < 500;
        Ok(answer)
    }

    /// Waits for the answer's head and watches the clocks.
    async fn head(&mut self, clocks: &Clocks) -> Result<Answer, Error> {
        let shortest =
            clocks.connect.min(clocks.stall).min(clocks.answer).min(clocks.body.unwrap_or(Duration::MAX));
        let tick = (shortest / 8).clamp(TICK_MIN, TICK_MAX);
        loop {
            if let Ok(outcome) = tokio::time::timeout(tick, &mut self.pending).await {
                return outcome.map_err(|error| {
                    let scene = Scene {
                        host: &self.host,
                        proxied: self.proxied,
                        phase: self.flow.phase(),
                        source_error: self.flow.take_source_error(),
                    };
                    failure::no_answer(&*error, scene)
                });
            }
            self.capture();
            self.flow.check().map_err(|clock| failure::ran_out(clock, &self.host, self.proxied, clocks))?;
        }
    }

    /// Gets hold of the connection once there is one.
    fn capture(&mut self) {
        let Some(captured) = &self.captured else { return };
        let mut extras = Extensions::new();
        match &*captured.connection_metadata() {
            Some(connected) => connected.get_extras(&mut extras),
            None => return,
        }
        self.control = extras.remove::<Arc<Control>>();
        if let Some(control) = &self.control {
            self.flow.connected(control.clone());
        }
        self.captured = None;
    }
}

impl Drop for Exchange {
    /// A connection that is in the middle of something has no further use; it goes at once, and the kernel
    /// forgets what it had not sent.
    fn drop(&mut self) {
        self.capture();
        if let (false, Some(control)) = (self.complete, &self.control) {
            control.abort();
        }
    }
}

/// Reads the answer's body.
async fn answer(head: Answer, host: &str, early: bool, clock: Duration) -> Result<Response, Error> {
    let status = head.status().as_u16();
    let fail =
        |kind, what: String| Error::new(kind, format!("the answer of {host} (status {status}) {what}"));
    let headers = head.headers().iter();
    let headers =
        headers.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let headers = headers.collect();
    let end = Instant::now() + clock * ANSWER_STRETCH;
    let mut incoming = head.into_body();
    let mut body = Vec::new();
    loop {
        let frame = match tokio::time::timeout_at(end.min(Instant::now() + clock), incoming.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            // The server turned us away and hung up: its status is what matters, with all of its words or without.
            Ok(Some(Err(_))) if early && status >= 400 => break,
            Ok(Some(Err(e))) => return Err(failure::cut_short(&*e, host, status, body.len())),
            Err(_) => {
                return Err(fail(
                    ErrorKind::AnswerTimeout,
                    format!("did not come whole, {} bytes so far", body.len()),
                ));
            }
        };
        let piece = frame.into_data().unwrap_or_default();
        if body.len() + piece.len() > ANSWER_LEN_MAX {
            return Err(fail(ErrorKind::BadAnswer, format!("is larger than {ANSWER_LEN_MAX} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Response { status, headers, body: body.into(), early })
}
