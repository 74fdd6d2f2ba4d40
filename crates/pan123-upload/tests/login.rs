//! Tokens that end in the middle of uploads: as few new ones as can be, in however many uploads and processes.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use pan123_emulator::{Action, At, Behaviour, Fault};
use pan123_upload::{
    Client, ClientCredentials, ErrorKind, JournalDir, RefreshToken, Source, Target, TokenProvider, Upload,
    proto::{Endpoint, machine::Event},
    transport::{BoxFuture, Error as TransportError, HttpTransport, Request, Response, Transport},
};
use tokio::sync::Semaphore;

use support::{Bench, SLICE, bytes, impatient, upload_bytes};

const ID: &str = "emulator-id";
const SECRET: &str = "emulator-secret";

fn developer(base_url: &str, dir: &Path) -> Arc<dyn TokenProvider> {
    let transport = Arc::new(HttpTransport::new().unwrap());
    Arc::new(ClientCredentials::new(transport, base_url, ID, SECRET).unwrap().cache_in(dir))
}

fn client(base_url: &str, dir: &Path, tokens: Arc<dyn TokenProvider>) -> Client {
    Client::builder()
        .base_url(base_url)
        .tokens(tokens)
        .store(Arc::new(JournalDir::new(dir.join("journal"))))
        .policy(impatient())
        .vip_rates(true)
        .build()
        .unwrap()
}

