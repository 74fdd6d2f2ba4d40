//! One token request: what goes out, and what its failure means.

use std::{sync::Arc, time::SystemTime};

use pan123_proto::{Answer, Class, Endpoint, Failure, wire::Secret};
use pan123_transport::{self as transport, Body, Method, Request, Transport};

use crate::error::{Error, ErrorKind};

/// The account and the service that it belongs to.
#[derive(Debug)]
pub(super) struct Login {
    transport: Arc<dyn Transport>,
    base_url: String,
    pub(super) client_id: String,
    pub(super) client_secret: Secret,
}

impl Login {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        base_url: &str,
        client_id: &str,
        client_secret: &str,
    ) -> Result<Self, Error> {
        let (client_id, client_secret) = (client_id.trim(), client_secret.trim());
        let missing = match (client_id.is_empty(), client_secret.is_empty()) {
            (true, _) => "the client id is empty",
            (_, true) => "the client secret is empty",
            _ => {
                return Ok(Self {
                    transport,
                    base_url: base_url.trim_end_matches('/').to_owned(),
                    client_id: client_id.to_owned(),
                    client_secret: Secret::new(client_secret),
                });
            }
        };
        Err(Error::new(ErrorKind::Login, "token", missing).with_advice(
            "Both are on the developer page of the open platform; give them exactly as they stand there.",
        ))
    }

    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Sends one token request and decodes its answer. None of `secrets` gets into an error.
    pub(super) async fn ask<T>(
        &self,
        endpoint: Endpoint,
        query: Option<&str>,
        body: Vec<u8>,
        decode: impl FnOnce(&Answer<'_>) -> Result<T, Failure>,
        secrets: &[&Secret],
    ) -> Result<T, Error> {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let url = format!("{}{}{query}", self.base_url, endpoint.path());
        let mut request = Request::new(Method::Post, url).header("Platform", "open_platform");
        if !body.is_empty() {
            request = request.header("Content-Type", "application/json");
        }
        request.body = Body::from_bytes(body);
        let response = match self.transport.send(request).await {
            Ok(response) => response,
            Err(error) => return Err(below_http(endpoint, error)),
        };
        let asked = decode(&Answer {
            status: response.status,
            body: &response.body,
            trace_id: response.header("x-traceid"),
            retry_after: response.header("retry-after"),
            date: response.header("date"),
            received: SystemTime::now(),
        });
        asked.map_err(|mut failure| {
            for secret in secrets {
                failure.hide(secret.expose());
            }
            let advice = pan123_proto::advice(failure.class, endpoint);
            Error::from(failure).with_advice(advice)
        })
    }
}

fn below_http(endpoint: Endpoint, error: transport::Error) -> Error {
    use transport::ErrorKind as Kind;
    let class = match error.kind() {
        Kind::Dns | Kind::Connect | Kind::Proxy => Class::Connect,
        Kind::Tls => Class::Tls,
        Kind::Stalled => Class::Stalled,
        Kind::BodyTimeout => Class::BodyTimeout,
        Kind::AnswerTimeout => Class::NoAnswer,
        Kind::BadAnswer => Class::Protocol,
        Kind::Layer => Class::HostCode,
        Kind::Invalid => {
            let refused = Error::new(ErrorKind::Usage, endpoint.name(), error.to_string());
            return refused.with_advice("Check the base URL.").with_source(error);
        }
        _ => Class::Interrupted,
    };
    let failure = Failure::local(endpoint, class, error.to_string());
    Error::from(failure).with_advice(pan123_proto::advice(class, endpoint)).with_source(error)
}
