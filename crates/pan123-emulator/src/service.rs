//! What all connections share.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pan123_proto::Endpoint;
use tokio::sync::watch;

use crate::{
    drive::Drive,
    faults::{Attempts, Faults, Occasion, Plan},
    log::Log,
    throttle::{Pacer, QpsMeter},
    tokens::Tokens,
};

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) drive: Arc<Drive>,
    pub(crate) tokens: Tokens,
    pub(crate) log: Log,
    pub(crate) total: Pacer,
    pub(crate) qps: QpsMeter,
    pub(crate) settings: Settings,
    /// Base URL of each upload host.
    pub(crate) servers: Vec<String>,
    /// Whether each upload host is to be alive.
    pub(crate) alive: Vec<watch::Sender<bool>>,
    /// Whether each upload host listens.
    listening: Mutex<Vec<bool>>,
    listening_changed: Condvar,
    script: Mutex<Script>,
}

/// The options that stay as they are.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) oauth_code: String,
    pub(crate) token_lifetime: Duration,
    pub(crate) slice_size: u64,
    pub(crate) checks_slices: bool,
}

#[derive(Debug, Default)]
struct Script {
    faults: Arc<Faults>,
    attempts: Attempts,
}

impl Service {
    pub(crate) fn new(
        drive: Drive,
        tokens: Tokens,
        log: Log,
        settings: Settings,
        servers: Vec<String>,
        faults: Faults,
    ) -> Self {
        let alive = servers.iter().map(|_| watch::Sender::new(true)).collect();
        let listening = Mutex::new(vec![true; servers.len()]);
        let service = Self {
            drive: Arc::new(drive),
            tokens,
            log,
            total: Pacer::default(),
            qps: QpsMeter::default(),
            settings,
            servers,
            alive,
            listening,
            listening_changed: Condvar::new(),
            script: Mutex::default(),
        };
        service.set_faults(faults);
        service
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> Arc<Faults> {
        self.script().faults.clone()
    }

    /// Puts another script in place. Attempts go on counting; `times` starts anew; upload hosts die or come back
    /// where the two scripts differ.
    pub(crate) fn set_faults(&self, faults: Faults) {
        let mut script = self.script();
        let earlier = std::mem::replace(&mut script.faults, Arc::new(faults));
        script.attempts.restart_script();
        let (before, after) = (&earlier.behaviour.dead_servers, &script.faults.behaviour.dead_servers);
        for server in after.iter().filter(|server| !before.contains(server)) {
            self.set_alive(*server, false);
        }
        for server in before.iter().filter(|server| !after.contains(server)) {
            self.set_alive(*server, true);
        }
    }

    pub(crate) fn set_alive(&self, server: u32, is_alive: bool) {
        if let Some(alive) = self.alive.get(server as usize) {
            alive.send_if_modified(|alive| std::mem::replace(alive, is_alive) != is_alive);
        }
    }

    /// An upload host began or ceased to listen.
    pub(crate) fn note_listening(&self, server: u32, is_listening: bool) {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(it) = listening.get_mut(server as usize) {
            *it = is_listening;
        }
        self.listening_changed.notify_all();
    }

    /// Waits, for a while, until every upload host listens or does not as it is to be.
    pub(crate) fn settle_hosts(&self, patience: Duration) {
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let is_unsettled = |listening: &mut Vec<bool>| {
            listening.iter().zip(&self.alive).any(|(listening, alive)| *listening != *alive.borrow())
        };
        let _ = self.listening_changed.wait_timeout_while(listening, patience, is_unsettled);
    }

    /// Counts one more attempt at `what`.
    pub(crate) fn count(&self, endpoint: Endpoint, what: String) -> u32 {
        self.script().attempts.count(endpoint, what)
    }

    /// Chooses the faults for one occasion.
    pub(crate) fn plan(&self, occasion: &Occasion) -> Plan {
        let mut script = self.script();
        let faults = script.faults.clone();
        script.attempts.plan(&faults, occasion)
    }
}
