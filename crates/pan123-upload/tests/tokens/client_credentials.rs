//! Client id and secret: how often the service is asked to log in.

use std::{
    env,
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, mpsc},
    time::Duration,
};

use pan123_upload::{ClientCredentials, ErrorKind, TokenProvider};
use tempfile::TempDir;

use crate::service::{Service, the_file, token_answer, token_until, transport};

const SECRET: &str = "s3cret-of-the-account";

fn provider(url: &str, dir: &Path) -> Arc<ClientCredentials> {
    Arc::new(ClientCredentials::new(transport(), url, "the-id", SECRET).unwrap().cache_in(dir))
}

/// A service that gives `token-1`, `token-2` and so on.
fn numbered() -> Service {
    Service::start(|no, _| token_answer(&format!("token-{no}")))
}

/// Rewrites the cached token's expiry and age, in milliseconds from now.
fn set_times(dir: &TempDir, expires_in_ms: i64, fetched_ago_ms: i64) {
    let path = the_file(dir, ".json");
    let mut cached: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    cached["expires_unix_ms"] = (now + expires_in_ms).into();
    cached["fetched_unix_ms"] = (now - fetched_ago_ms).into();
    fs::write(&path, cached.to_string()).unwrap();
}

#[tokio::test]
async fn one_login_serves_everybody_and_the_next_run() {
    let service = numbered();
    let dir = TempDir::new().unwrap();
    let state = dir.path().join("state");
    let first = provider(&service.url(), &state);
    assert_eq!(service.requests(), 0, "nothing is sent before it is needed");
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let provider = Arc::clone(&first);
            tokio::spawn(async move { provider.get(None).await.unwrap().expose().to_owned() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "token-1");
    }
    assert_eq!(provider(&service.url(), &state).get(None).await.unwrap().expose(), "token-1");
    assert_eq!(service.requests(), 1);

    let seen = service.seen()[0].clone();
    assert!(seen.head.starts_with("POST /api/v1/access_token HTTP/1.1\r\n"), "{}", seen.head);
    let head = seen.head.to_lowercase();
    assert!(head.contains("\r\nplatform: open_platform\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    assert!(!head.contains("authorization"), "{head}");
    assert_eq!(seen.body, format!(r#"{{"clientID":"the-id","clientSecret":"{SECRET}"}}"#));

    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&state).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        assert!(!fs::read_to_string(entry.path()).unwrap().contains(SECRET));
    }
}

#[tokio::test]
async fn accounts_and_services_do_not_share_a_token() {
    let (one, two) = (numbered(), numbered());
    let dir = TempDir::new().unwrap();
    for url in [one.url(), format!("{}/", one.url()), two.url()] {
        for id in ["the-id", "other-id"] {
            let provider =
                ClientCredentials::new(transport(), &url, id, SECRET).unwrap().cache_in(dir.path());
            provider.get(None).await.unwrap();
        }
    }
    assert_eq!((one.requests(), two.requests()), (2, 2));
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_however_many_it_was_refused_to() {
    let service = numbered();
    let dir = TempDir::new().unwrap();
    let (here, elsewhere) = (provider(&service.url(), dir.path()), provider(&service.url(), dir.path()));
    let refused = here.get(None).await.unwrap();
    assert!(elsewhere.get(None).await.unwrap().is(&refused));
    let tasks: Vec<_> = (0..16)
        .map(|no| {
            let provider = Arc::clone(if no % 2 == 0 { &here } else { &elsewhere });
            let refused = refused.clone();
            tokio::spawn(async move { provider.get(Some(&refused)).await.unwrap().expose().to_owned() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "token-2");
    }
    assert_eq!(service.requests(), 2);
}

#[tokio::test]
async fn a_token_is_renewed_ahead_of_its_end_and_used_while_that_fails() {
    let service = Service::start(|no, _| match no {
        2 => (500, "the service is down".into()),
        _ => token_answer(&format!("token-{no}")),
    });
    let dir = TempDir::new().unwrap();
    provider(&service.url(), dir.path()).get(None).await.unwrap();
    // 9 minutes of 100 are left: less than a tenth, and less than an hour.
    set_times(&dir, 9 * 60_000, 91 * 60_000);
    let second = provider(&service.url(), dir.path());
    for _ in 0..3 {
        assert_eq!(second.get(None).await.unwrap().expose(), "token-1");
    }
    assert_eq!(service.requests(), 2, "a renewal ahead of time that failed is not tried again at once");
    let third = provider(&service.url(), dir.path());
    assert_eq!(third.get(None).await.unwrap().expose(), "token-3");
    assert_eq!(service.requests(), 3);
}

#[tokio::test]
async fn how_far_ahead_is_bounded_by_the_life_of_the_token() {
    let service = numbered();
    let dir = TempDir::new().unwrap();
    provider(&service.url(), dir.path()).get(None).await.unwrap();
    let with = |ahead: u64| {
        let provider = ClientCredentials::new(transport(), &service.url(), "the-id", SECRET).unwrap();
        provider.cache_in(dir.path()).renew_ahead(Duration::from_secs(ahead))
    };
    let minute = 60_000;
    for (left, lived, ahead, renewed) in [
        (11 * minute, 89 * minute, 86_400, false),
        (9 * minute, 91 * minute, 86_400, true),
        (9 * minute, 91 * minute, 8 * 60, false),
        (7 * minute, 93 * minute, 8 * 60, true),
        (-1, 93 * minute, 0, true),
    ] {
        set_times(&dir, left, lived);
        let before = service.requests();
        with(ahead).get(None).await.unwrap();
        assert_eq!(service.requests() > before, renewed, "{left} {lived} {ahead}");
    }
}

#[tokio::test]
async fn an_expired_token_is_not_used_even_if_there_is_no_other() {
    let service =
        Service::start(|no, _| if no == 1 { token_answer("token-1") } else { (503, String::new()) });
    let dir = TempDir::new().unwrap();
    provider(&service.url(), dir.path()).get(None).await.unwrap();
    set_times(&dir, -1000, 1000);
    let error = provider(&service.url(), dir.path()).get(None).await.unwrap_err();
    assert_eq!((error.kind(), error.http_status()), (ErrorKind::Server, Some(503)));
    assert_eq!(error.step(), "access_token");
}

#[tokio::test]
async fn a_clock_that_is_wrong_does_not_log_in_again_and_again() {
    let service = Service::start(|no, _| token_until(&format!("token-{no}"), "2001-01-01T00:00:00+08:00"));
    let dir = TempDir::new().unwrap();
    let first = provider(&service.url(), dir.path());
    for provider in [&first, &first, &provider(&service.url(), dir.path())] {
        assert_eq!(provider.get(None).await.unwrap().expose(), "token-1");
    }
    assert_eq!(service.requests(), 1);
}

#[tokio::test]
async fn a_cache_of_no_use_is_replaced() {
    let service = numbered();
    let good = {
        let dir = TempDir::new().unwrap();
        provider(&service.url(), dir.path()).get(None).await.unwrap();
        fs::read_to_string(the_file(&dir, ".json")).unwrap()
    };
    for bad in [
        String::new(),
        "{".into(),
        "[]".into(),
        "\0\0\0\0".into(),
        "[".repeat(100_000),
        good.replace("\"version\": 1", "\"version\": 2"),
        good.replace("token-1", "token\\n1"),
        good.replace("\"token-1\"", "7"),
        good[..good.len() / 2].to_owned(),
    ] {
        let dir = TempDir::new().unwrap();
        provider(&service.url(), dir.path()).get(None).await.unwrap();
        fs::write(the_file(&dir, ".json"), &bad).unwrap();
        let before = service.requests();
        let token = provider(&service.url(), dir.path()).get(None).await.unwrap();
        assert_eq!(service.requests(), before + 1, "{bad:.80}");
        assert_eq!(token.expose(), format!("token-{}", before + 1));
        assert!(provider(&service.url(), dir.path()).get(None).await.unwrap().is(&token), "{bad:.80}");
    }
}

#[tokio::test]
async fn a_cache_that_others_may_read_is_made_private() {
    let service = numbered();
    let dir = TempDir::new().unwrap();
    provider(&service.url(), dir.path()).get(None).await.unwrap();
    let path = the_file(&dir, ".json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    provider(&service.url(), dir.path()).get(None).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(service.requests(), 1);
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_used_costs_only_the_sharing() {
    let service = numbered();
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let provider = provider(&service.url(), &dir.path().join("file/state"));
    assert_eq!(provider.get(None).await.unwrap().expose(), "token-1");
    assert_eq!(provider.get(None).await.unwrap().expose(), "token-1");
    assert_eq!(service.requests(), 1);
}

#[tokio::test]
async fn a_refused_login_is_told_to_all_who_wait_in_the_words_of_the_service() {
    let (go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let service = Service::start(move |_, seen| {
        gate.lock().unwrap().recv().unwrap();
        let echo = seen.body.replace('"', "'");
        (
            200,
            format!(r#"{{"code":401,"message":"无效的登录信息 {echo}","data":null,"x-traceID":"trace-9"}}"#),
        )
    });
    let dir = TempDir::new().unwrap();
    let provider = provider(&service.url(), dir.path());
    let waiting: Vec<_> = (0..8).map(|_| provider.get(None)).collect();
    let all = futures(waiting);
    // All have begun when the first answer goes; the others go so that a second request would be counted.
    let errors = tokio::join!(all, async { (0..8).for_each(|_| go.send(()).unwrap()) }).0;
    assert_eq!(errors.len(), 8);
    for error in errors.into_iter().map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::Login);
        assert_eq!(
            (error.code(), error.http_status(), error.trace_id()),
            (Some(401), Some(200), Some("trace-9"))
        );
        assert!(error.to_string().starts_with("access_token: 无效的登录信息"), "{error}");
        assert!(!error.advice().is_empty());
        let text = format!("{error:?} {error} {}", serde_json::to_string(&error).unwrap());
        assert!(!text.contains(SECRET), "{text}");
    }
    assert_eq!(service.requests(), 1);
    assert!(!format!("{provider:?}").contains(SECRET));
}

/// Polls all at once and gives their results in order.
async fn futures<T>(all: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in all.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(context) {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_service_that_is_not_there_is_a_network_error() {
    let url = Service::start(|_, _| (500, String::new())).url();
    let dir = TempDir::new().unwrap();
    let error = provider(&url, dir.path()).get(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network, "{error:?}");
    assert!(!format!("{error:?}").contains(SECRET));
    let error = provider("http://192.0.2.1", dir.path()).get(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "plain http to a far host is never tried: {error:?}");
}

#[test]
fn an_empty_id_or_secret_is_refused() {
    for (id, secret, says) in [("", "x", "client id"), (" ", "x", "client id"), ("x", "\n", "client secret")]
    {
        let error = ClientCredentials::new(transport(), "https://x", id, secret).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Login);
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn waiting_for_another_process_blocks_nobody_and_can_be_given_up() {
    let service = numbered();
    let dir = TempDir::new().unwrap();
    provider(&service.url(), dir.path()).get(None).await.unwrap();
    let token = provider(&service.url(), dir.path()).get(None).await.unwrap();
    let lock = File::open(the_file(&dir, ".lock")).unwrap();
    lock.lock().unwrap();
    let waiting = provider(&service.url(), dir.path());
    // On a runtime of one thread: the timer only fires because nothing blocks that.
    let given_up = tokio::time::timeout(Duration::from_millis(60), waiting.get(Some(&token))).await;
    assert!(given_up.is_err());
    assert_eq!(service.requests(), 1, "nobody logs in while another process does");
    lock.unlock().unwrap();
    assert_eq!(waiting.get(Some(&token)).await.unwrap().expose(), "token-2");
}

/// Runs in processes of its own for the test below.
#[tokio::test]
async fn child_gets_a_token() {
    let Ok(url) = env::var("PAN123_TEST_URL") else { return };
    let provider = provider(&url, Path::new(&env::var("PAN123_TEST_DIR").unwrap()));
    println!("begins");
    let token = provider.get(None).await.unwrap();
    println!("got {}", token.expose());
}

struct Process(Child, BufReader<ChildStdout>);

impl Process {
    fn start(service: &Service, dir: &TempDir) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "client_credentials::child_gets_a_token", "--nocapture"]);
        command.env("PAN123_TEST_URL", service.url()).env("PAN123_TEST_DIR", dir.path());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self(child, lines)
    }

    fn hear(&mut self, word: &str) -> String {
        let mut lines = (&mut self.1).lines().map(Result::unwrap);
        lines.find_map(|line| line.split(word).nth(1).map(str::to_owned)).unwrap()
    }
}

#[test]
fn processes_that_start_together_log_in_once() {
    let (go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let service = Service::start(move |no, _| {
        gate.lock().unwrap().recv().unwrap();
        token_answer(&format!("token-{no}"))
    });
    let dir = TempDir::new().unwrap();
    let mut processes: Vec<_> = (0..5).map(|_| Process::start(&service, &dir)).collect();
    processes.iter_mut().for_each(|process| drop(process.hear("begins")));
    // More than one may go, so that a second login would be counted rather than hang.
    (0..5).for_each(|_| go.send(()).unwrap());
    for mut process in processes {
        assert_eq!(process.hear("got "), "token-1");
        assert!(process.0.wait().unwrap().success());
    }
    assert_eq!(service.requests(), 1);
}

#[test]
fn a_process_that_dies_in_its_login_lets_the_next_one_in() {
    let (asked, asks) = mpsc::channel();
    let service = Service::start(move |no, _| {
        asked.send(no).unwrap();
        if no == 1 {
            // As long as nobody answers, the process waits for the answer and holds the lock.
            std::thread::park_timeout(Duration::from_secs(30));
        }
        token_answer(&format!("token-{no}"))
    });
    let dir = TempDir::new().unwrap();
    let mut first = Process::start(&service, &dir);
    assert_eq!(asks.recv().unwrap(), 1);
    let mut second = Process::start(&service, &dir);
    second.hear("begins");
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    assert_eq!(second.hear("got "), "token-2");
    assert!(second.0.wait().unwrap().success());
}
