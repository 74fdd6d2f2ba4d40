//! Access tokens and where they come from.

mod cache;
mod client_credentials;
mod login;
mod refresh_token;

pub use client_credentials::ClientCredentials;
pub use refresh_token::RefreshToken;

use std::{fmt, sync::Arc};

use pan123_transport::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use tracing::instrument::WithSubscriber;

use crate::error::{Error, ErrorKind};

/// An access token. Its text appears in no `Debug`, and its memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Token {
    text: SecretString,
    expires_unix_ms: Option<i64>,
    /// Somebody else fetched it, at some time.
    shared: bool,
    /// The call that turned it down, with its upload host if it went to one; of one that was fetched in the place of such a
    /// token, and has not yet worked with that call, the call that turned down the other.
    refused_by: Option<Arc<str>>,
}

impl Token {
    /// A token from its text; spaces and line ends around it are dropped.
    ///
    /// `expires_unix_ms` is when it expires, in milliseconds since 1970 UTC, if that is known.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Login`] for an empty text, and for one that cannot stand in an HTTP header.
    pub fn new(text: impl Into<String>, expires_unix_ms: Option<i64>) -> Result<Self, Error> {
        let text = SecretString::from(text.into());
        let trimmed = text.expose_secret().trim();
        let fault = if trimmed.is_empty() {
            "the access token is empty"
        } else if !trimmed.bytes().all(|b| b.is_ascii_graphic()) {
            "the access token holds blanks or characters outside ASCII"
        } else {
            return Ok(Self {
                text: SecretString::from(trimmed),
                expires_unix_ms,
                shared: false,
                refused_by: None,
            });
        };
        Err(Error::new(ErrorKind::Login, "token", fault).with_advice(
            "Give the token exactly as the service issued it, without \"Bearer\" in front and without quotes.",
        ))
    }

    /// The text, for the `Authorization` header and nothing else.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// When it expires, in milliseconds since 1970 UTC, if that is known.
    pub fn expires_unix_ms(&self) -> Option<i64> {
        self.expires_unix_ms
    }

    /// The same token, which another process fetched.
    pub(crate) fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Another process fetched it, so that it need not be new.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    /// The same token, or the one in its place, which this call turned down.
    pub(crate) fn with_refused_by(mut self, call: Option<Arc<str>>) -> Self {
        self.refused_by = call;
        self
    }

    /// See [`with_refused_by`](Self::with_refused_by).
    pub(crate) fn refused_by(&self) -> Option<&Arc<str>> {
        self.refused_by.as_ref()
    }

    /// True when `other` is the same token.
    pub fn is(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires_unix_ms", &self.expires_unix_ms).finish_non_exhaustive()
    }
}

/// Gives access tokens to a client.
pub trait TokenProvider: Send + Sync + fmt::Debug {
    /// Returns a token that is worth trying.
    ///
    /// `refused` is the token that the service just turned down, if it did: the provider returns another one,
    /// preferably one that somebody else has fetched meanwhile, because only three are alive at a time.
    /// Dropping the future gives up.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Login`] when no token can be had; the kind of the failed request when the service could
    /// not be asked. A provider does not retry: the client does.
    fn get<'a>(&'a self, refused: Option<&'a Token>) -> BoxFuture<'a, Result<Token, Error>>;

    /// A token that came in the place of a refused one was taken by the call that had refused. Those who count what they
    /// fetch in vain begin anew; a provider around another one passes this on. Does nothing by default.
    fn worked<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, ()> {
        let _ = token;
        Box::pin(async {})
    }
}

/// Renews a token in a task of its own: whoever waits for it may be dropped, and the answer with the token must not be.
async fn renewed(
    renewal: impl Future<Output = Result<Token, Error>> + Send + 'static,
) -> Result<Token, Error> {
    let task = tokio::spawn(renewal.with_current_subscriber());
    task.await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Internal, "token", "the task that renews the token ended")
            .with_source(error))
    })
}

/// Behind an error of a provider of ours that has no other token, whose advice says why.
#[derive(Debug)]
pub(crate) struct NoOther;

impl NoOther {
    pub(crate) fn is_behind(error: &Error) -> bool {
        std::error::Error::source(error).is_some_and(|cause| cause.is::<Self>())
    }
}

impl fmt::Display for NoOther {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no other token")
    }
}

impl std::error::Error for NoOther {}

/// One ready-made token. When the service refuses it, there is no other.
#[derive(Clone, Debug)]
pub struct StaticToken(Token);

impl StaticToken {
    /// Always gives this token.
    pub fn new(token: Token) -> Self {
        Self(token)
    }
}

impl TokenProvider for StaticToken {
    fn get<'a>(&'a self, refused: Option<&'a Token>) -> BoxFuture<'a, Result<Token, Error>> {
        let answer = match refused {
            Some(refused) if refused.is(&self.0) => Err(Error::new(
                ErrorKind::Login,
                "token",
                "the service refused the access token, and there is no way to renew it",
            )
            .with_advice("Get a new access token, or give the client id and secret instead.")
            .with_source(NoOther)),
            _ => Ok(self.0.clone()),
        };
        Box::pin(async { answer })
    }
}
