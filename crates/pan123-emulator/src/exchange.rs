//! One request and its answer: what is known of it, the faults it meets, its line in the log.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use hyper::{
    HeaderMap, Method,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, USER_AGENT},
    http::request::Parts,
};
use jiff::Timestamp;
use pan123_proto::Endpoint;

use crate::{
    connection::Port,
    faults::{Action, At, Faults, Occasion, Plan},
    fields::Fields,
    log,
    receive::Cut,
    reply::{Content, Refusal, Reply},
    service::Service,
    tokens,
};

/// How a request ends other than by its regular answer.
#[derive(Debug)]
pub(crate) enum Stop {
    /// With this answer.
    Reply(Reply),
    /// With a reset of the connection.
    Reset,
    /// Never.
    Hang,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Reply(refusal.into())
    }
}

impl From<Cut> for Stop {
    fn from(cut: Cut) -> Self {
        cut.reply().map_or(Self::Reset, Self::Reply)
    }
}

/// One request and its answer.
pub(crate) struct Exchange {
    pub(crate) service: Arc<Service>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) port: Port,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Fields,
    pub(crate) headers: HeaderMap,
    /// What was ordered for it.
    pub(crate) plan: Plan,
    pub(crate) received: Arc<AtomicU64>,
    pub(crate) entry: log::Request,
    started: Instant,
}

impl Exchange {
    pub(crate) fn new(service: Arc<Service>, port: Port, peer_port: u16, head: Parts) -> Self {
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let path = head.uri.path().to_owned();
        let server = match port {
            Port::Api => None,
            Port::Upload(index) => Some(index),
        };
        let entry = log::Request {
            time: Timestamp::now().to_string(),
            endpoint: Endpoint::ALL.into_iter().find(|endpoint| endpoint.path() == path),
            line: format!("{} {path}", head.method),
            server,
            slice_no: None,
            preupload_id: None,
            attempt: 0,
            status: None,
            code: None,
            message: None,
            bytes: 0,
            content_length: header(CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            chunked: header(TRANSFER_ENCODING).is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")),
            user_agent: header(USER_AGENT).map(str::to_owned),
            duration: std::time::Duration::ZERO,
            faults: Vec::new(),
            token: header(AUTHORIZATION)
                .and_then(bearer)
                .map(|token| tokens::digest(token).chars().take(8).collect()),
            peer_port,
            trace_id: format!("{:016x}", fastrand::u64(..)),
        };
        Self {
            faults: service.faults(),
            service,
            port,
            method: head.method,
            path,
            query: Fields::from_urlencoded(head.uri.query().unwrap_or_default().as_bytes()),
            headers: head.headers,
            plan: Plan::default(),
            received: Arc::default(),
            entry,
            started: Instant::now(),
        }
    }

    pub(crate) fn content_type(&self) -> &str {
        self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Checks token, platform and request rate, as the service does once it has the whole request.
    pub(crate) fn admit(&self, endpoint: Endpoint) -> Result<(), Refusal> {
        let header = |name| self.headers.get(name).and_then(|value| value.to_str().ok());
        if header("platform") != Some("open_platform") {
            return Err(Refusal::bad("请求头缺少 Platform: open_platform"));
        }
        let owner = match endpoint {
            Endpoint::AccessToken => String::new(),
            _ => {
                let token = header("authorization").and_then(bearer).unwrap_or_default();
                self.service.tokens.owner(token).ok_or_else(|| Refusal::unauthorized("access_token无效"))?
            }
        };
        match self.faults.behaviour.qps.limit(endpoint) {
            Some(per_sec) if !self.service.qps.admit(endpoint, &owner, per_sec) => Err(Refusal::throttled()),
            _ => Ok(()),
        }
    }

    /// Chooses the faults that strike at the request head.
    pub(crate) fn decide_head(&mut self, endpoint: Endpoint) {
        let attempt = self.service.count(endpoint, "\0head".to_owned());
        self.decide(endpoint, attempt, "", true);
    }

    /// Chooses the faults once it is known what the request is about: `what` is tried once more.
    pub(crate) fn decide_known(&mut self, endpoint: Endpoint, what: String, subject: &str) {
        self.entry.attempt = self.service.count(endpoint, what);
        self.decide(endpoint, self.entry.attempt, subject, false);
    }

    fn decide(&mut self, endpoint: Endpoint, attempt: u32, subject: &str, is_head: bool) {
        let (server, slice_no) = (self.entry.server, self.entry.slice_no);
        let occasion = Occasion { endpoint, server, slice_no, attempt, subject, is_head };
        let plan = self.service.plan(&occasion);
        self.entry.faults.extend(plan.names());
        let earlier = std::mem::replace(&mut self.plan, plan);
        self.plan.delay += earlier.delay;
        self.plan.shapes.extend(earlier.shapes);
    }

    /// The shaping actions that come before the request is handled.
    pub(crate) fn apply_shapes(&self) -> Result<(), Refusal> {
        for action in &self.plan.shapes {
            match action {
                Action::ExpireTokens => self.service.tokens.expire_all(&self.service.drive)?,
                Action::Forget => {
                    if let Some(upload) = &self.entry.preupload_id {
                        self.service.drive.forget(upload)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends the request here, if that was ordered.
    pub(crate) fn strike(&self, at: At) -> Result<(), Stop> {
        match self.plan.strikes(at) {
            Some(action) => Err(self.carry_out(action, at)),
            None => Ok(()),
        }
    }

    pub(crate) fn carry_out(&self, action: &Action, at: At) -> Stop {
        let reply = match action {
            Action::Reset => return Stop::Reset,
            Action::Hang => return Stop::Hang,
            Action::Die => {
                if let Some(server) = self.entry.server {
                    self.service.set_alive(server, false);
                }
                return Stop::Reset;
            }
            Action::Failed => {
                if let Some(Err(refusal)) =
                    self.entry.preupload_id.as_ref().map(|id| self.service.drive.fail(id))
                {
                    return refusal.into();
                }
                Refusal::upload_failed().into()
            }
            other => Reply::from_action(other),
        };
        let is_body_unread = matches!(at, At::Head | At::Early | At::Byte(_));
        Stop::Reply(if is_body_unread { reply.closing() } else { reply })
    }

    /// Notes the answer for the log.
    pub(crate) fn note(&mut self, reply: &Reply) {
        self.entry.status = Some(reply.status);
        self.entry.code = reply.code();
        if let Content::Envelope { code, message, .. } = &reply.content
            && *code != 0
        {
            self.entry.message = Some(message.chars().take(300).collect());
        }
    }
}

impl Drop for Exchange {
    /// Whatever happens to a request, it is in the log; one whose client went away has no status.
    fn drop(&mut self) {
        self.entry.bytes = self.received.load(Ordering::Relaxed);
        self.entry.duration = self.started.elapsed();
        self.service.log.add(self.entry.clone());
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
