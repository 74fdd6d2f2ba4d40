//! Whatever happens, and however much of it is logged: no token, no secret, in nothing that leaves the client.
//!
//! A program of its own, because it listens to everything that is logged in its process.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::{
    fmt::Write as _,
    fs, io,
    path::Path,
    sync::{Arc, Mutex},
};

use pan123_emulator::{Action, At, Fault, Garbage};
use pan123_upload::{
    ClientCredentials, Error, RefreshToken, Source, StaticToken, Target, Token,
    layers::{RateLimit, Trace},
    proto::Endpoint,
    transport::{HttpTransport, Layer},
};
use serde_json::json;
use support::{Bench, SHORT, SLICE, ShortClocks, bytes};

const TOKEN: &str = "marker-token-8aa4";
const SECRET: &str = "marker-secret-51f0";
const REFRESH: &str = "marker-refresh-77c2";
const PROXY: &str = "marker-proxy-03de";

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the crates below say through `log`.
struct Logger(Lines);

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("log {} {}\n", record.target(), record.args());
        self.0.0.lock().unwrap().extend_from_slice(line.as_bytes());
    }

    fn flush(&self) {}
}

fn tell(lines: &Lines, text: &str) {
    lines.0.lock().unwrap().extend_from_slice(format!("{text}\n").as_bytes());
}

/// Everything a program can show of an error.
fn show(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?} {} {}", error.advice(), json!(error));
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        write!(text, " {error} {error:?}").unwrap();
        cause = error.source();
    }
    text
}

/// The text of every file below a folder, but for the token cache, whose purpose it is.
fn files(dir: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &files(&path);
        } else if path.extension().is_none_or(|it| it != "json") {
            text += &format!("{}: {}\n", path.display(), String::from_utf8_lossy(&fs::read(&path).unwrap()));
        }
    }
    text
}

/// Faults under which a client has something to complain about, and services that repeat what they were sent.
fn faults() -> Vec<Fault> {
    let mut all = Vec::new();
    for on in
        [Endpoint::Create, Endpoint::Slice, Endpoint::Complete, Endpoint::AccessToken, Endpoint::OauthToken]
    {
        // What the client sends to this call.
        let sent = match on {
            Endpoint::AccessToken => SECRET.to_owned(),
            Endpoint::OauthToken => format!("{SECRET}&refresh_token={REFRESH}"),
            _ => format!("Bearer {TOKEN}, {TOKEN}"),
        };
        let echo = |code: i64| Action::Code {
            code,
            message: format!("no: {sent}"),
            data: json!({"no": sent}),
            status: 200,
            retry_after: None,
        };
        for action in [
            echo(1),
            echo(500),
            echo(401),
            Action::Reset,
            Action::Hang,
            Action::Status { status: 502, body: sent.clone(), retry_after: None },
            Action::Status { status: 200, body: format!("{{\"{sent}"), retry_after: None },
            Action::Redirect { location: format!("http://127.0.0.1:1/?t={sent}"), status: 307 },
            Action::Garbage(Garbage::Html),
            Action::Unauthorized { http: true },
            Action::Throttled { http: true, retry_after: Some(sent.clone()) },
        ] {
            // Patience with limits is long; a few refusals say all that there is to say.
            let times = matches!(action, Action::Throttled { .. }).then_some(3);
            all.push(Fault { times, ..Fault::new(on, action).at(At::Body) });
        }
    }
    all
}

#[test]
fn no_secret_gets_into_errors_logs_events_or_journals() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log::set_boxed_logger(Box::new(Logger(lines.clone()))).unwrap();
    log::set_max_level(log::LevelFilter::Trace);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let transport = ShortClocks(SHORT).wrap(Arc::new(HttpTransport::new().unwrap()));
        for fault in faults() {
            let bench = Bench::with(|options| {
                options.tokens = vec![TOKEN.into()];
                options.client_secret = SECRET.into();
            });
            let (on, url) = (fault.on.unwrap(), bench.emulator.base_url().to_owned());
            bench.script(vec![fault]);
            let state = bench.dir.path().join("state");
            let builder = bench.builder();
            let builder = match on {
                Endpoint::AccessToken => {
                    let login = ClientCredentials::new(transport.clone(), &url, "emulator-id", SECRET);
                    builder.tokens(Arc::new(login.unwrap().cache_in(&state)))
                }
                Endpoint::OauthToken => {
                    let login =
                        RefreshToken::new(transport.clone(), &url, "emulator-id", SECRET, REFRESH, &state);
                    builder.tokens(Arc::new(login.unwrap()))
                }
                _ => builder.tokens(Arc::new(StaticToken::new(Token::new(TOKEN, None).unwrap()))),
            };
            let policy = pan123_upload::proto::machine::Policy {
                retry_for: std::time::Duration::from_millis(300),
                tries_max: 2,
                ..support::impatient()
            };
            let builder = builder
                .policy(policy)
                .layer(Arc::new(ShortClocks(SHORT)))
                .layer(Arc::new(Trace))
                .layer(Arc::new(RateLimit::new(1000.0)));
            tell(&lines, &format!("{builder:?}"));
            let client = builder.build().unwrap();
            let path = bench.file("f", 3 * SLICE, 1);
            let upload = client.upload(Source::file(&path).unwrap(), Target::root("f")).unwrap();
            let mut events = upload.events();
            if let Err(error) = upload.wait().await {
                tell(&lines, &show(&error));
            }
            while let Some(event) = events.recv().await {
                tell(&lines, &format!("{event:?} {}", json!(event)));
            }
            tell(&lines, &format!("{client:?} {upload:?} {:?}", upload.progress()));
            tell(&lines, &files(&bench.dir.path().join("journal")));
        }
        // A proxy's password, whether the proxy is there or not.
        for proxy in [format!("http://me:{PROXY}@127.0.0.1:1"), format!("http://me:{PROXY}@no host")] {
            let bench = Bench::new();
            let policy = pan123_upload::proto::machine::Policy {
                retry_for: std::time::Duration::from_millis(100),
                ..support::impatient()
            };
            let builder = bench.builder().policy(policy).proxy(proxy);
            tell(&lines, &format!("{builder:?}"));
            match builder.build() {
                Ok(client) => {
                    let error = support::upload_bytes(&client, bytes(10, 1), "f").await.unwrap_err();
                    tell(&lines, &show(&error));
                }
                Err(error) => tell(&lines, &show(&error)),
            }
        }
    });

    let text = String::from_utf8_lossy(&lines.0.lock().unwrap()).into_owned();
    for heard in ["log rustls", "hyper", "pan123_upload", "Retry", "\"event\":", "created", "[hidden]"] {
        assert!(text.contains(heard), "nothing was heard of {heard}");
    }
    for secret in [TOKEN, SECRET, REFRESH, PROXY] {
        let found: Vec<&str> = text.lines().filter(|line| line.contains(secret)).take(5).collect();
        assert!(found.is_empty(), "{secret} is in:\n{}", found.join("\n"));
    }
}
