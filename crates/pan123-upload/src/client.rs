//! One account of the service, and everything its uploads share.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use pan123_hash::cache::Cache;
use pan123_proto::{
    Class, Endpoint, Failure, Md5,
    machine::{Link, LinkPolicy, Parallel, Policy, Reply},
    names,
    wire::{self, SliceFields},
};
use pan123_transport::{HttpTransport, HttpTransportBuilder, Layer, PlainHttp, ServerUrl, Transport};
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};

use crate::{
    error::{Error, ErrorKind},
    layers::Bandwidth,
    renewals::Renewals,
    service::{Part, Service},
    source::{Source, SourceRead},
    store::ResumeStore,
    token::{Token, TokenProvider},
    upload::{Target, Upload},
};

/// Address of the service's API. Source: official endpoint index.
pub const BASE_URL: &str = "https://open-api.123pan.com";

/// One account of the service. Cheap to clone; the clones share limits, connections and tokens.
///
/// Its futures run on any tokio runtime, of the caller's choosing. However many uploads are started at once, it has a
/// bounded number of requests, threads and logs under way: see [`ClientBuilder::parallel`]; 32 files and pieces of memory are hashed at
/// a time, 256 uploads have a log in their [`ResumeStore`] open, and 64 single calls are under way. What is more waits,
/// and can be stopped while it does.
#[derive(Clone, Debug)]
pub struct Client(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) service: Service,
    pub(crate) store: Option<Arc<dyn ResumeStore>>,
    pub(crate) digests: Option<Cache>,
    pub(crate) policy: Policy,
    turns: Arc<Turns>,
    /// Single calls, beside uploads, that may be under way.
    single_calls: Semaphore,
    /// Sources that cannot hang and may be hashed at a time.
    pub(crate) hashes: Semaphore,
    /// Uploads that may have a log open which takes a thread and a descriptor.
    pub(crate) logs: Arc<Semaphore>,
    /// Something about the link changed that may let another upload go on.
    pub(crate) moved: Notify,
    pub(crate) bandwidth: Bandwidth,
}

/// Single calls of a client under way, more wait for one to end.
const SINGLE_CALLS_MAX: usize = 64;
/// Sources that a client hashes at a time, each on a thread of its own; more would not get their bytes any sooner.
const HASHES_MAX: usize = 32;
/// Uploads of a client under way that have a log in a store which may block.
const LOGS_MAX: usize = 256;

/// Whose turn it is: the link, and the time that it is asked with.
#[derive(Debug)]
pub(crate) struct Turns {
    link: Mutex<Link>,
    start: Instant,
}

impl Turns {
    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits until a request to this endpoint may go, and counts it.
    pub(crate) async fn take(&self, endpoint: Endpoint) {
        loop {
            let ready_at = {
                let mut link = self.link();
                let (ready_at, now) = (link.ready_at(endpoint), self.start.elapsed());
                if ready_at <= now {
                    return link.take(endpoint, now);
                }
                ready_at
            };
            tokio::time::sleep_until(self.instant(ready_at)).await;
        }
    }

    fn instant(&self, at: Duration) -> Instant {
        // A time too far away to be told is as good as a day.
        self.start.checked_add(at).unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400))
    }
}

impl Shared {
    pub(crate) fn link(&self) -> MutexGuard<'_, Link> {
        self.turns.link()
    }

    /// The machine's time: since this client was made.
    pub(crate) fn now(&self) -> Duration {
        self.turns.start.elapsed()
    }

    /// When the machine's time is this.
    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.turns.instant(at)
    }
}

/// Settings of a [`Client`].
#[derive(Debug)]
pub struct ClientBuilder {
    base_url: String,
    tokens: Option<Arc<dyn TokenProvider>>,
    transport: Option<Arc<dyn Transport>>,
    layers: Vec<Arc<dyn Layer>>,
    store: Option<Arc<dyn ResumeStore>>,
    digests: Option<PathBuf>,
    link: LinkPolicy,
    policy: Policy,
    http: HttpTransportBuilder,
    bandwidth: Bandwidth,
    plain_http: bool,
    user_agent: String,
}

