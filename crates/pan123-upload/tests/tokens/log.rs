//! What the providers write to the log: what a user has to know, and nothing secret.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
};

use pan123_upload::{ClientCredentials, RefreshToken, TokenProvider};
use tempfile::TempDir;
use tracing::instrument::WithSubscriber;

use crate::service::{Service, the_file, token_answer, token_until, transport};

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

/// Everything that is logged while `work` runs, down to the finest level.
async fn logged(work: impl Future<Output = ()>) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    work.with_subscriber(subscriber).await;
    String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
}

#[tokio::test]
async fn trouble_is_logged_and_secrets_are_not() {
    let service = Service::start(|no, seen| match no {
        1 => token_answer("t0ken-one"),
        2 => token_until("t0ken-two", "2001-01-01T00:00:00+08:00"),
        3 => (200, format!(r#"{{"code":401,"message":"no {}"}}"#, seen.body.replace('"', "'"))),
        _ => (400, format!(r#"{{"error":"invalid_grant","error_description":"no {}"}}"#, &seen.head[..200])),
    });
    let url = service.url();
    let dir = TempDir::new().unwrap();
    let provider = |dir: &std::path::Path| {
        ClientCredentials::new(transport(), &url, "the-id", "s3cret").unwrap().cache_in(dir)
    };
    let log = logged(async {
        let token = provider(dir.path()).get(None).await.unwrap();
        let path = the_file(&dir, ".json");
        let good = fs::read_to_string(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        provider(dir.path()).get(None).await.unwrap();
        fs::write(&path, good.replace("\"t0ken-one\"", "{\"t0ken-one\": 1}")).unwrap();
        let token = provider(dir.path()).get(Some(&token)).await.unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        provider(&dir.path().join("file/state")).get(Some(&token)).await.unwrap_err();
        let refresh =
            RefreshToken::new(transport(), &url, "the-id", "s3cret", "r3fresh", dir.path()).unwrap();
        refresh.get(None).await.unwrap_err();
    })
    .await;
    for says in [
        "others could read the token cache; made it private",
        "the token cache is of no use; logging in",
        "is this machine's clock right?",
        "cannot share the token with other processes",
    ] {
        assert!(log.contains(says), "{says} is not in:\n{log}");
    }
    assert_eq!(log.matches("the token cache is of no use").count(), 1, "{log}");
    for secret in ["t0ken", "s3cret", "r3fresh"] {
        assert!(!log.contains(secret), "{secret} is in:\n{log}");
    }
}
