//! The calls of the service, one request each.
//!
//! Nothing is tried again here, with one exception: a token that the service turns down is renewed, and the request
//! sent with the new one when it is its turn. Whether a failure is worth another try is decided by the state machine.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use pan123_proto::{
    Class, Endpoint, Failure, Md5,
    decode::{self, Answer},
    machine::{Duplicate, Reply, UploadSpec},
    multipart::{self, Boundary, Frame},
    wire::{self, CreateRequest, SingleFields, SliceFields},
};
use pan123_transport::{
    Body, Clocks, ErrorKind as TransportErrorKind, Meter, Method, PlainHttp, Request, Response, ServerUrl,
    Transport,
};

use crate::{
    client::Turns,
    error::{Error, ErrorKind},
    renewals::Renewals,
    source::Source,
    token::{NoOther, Token, TokenProvider},
};

/// Sends one request at a time to one account of the service.
pub(crate) struct Service {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) tokens: Arc<dyn TokenProvider>,
    pub(crate) base: ServerUrl,
    pub(crate) plain_http: PlainHttp,
    pub(crate) user_agent: String,
    pub(crate) turns: Arc<Turns>,
    pub(crate) renewals: Renewals,
}

/// A part of a source, to be sent as a slice or as a whole file.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) source: Source,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    /// Counts what the connection takes.
    pub(crate) meter: Arc<PartMeter>,
}

/// Counts the bytes of a file part that the connection takes, without the form around them.
#[derive(Debug, Default)]
pub(crate) struct PartMeter {
    body: Arc<Meter>,
    prologue: std::sync::atomic::AtomicU64,
    len: std::sync::atomic::AtomicU64,
}

impl PartMeter {
    /// Bytes of the part taken so far.
    pub(crate) fn bytes(&self) -> u64 {
        use std::sync::atomic::Ordering::Relaxed;
        self.body.bytes().saturating_sub(self.prologue.load(Relaxed)).min(self.len.load(Relaxed))
    }
}

/// What a request carries besides its headers.
enum Payload<'a> {
    Query(String),
    Json(Vec<u8>),
    Form { frame: Frame, part: &'a Part },
}

impl Service {
    pub(crate) async fn create(&self, request: &CreateRequest<'_>) -> Result<Reply, Error> {
        match self.call(Endpoint::Create, None, &Payload::Json(request.body()), decode::create).await? {
            Reply::Created { preupload_id, slice_size, servers } => {
                let servers = self.safe(Endpoint::Create, &servers)?;
                Ok(Reply::Created { preupload_id, slice_size, servers })
            }
            reply => Ok(reply),
        }
    }

    pub(crate) async fn slice(
        &self,
        server: &str,
        fields: &SliceFields<'_>,
        part: &Part,
    ) -> Result<Reply, Error> {
        let frame =
            multipart::slice(fields, &boundary()).map_err(|error| form_error(Endpoint::Slice, &error))?;
        self.send_form(Endpoint::Slice, server, frame, part, decode::slice).await
    }

    pub(crate) async fn single(
        &self,
        server: &str,
        fields: &SingleFields<'_>,
        part: &Part,
    ) -> Result<Reply, Error> {
        let frame =
            multipart::single(fields, &boundary()).map_err(|error| form_error(Endpoint::Single, &error))?;
        self.send_form(Endpoint::Single, server, frame, part, decode::single).await
    }

    pub(crate) async fn complete(&self, preupload_id: &str) -> Result<Reply, Error> {
        let body = wire::CompleteRequest { preupload_id }.body();
        self.call(Endpoint::Complete, None, &Payload::Json(body), decode::complete).await
    }

    pub(crate) async fn domain(&self) -> Result<Vec<Arc<str>>, Error> {
        match self.call(Endpoint::Domain, None, &Payload::Query(String::new()), decode::domain).await? {
            Reply::Hosts(hosts) => self.safe(Endpoint::Domain, &hosts),
            _ => Err(Failure::local(Endpoint::Domain, Class::Protocol, "no list of upload hosts").into()),
        }
    }