impl ClientBuilder {
    /// Address of the service; [`BASE_URL`] by default. An `http://` address is the word that this
    /// host may be spoken to in the clear.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self
    }

    /// Where access tokens come from. Has to be set.
    #[must_use]
    pub fn tokens(mut self, tokens: Arc<dyn TokenProvider>) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Replaces the built-in HTTP transport; the proxy and CA settings then mean nothing.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Wraps the transport; the layer added first is outermost.
    #[must_use]
    pub fn layer(mut self, layer: Arc<dyn Layer>) -> Self {
        self.layers.push(layer);
        self
    }

    /// Where unfinished uploads are remembered. Without one an upload cannot be resumed by another process.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn ResumeStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Folder in which digests of files are remembered, so that a file that did not change is not hashed again, and a
    /// hash pass that was interrupted goes on where it was. See [`pan123_hash::cache`]. One that cannot be
    /// used costs a warning. Without it every upload hashes its file.
    #[must_use]
    pub fn digest_cache(mut self, dir: impl Into<PathBuf>) -> Self {
        self.digests = Some(dir.into());
        self
    }

    /// Slices in flight, over all uploads of the client. See [`LinkPolicy::parallel`] for what else counts.
    #[must_use]
    pub fn parallel(mut self, parallel: Parallel) -> Self {
        self.link.parallel = parallel;
        self
    }

    /// The most bytes per second that bodies may send together; `None` for no cap. See
    /// [`Client::set_bytes_per_sec`].
    #[must_use]
    pub fn bytes_per_sec(self, cap: Option<u64>) -> Self {
        self.bandwidth.set(cap);
        self
    }

    /// Request rates of a paying account.
    #[must_use]
    pub fn vip_rates(mut self, vip: bool) -> Self {
        self.link.vip_rates = vip;
        self
    }

    /// How long to keep trying when nothing gets through, whatever the failure: no request is sent again later than so
    /// long after the first failure since the last success, and zero is one try. While an upload waits for others of the
    /// client that get through, or are answered with failures as it is itself, its time stands still. By default 60 s, and 120 s if it is the
    /// service that refuses everything because there are too many requests. See [`Policy::throttled_for`] for pauses that
    /// it asks for.
    #[must_use]
    pub fn retry_for(mut self, time: Duration) -> Self {
        self.policy.retry_for = time;
        self.policy.throttled_for = time;
        self
    }

    /// The other numbers that an upload is decided with.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Lets the token go over plain http to any host.
    #[must_use]
    pub fn plain_http(mut self, allowed: bool) -> Self {
        self.plain_http = allowed;
        self
    }

    /// A proxy for all requests, `http://`, `https://` or `socks5://`; the environment's by default.
    #[must_use]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.http = self.http.proxy(url);
        self
    }

    /// A PEM file with certificates to trust besides the built-in ones.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.http = self.http.ca_file(path);
        self
    }

    /// The `User-Agent` header; `pan123/VERSION` by default.
    #[must_use]
    pub fn user_agent(mut self, text: impl Into<String>) -> Self {
        self.user_agent = text.into();
        self
    }

    /// Makes the client. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] for an address, proxy or CA file that cannot be used, and without [`tokens`](Self::tokens).
    pub fn build(self) -> Result<Client, Error> {
        let usage = |message: String| Error::new(ErrorKind::Usage, "configure", message);
        let tokens = self.tokens.ok_or_else(|| {
            usage("no access token, and no client id and secret".into())
                .with_advice("Give an access token, or a client id and its secret.")
        })?;
        let base = ServerUrl::base(&self.base_url).map_err(|error| usage(error.to_string()))?;
        let plain_http =
            if self.plain_http { PlainHttp::anywhere() } else { PlainHttp::loopback().and_base(&base) };
        let transport = match self.transport {
            Some(transport) => transport,
            None => {
                let http = self.http.plain_http(plain_http.clone()).build();
                Arc::new(http.map_err(|error| usage(error.to_string()))?)
            }
        };
        let digests = self.digests.and_then(|dir| {
            let opened = Cache::open(&dir);
            opened.inspect_err(|error| tracing::warn!("files are hashed each time: {error}")).ok()
        });
        let mut layers = self.layers;
        layers.push(Arc::new(self.bandwidth.clone()));
        let turns = Arc::new(Turns { link: Mutex::new(Link::new(self.link)), start: Instant::now() });
        let service = Service {
            turns: turns.clone(),
            renewals: Renewals::default(),
            transport: pan123_transport::stack(transport, &layers),
            tokens,
            base,
            plain_http,
            user_agent: self.user_agent,
        };
        Ok(Client(Arc::new(Shared {
            service,
            store: self.store,
            digests,
            policy: self.policy,
            turns,
            single_calls: Semaphore::new(SINGLE_CALLS_MAX),
            hashes: Semaphore::new(HASHES_MAX),
            logs: Arc::new(Semaphore::new(LOGS_MAX)),
            moved: Notify::new(),
            bandwidth: self.bandwidth,
        })))
    }
}