fn issued(bench: &Bench) -> usize {
    bench.requests(Endpoint::AccessToken).iter().filter(|request| request.code == Some(0)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_in_the_middle_is_renewed_once_for_all_uploads() {
    let bench =
        Bench::behaving(Behaviour { reuse: false, total_bytes_per_sec: 2 << 20, ..Behaviour::default() });
    let url = bench.emulator.base_url();
    let client = client(url, bench.dir.path(), developer(url, bench.dir.path()));
    for (round, batch) in (1..).zip(["a", "b"]) {
        let name = |n: u64| format!("{batch}{n}");
        let start = |n: u64| {
            let source = Source::bytes(bytes(10 * SLICE, n));
            client.upload(source, Target::root(name(n))).unwrap()
        };
        let uploads: Vec<Upload> = (0..8).map(start).collect();
        let mut events = uploads[0].events();
        uploads.iter().for_each(Upload::start);
        while !matches!(events.recv().await, Some(Event::Slice { .. })) {}
        assert_eq!(issued(&bench), round);
        bench.emulator.expire_tokens().unwrap();
        for (n, upload) in (0..).zip(&uploads) {
            upload.wait().await.unwrap();
            assert!(bench.stored(&name(n)).unwrap() == bytes(10 * SLICE, n));
        }
    }
    assert_eq!(issued(&bench), 3, "one to begin with, and one each time it ended");
    let refused = bench.emulator.requests().iter().filter(|request| request.code == Some(401)).count();
    assert!((2..=2 * 16).contains(&refused), "{refused} requests were refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_turned_down_is_renewed_once() {
    for http in [false, true] {
        let bench = Bench::new();
        let refused = Fault::new(Endpoint::Slice, Action::Unauthorized { http });
        bench.script(vec![Fault { times: Some(1), ..refused }]);
        let url = bench.emulator.base_url();
        let client = client(url, bench.dir.path(), developer(url, bench.dir.path()));
        upload_bytes(&client, bytes(SLICE, 1), "f").await.unwrap();
        assert!(bench.stored("f").unwrap() == bytes(SLICE, 1));
        assert_eq!((issued(&bench), bench.requests(Endpoint::Slice).len()), (2, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_that_is_turned_down_too_ends_the_upload() {
    let bench = Bench::new();
    bench.script(vec![Fault::new(Endpoint::Slice, Action::Unauthorized { http: false })]);
    let url = bench.emulator.base_url();
    let client = client(url, bench.dir.path(), developer(url, bench.dir.path()));
    let error = upload_bytes(&client, bytes(5 * SLICE, 1), "f").await.unwrap_err();
    assert_eq!((error.kind(), error.step(), error.code()), (ErrorKind::Login, "slice", Some(401)), "{error}");
    assert!(error.message().contains("refuses the token that it just gave"), "{error}");
    assert!(error.is_resumable(), "{error:?}");
    assert_eq!(issued(&bench), 2, "tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_refuses_every_token_is_never_asked_for_a_fourth() {
    let bench = Bench::new();
    bench.script(vec![Fault::new(Endpoint::Create, Action::Unauthorized { http: true })]);
    let url = bench.emulator.base_url();
    let client = client(url, bench.dir.path(), developer(url, bench.dir.path()));
    for n in 0..5 {
        let error = upload_bytes(&client, bytes(SLICE, n), "f").await.unwrap_err();
        assert_eq!((error.kind(), error.http_status()), (ErrorKind::Login, Some(401)), "{error}");
    }
    assert_eq!(issued(&bench), 3, "tokens");
    // What is mended goes on with the token that is there, and one that ends then is renewed again.
    bench.script(vec![]);
    upload_bytes(&client, bytes(SLICE, 1), "f").await.unwrap();
    assert_eq!(issued(&bench), 3, "tokens");
    bench.emulator.expire_tokens().unwrap();
    upload_bytes(&client, bytes(SLICE, 2), "g").await.unwrap();
    assert_eq!(issued(&bench), 4, "tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_one_call_takes_and_another_refuses_is_no_reason_for_a_fourth() {
    for runs in [1, 6] {
        let bench = Bench::new();
        bench.script(vec![Fault::new(Endpoint::Slice, Action::Unauthorized { http: false })]);
        let url = bench.emulator.base_url();
        for run in 0..runs {
            let client = client(url, bench.dir.path(), developer(url, bench.dir.path()));
            for n in 0..6 / runs {
                let error = upload_bytes(&client, bytes(SLICE, 10 * run + n), "f").await.unwrap_err();
                assert_eq!((error.kind(), error.step()), (ErrorKind::Login, "slice"), "{error}");
            }
        }
        assert_eq!(issued(&bench), 3, "tokens in {runs} runs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_refuses_every_token_is_no_reason_for_a_fourth_either() {
    let bench = Bench::new();
    let refused = Fault::new(Endpoint::Slice, Action::Unauthorized { http: false }).server(1);
    bench.script(vec![refused]);
    let url = bench.emulator.base_url();
    let mut failed = 0;
    for n in 0..8 {
        let client = client(url, bench.dir.path(), developer(url, bench.dir.path()));
        failed += u32::from(upload_bytes(&client, bytes(8 * SLICE, n), &format!("f{n}")).await.is_err());
    }
    assert!(failed > 3, "both hosts were tried");
    assert_eq!(issued(&bench), 3, "tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_whose_answers_are_lost_count_too() {
    for runs in [1, 6] {
        let bench = Bench::new();
        bench.script(vec![Fault::new(Endpoint::AccessToken, Action::Reset).at(At::Done)]);
        let url = bench.emulator.base_url();
        for run in 0..runs {
            let client = client(url, bench.dir.path(), developer(url, bench.dir.path()));
            for n in 0..6 / runs {
                let error = upload_bytes(&client, bytes(SLICE, 10 * run + n), "f").await.unwrap_err();
                assert_eq!((error.kind(), error.is_resumable()), (ErrorKind::Network, true), "{error}");
                assert!(
                    error.message().contains("the answers to 3 requests for a token were lost"),
                    "{error}"
                );
                assert!(error.advice().contains("Check the network"), "{error:?}");
            }
        }
        assert_eq!(bench.requests(Endpoint::AccessToken).len(), 3, "in {runs} runs");
    }
}

/// Holds requests back until it is opened.
#[derive(Debug)]
struct Gate {
    inner: HttpTransport,
    came: Semaphore,
    open: Semaphore,
}

impl Transport for Gate {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(async move {
            self.came.add_permits(1);
            let _open = self.open.acquire().await;
            self.inner.send(request).await
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_are_stopped_do_not_lose_the_token_that_is_on_its_way() {
    let bench = Bench::new();
    let url = bench.emulator.base_url();
    let inner = HttpTransport::new().unwrap();
    let gate = Arc::new(Gate { inner, came: Semaphore::new(0), open: Semaphore::new(0) });
    let tokens = ClientCredentials::new(gate.clone(), url, ID, SECRET).unwrap().cache_in(bench.dir.path());
    let client = client(url, bench.dir.path(), Arc::new(tokens));
    let start = |n: u64| {
        let upload = client.upload(Source::bytes(bytes(SLICE, n)), Target::root(format!("f{n}"))).unwrap();
        upload.start();
        upload
    };
    let uploads: Vec<Upload> = (0..4).map(start).collect();
    gate.came.acquire().await.unwrap().forget();
    for upload in &uploads {
        upload.cancel();
        assert_eq!(upload.wait().await.unwrap_err().kind(), ErrorKind::Cancelled);
    }
    let last = start(4);
    gate.open.add_permits(1);
    last.wait().await.unwrap();
    assert_eq!(bench.requests(Endpoint::AccessToken).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_others_in_the_place_of_the_service_make_no_token() {
    let page = Action::Status { status: 200, body: "<html>log in first".into(), retry_after: None };
    let refused = Action::Status { status: 500, body: String::new(), retry_after: None };
    for action in [page, refused] {
        let bench = Bench::new();
        bench.script(vec![Fault::new(Endpoint::AccessToken, action)]);
        let url = bench.emulator.base_url();
        for _ in 0..3 {
            let client = client(url, bench.dir.path(), developer(url, bench.dir.path()));
            upload_bytes(&client, bytes(SLICE, 1), "f").await.unwrap_err();
        }
        bench.script(vec![]);
        let client = client(url, bench.dir.path(), developer(url, bench.dir.path()));
        upload_bytes(&client, bytes(SLICE, 1), "f").await.unwrap();
    }
    // But a gateway may have lost what the service said.
    let bench = Bench::new();
    let lost = Action::Status { status: 502, body: "bad gateway".into(), retry_after: None };
    bench.script(vec![Fault::new(Endpoint::AccessToken, lost).at(At::Done)]);
    let url = bench.emulator.base_url();
    let client = client(url, bench.dir.path(), developer(url, bench.dir.path()));
    let error = upload_bytes(&client, bytes(SLICE, 1), "f").await.unwrap_err();
    assert!(error.message().contains("the answers to 3 requests for a token were lost"), "{error}");
    assert_eq!(bench.requests(Endpoint::AccessToken).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_failed_for_sure_is_tried_as_other_calls_are() {
    let bench = Bench::new();
    let busy = Action::Status { status: 503, body: String::new(), retry_after: None };
    let lost = Fault::new(Endpoint::AccessToken, Action::Reset).at(At::Done);
    bench.script(vec![
        Fault { times: Some(4), ..Fault::new(Endpoint::AccessToken, busy) },
        Fault { times: Some(2), ..lost },
    ]);
    let url = bench.emulator.base_url();
    let client = client(url, bench.dir.path(), developer(url, bench.dir.path()));
    upload_bytes(&client, bytes(SLICE, 1), "f").await.unwrap();
    assert_eq!(bench.requests(Endpoint::AccessToken).len(), 4 + 2 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_goes_again_with_a_new_token_waits_for_its_turn() {
    let bench = Bench::new();
    let refused = Fault::new(Endpoint::Create, Action::Unauthorized { http: false });
    bench.script(vec![Fault { times: Some(1), ..refused }]);
    let url = bench.emulator.base_url();
    let client = Client::builder()
        .base_url(url)
        .tokens(developer(url, bench.dir.path()))
        .policy(impatient())
        .build()
        .unwrap();
    let began = std::time::Instant::now();
    upload_bytes(&client, bytes(SLICE, 1), "f").await.unwrap();
    assert_eq!(bench.requests(Endpoint::Create).len(), 2);
    assert!(began.elapsed() >= Duration::from_secs(1), "one a second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_is_tried_once_however_many_need_it() {
    let bench = Bench::new();
    let url = bench.emulator.base_url();
    let transport = Arc::new(HttpTransport::new().unwrap());
    let wrong = Arc::new(ClientCredentials::new(transport, url, ID, "not-the-secret").unwrap());
    let client = client(url, bench.dir.path(), wrong);
    let uploads: Vec<Upload> = (0..8)
        .map(|n| client.upload(Source::bytes(bytes(SLICE, n)), Target::root(format!("f{n}"))).unwrap())
        .collect();
    uploads.iter().for_each(Upload::start);
    for upload in &uploads {
        let error = upload.wait().await.unwrap_err();
        assert_eq!((error.kind(), error.kind().exit_code()), (ErrorKind::Login, 3));
        assert!(error.to_string().contains("access_token: 无效的登录信息"), "{error}");
        assert!(!format!("{error:?}").contains("not-the-secret"));
    }
    let asked = bench.requests(Endpoint::AccessToken).len();
    assert!(asked <= uploads.len(), "{asked} logins");
    assert!(bench.requests(Endpoint::Create).is_empty());
}

const CHILD: &str = "PAN123_TEST_LOGIN";

/// Not a test by itself: a process that uploads one file after the other, saying so, until it is killed or
/// through with them. It fails if a file of it does.
#[test]
fn child_uploads_with_a_login() {
    let Ok(order) = env::var(CHILD) else { return };
    let words: Vec<&str> = order.split('|').collect();
    let [base_url, dir, name, count, refresh_token] = words[..] else { panic!("{order}") };
    let dir = Path::new(dir);
    let tokens: Arc<dyn TokenProvider> = match refresh_token {
        "" => developer(base_url, dir),
        given => {
            let transport = Arc::new(HttpTransport::new().unwrap());
            Arc::new(RefreshToken::new(transport, base_url, ID, SECRET, given, dir).unwrap())
        }
    };
    let client = client(base_url, dir, tokens);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut fails = false;
    for n in 0..count.parse().unwrap() {
        let name = format!("{name}-{n}");
        let seed = fastrand::u64(..);
        match runtime.block_on(upload_bytes(&client, bytes(2 * SLICE, seed), &name)) {
            Ok(_) => println!("uploaded {n}"),
            Err(error) => {
                println!("failed {n}: {error}; {}", error.advice());
                fails = true;
            }
        }
    }
    assert!(!fails);
}

fn child(bench: &Bench, name: &str, count: usize, refresh_token: &str) -> Child {
    let dir = bench.dir.path().display();
    let order = format!("{}|{dir}|{name}|{count}|{refresh_token}", bench.emulator.base_url());
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "child_uploads_with_a_login", "--nocapture"])
        .env(CHILD, order)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn processes_share_a_token_and_never_ask_for_a_fourth() {
    let bench = Bench::new();
    let mut children: Vec<Child> = (0..4).map(|n| child(&bench, &format!("process{n}"), 12, "")).collect();
    // The first to come so far ends the token under everybody's hands.
    let lines = BufReader::new(children[0].stdout.take().unwrap()).lines().map_while(Result::ok);
    let far =
        lines.filter(|line| line.contains("uploaded 3")).map(|_| bench.emulator.expire_tokens().unwrap());
    assert_eq!(far.count(), 1, "it ended early");
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(issued(&bench), 2, "one to begin with, and one when it ended");
    // 48 files: every one with the token of the moment.
    assert_eq!(fs::read_dir(bench.dir.path().join("drive/files")).unwrap().count(), 48);
}

#[test]
fn processes_whose_every_token_is_refused_fetch_no_fourth_in_all() {
    let bench = Bench::new();
    bench.script(vec![Fault::new(Endpoint::Create, Action::Unauthorized { http: true })]);
    let failures = |children: Vec<Child>| {
        let ended = children.into_iter().map(|child| child.wait_with_output().unwrap());
        let said = ended.map(|ended| String::from_utf8(ended.stdout).unwrap()).collect::<String>();
        said.lines().filter(|line| line.contains(": create: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let together = failures((0..6).map(|n| child(&bench, &format!("process{n}"), 2, "")).collect());
    assert_eq!((together.len(), issued(&bench)), (12, 3), "tokens; {together:?}");
    let later = failures((0..3).map(|n| child(&bench, &format!("later{n}"), 1, "")).collect());
    assert_eq!((later.len(), issued(&bench)), (3, 3), "tokens");
    for line in later {
        assert!(
            line.contains("the service refused 3 tokens in a row, and no other is fetched before "),
            "{line}"
        );
    }

    // Ten minutes after the third, one more is tried.
    let files = fs::read_dir(bench.dir.path()).unwrap().map(|file| file.unwrap().path());
    let cached = files.filter(|path| path.extension().is_some_and(|it| it == "json")).collect::<Vec<_>>();
    let [cached] = &cached[..] else { panic!("{cached:?}") };
    let mut saved: serde_json::Value = serde_json::from_slice(&fs::read(cached).unwrap()).unwrap();
    saved["fetched_unix_ms"] = (saved["fetched_unix_ms"].as_i64().unwrap() - 601_000).into();
    fs::write(cached, saved.to_string()).unwrap();
    failures((0..3).map(|n| child(&bench, &format!("much-later{n}"), 2, "")).collect());
    assert_eq!(issued(&bench), 4, "tokens");

    // What is mended goes on with the token that is there, and one that ends then is renewed by whoever needs it.
    bench.script(vec![]);
    assert!(child(&bench, "mended", 1, "").wait().unwrap().success());
    assert_eq!(issued(&bench), 4, "tokens");
    bench.emulator.expire_tokens().unwrap();
    assert!(child(&bench, "renewed", 1, "").wait().unwrap().success());
    assert_eq!(issued(&bench), 5, "tokens");
}

/// The service's answer to an authorization: a refresh token.
fn authorize(bench: &Bench) -> String {
    use std::io::{Read, Write};
    let host = bench.emulator.base_url().replace("http://", "");
    let mut stream = std::net::TcpStream::connect(&host).unwrap();
    let query =
        format!("client_id={ID}&client_secret={SECRET}&grant_type=authorization_code&code=emulator-code");
    write!(
        stream,
        "POST {}?{query} HTTP/1.1\r\nHost: {host}\r\nPlatform: open_platform\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        Endpoint::OauthToken.path()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let json: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    json["refresh_token"].as_str().unwrap().to_owned()
}

#[test]
fn a_refresh_token_survives_kill_9_wherever_its_answer_was_not_on_the_way() {
    let bench = Bench::new();
    let refresh_token = authorize(&bench);
    for round in 0..8 {
        // Every process finds the access token ended and has to spend the refresh token of the one before.
        bench.emulator.expire_tokens().unwrap();
        let mut running = child(&bench, &format!("round{round}"), 100, &refresh_token);
        let mut lines = BufReader::new(running.stdout.take().unwrap()).lines().map_while(Result::ok);
        let far = format!("uploaded {}", round % 4);
        assert!(lines.any(|line| line.contains(&far)), "round {round}: the login is lost");
        running.kill().unwrap();
        running.wait().unwrap();
    }
    let spent = bench.requests(Endpoint::OauthToken).iter().filter(|it| it.status == Some(200)).count();
    assert_eq!(spent, 1 + 8, "one for the authorization, one for each process");
}

#[test]
fn a_kill_before_the_service_has_answered_costs_no_refresh_token() {
    let bench = Bench::new();
    let refresh_token = authorize(&bench);
    bench.script(vec![Fault::new(Endpoint::OauthToken, Action::Hang).at(At::Head)]);
    let mut running = child(&bench, "hangs", 1, &refresh_token);
    // The pair is written down once before the refresh token is spent.
    let saved = || {
        let files = fs::read_dir(bench.dir.path()).unwrap();
        files.map(|file| file.unwrap().path()).any(|path| path.extension().is_some_and(|it| it == "json"))
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !saved() {
        assert!(std::time::Instant::now() < deadline, "it never asked");
        std::thread::sleep(Duration::from_millis(2));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    bench.script(vec![]);
    assert!(child(&bench, "goes", 1, &refresh_token).wait().unwrap().success());
    assert_eq!(fs::read_dir(bench.dir.path().join("drive/files")).unwrap().count(), 1);
}
