//! Which faults a request meets.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use pan123_proto::Endpoint;

use super::{
    action::{Action, At},
    script::Faults,
};

/// What is known of a request when its faults are chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) server: Option<u32>,
    pub(crate) slice_no: Option<u32>,
    pub(crate) attempt: u32,
    /// What the file is called: random faults are drawn by it rather than by ids, which differ each run.
    pub(crate) subject: &'a str,
    /// True at the request head, false once the fields are known.
    pub(crate) is_head: bool,
}

/// Everything that was ordered for one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) delay: Duration,
    pub(crate) bytes_per_sec: Option<u64>,
    pub(crate) body_deadline: Option<(Duration, bool)>,
    pub(crate) shapes: Vec<Action>,
    pub(crate) verdict: Option<(At, Action)>,
}

impl Plan {
    /// The action that ends the request at this moment, if one does.
    pub(crate) fn strikes(&self, at: At) -> Option<&Action> {
        self.verdict.as_ref().filter(|(when, _)| *when == at).map(|(_, action)| action)
    }

    /// After how many bytes of the slice it strikes.
    pub(crate) fn strikes_at_byte(&self) -> Option<u64> {
        match self.verdict {
            Some((At::Byte(bytes), _)) => Some(bytes),
            _ => None,
        }
    }

    /// Names of the actions, for the request log.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.shapes.iter().chain(self.verdict.iter().map(|(_, action)| action)).map(Action::name).collect()
    }

    fn add(&mut self, at: At, action: &Action) {
        if action.is_verdict() {
            self.verdict.get_or_insert_with(|| (at, action.clone()));
            return;
        }
        match *action {
            Action::Delay { ms } => self.delay += Duration::from_millis(ms),
            Action::Rate { bytes_per_sec } => {
                self.bytes_per_sec =
                    Some(self.bytes_per_sec.map_or(bytes_per_sec, |rate| rate.min(bytes_per_sec)));
            }
            Action::BodyDeadline { ms, text } => self.body_deadline = Some((Duration::from_millis(ms), text)),
            _ => {}
        }
        self.shapes.push(action.clone());
    }
}

/// How often each thing was tried, and how often each fault struck.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    tried: HashMap<(Endpoint, String), u32>,
    struck: HashMap<usize, u64>,
}

impl Attempts {
    /// Counts one more attempt at `what`, and says which it is, from 1.
    pub(crate) fn count(&mut self, endpoint: Endpoint, what: String) -> u32 {
        let tried = self.tried.entry((endpoint, what)).or_insert(0);
        *tried += 1;
        *tried
    }

    /// Forgets which faults struck: a new script begins.
    pub(crate) fn restart_script(&mut self) {
        self.struck.clear();
    }

    /// Chooses the faults for one occasion.
    pub(crate) fn plan(&mut self, script: &Faults, occasion: &Occasion) -> Plan {
        let mut plan = Plan::default();
        for (index, fault) in script.faults.iter().enumerate() {
            let matches = (fault.at == At::Head) == occasion.is_head
                && fault.on.is_none_or(|on| on == occasion.endpoint)
                && fault.server.is_none_or(|server| occasion.server == Some(server))
                && fault.slice_no.is_none_or(|span| occasion.slice_no.is_some_and(|no| span.contains(no)))
                && fault.attempt.is_none_or(|span| span.contains(occasion.attempt))
                && (fault.probability >= 1.0 || draw(script.seed, index, occasion) < fault.probability);
            let is_spent =
                fault.times.is_some_and(|times| self.struck.get(&index).is_some_and(|&n| n >= times));
            let is_taken = fault.action.is_verdict() && plan.verdict.is_some();
            if matches && !is_spent && !is_taken {
                *self.struck.entry(index).or_insert(0) += 1;
                plan.add(fault.at, &fault.action);
            }
        }
        plan
    }
}

/// A number from 0 to 1 that depends on the seed and the occasion, and not on what came before.
fn draw(seed: u64, index: usize, occasion: &Occasion) -> f64 {
    let mut hasher = DefaultHasher::new();
    (seed, index, occasion.endpoint.name(), occasion.subject, occasion.slice_no, occasion.attempt)
        .hash(&mut hasher);
    (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
}
