//! Standing behaviour: how this service is, rather than what goes wrong once.

use std::collections::BTreeMap;

use pan123_proto::Endpoint;
use serde::{Deserialize, Serialize};

/// How the service behaves for as long as it runs. The default is the service on a good day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// `create` answers `reuse` when the service holds a file of that etag and size.
    pub reuse: bool,
    /// What a slice that is there already is answered with.
    pub duplicate_slices: DuplicateSlices,
    /// What a good slice is answered with.
    pub slice_answer: SliceAnswer,
    /// Answer HTTP 411 to a request body without `Content-Length`.
    pub require_content_length: bool,
    /// HTTP 500 for a body that is not complete in this time after the head, in milliseconds; 0 = never.
    /// The gateway is known to do it after about 60 s.
    pub body_deadline_ms: u64,
    /// Whether that answer carries the gateway's text or no body at all.
    pub body_deadline_text: bool,
    /// Added to each answer, in milliseconds.
    pub latency_ms: u64,
    /// Body bytes a second that one connection may send; 0 = no limit.
    pub connection_bytes_per_sec: u64,
    /// Body bytes a second that all connections together may send; 0 = no limit.
    pub total_bytes_per_sec: u64,
    /// How often `upload_complete` says 20103 for each file before it looks.
    pub complete_pending: u32,
    /// How often, after that, it says `completed: false`.
    pub complete_unfinished: u32,
    /// How long `upload_complete` waits for the whole-file check before it says 20103, in milliseconds.
    pub complete_wait_ms: u64,
    /// A `preuploadID` is forgotten this long after `create`, in milliseconds; 0 = never.
    pub upload_lifetime_ms: u64,
    /// Requests a second that each endpoint takes from one token's owner.
    pub qps: Qps,
    /// Say 401 and 429 as HTTP status too, rather than in the envelope alone.
    pub refusals_as_http: bool,
    /// Write the numbers of ids as strings.
    pub ids_as_strings: bool,
    /// Upload hosts that do not answer, by index from 0.
    pub dead_servers: Vec<u32>,
}

/// What a slice that is there already is answered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateSlices {
    /// As if it were new.
    #[default]
    Accept,
    /// Code 1, 分片重复上传.
    Refuse,
}

/// What a good slice is answered with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SliceAnswer {
    /// The envelope with `data` null.
    #[default]
    Envelope,
    /// HTTP 200 with no body.
    Empty,
}

/// Requests a second that each endpoint takes. What is above gets 429.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Qps {
    /// No limits.
    #[default]
    Off,
    /// What a free account gets: create 1, upload_complete 5, mkdir 5, list 5, user_info 10, access_token 8.
    /// Source: the developer page of 2025-10-28, and customer service for the two upload calls.
    Free,
    /// What a VIP account gets: create 20, upload_complete 20, mkdir 20, list 10, user_info 10, access_token 10.
    Vip,
    /// By endpoint name; the others have no limit.
    Custom(BTreeMap<String, u32>),
}

impl Qps {
    /// Requests a second of `endpoint`, if limited.
    pub(crate) fn limit(&self, endpoint: Endpoint) -> Option<u32> {
        let of = |create, complete, mkdir, list, token| match endpoint {
            Endpoint::Create => Some(create),
            Endpoint::Complete => Some(complete),
            Endpoint::Mkdir => Some(mkdir),
            Endpoint::List => Some(list),
            Endpoint::UserInfo => Some(10),
            Endpoint::AccessToken => Some(token),
            _ => None,
        };
        match self {
            Self::Off => None,
            Self::Free => of(1, 5, 5, 5, 8),
            Self::Vip => of(20, 20, 20, 10, 10),
            Self::Custom(limits) => limits.get(endpoint.name()).copied(),
        }
    }
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            reuse: true,
            duplicate_slices: DuplicateSlices::default(),
            slice_answer: SliceAnswer::default(),
            require_content_length: false,
            body_deadline_ms: 60_000,
            body_deadline_text: true,
            latency_ms: 0,
            connection_bytes_per_sec: 0,
            total_bytes_per_sec: 0,
            complete_pending: 0,
            complete_unfinished: 0,
            complete_wait_ms: 1_000,
            upload_lifetime_ms: 0,
            qps: Qps::default(),
            refusals_as_http: false,
            ids_as_strings: false,
            dead_servers: Vec::new(),
        }
    }
}

impl Behaviour {
    /// What is wrong with it, for an emulator of `servers` upload hosts.
    pub(crate) fn problem(&self, servers: u32) -> Option<String> {
        if let Some(index) = self.dead_servers.iter().find(|&&index| index >= servers) {
            return Some(format!("dead_servers: there is no server {index}, only 0 to {}", servers - 1));
        }
        if let Qps::Custom(limits) = &self.qps
            && let Some(name) = limits.keys().find(|name| Endpoint::from_name(name).is_none())
        {
            return Some(format!("qps: there is no endpoint {name:?}"));
        }
        None
    }
}
