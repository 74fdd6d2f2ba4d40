//! How many tokens were fetched in vain.
//!
//! Only three tokens of an account are alive at a time, and each new one pushes out another, perhaps somebody
//! else's. A service that refuses whatever token it is given must not be asked for one after the other.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::token::Token;

/// New tokens in a row that nothing was done with, beside the one that it began with.
pub(crate) const IN_VAIN_MAX: u32 = 2;

/// So long after the last one the service may think otherwise, and another one is worth its price.
pub(crate) const FORGET_AFTER: Duration = Duration::from_secs(600);

/// Renewed tokens of a client, since a request last went well. Providers that share a file count there, too, for all
/// processes.
#[derive(Debug, Default)]
pub(crate) struct Renewals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    in_vain: u32,
    /// The call that refused the token before the newest.
    refused_by: Option<Arc<str>>,
    newest: Option<(Token, Instant)>,
}

impl Renewals {
    /// This call went well. That says nothing of a token that another one, or the same at another host, refuses.
    pub(crate) fn worked(&self, call: &str) {
        let mut state = self.state();
        if state.refused_by.as_deref().is_none_or(|refused_by| refused_by == call) {
            (state.in_vain, state.refused_by) = (0, None);
        }
    }

    /// Whether there may be a token in place of this one, which the service refused.
    pub(crate) fn may_renew(&self, refused: &Token) -> bool {
        let state = self.state();
        let Some((newest, at)) = &state.newest else { return true };
        if !newest.is(refused) {
            // There is one already; it takes no asking.
            return true;
        }
        state.in_vain < IN_VAIN_MAX || at.elapsed() >= FORGET_AFTER
    }

    /// A token was renewed because this call refused the old one; many requests may learn of it.
    pub(crate) fn renewed(&self, token: &Token, call: &Arc<str>) {
        let mut state = self.state();
        if state.newest.as_ref().is_none_or(|(newest, _)| !newest.is(token)) {
            state.newest = Some((token.clone(), Instant::now()));
            state.in_vain += 1;
            state.refused_by = Some(call.clone());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
