//! The TCP stream below a streamed request, with what hyper's own lacks.
//!
//! * **An early answer survives a reset.** A server that turns a body away and hangs up makes our next
//!   write fail, while its answer lies in the receive buffer. hyper drops a connection at its first failed
//!   write. So a failed write is kept from it: writing merely waits, and reading goes on to the answer, or
//!   to the end that shows that there is none.
//! * **An abort is one.** The stream fails at once, in whatever state hyper is, and the socket is reset, so
//!   that the kernel forgets what it had not sent.
//! * **Progress is what the peer acknowledged**, where the system tells.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A TCP stream that can be aborted and asked how far it is.
pub(crate) struct Wire {
    stream: TokioIo<TcpStream>,
    control: Arc<Control>,
    write_failed: bool,
}

/// The outside's hold on a [`Wire`].
#[derive(Debug, Default)]
pub(crate) struct Control {
    aborted: AtomicBool,
    waker: Mutex<Option<Waker>>,
    written: AtomicU64,
    #[cfg(target_os = "linux")]
    socket: Mutex<Option<std::os::fd::OwnedFd>>,
}

impl Wire {
    pub(crate) fn new(stream: TokioIo<TcpStream>) -> Self {
        let control = Arc::new(Control::default());
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsFd;
            *control.lock_socket() = stream.inner().as_fd().try_clone_to_owned().ok();
        }
        Self { stream, control, write_failed: false }
    }

    pub(crate) fn control(&self) -> Arc<Control> {
        self.control.clone()
    }

    fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        let mut waker = self.control.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        if self.control.aborted.load(Ordering::Acquire) { Err(aborted()) } else { Ok(()) }
    }

    fn wrote(&mut self, outcome: io::Result<usize>, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        match outcome {
            Ok(n) => {
                self.control.written.fetch_add(n as u64, Ordering::Relaxed);
                Poll::Ready(Ok(n))
            }
            Err(e) => {
                tracing::debug!(error = %e, "write failed; reading on for an answer");
                self.write_failed = true;
                cx.waker().wake_by_ref(); // back to reading
                Poll::Pending
            }
        }
    }
}

impl Control {
    /// Makes the stream fail and resets the socket: at once where that can be done from outside, and
    /// elsewhere as soon as the connection's task runs.
    pub(crate) fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
        #[cfg(target_os = "linux")]
        if let Some(socket) = &*self.lock_socket() {
            // Dissolving a TCP connection resets it and empties its queues (connect(2), AF_UNSPEC).
            let _ = rustix::net::connect_unspec(socket);
        }
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Bytes that the peer's system has acknowledged, and bytes that it has not, of all that was written
    /// to this connection. `None` if the system does not say or the connection is gone.
    #[cfg(target_os = "linux")]
    pub(crate) fn delivered(&self) -> Option<(u64, u64)> {
        // Read first: what is written from here on can only make the first figure too small.
        let written = self.written.load(Ordering::Relaxed);
        let socket = self.lock_socket();
        // SAFETY: TIOCOUTQ (SIOCOUTQ on a socket, see tcp(7)) stores one int, which is what the getter provides.
        let queued = unsafe {
            let query =
                rustix::ioctl::Getter::<{ libc::TIOCOUTQ as rustix::ioctl::Opcode }, libc::c_int>::new();
            rustix::ioctl::ioctl(socket.as_ref()?, query)
        };
        let queued = u64::try_from(queued.ok()?).ok()?;
        Some((written.saturating_sub(queued), queued))
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn delivered(&self) -> Option<(u64, u64)> {
        None
    }

    #[cfg(target_os = "linux")]
    fn lock_socket(&self) -> std::sync::MutexGuard<'_, Option<std::os::fd::OwnedFd>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn aborted() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the request was given up")
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.control.aborted.load(Ordering::Acquire) {
            // Failure leaves an orderly close, which is no worse than not asking.
            let _ = self.stream.inner().set_zero_linger();
        }
        #[cfg(target_os = "linux")]
        self.control.lock_socket().take();
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        if self.write_failed {
            return Poll::Pending;
        }
        let outcome = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        self.wrote(outcome, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        if self.write_failed {
            return Poll::Pending;
        }
        let outcome = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs));
        self.wrote(outcome, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
