//! Tokens from an OAuth2 refresh token, which the service replaces at each use.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use md5::{Digest, Md5};
use pan123_proto::{
    Endpoint, decode,
    wire::{OauthAnswer, OauthRefresh, Secret},
};
use pan123_transport::{BoxFuture, Transport};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::{
    Token, TokenProvider,
    cache::{Age, Cache, Saved, now_unix_ms},
    login::Login,
    renewed,
};
use crate::error::{Error, ErrorKind};

/// How long before its end a token is renewed: 5 minutes of the usual 2 hours.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// Renews access tokens with an OAuth2 refresh token.
///
/// A refresh token works once, and its use ends the old access token at once. So the new one is on disk
/// before the new access token is used, a renewal that has begun is finished even if nobody waits for it any
/// more, and all processes of an account must share one directory.
#[derive(Clone, Debug)]
pub struct RefreshToken(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    login: Login,
    given: Secret,
    cache: Cache,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pair: Option<Pair>,
    /// The pair is not on disk: the disk failed after the service had answered.
    unsaved: bool,
    failed: Option<(Instant, Error)>,
}

/// What the file holds.
#[derive(Clone, Serialize, Deserialize)]
struct Pair {
    /// MD5 of the refresh token that all this began with: when the user gives another one, the file is void.
    began_with: String,
    refresh_token: String,
    access: Option<Saved>,
}

impl RefreshToken {
    /// Logs in at `base_url` through `transport`, beginning with `refresh_token` or with what has become of it
    /// according to the file in `dir`. Sends nothing yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Login`] when the id, the secret or the refresh token is empty.
    pub fn new(
        transport: Arc<dyn Transport>,
        base_url: &str,
        client_id: &str,
        client_secret: &str,
        refresh_token: &str,
        dir: &Path,
    ) -> Result<Self, Error> {
        let login = Login::new(transport, base_url, client_id, client_secret)?;
        let refresh_token = refresh_token.trim();
        if refresh_token.is_empty() {
            return Err(Error::new(ErrorKind::Login, "token", "the refresh token is empty")
                .with_advice("Authorize the program and give it the refresh token that comes out."));
        }
        let cache = Cache::new(dir, "oauth", login.base_url(), &login.client_id);
        let given = Secret::new(refresh_token);
        Ok(Self(Arc::new(Inner { login, given, cache, state: Mutex::default() })))
    }
}

impl Inner {
    /// `asked`: since when somebody waits for it.
    async fn current(&self, refused: Option<&Token>, asked: Instant) -> Result<Token, Error> {
        let mut state = self.state.lock().await;
        if let Some(token) = usable(&state, refused) {
            return Ok(token);
        }
        if let Some((at, error)) = &state.failed
            && *at >= asked
        {
            return Err(error.clone());
        }
        let renewed = self.renew(&mut state, refused).await;
        state.failed = renewed.as_ref().err().map(|error| (Instant::now(), error.clone()));
        renewed
    }

    async fn renew(&self, state: &mut State, refused: Option<&Token>) -> Result<Token, Error> {
        let _lock = self.cache.lock().await?;
        if !state.unsaved {
            state.pair = Some(self.load().await);
            if let Some(token) = usable(state, refused) {
                return Ok(token.shared());
            }
        }
        let pair = state.pair.as_mut().expect("loaded above, or kept because it is unsaved");
        if let Some(access) = &pair.access {
            access.check_in_vain(refused, now_unix_ms())?;
        }
        // Written once before the refresh token is spent: a disk that refuses must not cost the login.
        self.cache.save(pair).await?;
        state.unsaved = false;
        if let Some(token) = usable(state, refused) {
            return Ok(token);
        }
        let pair = state.pair.as_mut().expect("looked at above");
        let answer = self.ask(&Secret::new(pair.refresh_token.as_str())).await?;
        let now = now_unix_ms();
        let lives_ms = i64::try_from(answer.expires_in_secs).unwrap_or(i64::MAX).saturating_mul(1000);
        let token = Token::new(answer.access_token.expose(), Some(now.saturating_add(lives_ms)))?;
        if let Some(next) = &answer.refresh_token {
            next.expose().clone_into(&mut pair.refresh_token);
        }
        pair.access = Some(Saved::fetched(&token, now).in_place_of(pair.access.as_ref(), refused));
        state.unsaved = true;
        self.cache.save(pair).await.map_err(|error| error.with_resumable(true))?;
        state.unsaved = false;
        Ok(token)
    }

    /// The pair on disk, if it came from the refresh token that was given.
    async fn load(&self) -> Pair {
        let began_with: String =
            Md5::digest(self.given.expose()).iter().map(|byte| format!("{byte:02x}")).collect();
        let stored = self.cache.load::<Pair>().await.filter(|pair| pair.began_with == began_with);
        stored.unwrap_or_else(|| Pair {
            began_with,
            refresh_token: self.given.expose().to_owned(),
            access: None,
        })
    }

    async fn ask(&self, refresh_token: &Secret) -> Result<OauthAnswer, Error> {
        let Login { client_id, client_secret, .. } = &self.login;
        let query = OauthRefresh { client_id, client_secret, refresh_token }.query();
        let secrets = [client_secret, refresh_token];
        let asked = self
            .login
            .ask(Endpoint::OauthToken, Some(&query), Vec::new(), decode::oauth_token, &secrets)
            .await;
        asked.map_err(|error| match error.kind() {
            ErrorKind::Login => error.with_advice(
                "If the client id and secret are right, the refresh token is spent or has expired: authorize the program again and give it the new one.",
            ),
            _ => error,
        })
    }
}

impl TokenProvider for RefreshToken {
    fn get<'a>(&'a self, refused: Option<&'a Token>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(async move {
            let asked = Instant::now();
            if let Some(token) = usable(&*self.0.state.lock().await, refused) {
                return Ok(token);
            }
            let (inner, refused) = (Arc::clone(&self.0), refused.cloned());
            renewed(async move { inner.current(refused.as_ref(), asked).await }).await
        })
    }

    fn worked<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut state = self.0.state.lock().await;
            let access = state.pair.as_mut().and_then(|pair| pair.access.as_mut());
            let is_news = access.is_some_and(|access| access.note_worked(token));
            drop(state);
            if is_news {
                self.0.cache.note_worked::<Pair>(token, |pair| pair.access.as_mut()).await;
            }
        })
    }
}

/// The access token, if it is on disk, not the refused one, and fresh.
fn usable(state: &State, refused: Option<&Token>) -> Option<Token> {
    let access = state.pair.as_ref()?.access.as_ref()?;
    if state.unsaved || access.age(AHEAD, now_unix_ms()) != Age::Fresh {
        return None;
    }
    access.token().ok().filter(|token| refused.is_none_or(|refused| !refused.is(token)))
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let logged_in = self.pair.as_ref().is_some_and(|pair| pair.access.is_some());
        f.debug_struct("State").field("logged_in", &logged_in).finish_non_exhaustive()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        secrecy::zeroize::Zeroize::zeroize(&mut self.refresh_token);
    }
}
