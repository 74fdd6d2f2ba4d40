//! Access tokens: issue, expiry, the three-token rule, rotating refresh tokens.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use md5::{Digest, Md5};

use crate::{
    drive::{Drive, Record, TokenKind, hex},
    reply::Refusal,
};

/// Most tokens of one client that live at a time. Source: the developer page; one more pushes out the oldest.
const LIVE_TOKENS_MAX: usize = 3;
/// Life of an OAuth2 access token. Source: the page of the OAuth2 token call, `expires_in`.
pub(crate) const OAUTH_LIFETIME: Duration = Duration::from_secs(7200);
/// Life of an OAuth2 refresh token. Source: the same page.
const REFRESH_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// All tokens that are valid. They are kept as digests, in memory and in the index.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// Valid for ever.
    fixed: Vec<String>,
    /// In the order of issue.
    issued: Mutex<Vec<Issued>>,
}

#[derive(Clone, Debug)]
struct Issued {
    digest: String,
    client: String,
    expires_ms: i64,
    kind: TokenKind,
}

/// A new token, and when it ends.
pub(crate) struct Fresh {
    pub(crate) token: String,
    pub(crate) expires: Timestamp,
}

impl Tokens {
    /// `fixed` are valid for ever; `records` are the token lines of the index.
    pub(crate) fn new(fixed: &[String], records: Vec<Record>) -> Self {
        let mut issued: HashMap<String, (usize, Issued)> = HashMap::new();
        for (at, record) in records.into_iter().enumerate() {
            match record {
                Record::Token { digest, client, expires_ms, kind } => {
                    issued.insert(digest.clone(), (at, Issued { digest, client, expires_ms, kind }));
                }
                Record::Revoke { digest } => {
                    issued.remove(&digest);
                }
                _ => {}
            }
        }
        let mut issued: Vec<(usize, Issued)> = issued.into_values().collect();
        issued.sort_by_key(|(at, _)| *at);
        let issued = issued.into_iter().map(|(_, issued)| issued).collect();
        Self { fixed: fixed.iter().map(|token| digest(token)).collect(), issued: Mutex::new(issued) }
    }

    fn issued(&self) -> MutexGuard<'_, Vec<Issued>> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The owner of a valid access token.
    pub(crate) fn owner(&self, token: &str) -> Option<String> {
        let digest = digest(token);
        if self.fixed.contains(&digest) {
            return Some("fixed".to_owned());
        }
        let now = Timestamp::now().as_millisecond();
        let issued = self.issued();
        let found = issued.iter().find(|it| it.digest == digest && it.kind != TokenKind::Refresh)?;
        (found.expires_ms > now).then(|| found.client.clone())
    }

    /// `access_token`: a new token; the oldest of four goes.
    pub(crate) fn issue(&self, drive: &Drive, client: &str, lifetime: Duration) -> Result<Fresh, Refusal> {
        let mut issued = self.issued();
        let now = Timestamp::now().as_millisecond();
        let mine =
            |it: &Issued| it.kind == TokenKind::Developer && it.client == client && it.expires_ms > now;
        let live: Vec<String> = issued.iter().filter(|it| mine(it)).map(|it| it.digest.clone()).collect();
        for oldest in live.iter().take((live.len() + 1).saturating_sub(LIVE_TOKENS_MAX)) {
            revoke(&mut issued, drive, oldest)?;
        }
        add(&mut issued, drive, client, lifetime, TokenKind::Developer)
    }

    /// The OAuth2 call: a new access token and a new refresh token; the older ones of the client end at once.
    pub(crate) fn issue_oauth(&self, drive: &Drive, client: &str) -> Result<(Fresh, Fresh), Refusal> {
        let mut issued = self.issued();
        let mine = |it: &&Issued| it.kind != TokenKind::Developer && it.client == client;
        let old: Vec<String> = issued.iter().filter(mine).map(|it| it.digest.clone()).collect();
        for digest in old {
            revoke(&mut issued, drive, &digest)?;
        }
        let access = add(&mut issued, drive, client, OAUTH_LIFETIME, TokenKind::Oauth)?;
        let refresh = add(&mut issued, drive, client, REFRESH_LIFETIME, TokenKind::Refresh)?;
        Ok((access, refresh))
    }

    /// The client whose refresh token this is.
    pub(crate) fn refreshes(&self, token: &str) -> Option<String> {
        let (digest, now) = (digest(token), Timestamp::now().as_millisecond());
        let issued = self.issued();
        let matches =
            |it: &&Issued| it.digest == digest && it.kind == TokenKind::Refresh && it.expires_ms > now;
        issued.iter().find(matches).map(|it| it.client.clone())
    }

    /// Ends every access token that was issued. Refresh tokens and fixed tokens stay.
    pub(crate) fn expire_all(&self, drive: &Drive) -> Result<(), Refusal> {
        let mut issued = self.issued();
        let access = issued.iter().filter(|it| it.kind != TokenKind::Refresh);
        let digests: Vec<String> = access.map(|it| it.digest.clone()).collect();
        digests.iter().try_for_each(|digest| revoke(&mut issued, drive, digest))
    }
}

fn add(
    issued: &mut Vec<Issued>,
    drive: &Drive,
    client: &str,
    lifetime: Duration,
    kind: TokenKind,
) -> Result<Fresh, Refusal> {
    let token = new_token();
    let expires = Timestamp::now().checked_add(lifetime).unwrap_or(Timestamp::MAX);
    let it = Issued {
        digest: digest(&token),
        client: client.to_owned(),
        expires_ms: expires.as_millisecond(),
        kind,
    };
    let Issued { digest, client, expires_ms, kind } = it.clone();
    drive.note(&Record::Token { digest, client, expires_ms, kind })?;
    issued.push(it);
    Ok(Fresh { token, expires })
}

fn revoke(issued: &mut Vec<Issued>, drive: &Drive, digest: &str) -> Result<(), Refusal> {
    drive.note(&Record::Revoke { digest: digest.to_owned() })?;
    issued.retain(|it| it.digest != digest);
    Ok(())
}

/// A random token. It opens nothing but an emulator on loopback.
pub(crate) fn new_token() -> String {
    format!("emulator.{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..))
}

/// How a token is kept and told apart without being shown.
pub(crate) fn digest(token: &str) -> String {
    hex(&Md5::digest(token.as_bytes()))
}
