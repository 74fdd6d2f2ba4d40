//! One request out, one answer back.
//!
//! [`Transport`] is the only way a byte of pan123 reaches a server. It knows nothing of uploads:
//! it is given a [`Request`] whose [`Body`] can be read at any offset any number of times, and
//! returns a [`Response`] or an [`Error`] that says how far it came. Layers wrap a transport and
//! are transports themselves, so tracing, limits and faults all speak this one trait.
//!
//! ```no_run
//! use pan123_transport::{Body, HttpTransport, Method, Request, Transport};
//!
//! # async fn example() -> Result<(), pan123_transport::Error> {
//! let transport = HttpTransport::new()?;
//! let mut request = Request::new(Method::Post, "https://open-api.123pan.com/api/v1/access_token");
//! request.body = Body::from_bytes("{}");
//! let answer = transport.send(request).await?;
//! println!("{} with {} bytes", answer.status, answer.body.len());
//! # Ok(())
//! # }
//! ```
//!
//! [`HttpTransport`] sends with reqwest, and bodies of more than 16 KiB with the layers that reqwest is made
//! of, over a socket that it can ask and abort. Why that is so stands at the top of `stream.rs`.

mod body;
mod connect;
mod error;
mod failure;
mod file;
mod flow;
mod frame;
mod http;
mod outgoing;
mod request;
mod stream;
mod url;
mod wire;

pub use self::url::{PlainHttp, ServerUrl};
pub use body::{Body, Meter, Pace, ReadAt, ReadStarted};
pub use error::{Error, ErrorKind};
pub use file::FileAt;
pub use http::{HttpTransport, HttpTransportBuilder};
pub use request::{Clocks, Method, Request, Response};

use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends one request and returns its answer.
///
/// An implementation never retries and never follows a redirect: what to do about a failure is
/// decided above it. Dropping the future cancels the request; no byte is sent after that.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends `request` and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`Error`], with the bytes handed to the connection before it failed. An HTTP status of any
    /// kind is an answer, not an error.
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>>;
}

/// Wraps a transport in another one, for example to trace, limit or record what passes.
pub trait Layer: Send + Sync + fmt::Debug {
    /// Returns a transport that forwards to `inner` what it does not handle itself.
    fn wrap(&self, inner: Arc<dyn Transport>) -> Arc<dyn Transport>;
}

/// Stacks `layers` on `base`; the first listed is the outermost.
pub fn stack(base: Arc<dyn Transport>, layers: &[Arc<dyn Layer>]) -> Arc<dyn Transport> {
    layers.iter().rev().fold(base, |inner, layer| layer.wrap(inner))
}
