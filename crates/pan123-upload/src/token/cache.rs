//! Login state on disk, shared between processes.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use md5::{Digest, Md5};
use pan123_proto::{Class, Endpoint, Failure};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use super::Token;
use crate::{
    error::{Error, ErrorKind, io_text},
    private_dir,
    renewals::{FORGET_AFTER, IN_VAIN_MAX},
};

/// The version of the files that this code writes and reads.
const VERSION: u32 = 1;

/// How long to wait while another process renews the token: longer than its request may take.
const LOCK_PATIENCE: Duration = Duration::from_secs(90);

/// How often to ask whether the lock is free.
const LOCK_POLL: Duration = Duration::from_millis(25);

/// One file that holds a login as JSON, mode 0600, and a lock beside it. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    path: PathBuf,
}

/// Held while a token is renewed. Dropping it, or the end of the process, lets the next one in.
pub(super) struct Locked {
    _file: File,
}

/// What every file says of itself.
#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    version: u32,
    #[serde(flatten)]
    login: T,
}

impl Cache {
    /// The file of one account at one service in this directory.
    pub(super) fn new(dir: &Path, kind: &str, base_url: &str, client_id: &str) -> Self {
        let account = format!("{base_url}\n{client_id}");
        let hash: String = Md5::digest(account).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { path: dir.join(format!("{kind}-{hash}.json")) }
    }

    /// Waits until no other process holds the lock, without blocking a thread.
    pub(super) async fn lock(&self) -> Result<Locked, Error> {
        let deadline = Instant::now() + LOCK_PATIENCE;
        let cache = self.clone();
        let file = blocking(move || cache.open_lock()).await?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Locked { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    tokio::time::sleep(LOCK_POLL).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let message = format!(
                        "another process has been renewing the token for {} s",
                        LOCK_PATIENCE.as_secs()
                    );
                    return Err(Error::new(ErrorKind::Store, "lock token cache", message)
                        .with_advice("Look for a pan123 process that hangs, and end it."));
                }
                Err(TryLockError::Error(error)) => return Err(self.error("lock token cache", &error)),
            }
        }
    }

    fn open_lock(&self) -> Result<File, Error> {
        if let Some(dir) = self.path.parent() {
            private_dir::create(dir)?;
        }
        // Never removed, so that two processes can never hold locks on two files of this name.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let opened = private_dir::private(&mut options).open(self.path.with_extension("lock"));
        opened.map_err(|error| self.error("lock token cache", &error))
    }

    /// What the file holds; `None` if there is none, or none that can be read.
    pub(super) async fn load<T: DeserializeOwned>(&self) -> Option<T> {
        let path = self.path.clone();
        let read = blocking(move || {
            let text = Zeroizing::new(std::fs::read(&path)?);
            Ok::<_, io::Error>((text, tighten(&path)?))
        });
        let loaded = read.await.and_then(|(text, tightened)| {
            if tightened {
                tracing::warn!(path = %self.path.display(), "others could read the token cache; made it private");
            }
            // The text of a JSON error can quote what it found, which may be a piece of a token.
            let found: Versioned<T> = serde_json::from_slice(&text)
                .map_err(|error| io::Error::other(format!("damaged at line {}", error.line())))?;
            if found.version == VERSION {
                Ok(found.login)
            } else {
                Err(io::Error::other(format!("it has format version {}", found.version)))
            }
        });
        match loaded {
            Ok(login) => Some(login),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                None
            }
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "the token cache is of no use; logging in");
                None
            }
        }
    }

    /// Replaces the file; it is on disk when this returns. Call it under the lock.
    pub(super) async fn save<T: Serialize>(&self, login: &T) -> Result<(), Error> {
        let mut text = Zeroizing::new(Vec::new());
        serde_json::to_writer_pretty(&mut *text, &Versioned { version: VERSION, login })
            .expect("a login holds nothing that JSON cannot");
        let path = self.path.clone();
        let saved = blocking(move || private_dir::replace(&path, &text)).await;
        saved.map_err(|error| self.error("save token", &error))
    }

    /// Notes in the file that a token works, if it is still the one there.
    pub(super) async fn note_worked<T>(&self, token: &Token, saved: fn(&mut T) -> Option<&mut Saved>)
    where
        T: Serialize + DeserializeOwned,
    {
        let noted = async {
            let _lock = self.lock().await?;
            let Some(mut login) = self.load::<T>().await else { return Ok(()) };
            if saved(&mut login).is_some_and(|saved| saved.note_worked(token)) {
                self.save(&login).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = noted.await {
            tracing::debug!(%error, "other processes do not learn that the token works");
        }
    }

    fn error(&self, step: &'static str, error: &io::Error) -> Error {
        Error::new(ErrorKind::Store, step, format!("{}: {}", self.path.display(), io_text(error)))
            .with_advice(
                "Make the state directory writable and see that its disk has room, or choose another one.",
            )
    }
}

/// Takes the rights of others away; true if they had any.
#[cfg(unix)]
fn tighten(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    let mut permissions = std::fs::metadata(path)?.permissions();
    let open = permissions.mode() & 0o077 != 0;
    if open {
        permissions.set_mode(0o600);
        std::fs::set_permissions(path, permissions)?;
    }
    Ok(open)
}

#[cfg(not(unix))]
fn tighten(_path: &Path) -> io::Result<bool> {
    Ok(false)
}

/// Runs file work where it may block: on a thread of its own, as the runtime panics when it gets none for it. Here,
/// if there is none.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let work = Arc::new(Mutex::new(Some(work)));
    let (sender, result) = oneshot::channel();
    let theirs = work.clone();
    let spawned = std::thread::Builder::new().name("pan123-token".into()).spawn(move || {
        let work = theirs.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = sender.send(work.map(|work| work()));
    });
    if spawned.is_err() {
        let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
        return work.map(|work| work()).expect("nobody else has it");
    }
    result.await.ok().flatten().expect("file work does not panic")
}

