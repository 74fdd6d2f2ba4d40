//! What the emulator offers beyond the service: a page to look at, and control for programs in any language.

use hyper::Method;
use serde_json::Value;

use crate::{
    exchange::{Exchange, Stop},
    faults::Faults,
    fields::SMALL_BODY_LEN_MAX,
    receive::Body,
    reply::Reply,
};

/// Whether a path of the API port is the emulator's own.
pub(crate) fn is_control(path: &str) -> bool {
    path == "/" || path.starts_with("/_emulator/")
}

/// `/` is the page, `/_emulator/requests` the request log (GET, DELETE), `/_emulator/faults` the fault script
/// (GET, PUT). No page of another origin may use them: they answer without CORS headers, and only when
/// they are called by a name of loopback, so that no foreign name can be made to point here.
pub(crate) async fn answer(exchange: &mut Exchange, body: &mut Body) -> Result<Reply, Stop> {
    let refuse =
        |status: u16, message: String| Ok(Reply::envelope(status, status.into(), message, Value::Null));
    let bytes = body.collect(SMALL_BODY_LEN_MAX).await?;
    if !is_called_by_loopback(exchange) {
        return refuse(403, "use http://127.0.0.1".to_owned());
    }
    let service = &exchange.service;
    match (&exchange.method, exchange.path.as_str()) {
        (&Method::GET, "/") => Ok(Reply::raw(200, "text/html; charset=utf-8", include_str!("page.html"))),
        (&Method::GET, "/_emulator/requests") => Ok(json(&service.log.requests())),
        (&Method::DELETE, "/_emulator/requests") => {
            service.log.clear();
            Ok(Reply::ok(Value::Null))
        }
        (&Method::GET, "/_emulator/faults") => Ok(json(&*service.faults())),
        (&Method::PUT, "/_emulator/faults") => {
            let script: Result<Faults, _> = serde_json::from_slice(&bytes);
            let servers = u32::try_from(service.servers.len()).unwrap_or(u32::MAX);
            let checked = script.map_err(|error| error.to_string());
            match checked
                .and_then(|script| script.check(servers).map(|()| script).map_err(|it| it.to_string()))
            {
                Ok(script) => {
                    service.set_faults(script);
                    Ok(Reply::ok(Value::Null))
                }
                Err(error) => refuse(400, error),
            }
        }
        _ => refuse(404, format!("no such page: {}", exchange.entry.line)),
    }
}

fn is_called_by_loopback(exchange: &Exchange) -> bool {
    let host = exchange.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost")
}

fn json<T: serde::Serialize>(value: &T) -> Reply {
    let text = serde_json::to_vec(value).unwrap_or_default();
    Reply::raw(200, "application/json; charset=utf-8", text)
}
