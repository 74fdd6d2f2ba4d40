//! How connections are made: TLS, name lookup, proxies.

use std::{
    fmt,
    io::{self, Read},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::Verifier;

use tower_service::Service;

use crate::{
    BoxFuture, Error, ErrorKind,
    url::{is_loopback, redact},
};

/// TLS through rustls with ring, trusting what the operating system trusts and, in addition, the
/// certificates in `ca_file`.
///
/// The system's store rather than a bundled list: it knows the certificates that a company or an
/// administrator added, and it ages with the system and not with this library. The provider is given here
/// rather than installed for the process, which may have one of its own.
pub(crate) fn tls_config(ca_file: Option<&Path>) -> Result<ClientConfig, Error> {
    let extra = ca_file.map(read_certificates).transpose()?.unwrap_or_default();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(ErrorKind::Tls, "tls cannot be set up").with_source(e))?;
    let mut config = match Verifier::new_with_extra_roots(extra.iter().cloned(), provider) {
        Ok(verifier) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        // A bare container has no store. Plain http and `ca_file` work there all the same; a handshake
        // that needs the store fails by itself.
        Err(e) => {
            tracing::warn!(error = %e, "the system has no usable certificate store; install its ca-certificates package");
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(extra);
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Those of all authorities there are take a fraction of a MiB.
const CA_FILE_LEN_MAX: u64 = 16 << 20;

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let fail = |why: &str| Error::new(ErrorKind::Invalid, format!("ca file {}: {why}", path.display()));
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(CA_FILE_LEN_MAX + 1).read_to_end(&mut text))
        .map_err(|e| fail("cannot be read").with_source(e))?;
    if text.len() as u64 > CA_FILE_LEN_MAX {
        return Err(fail("is larger than 16 MiB, so it is no list of certificates"));
    }
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|e| fail("is damaged").with_source(e))?;
    if certificates.is_empty() {
        return Err(fail("holds no certificate in PEM form"));
    }
    for certificate in &certificates {
        RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|e| fail("holds a bad certificate").with_source(e))?;
    }
    Ok(certificates)
}

/// Looks names up through the system and shuffles the addresses within each family, so that connections
/// spread over all of a host's machines. hyper-util tries addresses in the order given.
#[derive(Clone)]
pub(crate) struct ShuffledDns;

async fn look_up(name: &str) -> Result<std::vec::IntoIter<SocketAddr>, DnsFailed> {
    let mut found: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await.map_err(DnsFailed)?.collect();
    let Some(first) = found.first() else {
        return Err(DnsFailed(io::Error::other("the name has no address")));
    };
    // The family that the system lists first is the one it prefers.
    let prefers_v4 = first.is_ipv4();
    fastrand::shuffle(&mut found);
    found.sort_by_key(|addr| addr.is_ipv4() != prefers_v4);
    Ok(found.into_iter())
}

impl reqwest::dns::Resolve for ShuffledDns {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async move { Ok(Box::new(look_up(name.as_str()).await?) as reqwest::dns::Addrs) })
    }
}

impl Service<hyper_util::client::legacy::connect::dns::Name> for ShuffledDns {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = DnsFailed;
    type Future = BoxFuture<'static, Result<Self::Response, DnsFailed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DnsFailed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: hyper_util::client::legacy::connect::dns::Name) -> Self::Future {
        Box::pin(async move { look_up(name.as_str()).await })
    }
}

/// Marks a failed lookup in reqwest's chain of causes.
#[derive(Debug)]
pub(crate) struct DnsFailed(io::Error);

impl fmt::Display for DnsFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for DnsFailed {}

/// Where the proxy for a request comes from.
#[derive(Clone, Default)]
pub(crate) enum ProxyRule {
    /// The environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`) or the system's settings.
    #[default]
    System,
    /// None at all.
    Direct,
    /// This one, for every host.
    Via(String),
}

impl fmt::Debug for ProxyRule {
    /// Leaves out a proxy's user name and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("System"),
            Self::Direct => f.write_str("Direct"),
            Self::Via(url) => f.debug_tuple("Via").field(&redact(url)).finish(),
        }
    }
}

impl ProxyRule {
    /// Checks the user's address of a proxy, and takes it apart.
    pub(crate) fn via(&self) -> Result<Option<reqwest::Proxy>, Error> {
        let Self::Via(text) = self else { return Ok(None) };
        let bad = || {
            let hint = "give it as http://host:port or socks5h://host:port, with user:password@ before the host if it asks for them";
            Error::new(ErrorKind::Invalid, format!("the proxy's address is not usable; {hint}"))
        };
        let url = url::Url::parse(text).map_err(|_| bad())?;
        let spoken = matches!(url.scheme(), "http" | "socks4" | "socks4a" | "socks5" | "socks5h");
        if !spoken || url.host_str().is_none_or(str::is_empty) {
            return Err(bad());
        }
        reqwest::Proxy::all(url.as_str()).map(Some).map_err(|_| bad())
    }
}

/// Tells which proxy a request goes through.
#[derive(Clone)]
pub(crate) struct Proxies {
    matcher: Option<Arc<Matcher>>,
    /// The proxy is the environment's, and that has no business with this machine.
    spares_loopback: bool,
}

impl Proxies {
    pub(crate) fn new(rule: &ProxyRule) -> Self {
        let matcher = match rule {
            ProxyRule::System => Some(Matcher::from_system()),
            ProxyRule::Direct => None,
            ProxyRule::Via(url) => Some(Matcher::builder().all(url.as_str()).build()),
        };
        Self { matcher: matcher.map(Arc::new), spares_loopback: matches!(rule, ProxyRule::System) }
    }

    /// True if a host of this machine is spoken to directly, whatever the rules say.
    pub(crate) fn spares(&self, is_loopback: bool) -> bool {
        self.spares_loopback && is_loopback
    }

    pub(crate) fn intercept(&self, uri: &Uri) -> Option<Intercept> {
        let is_loopback = || url::Url::parse(&uri.to_string()).is_ok_and(|url| is_loopback(&url));
        if self.spares_loopback && is_loopback() {
            return None;
        }
        self.matcher.as_ref()?.intercept(uri)
    }
}
