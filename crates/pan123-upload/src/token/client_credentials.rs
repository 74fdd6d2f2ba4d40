//! Tokens for a client id and secret, cached on disk and shared between processes.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use pan123_proto::{Class, Endpoint, decode, wire::TokenRequest};
use pan123_transport::{BoxFuture, Transport};
use tokio::sync::Mutex;

use super::{
    Token, TokenProvider,
    cache::{Age, Cache, Saved, now_unix_ms},
    login::Login,
    renewed,
};
use crate::error::Error;

/// How long before its end a token is renewed: 1 hour of the usual 30 days.
const AHEAD: Duration = Duration::from_secs(60 * 60);

/// How long a renewal ahead of time that failed is left alone, while the token still works.
const AHEAD_RETRY: Duration = Duration::from_secs(60);

/// Logs in with the client id and secret that the open platform gives to developers.
///
/// Only three tokens of a client id are alive at a time, and each login counts as a device, so a token is
/// kept in a file (mode 0600, one for each service and client id) and used by every process that shares the
/// directory, until the service refuses it or it is about to expire. One task of one process logs in at a
/// time; the others take what it got.
#[derive(Debug)]
pub struct ClientCredentials(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    login: Login,
    cache: Option<Cache>,
    ahead: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    saved: Option<Saved>,
    failed: Option<(Instant, Error)>,
    ahead_again: Option<Instant>,
    /// Why the last answer of which nothing was heard was lost.
    lost: Option<Error>,
}

impl ClientCredentials {
    /// Logs in at `base_url` through `transport`. Sends nothing yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Login`](crate::ErrorKind::Login) when the id or the secret is empty.
    pub fn new(
        transport: Arc<dyn Transport>,
        base_url: &str,
        client_id: &str,
        client_secret: &str,
    ) -> Result<Self, Error> {
        let login = Login::new(transport, base_url, client_id, client_secret)?;
        Ok(Self(Arc::new(Inner { login, cache: None, ahead: AHEAD, state: Mutex::default() })))
    }

    /// Keeps the token in this directory, which is made when needed. Without it every process logs in anew.
    ///
    /// A directory that cannot be used costs a warning in the log and the sharing, not the upload.
    ///
    /// # Panics
    ///
    /// While a token is being fetched.
    #[must_use]
    pub fn cache_in(mut self, dir: &Path) -> Self {
        let inner = self.setting();
        inner.cache = Some(Cache::new(dir, "token", inner.login.base_url(), &inner.login.client_id));
        self
    }

    /// Renews a token this long before it expires, instead of 1 hour; never more than a tenth of its life.
    ///
    /// Processes that share no cache log in at the same moment unless each is given another figure.
    ///
    /// # Panics
    ///
    /// While a token is being fetched.
    #[must_use]
    pub fn renew_ahead(mut self, ahead: Duration) -> Self {
        self.setting().ahead = ahead;
        self
    }

    fn setting(&mut self) -> &mut Inner {
        Arc::get_mut(&mut self.0).expect("settings come before the first use")
    }
}

impl Inner {
    /// `asked`: since when somebody waits for it.
    async fn current(&self, refused: Option<&Token>, asked: Instant) -> Result<Token, Error> {
        let mut state = self.state.lock().await;
        let waits = state.ahead_again.is_some_and(|again| Instant::now() < again);
        if let Some(token) = self.usable(state.saved.as_ref(), refused, waits) {
            return Ok(token);
        }
        // Those who waited while somebody else was turned away share the answer instead of knocking again.
        if let Some((at, error)) = &state.failed
            && *at >= asked
        {
            return Err(error.clone());
        }
        let renewed = self.renew(&mut state, refused).await;
        state.ahead_again = None;
        let Err(error) = renewed else { return renewed };
        let now = Instant::now();
        if let Some(token) = self.usable(state.saved.as_ref(), refused, true) {
            tracing::warn!(%error, "cannot renew the token ahead of time; it still works");
            state.ahead_again = Some(now + AHEAD_RETRY);
            return Ok(token);
        }
        state.failed = Some((now, error.clone()));
        Err(error)
    }