    pub(crate) async fn sha1_reuse(
        &self,
        request: &wire::Sha1ReuseRequest<'_>,
    ) -> Result<Option<i64>, Error> {
        self.call(Endpoint::Sha1Reuse, None, &Payload::Json(request.body()), decode::sha1_reuse).await
    }

    pub(crate) async fn mkdir(&self, request: &wire::MkdirRequest<'_>) -> Result<i64, Error> {
        self.call(Endpoint::Mkdir, None, &Payload::Json(request.body()), decode::mkdir).await
    }

    pub(crate) async fn list(&self, query: &wire::ListQuery<'_>) -> Result<wire::ListAnswer, Error> {
        self.call(Endpoint::List, None, &Payload::Query(query.query()), decode::list).await
    }

    pub(crate) async fn detail(&self, file_id: i64) -> Result<wire::FileInfo, Error> {
        let query = wire::DetailQuery { file_id }.query();
        self.call(Endpoint::Detail, None, &Payload::Query(query), decode::detail).await
    }

    pub(crate) async fn user_info(&self) -> Result<wire::UserInfo, Error> {
        self.call(Endpoint::UserInfo, None, &Payload::Query(String::new()), decode::user_info).await
    }

    /// Looks for a file of this name, size and etag where an upload puts it; where both are kept, the name may have
    /// got a number. The first page has its turn when this is called, each further one takes its own.
    pub(crate) async fn find(&self, spec: &UploadSpec, etag: Md5) -> Result<Reply, Error> {
        let (mut folder, mut name) = (spec.parent_id, spec.filename.as_str());
        let mut pages = 0;
        if spec.contain_dir {
            let mut path: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
            name = path.pop().unwrap_or_default();
            for part in path {
                let inner = |entry: &wire::FileInfo| entry.is_folder && entry.filename == part;
                let Some(inner) = self.entry(folder, inner, &mut pages).await? else {
                    return Ok(Reply::NotYet);
                };
                folder = inner.file_id;
            }
        }
        let may_be_numbered = spec.duplicate == Some(Duplicate::KeepBoth);
        let ours = |entry: &wire::FileInfo| {
            !entry.is_folder
                && (entry.filename == name || may_be_numbered && is_numbered(&entry.filename, name))
                && entry.size == spec.size
                && entry.etag == Some(etag)
        };
        let found = self.entry(folder, ours, &mut pages).await?;
        Ok(found.map_or(Reply::NotYet, |file| Reply::Stored { file_id: file.file_id }))
    }

    /// The first entry of a folder for which this holds and that is not in the recycle bin. `pages`: how many were
    /// asked for in this search.
    async fn entry(
        &self,
        parent_id: i64,
        wanted: impl Fn(&wire::FileInfo) -> bool,
        pages: &mut u32,
    ) -> Result<Option<wire::FileInfo>, Error> {
        let mut last_file_id = None;
        for _ in 0..FIND_PAGES_MAX {
            let query =
                wire::ListQuery { parent_id, limit: wire::LIST_LIMIT_MAX, last_file_id, search: None };
            if *pages > 0 {
                self.turns.take(Endpoint::List).await;
            }
            *pages += 1;
            let page = self.list(&query).await?;
            if let Some(entry) = page.files.into_iter().find(|entry| !entry.trashed && wanted(entry)) {
                return Ok(Some(entry));
            }
            match page.next {
                Some(next) if last_file_id != Some(next) => last_file_id = Some(next),
                _ => break,
            }
        }
        Ok(None)
    }

