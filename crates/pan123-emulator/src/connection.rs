//! One connection: hyper over a socket that can be cut at will.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Request,
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use crate::{
    route::{self, Ended},
    service::Service,
};

/// Largest read from a socket, and so the largest piece of a body, in bytes.
const READ_LEN_MAX: usize = 512 << 10;
/// Receive buffer of a connection whose bodies are read at a limited rate, in bytes.
const LIMITED_BUFFER_LEN: usize = 32 << 10;
/// How long an idle connection is kept. GoFrame's default.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long a connection that is closed with unread input is drained, so that the reset which the kernel
/// would send does not overtake the answer. Go's server waits as long.
const LINGER: Duration = Duration::from_millis(500);

/// Which port a connection came in on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// The API.
    Api,
    /// An upload host, by index from 0.
    Upload(u32),
}

/// A socket that is closed with a reset once that was asked for.
struct Socket {
    inner: TokioIo<TcpStream>,
    is_reset: Arc<AtomicBool>,
}

/// Serves one connection until it ends.
pub(crate) async fn serve(
    service: Arc<Service>,
    port: Port,
    stream: TcpStream,
    mut alive: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    if service.faults().limits_rates() {
        // Otherwise the kernel takes megabytes ahead of the limit, and the client thinks that they are gone.
        let _ = SockRef::from(&stream).set_recv_buffer_size(LIMITED_BUFFER_LEN);
    }
    let peer_port = stream.peer_addr().map_or(0, |peer| peer.port());
    let is_reset = Arc::new(AtomicBool::new(false));
    let socket = Socket { inner: TokioIo::new(stream), is_reset: is_reset.clone() };
    let handler = service_fn(|request: Request<Incoming>| {
        let (service, is_reset) = (service.clone(), is_reset.clone());
        async move {
            let result = route::answer(service, port, peer_port, request).await;
            result.inspect_err(|Ended| is_reset.store(true, Ordering::Relaxed))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .max_buf_size(READ_LEN_MAX)
        .serve_connection(socket, handler);
    tokio::select! {
        ended = connection.without_shutdown() => match ended {
            Ok(parts) => linger(parts.io).await,
            Err(error) => tracing::debug!(%error, "connection ended"),
        },
        () = death(&mut alive) => is_reset.store(true, Ordering::Relaxed),
    }
}

/// Ends when the port's host dies.
async fn death(alive: &mut watch::Receiver<bool>) {
    if alive.wait_for(|is_alive| !is_alive).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Says goodbye, then reads what is still coming for a while.
async fn linger(mut socket: Socket) {
    let stream = socket.inner.inner_mut();
    let _ = stream.shutdown().await;
    let mut rest = vec![0; 64 << 10];
    let drain = async { while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
    let _ = tokio::time::timeout(LINGER, drain).await;
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.is_reset.load(Ordering::Relaxed) {
            // With no time to linger, closing sends a reset.
            let _ = self.inner.inner().set_zero_linger();
        }
    }
}

impl Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buffer)
    }
}

impl Write for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
