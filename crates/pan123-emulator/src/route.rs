//! From a request to its answer.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, body::Incoming};
use pan123_proto::Endpoint;
use serde_json::Value;

use crate::{
    api,
    connection::Port,
    control,
    exchange::{Exchange, Stop},
    faults::{Action, At},
    fields::{Fields, SMALL_BODY_LEN_MAX},
    receive::{Body, Cut},
    reply::Reply,
    service::Service,
};

/// The connection is to be cut.
#[derive(Debug)]
pub(crate) struct Ended;

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is cut as ordered, or the client left")
    }
}

impl std::error::Error for Ended {}

/// Answers one request.
pub(crate) async fn answer(
    service: Arc<Service>,
    port: Port,
    peer_port: u16,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Ended> {
    let (head, incoming) = request.into_parts();
    let mut exchange = Exchange::new(service.clone(), port, peer_port, head);
    let mut body = Body::new(service, incoming, &exchange.faults.behaviour, exchange.received.clone());
    let reply = match run(&mut exchange, &mut body).await {
        Ok(reply) | Err(Stop::Reply(reply)) => reply,
        Err(Stop::Reset) => return Err(Ended),
        Err(Stop::Hang) => std::future::pending().await,
    };
    let latency =
        std::time::Duration::from_millis(exchange.faults.behaviour.latency_ms) + exchange.plan.delay;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let ids_as_strings = exchange.plan.shapes.contains(&Action::IdsAsStrings);
    let reply = reply.bend(&exchange.faults.behaviour, ids_as_strings);
    exchange.note(&reply);
    Ok(reply.into_response(&exchange.entry.trace_id))
}

async fn run(exchange: &mut Exchange, body: &mut Body) -> Result<Reply, Stop> {
    if exchange.port == Port::Api && control::is_control(&exchange.path) {
        return control::answer(exchange, body).await;
    }
    let reply = match exchange.method {
        Method::OPTIONS => Ok(preflight(exchange)),
        _ => endpoint(exchange, body).await,
    };
    // A browser page on any origin may use the service.
    let open = |reply: Reply| {
        reply
            .header("access-control-allow-origin", "*")
            .header("access-control-expose-headers", "x-traceid, retry-after")
    };
    match reply {
        Ok(reply) => Ok(open(reply)),
        Err(Stop::Reply(reply)) => Err(Stop::Reply(open(reply))),
        Err(stop) => Err(stop),
    }
}

fn preflight(exchange: &Exchange) -> Reply {
    let asked = exchange.headers.get("access-control-request-headers").and_then(|value| value.to_str().ok());
    Reply::empty(204)
        .header("access-control-allow-methods", "GET, POST, OPTIONS")
        .header("access-control-allow-headers", asked.unwrap_or("authorization, platform, content-type"))
        .header("access-control-allow-private-network", "true")
        .header("access-control-max-age", "600")
}

async fn endpoint(exchange: &mut Exchange, body: &mut Body) -> Result<Reply, Stop> {
    let endpoint = match route(exchange) {
        Ok(endpoint) => endpoint,
        Err(reply) => {
            body.drain().await?;
            return Ok(reply);
        }
    };
    exchange.decide_head(endpoint);
    exchange.strike(At::Head)?;
    shape_body(exchange, body).await?;
    if exchange.faults.behaviour.require_content_length && exchange.entry.chunked {
        return Ok(Reply::envelope(411, 411, "Length Required", Value::Null).closing());
    }
    match endpoint {
        Endpoint::Slice => api::slice(exchange, body).await,
        Endpoint::Single => api::single(exchange, body).await,
        _ => small_call(exchange, body, endpoint).await,
    }
}

/// Which call it is, or what is wrong with its path, host or method.
fn route(exchange: &Exchange) -> Result<Endpoint, Reply> {
    let refuse =
        |status: u16, message: String| Err(Reply::envelope(status, status.into(), message, Value::Null));
    let Some(endpoint) = exchange.entry.endpoint else {
        return refuse(404, format!("no such call: {}", exchange.entry.line));
    };
    let is_upload_host = exchange.port != Port::Api;
    if endpoint.is_on_upload_host() != is_upload_host {
        let host = if is_upload_host { "the base URL" } else { "one of `servers`" };
        return refuse(404, format!("{} belongs on {host}, not on this host", endpoint.path()));
    }
    let method = if endpoint.is_get() { Method::GET } else { Method::POST };
    if exchange.method != method {
        return refuse(405, format!("{} takes {method}", endpoint.path()));
    }
    Ok(endpoint)
}

/// Applies what was ordered for the way the body is read.
pub(crate) async fn shape_body(exchange: &Exchange, body: &mut Body) -> Result<(), Cut> {
    if let Some((after, text)) = exchange.plan.body_deadline {
        body.set_deadline(after, text);
    }
    match exchange.plan.bytes_per_sec {
        Some(rate) => body.slow_down(rate).await,
        None => Ok(()),
    }
}

/// A call whose body fits in memory.
async fn small_call(exchange: &mut Exchange, body: &mut Body, endpoint: Endpoint) -> Result<Reply, Stop> {
    let bytes = body.collect(SMALL_BODY_LEN_MAX).await?;
    let mut fields = std::mem::take(&mut exchange.query);
    let readable = Fields::from_body(exchange.content_type(), bytes).map(|more| fields.merge(more));
    exchange.entry.preupload_id = fields.get("preuploadID").map(str::to_owned);
    let upload = exchange.entry.preupload_id.as_ref().and_then(|id| exchange.service.drive.upload(id));
    let name = fields.get("filename").or(fields.get("name")).unwrap_or_default().to_owned();
    let subject = upload.map_or(name.clone(), |upload| upload.name);
    exchange.decide_known(endpoint, exchange.entry.preupload_id.clone().unwrap_or(name), &subject);
    exchange.apply_shapes()?;
    for at in [At::Early, At::Body] {
        exchange.strike(at)?;
    }
    if let Some(bytes) = exchange.plan.strikes_at_byte() {
        exchange.strike(At::Byte(bytes))?;
    }
    if endpoint != Endpoint::OauthToken {
        exchange.admit(endpoint)?;
    }
    readable?;
    let reply = api::small_call(exchange, endpoint, &fields).await?;
    exchange.strike(At::Done)?;
    Ok(reply)
}
