//! OAuth2: no refresh token is ever spent twice, or lost.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{Arc, Mutex, mpsc},
};

use pan123_upload::{ErrorKind, RefreshToken, TokenProvider};
use tempfile::TempDir;

use crate::service::{Seen, Service, the_file, transport};

const SECRET: &str = "s3cret-of-the-app";

/// Trades each refresh token once: `seed` for `seed+`, that for `seed++`, and so on.
struct Rotating(Mutex<Vec<String>>);

impl Rotating {
    fn new() -> Self {
        Self(Mutex::default())
    }

    fn answer(&self, seen: &Seen) -> (u16, String) {
        let query = seen.head.split(['?', ' ']).nth(2).unwrap();
        let query: HashMap<_, _> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        assert_eq!(
            (query["client_id"], query["client_secret"], query["grant_type"]),
            ("the-app", SECRET, "refresh_token")
        );
        let given = query["refresh_token"].replace("%2B", "+");
        let mut spent = self.0.lock().unwrap();
        if spent.contains(&given) {
            return (
                400,
                r#"{"error":"invalid_grant","error_description":"the refresh token is spent"}"#.into(),
            );
        }
        let answer = format!(
            r#"{{"token_type":"Bearer","access_token":"access-of-{given}","refresh_token":"{given}+","expires_in":7200,"scope":"all"}}"#
        );
        spent.push(given);
        (200, answer)
    }
}

fn rotating() -> Service {
    let state = Rotating::new();
    Service::start(move |_, seen| state.answer(seen))
}

fn provider(service: &Service, refresh_token: &str, dir: &Path) -> RefreshToken {
    RefreshToken::new(transport(), &service.url(), "the-app", SECRET, refresh_token, dir).unwrap()
}

/// Makes the access token on disk an old one.
fn age(dir: &TempDir) {
    let path = the_file(dir, ".json");
    let mut stored: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    stored["access"]["expires_unix_ms"] = 1.into();
    fs::write(&path, stored.to_string()).unwrap();
}

#[tokio::test]
async fn the_next_refresh_token_is_on_disk_before_the_access_token_is_used() {
    let service = rotating();
    let dir = TempDir::new().unwrap();
    let first = provider(&service, "seed", dir.path());
    let token = first.get(None).await.unwrap();
    assert_eq!(token.expose(), "access-of-seed");
    let stored = fs::read_to_string(the_file(&dir, ".json")).unwrap();
    assert!(stored.contains("\"seed+\""), "{stored}");
    assert!(!stored.contains(SECRET));
    let head = service.seen()[0].head.clone();
    assert!(head.starts_with("POST /api/v1/oauth2/access_token?"), "{head}");
    assert!(head.to_lowercase().contains("\r\nplatform: open_platform\r\n"), "{head}");

    assert!(first.get(None).await.unwrap().is(&token));
    assert!(provider(&service, "seed", dir.path()).get(None).await.unwrap().is(&token));
    assert_eq!(service.requests(), 1);
    age(&dir);
    assert_eq!(
        provider(&service, " seed\n", dir.path()).get(None).await.unwrap().expose(),
        "access-of-seed+"
    );
    assert_eq!(service.requests(), 2);
}