    /// The token, if it is not the refused one and fresh, or at least alive when `ripe` will do.
    fn usable(&self, saved: Option<&Saved>, refused: Option<&Token>, ripe: bool) -> Option<Token> {
        let saved = saved?;
        match saved.age(self.ahead, now_unix_ms()) {
            Age::Fresh => {}
            Age::Ripe if ripe => {}
            _ => return None,
        }
        saved.token().ok().filter(|token| refused.is_none_or(|refused| !refused.is(token)))
    }

    /// Takes what another process has fetched; failing that, logs in.
    async fn renew(&self, state: &mut State, refused: Option<&Token>) -> Result<Token, Error> {
        let mut _lock = None;
        if let Some(cache) = &self.cache {
            match cache.lock().await {
                Ok(locked) => _lock = Some(locked),
                Err(error) => {
                    tracing::warn!(%error, advice = error.advice(), "cannot share the token with other processes");
                }
            }
            let stored = cache.load::<Saved>().await;
            if stored.as_ref().is_some_and(|stored| stored.is_as_new_as(state.saved.as_ref())) {
                state.saved = stored;
            }
            if let Some(token) = self.usable(state.saved.as_ref(), refused, false) {
                return Ok(token.shared());
            }
        }
        let lost = state.lost.as_ref();
        let asking = Saved::asking(state.saved.as_ref(), refused, lost, now_unix_ms())?;
        // Put down before it is sent: whatever ends this process or loses the answer, a token may have been made.
        state.saved = Some(asking.clone());
        self.keep(&asking).await;
        let fetched = self.fetch().await;
        let saved = match &fetched {
            Ok(fetched) => fetched.clone().in_place_of(Some(&asking.answered()), refused),
            Err(error) if is_lost(error) => {
                state.lost = Some(error.clone());
                return Err(error.clone());
            }
            Err(_) => asking.answered(),
        };
        state.saved = Some(saved.clone());
        self.keep(&saved).await;
        fetched.and_then(|_| saved.token())
    }

    /// Keeps it for other processes.
    async fn keep(&self, saved: &Saved) {
        if let Some(cache) = &self.cache
            && let Err(error) = cache.save(saved).await
        {
            tracing::warn!(%error, advice = error.advice(), "cannot keep the token for the next run");
        }
    }

    async fn fetch(&self) -> Result<Saved, Error> {
        let Login { client_id, client_secret, .. } = &self.login;
        let body = TokenRequest { client_id, client_secret }.body();
        let answer =
            self.login.ask(Endpoint::AccessToken, None, body, decode::access_token, &[client_secret]).await?;
        let token = Token::new(answer.access_token.expose(), Some(answer.expires_at_unix_ms))?;
        Ok(Saved::fetched(&token, now_unix_ms()))
    }
}

/// Whether the service may have made a token of which nothing is known: no answer came, or not all of it, or that of a
/// gateway which lost it. Pages of somebody else's, and what the service says itself, are answers.
fn is_lost(error: &Error) -> bool {
    match (error.class(), error.code(), error.http_status()) {
        (Some(Class::Interrupted | Class::Stalled | Class::NoAnswer), ..) => true,
        (Some(Class::Protocol), code, status) => code == Some(0) || status.is_none(),
        (_, None, Some(502 | 504)) => true,
        _ => false,
    }
}

impl TokenProvider for ClientCredentials {
    fn get<'a>(&'a self, refused: Option<&'a Token>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(async move {
            let asked = Instant::now();
            {
                let state = self.0.state.lock().await;
                if let Some(token) = self.0.usable(state.saved.as_ref(), refused, false) {
                    return Ok(token);
                }
            }
            let (inner, refused) = (Arc::clone(&self.0), refused.cloned());
            renewed(async move { inner.current(refused.as_ref(), asked).await }).await
        })
    }

    fn worked<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut state = self.0.state.lock().await;
            let is_news = state.saved.as_mut().is_some_and(|saved| saved.note_worked(token));
            drop(state);
            if let Some(cache) = self.0.cache.as_ref().filter(|_| is_news) {
                cache.note_worked::<Saved>(token, |saved| Some(saved)).await;
            }
        })
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("logged_in", &self.saved.is_some()).finish_non_exhaustive()
    }
}