/// One slice to send by itself; see [`Client::slice`].
#[derive(Clone, Debug)]
pub struct SliceUpload {
    /// Upload host, as `create` named it.
    pub server: String,
    /// From `create`.
    pub preupload_id: String,
    /// `sliceNo`, from 1.
    pub slice_no: u32,
    /// MD5 of the slice; computed when `None`.
    pub md5: Option<Md5>,
    /// Where its bytes are.
    pub source: Source,
    /// Where in the source the slice starts, in bytes.
    pub offset: u64,
    /// Its length in bytes; the rest of the source when `None`.
    pub len: Option<u64>,
}

impl Client {
    /// Settings of a new client, at their defaults.
    pub fn builder() -> ClientBuilder {
        ClientBuilder {
            base_url: BASE_URL.into(),
            tokens: None,
            transport: None,
            layers: Vec::new(),
            store: None,
            digests: None,
            link: LinkPolicy::default(),
            policy: Policy::default(),
            http: HttpTransport::builder(),
            bandwidth: Bandwidth::new(None),
            plain_http: false,
            user_agent: concat!("pan123/", env!("CARGO_PKG_VERSION")).into(),
        }
    }

    /// An upload of `source` to `target`. Nothing happens before it is started.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Name`] for a name that the service would refuse, [`ErrorKind::Source`] for an empty or too
    /// large source or one that cannot be read.
    pub fn upload(&self, source: Source, target: Target) -> Result<Upload, Error> {
        Upload::new(self.0.clone(), source, target, None)
    }

    /// As [`upload`](Self::upload), but this upload is remembered in `store` rather than in the client's.
    ///
    /// # Errors
    ///
    /// As [`upload`](Self::upload).
    pub fn upload_kept_in(
        &self,
        store: Arc<dyn ResumeStore>,
        source: Source,
        target: Target,
    ) -> Result<Upload, Error> {
        Upload::new(self.0.clone(), source, target, Some(store))
    }

    /// Changes the cap on the bytes that bodies send per second, for uploads under way too.
    pub fn set_bytes_per_sec(&self, cap: Option<u64>) {
        self.0.bandwidth.set(cap);
    }

    /// An access token that the service takes, as far as is known.
    ///
    /// # Errors
    ///
    /// Those of the token provider.
    pub async fn token(&self) -> Result<Token, Error> {
        self.0.service.tokens.get(None).await
    }

    /// `create`, once.
    ///
    /// # Errors
    ///
    /// The service's refusal, or what kept the request from being answered.
    pub async fn create(&self, request: &wire::CreateRequest<'_>) -> Result<Reply, Error> {
        self.paced(Endpoint::Create, self.0.service.create(request)).await
    }

    /// One slice, once. The client's limit on slices in flight does not count it.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create); [`ErrorKind::Usage`] for a server that is no address, for a preupload id that is
    /// empty or holds control characters, and for a range that is empty or outside the source.
    pub async fn slice(&self, slice: SliceUpload) -> Result<(), Error> {
        let SliceUpload { server, preupload_id, slice_no, md5, source, offset, len } = slice;
        let usage = |message: String| Error::new(ErrorKind::Usage, "slice", message).with_slice_no(slice_no);
        if slice_no == 0 {
            return Err(usage("slices are counted from 1".into()));
        }
        check_preupload_id("slice", &preupload_id).map_err(|error| error.with_slice_no(slice_no))?;
        self.check_server("slice", &server).map_err(|error| error.with_slice_no(slice_no))?;
        let size = source.size();
        let rest = size.checked_sub(offset).ok_or_else(|| {
            usage(format!("the slice starts at byte {offset}, and the source has only {size} bytes"))
        })?;
        let len = len.unwrap_or(rest);
        if len == 0 {
            return Err(usage("the slice has no bytes".into()));
        }
        if len > rest {
            return Err(usage(format!("the slice has {len} bytes, and only {rest} follow byte {offset}")));
        }
        let md5 = match md5 {
            Some(md5) => md5,
            None => {
                // Never closed, so there is always one in the end.
                let _permit = if source.may_hang() { None } else { self.0.hashes.acquire().await.ok() };
                crate::hashing::range(source.clone(), offset, len).await?
            }
        };
        let part = Part { source, offset, len, meter: Arc::default() };
        let fields = SliceFields { preupload_id: &preupload_id, slice_no, md5 };
        self.paced(Endpoint::Slice, self.0.service.slice(&server, &fields, &part))
            .await
            .map(drop)
            .map_err(|e| e.with_slice_no(slice_no))
    }