/// A token as the files hold it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Saved {
    access_token: String,
    /// When it expires, as far as that is known.
    expires_unix_ms: Option<i64>,
    /// When it was fetched, by this machine's clock.
    fetched_unix_ms: i64,
    /// Tokens in a row, with this one, that were fetched in the place of a refused one and have not worked.
    #[serde(default)]
    in_vain: u32,
    /// The call that refused the one before this.
    #[serde(default)]
    refused_by: Option<Arc<str>>,
    /// When others were asked for of which nothing was heard; the service may have made them all the same.
    #[serde(default)]
    asked_unix_ms: Vec<i64>,
}

impl Saved {
    /// A token that was just fetched.
    pub(super) fn fetched(token: &Token, now_unix_ms: i64) -> Self {
        let expires = token.expires_unix_ms().filter(|&expires| {
            let plausible = expires > now_unix_ms;
            if !plausible {
                tracing::warn!("a new token seems to have expired already; is this machine's clock right?");
            }
            plausible
        });
        Self {
            access_token: token.expose().to_owned(),
            expires_unix_ms: expires,
            fetched_unix_ms: now_unix_ms,
            in_vain: 0,
            refused_by: None,
            asked_unix_ms: Vec::new(),
        }
    }

    /// What is on record while another token than `saved` is asked for: that it was, in case nothing is heard of it.
    /// `lost` is why nothing was heard of the last one, if that is known.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Login`] if the service has refused too many in a row, and [`ErrorKind::Network`] if it may have made too
    /// many of which nothing was heard.
    pub(super) fn asking(
        saved: Option<&Self>,
        refused: Option<&Token>,
        lost: Option<&Error>,
        now_unix_ms: i64,
    ) -> Result<Self, Error> {
        let nothing = || Self {
            access_token: String::new(),
            expires_unix_ms: None,
            fetched_unix_ms: 0,
            in_vain: 0,
            refused_by: None,
            asked_unix_ms: Vec::new(),
        };
        let mut asking = saved.cloned().unwrap_or_else(nothing);
        asking.check_in_vain(refused, now_unix_ms)?;
        asking.asked_unix_ms.retain(|&asked| left_ms(asked, now_unix_ms).is_some());
        asking.check_unheard(refused, lost, now_unix_ms)?;
        asking.asked_unix_ms.push(now_unix_ms);
        Ok(asking)
    }

    /// The service has said that there is no token, so none was made.
    pub(super) fn answered(mut self) -> Self {
        self.asked_unix_ms.pop();
        self
    }

    fn check_unheard(
        &self,
        refused: Option<&Token>,
        lost: Option<&Error>,
        now_unix_ms: i64,
    ) -> Result<(), Error> {
        let Some(left) = self.asked_unix_ms.first().and_then(|&asked| left_ms(asked, now_unix_ms)) else {
            return Ok(());
        };
        let unheard = self.asked_unix_ms.len() as u32;
        let refused = refused.is_some_and(|refused| self.is(refused));
        if unheard + if refused { 1 + self.in_vain } else { 0 } <= IN_VAIN_MAX {
            return Ok(());
        }
        let why = format!(
            "the answers to {unheard} requests for a token were lost in the last ten minutes, and each may have made one; no other is fetched before {} s have passed, as each pushes out another one",
            left / 1000 + 1,
        );
        let advice = format!(
            "Check the network and the proxy between here and the service; then run the same command again: {why}."
        );
        let last = lost.map(|lost| format!("; the last one: {}", lost.message())).unwrap_or_default();
        let failure = Failure::local(Endpoint::AccessToken, Class::Auth, format!("{why}{last}"));
        Err(Error::from(failure)
            .with_kind(ErrorKind::Network)
            .with_advice(advice)
            .with_source(super::NoOther))
    }

