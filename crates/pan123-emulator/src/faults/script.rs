//! Fault scripts: which request meets which fault.

use std::{fmt, fs, path::Path};

use pan123_proto::Endpoint;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    action::{Action, At},
    behaviour::Behaviour,
};
use crate::error::{Error, ErrorKind};

/// Behaviour and faults together: what `--faults` names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Seed of the faults that have a probability. The same seed and the same requests meet the same faults,
    /// in whatever order the requests come.
    pub seed: u64,
    /// How the service is for as long as it runs.
    pub behaviour: Behaviour,
    /// The faults. Of those that match a request, all that shape it apply, and the first that ends it.
    pub faults: Vec<Fault>,
}

/// One fault: which requests it meets, and what it does to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The endpoint, by name (`create`, `slice`, `upload_complete`, …); absent: every endpoint.
    #[serde(default, with = "endpoint_name", skip_serializing_if = "Option::is_none")]
    pub on: Option<Endpoint>,
    /// Slice numbers; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice_no: Option<Span>,
    /// Upload host by index from 0; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<u32>,
    /// Attempts, counted from 1 for each slice of each upload, for each upload at `upload_complete`, for each
    /// file name at the other calls; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Span>,
    /// How likely it is, 0 to 1.
    #[serde(default = "certain")]
    pub probability: f64,
    /// How many requests may meet it in all; absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// The moment at which it strikes.
    #[serde(default)]
    pub at: At,
    /// What it does.
    #[serde(rename = "do")]
    pub action: Action,
}

fn certain() -> f64 {
    1.0
}

impl Fault {
    /// This fault for every request of `on`; narrow it with the fields.
    pub fn new(on: Endpoint, action: Action) -> Self {
        Self {
            on: Some(on),
            slice_no: None,
            server: None,
            attempt: None,
            probability: 1.0,
            times: None,
            at: At::Body,
            action,
        }
    }

    /// Only for these attempts.
    pub fn attempts(mut self, span: impl Into<Span>) -> Self {
        self.attempt = Some(span.into());
        self
    }

    /// Only for these slices.
    pub fn slices(mut self, span: impl Into<Span>) -> Self {
        self.slice_no = Some(span.into());
        self
    }

    /// Only on this upload host.
    pub fn server(mut self, index: u32) -> Self {
        self.server = Some(index);
        self
    }

    /// At this moment.
    pub fn at(mut self, at: At) -> Self {
        self.at = at;
        self
    }

    fn problem(&self, servers: u32) -> Option<String> {
        if !(0.0..=1.0).contains(&self.probability) {
            return Some("probability must be 0 to 1".to_owned());
        }
        if let Some(index) = self.server.filter(|&index| index >= servers) {
            return Some(format!("there is no server {index}, only 0 to {}", servers - 1));
        }
        if self.at == At::Head && self.slice_no.is_some() {
            return Some("slice_no is not known at \"head\"; use \"early\"".to_owned());
        }
        self.action.problem().map(str::to_owned)
    }
}

impl Faults {
    /// Reads a script: JSON when `text` begins with `{`, otherwise the path of a file that holds it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Script`] when the file cannot be read or is not a fault script; the message names the
    /// line and column.
    pub fn load(text: &str) -> Result<Self, Error> {
        let step = "read fault script";
        let json = if text.trim_start().starts_with('{') {
            text.to_owned()
        } else {
            fs::read_to_string(Path::new(text))
                .map_err(|error| Error::io(ErrorKind::Script, step, text, error))?
        };
        serde_json::from_str(&json).map_err(|error| Error::new(ErrorKind::Script, step, error))
    }