    /// `upload_complete`, once: the file id, or `None` while the service is still at it.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create); [`ErrorKind::Usage`] for a preupload id that is empty or holds control characters;
    /// [`ErrorKind::Server`] when the service calls the file complete and names no id.
    pub async fn complete(&self, preupload_id: &str) -> Result<Option<i64>, Error> {
        check_preupload_id("upload_complete", preupload_id)?;
        let reply = self.paced(Endpoint::Complete, self.0.service.complete(preupload_id)).await?;
        if reply == Reply::Nameless {
            let words = "the service calls the file complete, but names no file id";
            let failure = Failure::local(Endpoint::Complete, Class::Verifying, words);
            return Err(Error::from(failure).with_advice(
                "Ask again in a while; if that does not help, look for the file in the drive.",
            ));
        }
        Ok(stored(&reply))
    }

    /// `domain`, once: the upload hosts.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub async fn domain(&self) -> Result<Vec<Arc<str>>, Error> {
        self.paced(Endpoint::Domain, self.0.service.domain()).await
    }

    /// `single/create`, once: the file id, or `None` when the service has not stored the file yet.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create); [`ErrorKind::Usage`] for a server that is no address, and when `size` is not that of
    /// the source.
    pub async fn single(
        &self,
        server: &str,
        fields: &wire::SingleFields<'_>,
        source: Source,
    ) -> Result<Option<i64>, Error> {
        self.check_server("single_create", server)?;
        let len = source.size();
        if fields.size != len {
            let message = format!("the size given is {} bytes, and the source has {len}", fields.size);
            return Err(Error::new(ErrorKind::Usage, "single_create", message));
        }
        if len > names::SINGLE_SIZE_MAX {
            let message =
                format!("the file has {len} bytes, and one request takes at most {}", names::SINGLE_SIZE_MAX);
            return Err(
                Error::new(ErrorKind::Usage, "single_create", message).with_advice("Upload it in slices.")
            );
        }
        let part = Part { source, offset: 0, len, meter: Arc::default() };
        let reply = self.paced(Endpoint::Single, self.0.service.single(server, fields, &part)).await?;
        Ok(stored(&reply))
    }

    /// `sha1_reuse`, once: the file id if the service had the bytes.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub async fn sha1_reuse(&self, request: &wire::Sha1ReuseRequest<'_>) -> Result<Option<i64>, Error> {
        self.paced(Endpoint::Sha1Reuse, self.0.service.sha1_reuse(request)).await
    }

    /// `mkdir`, once: the new folder's id.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create); [`Class::Exists`](pan123_proto::Class::Exists) when it is there already.
    pub async fn mkdir(&self, request: &wire::MkdirRequest<'_>) -> Result<i64, Error> {
        self.paced(Endpoint::Mkdir, self.0.service.mkdir(request)).await
    }

    /// `list`, once: a page of a folder.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub async fn list(&self, query: &wire::ListQuery<'_>) -> Result<wire::ListAnswer, Error> {
        self.paced(Endpoint::List, self.0.service.list(query)).await
    }

    /// `detail`, once: one file.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub async fn detail(&self, file_id: i64) -> Result<wire::FileInfo, Error> {
        self.paced(Endpoint::Detail, self.0.service.detail(file_id)).await
    }

    /// `user/info`, once.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub async fn user_info(&self) -> Result<wire::UserInfo, Error> {
        self.paced(Endpoint::UserInfo, self.0.service.user_info()).await
    }

    fn check_server(&self, step: &'static str, server: &str) -> Result<(), Error> {
        let named = ServerUrl::named_by_service(server, &self.0.service.plain_http);
        named.map(drop).map_err(|error| {
            Error::new(ErrorKind::Usage, step, error.to_string())
                .with_advice("Give an upload host as create or domain names it, such as https://HOST.")
        })
    }

    /// Sends a request when its turn has come, and lets the link learn from the answer.
    async fn paced<T>(
        &self,
        endpoint: Endpoint,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        // First, so that calls whose turn is far away keep no room from others.
        self.0.turns.take(endpoint).await;
        // Never closed, so there is always one in the end.
        let _room = self.0.single_calls.acquire().await;
        let result = call.await;
        let mut link = self.0.link();
        match &result {
            Ok(_) => link.good(endpoint, self.0.now()),
            Err(error) if error.kind() == ErrorKind::RateLimited => {
                link.rate_limited(endpoint, self.0.now(), error.retry_after());
            }
            Err(_) => {}
        }
        result
    }
}

fn check_preupload_id(step: &'static str, id: &str) -> Result<(), Error> {
    let fault = if id.trim().is_empty() {
        "the preupload id is empty"
    } else if id.chars().any(char::is_control) {
        "the preupload id holds control characters"
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Usage, step, fault).with_advice("Give it exactly as create answered it."))
}

fn stored(reply: &Reply) -> Option<i64> {
    match reply {
        Reply::Stored { file_id } => Some(*file_id),
        _ => None,
    }
}