    /// The same in the place of `old`, which may have been refused.
    pub(super) fn in_place_of(mut self, old: Option<&Self>, refused: Option<&Token>) -> Self {
        let Some(old) = old else { return self };
        (self.in_vain, self.refused_by) = (old.in_vain, old.refused_by.clone());
        self.asked_unix_ms.clone_from(&old.asked_unix_ms);
        if let Some(refused) = refused.filter(|refused| old.is(refused)) {
            (self.in_vain, self.refused_by) =
                ((old.in_vain + 1).min(IN_VAIN_MAX), refused.refused_by().cloned());
        }
        self
    }

    /// Whether another token may be fetched in the place of this one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Login`] if the service has refused too many in a row, this one the last.
    pub(super) fn check_in_vain(&self, refused: Option<&Token>, now_unix_ms: i64) -> Result<(), Error> {
        let left = left_ms(self.fetched_unix_ms, now_unix_ms);
        let refused = refused.is_some_and(|refused| self.is(refused));
        match left {
            Some(left) if refused && self.in_vain >= IN_VAIN_MAX => {
                let why = format!(
                    "the service refused {} tokens in a row, and no other is fetched before {} s have passed, as each pushes out another one",
                    IN_VAIN_MAX + 1,
                    left / 1000 + 1,
                );
                let advice = format!(
                    "Check that the account may use the service and that nothing else logs in with the same client id; then run the same command again: {why}."
                );
                Err(Error::new(ErrorKind::Login, "token", why)
                    .with_advice(advice)
                    .with_source(super::NoOther))
            }
            _ => Ok(()),
        }
    }

    /// This token works, if it is this one. True if that is news.
    pub(super) fn note_worked(&mut self, token: &Token) -> bool {
        let is_news = self.refused_by.is_some() && self.is(token);
        if is_news {
            (self.in_vain, self.refused_by) = (0, None);
        }
        is_news
    }

    fn is(&self, token: &Token) -> bool {
        token.expose() == self.access_token
    }

    pub(super) fn token(&self) -> Result<Token, Error> {
        let token = Token::new(self.access_token.as_str(), self.expires_unix_ms)?;
        Ok(token.with_refused_by(self.refused_by.clone()))
    }

    /// True when it was not fetched before `other` and knows of as many that were asked for, or there is no other.
    pub(super) fn is_as_new_as(&self, other: Option<&Self>) -> bool {
        let news = |saved: &Self| (saved.fetched_unix_ms, saved.asked_unix_ms.len());
        other.is_none_or(|other| news(self) >= news(other))
    }

    /// How it stands, `ahead` being how long before its end it is to be renewed. A token that lives
    /// shortly is renewed when nine tenths of its life are over, whatever `ahead` says.
    pub(super) fn age(&self, ahead: Duration, now_unix_ms: i64) -> Age {
        let Some(expires) = self.expires_unix_ms else { return Age::Fresh };
        let ahead_ms = i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX);
        let tenth_ms = expires.saturating_sub(self.fetched_unix_ms).max(0) / 10;
        if now_unix_ms >= expires {
            Age::Expired
        } else if now_unix_ms >= expires.saturating_sub(ahead_ms.min(tenth_ms)) {
            Age::Ripe
        } else {
            Age::Fresh
        }
    }
}

/// How many milliseconds are left of the time in which what happened then counts.
fn left_ms(then_unix_ms: i64, now_unix_ms: i64) -> Option<u64> {
    // What is in the future was put down when the clock was wrong.
    let age_ms = u64::try_from(now_unix_ms.saturating_sub(then_unix_ms)).ok()?;
    let left = FORGET_AFTER.checked_sub(Duration::from_millis(age_ms))?;
    (!left.is_zero()).then_some(left.as_millis() as u64)
}

impl Drop for Saved {
    fn drop(&mut self) {
        secrecy::zeroize::Zeroize::zeroize(&mut self.access_token);
    }
}

/// How a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// Use it.
    Fresh,
    /// It still works; renew it soon.
    Ripe,
    /// It is over.
    Expired,
}

/// Milliseconds since 1970 UTC.
pub(super) fn now_unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
