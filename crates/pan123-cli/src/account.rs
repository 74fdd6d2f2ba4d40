//! From settings to a client of the service.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use pan123::plugin::Plugin;
use pan123_upload::{
    Client, ClientCredentials, Error, ErrorKind, JournalDir, RefreshToken, ResumeStore, StaticToken, Token,
    TokenProvider,
    transport::{HttpTransport, PlainHttp, ServerUrl, Transport},
};

use crate::settings::{Login, PluginFile, Settings};

/// Makes a client, with what plugins bring: all layers, and of tokens and stores the first. Sends nothing.
///
/// # Errors
///
/// [`ErrorKind::Login`] when nothing is there to log in with, [`ErrorKind::Usage`] for an address, proxy, CA
/// file or plugin that cannot be used.
pub(crate) fn connect(settings: &Settings) -> Result<Client, Error> {
    let plugins = plugins(settings)?;
    let transport = transport(settings)?;
    // An emulator takes only the token that it has made.
    let own_tokens = plugins.iter().find_map(Plugin::tokens).filter(|_| !settings.is_local());
    let tokens = match own_tokens {
        Some(tokens) => tokens,
        None => tokens(settings, &transport)?,
    };
    let mut builder = Client::builder()
        .base_url(&settings.base_url)
        .tokens(tokens)
        .transport(transport)
        .plain_http(settings.plain_http)
        .vip_rates(settings.vip)
        .bytes_per_sec(settings.limit_rate)
        .parallel(settings.parallel)
        .digest_cache(settings.state_dir.join("digests"));
    for layer in plugins.iter().filter_map(Plugin::layer) {
        builder = builder.layer(layer);
    }
    if let Some(store) = store_of(settings, &plugins) {
        builder = builder.store(store);
    }
    if let Some(time) = settings.retry_for {
        builder = builder.retry_for(time);
    }
    builder.build()
}

/// Where unfinished uploads are remembered, if anywhere.
///
/// # Errors
///
/// [`ErrorKind::Usage`] for a plugin that cannot be used.
pub(crate) fn store(settings: &Settings) -> Result<Option<Arc<dyn ResumeStore>>, Error> {
    Ok(store_of(settings, &plugins(settings)?))
}

fn store_of(settings: &Settings, plugins: &[Plugin]) -> Option<Arc<dyn ResumeStore>> {
    let journal =
        || settings.journal_dir.as_ref().map(|dir| Arc::new(JournalDir::new(dir)) as Arc<dyn ResumeStore>);
    plugins.iter().find_map(Plugin::store).or_else(journal)
}

/// The plugins of this run of the program, opened once.
static PLUGINS: Mutex<Vec<Plugin>> = Mutex::new(Vec::new());

/// Some plugin is open.
pub(crate) fn has_plugins() -> bool {
    !lock_plugins().is_empty()
}

/// Lets plugins go at the end of the program, when no client is left. Waits until they have let go of what they hold,
/// but no longer than `patience`.
pub(crate) fn close_plugins(patience: Duration) {
    let deadline = Instant::now() + patience;
    for plugin in std::mem::take(&mut *lock_plugins()) {
        plugin.close(deadline.saturating_duration_since(Instant::now()));
    }
}

fn lock_plugins() -> MutexGuard<'static, Vec<Plugin>> {
    PLUGINS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn plugins(settings: &Settings) -> Result<MutexGuard<'static, Vec<Plugin>>, Error> {
    let load = |file: &PluginFile| {
        Plugin::load(&file.path, &file.config).map_err(|error| {
            Error::new(ErrorKind::Usage, "load plugin", error.to_string()).with_advice(
                "Give --plugin the path of a plugin that fits, and = and its configuration after it.",
            )
        })
    };
    let mut opened = lock_plugins();
    if opened.is_empty() {
        // Those before one that cannot be opened are closed at the end, like all others.
        for file in &settings.plugins {
            opened.push(load(file)?);
        }
    }
    Ok(opened)
}

/// One for the client and for its logins: a proxy or CA file counts for both.
fn transport(settings: &Settings) -> Result<Arc<dyn Transport>, Error> {
    let usage = |error: pan123_upload::transport::Error, advice: &str| {
        Error::new(ErrorKind::Usage, "configure", error.to_string()).with_advice(advice)
    };
    let base = ServerUrl::base(&settings.base_url)
        .map_err(|error| usage(error, "Give the address as https://HOST, with a port if need be."))?;
    let plain_http =
        if settings.plain_http { PlainHttp::anywhere() } else { PlainHttp::loopback().and_base(&base) };
    let mut builder = HttpTransport::builder().plain_http(plain_http);
    if let Some(url) = &settings.proxy {
        builder = builder.proxy(url);
    }
    if let Some(path) = &settings.ca_file {
        builder = builder.ca_file(path);
    }
    let transport = builder.build().map_err(|error| usage(error, "Check the proxy and the CA file."))?;
    Ok(Arc::new(transport))
}

fn tokens(settings: &Settings, transport: &Arc<dyn Transport>) -> Result<Arc<dyn TokenProvider>, Error> {
    let (transport, base_url, dir) = (transport.clone(), &settings.base_url, settings.token_dir());
    Ok(match &settings.login {
        Login::Missing => {
            let message = "no access token, and no client id and secret";
            return Err(Error::new(ErrorKind::Login, "log in", message).with_advice(
                "Set PAN123_ACCESS_TOKEN, or PAN123_CLIENT_ID and PAN123_CLIENT_SECRET; \"pan123 upload --local\" \
                 needs no account.",
            ));
        }
        Login::Incomplete(what, variable) => {
            return Err(Error::new(ErrorKind::Login, "log in", format!("{what} is missing"))
                .with_advice(format!("Give it with {variable}.")));
        }
        Login::Token(token) => Arc::new(StaticToken::new(Token::new(token.as_str(), None)?)),
        Login::Developer { client_id, client_secret } => {
            Arc::new(ClientCredentials::new(transport, base_url, client_id, client_secret)?.cache_in(&dir))
        }
        Login::Refresh { client_id, client_secret, refresh_token } => {
            Arc::new(RefreshToken::new(transport, base_url, client_id, client_secret, refresh_token, &dir)?)
        }
    })
}
