//! Connections for streamed bodies: the layers that reqwest is made of, on a socket of our own.
//!
//! reqwest lets nobody touch its connections, and a connection of its own loses the answer of a server that
//! turns a body away and hangs up: measured on loopback, 40 to 100 of 100 such answers, because hyper ends a
//! connection at the first failed write. So a body of more than one frame travels over a [`Wire`]; everything
//! above and below that is the same hyper, hyper-util, rustls and proxy code that reqwest uses.

use std::{
    error::Error as StdError,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Uri,
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::{
    client::{
        legacy::{
            Client,
            connect::{
                Connected, Connection, HttpConnector,
                proxy::{SocksV4, SocksV5, Tunnel},
            },
        },
        proxy::matcher::Intercept,
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower_service::Service;

use crate::{
    BoxFuture,
    connect::{Proxies, ShuffledDns},
    outgoing::Outgoing,
    wire::{Control, Wire},
};

type BoxError = Box<dyn StdError + Send + Sync>;

/// Sends streamed bodies, and keeps idle connections.
pub(crate) type StreamClient = Client<Connector, Outgoing>;

/// Settings of the sockets, the same that reqwest is given or has as its defaults.
pub(crate) fn client(
    tls: ClientConfig,
    proxies: Proxies,
    (pool_idle, pool_idle_max): (Duration, usize),
    patience: Duration,
) -> StreamClient {
    let mut tcp = HttpConnector::new_with_resolver(ShuffledDns);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(15)));
    tcp.set_keepalive_interval(Some(Duration::from_secs(15)));
    tcp.set_keepalive_retries(Some(3));
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    tcp.set_tcp_user_timeout(Some(patience));
    #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
    let _ = patience;
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(pool_idle)
        .pool_max_idle_per_host(pool_idle_max)
        .build(Connector { tcp: Tcp(tcp), tls: TlsConnector::from(Arc::new(tls)), proxies })
}

/// Makes connections: directly or through a proxy, with TLS or without.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: Tcp,
    tls: TlsConnector,
    proxies: Proxies,
}

impl Connector {
    async fn connect(mut self, to: Uri) -> Result<Stream, BoxError> {
        let is_https = to.scheme_str() == Some("https");
        let Some(proxy) = self.proxies.intercept(&to) else {
            let wire = self.tcp.call(to.clone()).await?;
            return if is_https { self.secure(wire, &to).await } else { Ok(Stream::new(Io::Plain(wire))) };
        };
        let wire = match proxy.uri().scheme_str() {
            Some("socks4" | "socks4a" | "socks5" | "socks5h") => self.through_socks(&proxy, &to).await?,
            Some("http") if is_https => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), self.tcp.clone());
                if let Some(auth) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                tunnel.call(to.clone()).await?
            }
            Some("http") => {
                let wire = self.tcp.call(proxy.uri().clone()).await?;
                return Ok(Stream { io: Io::Plain(wire), absolute: true });
            }
            _ => return Err("streamed bodies go through http and socks proxies only".into()),
        };
        if is_https { self.secure(wire, &to).await } else { Ok(Stream::new(Io::Plain(wire))) }
    }

    async fn through_socks(&self, proxy: &Intercept, to: &Uri) -> Result<Wire, BoxError> {
        let (at, tcp) = (proxy.uri().clone(), self.tcp.clone());
        let scheme = proxy.uri().scheme_str().unwrap_or_default();
        let local_dns = matches!(scheme, "socks4" | "socks5");
        // The handshake takes 443 for granted where no port is named.
        let to = match (to.port(), to.scheme_str(), to.host()) {
            (None, Some("http"), Some(host)) => format!("http://{host}:80").parse()?,
            _ => to.clone(),
        };
        if scheme.starts_with("socks4") {
            return Ok(SocksV4::new(at, tcp).local_dns(local_dns).call(to).await?);
        }
        let mut socks = SocksV5::new(at, tcp).local_dns(local_dns);
        if let Some((user, password)) = proxy.raw_auth() {
            socks = socks.with_auth(user.to_owned(), password.to_owned());
        }
        Ok(socks.call(to).await?)
    }

    async fn secure(&self, wire: Wire, to: &Uri) -> Result<Stream, BoxError> {
        let host = to.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())?;
        let tls = self.tls.connect(name, TokioIo::new(wire)).await?;
        Ok(Stream::new(Io::Tls(Box::new(TokioIo::new(tls)))))
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Stream, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().connect(to))
    }
}

/// Makes TCP connections and puts a [`Wire`] on each.
#[derive(Clone)]
struct Tcp(HttpConnector<ShuffledDns>);

impl Service<Uri> for Tcp {
    type Response = Wire;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Wire, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.0.call(to);
        Box::pin(async move { Ok(Wire::new(connecting.await?)) })
    }
}

/// A connection, as hyper uses it.
pub(crate) struct Stream {
    io: Io,
    /// A proxy forwards plain http: it wants the whole URL in the request line.
    absolute: bool,
}

enum Io {
    Plain(Wire),
    Tls(Box<TokioIo<TlsStream<TokioIo<Wire>>>>),
}

impl Stream {
    fn new(io: Io) -> Self {
        Self { io, absolute: false }
    }

    fn control(&self) -> Arc<Control> {
        match &self.io {
            Io::Plain(wire) => wire.control(),
            Io::Tls(tls) => tls.inner().get_ref().0.inner().control(),
        }
    }
}

impl Connection for Stream {
    /// Hands the [`Control`] up to whoever captures the connection of a request.
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.absolute).extra(self.control())
    }
}

/// Calls the same method of whichever stream there is.
macro_rules! forward {
    ($self:ident.$method:ident($($arg:expr),*)) => {
        match &mut $self.io {
            Io::Plain(wire) => Pin::new(wire).$method($($arg),*),
            Io::Tls(tls) => Pin::new(tls).$method($($arg),*),
        }
    };
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self.poll_read(cx, buf))
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(wire) => wire.is_write_vectored(),
            Io::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_shutdown(cx))
    }
}