    /// Random trouble of every kind that a client should survive: each slice attempt has this chance of
    /// meeting something, and each other call half of it. No call meets trouble more than three times, and
    /// none is refused its token more than once.
    ///
    /// * `probability`: 0 to 1.
    pub fn random(seed: u64, probability: f64) -> Self {
        let status = |status, body: &str| Action::Status { status, body: body.to_owned(), retry_after: None };
        let slice = [
            (At::Head, Action::Reset),
            (At::Early, Action::Reset),
            (At::Byte(1000), Action::Reset),
            (At::Body, Action::Reset),
            (At::Done, Action::Reset),
            (At::Early, status(502, "bad gateway")),
            (At::Body, status(500, "")),
            (At::Done, Action::Empty),
            (At::Body, Action::Throttled { http: false, retry_after: None }),
            (At::Body, Action::Unauthorized { http: true }),
        ];
        let call = [
            (At::Body, Action::Reset),
            (At::Done, Action::Reset),
            (At::Body, status(503, "")),
            (At::Body, Action::Throttled { http: true, retry_after: Some("1".to_owned()) }),
        ];
        let mut faults = Vec::new();
        let mut add = |on: Endpoint, menu: &[(At, Action)], chance: f64| {
            // Each entry is drawn on its own; the share makes their union the chance asked for.
            let share = 1.0 - (1.0 - chance.clamp(0.0, 1.0)).powf(1.0 / menu.len() as f64);
            for (at, action) in menu {
                let fault = Fault { probability: share, ..Fault::new(on, action.clone()) };
                // Services refuse tokens, not requests: the one sent again with a new token is let in.
                let attempts = if matches!(action, Action::Unauthorized { .. }) { 1..=1 } else { 1..=3 };
                faults.push(fault.at(*at).attempts(attempts));
            }
        };
        add(Endpoint::Slice, &slice, probability);
        for on in [Endpoint::Create, Endpoint::Complete, Endpoint::Domain, Endpoint::Single] {
            add(on, &call, probability / 2.0);
        }
        Self { seed, behaviour: Behaviour { complete_pending: 1, ..Behaviour::default() }, faults }
    }

    /// Whether bodies may be read slower than they come.
    pub(crate) fn limits_rates(&self) -> bool {
        let limits = [self.behaviour.connection_bytes_per_sec, self.behaviour.total_bytes_per_sec];
        let is_rate = |fault: &Fault| matches!(fault.action, Action::Rate { .. });
        limits.iter().any(|&limit| limit > 0) || self.faults.iter().any(is_rate)
    }

    pub(crate) fn check(&self, servers: u32) -> Result<(), Error> {
        let refuse = |detail| Err(Error::new(ErrorKind::Script, "check fault script", detail));
        if let Some(problem) = self.behaviour.problem(servers) {
            return refuse(format!("behaviour: {problem}"));
        }
        for (index, fault) in self.faults.iter().enumerate() {
            if let Some(problem) = fault.problem(servers) {
                return refuse(format!("fault {}: {problem}", index + 1));
            }
        }
        Ok(())
    }
}

/// A number or a range of numbers, both ends included. In JSON: `3`, `"2..5"`, `"2.."`, `"..5"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    from: u32,
    to: u32,
}

impl Span {
    /// Whether `number` is in it.
    pub fn contains(&self, number: u32) -> bool {
        (self.from..=self.to).contains(&number)
    }
}

impl From<u32> for Span {
    fn from(number: u32) -> Self {
        Self { from: number, to: number }
    }
}

impl From<std::ops::RangeInclusive<u32>> for Span {
    fn from(range: std::ops::RangeInclusive<u32>) -> Self {
        Self { from: *range.start(), to: *range.end() }
    }
}

impl From<std::ops::RangeFrom<u32>> for Span {
    fn from(range: std::ops::RangeFrom<u32>) -> Self {
        Self { from: range.start, to: u32::MAX }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { from, to: u32::MAX } => write!(f, "{from}.."),
            Self { from, to } => write!(f, "{from}..{to}"),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a number or a range such as \"2..5\", \"2..\" or \"..5\"")]
        enum Form {
            Number(u32),
            Text(String),
        }
        let text = match Form::deserialize(deserializer)? {
            Form::Number(number) => return Ok(number.into()),
            Form::Text(text) => text,
        };
        let bad =
            || de::Error::custom(format!("{text:?} is not a range such as \"2..5\", \"2..\" or \"..5\""));
        let (from, to) = text.split_once("..").ok_or_else(bad)?;
        let end =
            |text: &str, open: u32| if text.is_empty() { Ok(open) } else { text.parse().map_err(|_| bad()) };
        let span = Self { from: end(from, 0)?, to: end(to, u32::MAX)? };
        if span.from <= span.to { Ok(span) } else { Err(bad()) }
    }
}

/// Endpoints by their short name.
mod endpoint_name {
    use super::{Deserialize, Deserializer, Endpoint, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        endpoint: &Option<Endpoint>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(endpoint.map_or("", Endpoint::name))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Endpoint>, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = || Endpoint::ALL.map(Endpoint::name).join(", ");
        Endpoint::from_name(&name)
            .map(Some)
            .ok_or_else(|| de::Error::custom(format!("there is no endpoint {name:?}; known: {}", known())))
    }
}
