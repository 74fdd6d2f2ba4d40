//! Says what is sent and what comes back.

use std::sync::Arc;

use pan123_transport::{BoxFuture, Error, Layer, Request, Response, Transport};
use tokio::time::Instant;

/// Reports each request and its answer through `tracing`, at level INFO: method, URL without its query,
/// lengths, status, trace id, time. No header and no body, so no token.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trace;

impl Layer for Trace {
    fn wrap(&self, inner: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(Traced(inner))
    }
}

#[derive(Debug)]
struct Traced(Arc<dyn Transport>);

impl Transport for Traced {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>> {
        Box::pin(async move {
            let method = request.method.as_str();
            let url = without_query(&request.url).to_owned();
            let body_len = request.body.len();
            let started = Instant::now();
            let result = self.0.send(request).await;
            let elapsed_ms = started.elapsed().as_millis();
            match &result {
                Ok(response) => {
                    let trace_id = response.header("x-traceid");
                    tracing::info!(
                        method,
                        url,
                        body_len,
                        status = response.status,
                        trace_id,
                        elapsed_ms,
                        "answered"
                    );
                }
                Err(error) => {
                    let bytes_sent = error.bytes_sent();
                    tracing::info!(method, url, body_len, kind = ?error.kind(), bytes_sent, elapsed_ms, "failed: {error}");
                }
            }
            result
        })
    }
}

/// The query of some calls carries secrets.
pub(super) fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}