    async fn send_form(
        &self,
        endpoint: Endpoint,
        server: &str,
        frame: Frame,
        part: &Part,
        decode: fn(&Answer<'_>) -> Result<Reply, Failure>,
    ) -> Result<Reply, Error> {
        let server = self.server(endpoint, server)?;
        self.call(endpoint, Some(&server), &Payload::Form { frame, part }, decode).await
    }

    /// Sends a request, and again with a new token if the service turns the token down.
    async fn call<T>(
        &self,
        endpoint: Endpoint,
        server: Option<&ServerUrl>,
        payload: &Payload<'_>,
        decode: fn(&Answer<'_>) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let mut token = self.tokens.get(None).await?;
        let mut is_new = false;
        // Upload hosts may differ in what they take.
        let by: Arc<str> = match server {
            Some(server) => format!("{} at {server}", endpoint.name()).into(),
            None => endpoint.name().into(),
        };
        loop {
            let response = self.send(endpoint, server, payload, &token).await?;
            let mut refusal = match read(&response, decode, &token) {
                Err(failure) if failure.class == Class::Auth => failure,
                result => {
                    if result.is_ok() {
                        self.renewals.worked(&by);
                        if token.refused_by() == Some(&by) {
                            self.tokens.worked(&token).await;
                        }
                    }
                    return Ok(result?);
                }
            };
            if is_new || !self.renewals.may_renew(&token) {
                return Err(refused_anew(refusal).into());
            }
            tracing::info!(call = endpoint.name(), "the service turned the access token down: {refusal}");
            token = token.with_refused_by(Some(by.clone()));
            token = match self.tokens.get(Some(&token)).await {
                Ok(renewed) => renewed,
                // That there is no other token is only half of it. Why goes with what to do, unless somebody else's code
                // has its own words for it.
                Err(error) if error.class().is_none() && error.kind() == ErrorKind::Login => {
                    if NoOther::is_behind(&error) {
                        return Err(Error::from(refusal).with_advice(error.advice()));
                    }
                    refusal.message = format!("{}; the service said: {}", error.message(), refusal.message);
                    return Err(refusal.into());
                }
                Err(error) => return Err(error),
            };
            // One that another process had fetched may have been turned down long before.
            is_new = !token.is_shared();
            self.renewals.renewed(&token, &by);
            self.turns.take(endpoint).await;
        }
    }

    async fn send(
        &self,
        endpoint: Endpoint,
        server: Option<&ServerUrl>,
        payload: &Payload<'_>,
        token: &Token,
    ) -> Result<Response, Error> {
        let method = if endpoint.is_get() { Method::Get } else { Method::Post };
        let query = match payload {
            Payload::Query(query) if !query.is_empty() => format!("?{query}"),
            _ => String::new(),
        };
        let path = format!("{}{query}", endpoint.path());
        let mut request = Request::new(method, server.unwrap_or(&self.base).join(&path))
            .header(wire::PLATFORM_HEADER.0, wire::PLATFORM_HEADER.1)
            .header("User-Agent", self.user_agent.as_str())
            .header("Authorization", format!("Bearer {}", token.expose()));
        request.clocks = clocks(endpoint);
        match payload {
            Payload::Query(_) => {}
            Payload::Json(body) => {
                request = request.header("Content-Type", "application/json");
                request.body = Body::from_bytes(Bytes::copy_from_slice(body));
            }
            Payload::Form { frame, part } => {
                request = request.header("Content-Type", frame.content_type.as_str());
                request.body = Body::framed(
                    Bytes::copy_from_slice(&frame.prologue),
                    Arc::new(part.source.clone()),
                    part.offset,
                    part.len,
                    Bytes::copy_from_slice(&frame.epilogue),
                );
                request.meter = part.meter.start(frame.prologue.len() as u64, part.len);
            }
        }
        self.transport.send(request).await.map_err(|error| transport_error(endpoint, error))
    }

    /// The servers among these that can be used. Fails if there are some, and none can be.
    fn safe(&self, endpoint: Endpoint, servers: &[Arc<str>]) -> Result<Vec<Arc<str>>, Error> {
        let mut safe: Vec<Arc<str>> = Vec::with_capacity(servers.len());
        let mut refused = None;
        for server in servers {
            match ServerUrl::named_by_service(server, &self.plain_http) {
                Ok(url) => safe.push(url.to_string().into()),
                Err(error) => {
                    tracing::warn!(call = endpoint.name(), "an upload host is left out: {error}");
                    refused = Some(error);
                }
            }
        }
        match refused {
            Some(error) if safe.is_empty() => {
                let words = format!("no upload host can be used: {error}");
                Err(Error::from(Failure::local(endpoint, Class::Protocol, words)).with_source(error))
            }
            _ => Ok(safe),
        }
    }

    fn server(&self, endpoint: Endpoint, server: &str) -> Result<ServerUrl, Error> {
        ServerUrl::named_by_service(server, &self.plain_http)
            .map_err(|error| transport_error(endpoint, error))
    }
}

impl PartMeter {
    /// Begins to count a new request with this part; the one before, if any, is forgotten.
    fn start(&self, prologue: u64, len: u64) -> Arc<Meter> {
        use std::sync::atomic::Ordering::Relaxed;
        // A renewed token sends the same part again; the count goes on from where it was.
        self.prologue.store(self.body.bytes() + prologue, Relaxed);
        self.len.store(len, Relaxed);
        self.body.clone()
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("base", &self.base)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

/// The end of a request whose token is no good although it is new.
fn refused_anew(mut failure: Failure) -> Failure {
    failure.message =
        format!("the service refuses the token that it just gave; it said: {}", failure.message);
    failure
}

/// Whether this is the name that a second file called `name` gets, as in `a(1).txt` for `a.txt`.
fn is_numbered(numbered: &str, name: &str) -> bool {
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    };
    let number = numbered.strip_prefix(stem).and_then(|rest| rest.strip_suffix(extension)).map(str::trim);
    let digits = number.and_then(|rest| rest.strip_prefix('(')?.strip_suffix(')'));
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Pages of a folder that are looked through for a file, of 100 entries each.
const FIND_PAGES_MAX: u32 = 100;

/// The clocks of a request. A slow body that moves is left alone; what cannot make the gateway's line is the
/// state machine's to judge.
fn clocks(endpoint: Endpoint) -> Clocks {
    // The service looks at the whole file before it answers these two.
    let whole_file = matches!(endpoint, Endpoint::Complete | Endpoint::Single);
    Clocks {
        connect: Duration::from_secs(15),
        stall: Duration::from_secs(30),
        bytes_per_sec_min: 0,
        answer: Duration::from_secs(if whole_file { 60 } else { 30 }),
        body: None,
    }
}

fn boundary() -> Boundary {
    Boundary::new(fastrand::u128(..))
}

fn answer(response: &Response) -> Answer<'_> {
    Answer {
        status: response.status,
        body: &response.body,
        trace_id: response.header("x-traceid"),
        retry_after: response.header("retry-after"),
        date: response.header("date"),
        received: SystemTime::now(),
    }
}

/// Reads an answer; a failure never repeats the token, whatever the server echoes.
fn read<T>(
    response: &Response,
    decode: fn(&Answer<'_>) -> Result<T, Failure>,
    token: &Token,
) -> Result<T, Failure> {
    decode(&answer(response)).map_err(|mut failure| {
        failure.hide(token.expose());
        failure
    })
}

fn transport_error(endpoint: Endpoint, error: pan123_transport::Error) -> Error {
    let class = match error.kind() {
        TransportErrorKind::Dns | TransportErrorKind::Connect | TransportErrorKind::Proxy => Class::Connect,
        TransportErrorKind::Tls => Class::Tls,
        TransportErrorKind::Stalled => Class::Stalled,
        TransportErrorKind::BodyTimeout => Class::BodyTimeout,
        TransportErrorKind::AnswerTimeout => Class::NoAnswer,
        TransportErrorKind::BadAnswer => Class::Protocol,
        TransportErrorKind::Source => Class::Source,
        TransportErrorKind::Layer => Class::HostCode,
        TransportErrorKind::Invalid => Class::Refused,
        _ => Class::Interrupted,
    };
    // The last cause says most: that a connection was refused, a certificate is too old, a disk does not answer.
    let causes = || std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
    let ends_early = causes()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::UnexpectedEof);
    let message = match causes().last().map(ToString::to_string) {
        Some(cause) if class != Class::Source => format!("{error}: {cause}"),
        Some(cause) => format!("could not be read: {cause}"),
        None => error.to_string(),
    };
    let failed = Error::from(Failure::local(endpoint, class, message));
    // A source that ends early is not what it was.
    let failed = if class == Class::Source && ends_early {
        failed.with_kind(ErrorKind::SourceChanged)
    } else {
        failed
    };
    failed.with_source(error)
}

fn form_error(endpoint: Endpoint, error: &multipart::FieldError) -> Error {
    Failure::local(endpoint, Class::Protocol, error.to_string()).into()
}