#[tokio::test]
async fn many_who_were_refused_spend_one_refresh_token() {
    let service = rotating();
    let dir = TempDir::new().unwrap();
    let (here, elsewhere) = (provider(&service, "seed", dir.path()), provider(&service, "seed", dir.path()));
    let refused = here.get(None).await.unwrap();
    let tasks: Vec<_> = (0..12)
        .map(|no| {
            let (provider, refused) = (if no % 2 == 0 { &here } else { &elsewhere }.clone(), refused.clone());
            tokio::spawn(async move { provider.get(Some(&refused)).await.unwrap().expose().to_owned() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "access-of-seed+");
    }
    assert_eq!(service.requests(), 2);
}

#[tokio::test]
async fn a_new_authorization_wins_over_the_file() {
    let service = rotating();
    let dir = TempDir::new().unwrap();
    provider(&service, "seed", dir.path()).get(None).await.unwrap();
    let token = provider(&service, "another", dir.path()).get(None).await.unwrap();
    assert_eq!(token.expose(), "access-of-another");
}

#[tokio::test]
async fn a_disk_that_refuses_costs_no_refresh_token() {
    let service = rotating();
    let dir = TempDir::new().unwrap();
    let state = dir.path().join("state");
    fs::write(&state, "a file is in the way").unwrap();
    let provider = provider(&service, "seed", &state);
    let error = provider.get(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(!error.advice().is_empty());
    assert_eq!(service.requests(), 0);
    fs::remove_file(&state).unwrap();
    assert_eq!(provider.get(None).await.unwrap().expose(), "access-of-seed");

    // Here the directory is good, but the file cannot be replaced.
    let path = the_json(&state);
    fs::remove_file(&path).unwrap();
    fs::create_dir_all(path.join("in the way")).unwrap();
    let token = provider.get(None).await.unwrap();
    let error = provider.get(Some(&token)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert_eq!(service.requests(), 1);
}

#[tokio::test]
async fn a_disk_that_fails_after_the_answer_is_written_to_again() {
    let dir = TempDir::new().unwrap();
    let (state, away) = (dir.path().join("state"), dir.path().join("away"));
    let (from, to, rotating) = (state.clone(), away.clone(), Rotating::new());
    let service = Service::start(move |_, seen| {
        fs::rename(&from, &to).unwrap();
        rotating.answer(seen)
    });
    let provider = provider(&service, "seed", &state);
    for _ in 0..2 {
        // The lock's directory is made again, but not for long: a file takes its place.
        let error = provider.get(None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store, "{error}");
        if state.is_dir() {
            fs::remove_dir_all(&state).unwrap();
        }
        if !state.exists() {
            fs::write(&state, "").unwrap();
        }
    }
    fs::remove_file(&state).unwrap();
    fs::rename(&away, &state).unwrap();
    assert_eq!(provider.get(None).await.unwrap().expose(), "access-of-seed");
    assert!(fs::read_to_string(the_json(&state)).unwrap().contains("\"seed+\""));
    assert_eq!(service.requests(), 1, "what the service had answered was not asked for again");
}

fn the_json(dir: &Path) -> std::path::PathBuf {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.into_iter().find(|path| path.extension().is_some_and(|ext| ext == "json")).unwrap()
}

#[tokio::test]
async fn giving_up_in_the_middle_loses_no_refresh_token() {
    let (asked, mut asks) = tokio::sync::mpsc::unbounded_channel();
    let (go, gate) = mpsc::channel::<()>();
    let (gate, rotating) = (Mutex::new(gate), Rotating::new());
    let service = Service::start(move |_, seen| {
        asked.send(()).unwrap();
        gate.lock().unwrap().recv().unwrap();
        rotating.answer(seen)
    });
    let dir = TempDir::new().unwrap();
    let provider = provider(&service, "seed", dir.path());
    {
        let get = provider.get(None);
        tokio::select! {
            biased;
            _ = get => panic!("nobody has answered"),
            _ = asks.recv() => {}
        }
    }
    // The second answer is for a second request, which there must not be.
    (0..2).for_each(|_| go.send(()).unwrap());
    assert_eq!(provider.get(None).await.unwrap().expose(), "access-of-seed");
    assert_eq!(service.requests(), 1);
}

#[tokio::test]
async fn a_spent_refresh_token_is_told_with_advice_and_without_secrets() {
    let service = rotating();
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    provider(&service, "s33d-of-the-user", dir.path()).get(None).await.unwrap();
    let without_the_file = provider(&service, "s33d-of-the-user", other.path());
    let error = without_the_file.get(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Login);
    assert!(error.to_string().contains("the refresh token is spent"), "{error}");
    assert!(error.advice().contains("authorize the program again"), "{}", error.advice());
    let text = format!("{error:?} {without_the_file:?} {}", serde_json::to_string(&error).unwrap());
    for secret in [SECRET, "s33d"] {
        assert!(!text.contains(secret), "{text}");
    }
    let empty = RefreshToken::new(transport(), "https://x", "id", "secret", " ", dir.path()).unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::Login);
}

#[tokio::test]
async fn a_network_failure_leaves_the_refresh_token_for_the_next_try() {
    let rotating = Arc::new(Rotating::new());
    let service =
        Service::start(move |no, seen| if no == 1 { (502, String::new()) } else { rotating.answer(seen) });
    let dir = TempDir::new().unwrap();
    let provider = provider(&service, "seed", dir.path());
    let error = provider.get(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
    assert_eq!(provider.get(None).await.unwrap().expose(), "access-of-seed");
}
