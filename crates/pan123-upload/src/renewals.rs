//! How many tokens were fetched in vain.
//!
//! Only three tokens of an account are alive at a time, and each new one pushes out another, perhaps somebody
//! else's. A service that refuses whatever token it is given must not be asked for one after the other.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::token::Token;

/// New tokens in a row that nothing was done with, beside the one that it began with.
const IN_VAIN_MAX: u32 = 2;

/// After so long the service may think otherwise.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// Renewed tokens of a client, since a request last went well.
#[derive(Debug, Default)]
pub(crate) struct Renewals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    in_vain: u32,
    newest: Option<(Token, Instant)>,
}

impl Renewals {
    /// A request went well.
    pub(crate) fn worked(&self) {
        self.state().in_vain = 0;
    }

    /// Whether there may be a token in place of this one, which the service refused.
    pub(crate) fn may_renew(&self, refused: &Token) -> bool {
        let mut state = self.state();
        let Some((newest, at)) = &state.newest else { return true };
        if !newest.is(refused) {
            // There is one already; it takes no asking.
            return true;
        }
        if at.elapsed() >= FORGET_AFTER {
            state.in_vain = 0;
        }
        state.in_vain < IN_VAIN_MAX
    }

    /// A token was renewed; many requests may learn of it.
    pub(crate) fn renewed(&self, token: &Token) {
        let mut state = self.state();
        if state.newest.as_ref().is_none_or(|(newest, _)| !newest.is(token)) {
            state.newest = Some((token.clone(), Instant::now()));
            state.in_vain += 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
