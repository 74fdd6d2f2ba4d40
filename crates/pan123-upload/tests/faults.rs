//! Every fault of the emulator at every call of an upload: what passes is survived with the right bytes, what
//! stays ends the upload with the right words.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use pan123_emulator::{Action, At, Behaviour, Fault, Garbage, Qps};
use pan123_upload::{
    Client, ClientCredentials, Error, ErrorKind, Source, Target,
    proto::{
        Endpoint,
        machine::{Duplicate, Event, Policy, SingleUse},
    },
    transport::{Clocks, HttpTransport, Layer, Transport},
};
use serde_json::json;
use support::{Bench, SHORT, SLICE, ShortClocks, bytes, impatient, upload, upload_bytes, words};
use tokio::task::JoinSet;

const SIZE: u64 = 3 * SLICE - 1;
const GARBAGE: [Garbage; 7] = [
    Garbage::Html,
    Garbage::Truncated,
    Garbage::NoCode,
    Garbage::Nested,
    Garbage::Huge,
    Garbage::Binary,
    Garbage::WrongTypes,
];

fn status(status: u16) -> Action {
    Action::Status { status, body: "<h1>gateway</h1>".into(), retry_after: None }
}

fn code(code: i64, message: &str) -> Action {
    Action::Code { code, message: message.into(), data: json!(null), status: 200, retry_after: None }
}

fn redirect() -> Action {
    Action::Redirect { location: "http://127.0.0.1:9/".into(), status: 307 }
}

/// The file is complete, it says, and has no id.
fn nameless() -> Action {
    let data = json!({"completed": true, "fileID": 0});
    Action::Code { code: 0, message: "ok".into(), data, status: 200, retry_after: None }
}

fn throttled(http: bool) -> Action {
    Action::Throttled { http, retry_after: http.then(|| "0".into()) }
}

/// A client that logs in with id and secret, so that it can renew its token; a small file goes in one
/// request when that is what is tested.
fn client(bench: &Bench, on: Endpoint, action: &Action, retry_for: Duration) -> Client {
    let single =
        if matches!(on, Endpoint::Domain | Endpoint::Single) { SingleUse::Always } else { SingleUse::Never };
    let transport: Arc<dyn Transport> = Arc::new(HttpTransport::new().unwrap());
    let clocks = if *action == Action::Hang { SHORT } else { Clocks::default() };
    let transport = ShortClocks(clocks).wrap(transport);
    let url = bench.emulator.base_url();
    let tokens = ClientCredentials::new(transport.clone(), url, "emulator-id", "emulator-secret").unwrap();
    let policy = Policy { single, retry_for, poll_for: retry_for, ..impatient() };
    bench.builder().transport(transport).tokens(Arc::new(tokens)).policy(policy).build().unwrap()
}

fn size(on: Endpoint) -> u64 {
    if matches!(on, Endpoint::Domain | Endpoint::Single) { SLICE - 1 } else { SIZE }
}

const CALLS: [Endpoint; 6] = [
    Endpoint::Create,
    Endpoint::Slice,
    Endpoint::Complete,
    Endpoint::Domain,
    Endpoint::Single,
    Endpoint::AccessToken,
];

/// Faults that a client has to survive when they come once or twice.
fn passing(on: Endpoint) -> Vec<(Action, u32)> {
    let mut all = vec![
        (Action::Delay { ms: 30 }, 9),
        (Action::Rate { bytes_per_sec: 1_000_000 }, 9),
        (Action::BodyDeadline { ms: 1, text: true }, 1),
        (Action::BodyDeadline { ms: 1, text: false }, 1),
        (Action::Reset, 2),
        (Action::Hang, 1),
        (Action::IdsAsStrings, 9),
        (throttled(false), 1),
        (throttled(true), 2),
    ];
    all.extend([408, 500, 503].map(|number| (status(number), 2)));
    if on == Endpoint::AccessToken {
        // A provider asks once; it is the upload that asks again.
        return all;
    }
    all.extend([
        (code(1, "内部错误"), 2),
        (code(500, "系统繁忙"), 2),
        (redirect(), 2),
        (Action::Unauthorized { http: false }, 1),
        (Action::Unauthorized { http: true }, 1),
        (Action::ExpireTokens, 1),
    ]);
    all.extend(GARBAGE.map(|garbage| (Action::Garbage(garbage), 2)));
    match on {
        Endpoint::Create => {
            all.extend([(Action::Empty, 2), (Action::SliceSize { bytes: 1000 }, 9), (Action::ReuseZero, 2)])
        }
        Endpoint::Slice => all.extend([
            (code(1, "分片md5校验失败"), 2),
            (code(1, "分片重复上传"), 0),
            (Action::CorruptByte { offset: 7 }, 1),
            (Action::Forget, 1),
            (Action::Die, 1),
        ]),
        Endpoint::Complete => all.extend([
            (Action::Empty, 2),
            (Action::Pending, 3),
            (Action::Unfinished, 3),
            (nameless(), 2),
            (Action::Failed, 1),
            (Action::Forget, 1),
        ]),
        Endpoint::Single => all.extend([
            (Action::Empty, 2),
            (Action::QueueBusy, 1),
            (code(1, "no such thing"), 1),
            (Action::Die, 1),
        ]),
        Endpoint::Domain => all.push((Action::Empty, 2)),
        _ => {}
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_survived_at_every_call_and_moment() {
    let cases = CALLS.into_iter().flat_map(|on| passing(on).into_iter().map(move |case| (on, case)));
    all(cases.map(|(on, (action, times))| async move {
        let bench = Bench::new();
        for (seed, at) in (0..).zip(moments(on, &action)) {
            survives(&bench, on, &action, times, at, seed)
                .await
                .map_err(|why| format!("{} {at:?} {action:?}: {why}", on.name()))?;
        }
        Ok(())
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_complete_without_an_id_is_found_in_its_folder() {
    let bench = Bench::new();
    bench.script(vec![Fault::new(Endpoint::Complete, nameless()).at(At::Done)]);
    let done = upload_bytes(&bench.client(), bytes(SIZE, 1), "f").await.unwrap();
    assert!(bench.stored("f").unwrap() == bytes(SIZE, 1));
    assert_eq!(bench.client().detail(done.file_id).await.unwrap().filename, "f");
    assert_eq!((bench.requests(Endpoint::Complete).len(), bench.requests(Endpoint::List).len()), (3, 1));
}

/// The moments at which a fault makes a difference of its own.
fn moments(on: Endpoint, action: &Action) -> Vec<At> {
    let lies_if_done = match action {
        // The service would not say these of a request that it has carried out.
        Action::Unauthorized { .. } | Action::Throttled { .. } | Action::Failed | Action::Forget => true,
        Action::Status { status, .. } => *status == 408,
        Action::Code { message, .. } => message == "no such thing",
        _ => false,
    };
    let mut moments = match action {
        // Always slow to make, and the same whenever it comes.
        Action::Garbage(Garbage::Huge | Garbage::Nested) => return vec![At::Body],
        Action::Reset | Action::Hang | Action::Die if on.is_on_upload_host() => {
            vec![At::Head, At::Early, At::Byte(1000), At::Body]
        }
        _ => vec![At::Head, At::Body],
    };
    if !lies_if_done {
        moments.push(At::Done);
    }
    moments
}

async fn survives(
    bench: &Bench,
    on: Endpoint,
    action: &Action,
    times: u32,
    at: At,
    seed: u64,
) -> Result<(), String> {
    bench.script(vec![Fault { times: Some(times.into()), ..Fault::new(on, action.clone()).at(at) }]);
    bench.emulator.clear_requests();
    (0..2).for_each(|server| bench.emulator.revive_server(server));
    let (name, data) = (seed.to_string(), bytes(size(on), seed));
    let client = client(bench, on, action, Duration::from_secs(20));
    let done = upload_bytes(&client, data.clone(), &name).await.map_err(|error| format!("{error:?}"))?;
    if done.size != data.len() as u64 || bench.stored(&name) != Some(data) {
        return Err("other bytes".into());
    }
    let requests = bench.emulator.requests();
    if requests.len() > 60 {
        return Err(format!("{} requests", requests.len()));
    }
    // One that hangs for good is not in the log.
    let logged = *action != Action::Hang;
    if logged && !requests.iter().any(|request| request.faults.contains(&action.name())) {
        return Err("it never struck".into());
    }
    Ok(())
}

/// Runs cases, a few at a time, and tells of all that failed.
async fn all<F: Future<Output = Result<(), String>> + Send + 'static>(cases: impl Iterator<Item = F>) {
    let mut running: JoinSet<Result<(), String>> = JoinSet::new();
    let mut failed = Vec::new();
    for case in cases {
        if running.len() >= 12 {
            failed.extend(running.join_next().await.unwrap().unwrap().err());
        }
        running.spawn(case);
    }
    while let Some(ended) = running.join_next().await {
        failed.extend(ended.unwrap().err());
    }
    assert!(failed.is_empty(), "{} failed\n{}", failed.len(), failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_no_conflict_with_oneself_in_a_folder_either() {
    for on in [Endpoint::Create, Endpoint::Single, Endpoint::Complete] {
        for at in [At::Done, At::Body] {
            let bench = Bench::new();
            let data = bytes(size(on), 1);
            // The service holds the bytes already, so that `create` alone stores the file.
            if on == Endpoint::Create {
                upload_bytes(&bench.client(), data.clone(), "known").await.unwrap();
            }
            bench.script(vec![Fault::new(on, Action::Reset).at(at).attempts(1)]);
            let client = client(&bench, on, &Action::Reset, Duration::from_secs(20));
            let target = Target { contain_dir: true, ..Target::root("/a/b c/文件.bin") };
            let done = client.upload(Source::bytes(data.clone()), target).unwrap().wait().await;
            done.unwrap_or_else(|error| panic!("{} {at:?}: {error:?}", on.name()));
            assert!(bench.stored("a/b c/文件.bin").unwrap() == data);
            let folder = bench.dir.path().join("drive/files/a/b c");
            assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "{} {at:?}: stored twice", on.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_time_to_retry_each_request_has_one_try() {
    for on in [Endpoint::Create, Endpoint::Slice, Endpoint::Complete] {
        let actions = [status(500), status(503), status(429), status(408), status(404), Action::Reset];
        for action in actions {
            let bench = Bench::new();
            bench.script(vec![Fault::new(on, action.clone())]);
            let client = bench.builder().retry_for(Duration::ZERO).build().unwrap();
            let error = upload_bytes(&client, bytes(1000, 1), "f").await.unwrap_err();
            let tries = bench.requests(on).len();
            assert_eq!(tries, 1, "{} {action:?}: {tries} tries, {error:?}", on.name());
        }
    }
}

/// What a user is told when it does not pass.
struct Lasting {
    on: Endpoint,
    action: Action,
    kind: ErrorKind,
    exit_code: u8,
    /// Each in the error's line or its advice; `; ` between them.
    words: &'static str,
    resumable: bool,
}

fn lasting() -> Vec<Lasting> {
    use Endpoint::{AccessToken, Complete, Create, Single, Slice};
    use ErrorKind as Kind;
    let case = |on, action, kind: Kind, words, resumable| Lasting {
        on,
        action,
        kind,
        exit_code: kind.exit_code(),
        words,
        resumable,
    };
    let mut all = Vec::new();
    for on in [Create, Slice, Complete] {
        all.extend([
            case(on, status(500), Kind::Server, "HTTP 500; attempts", true),
            case(on, code(1, "内部错误"), Kind::Server, "内部错误; code 1; trace; attempts", true),
            case(on, Action::Reset, Kind::Network, "closed the connection; 127.0.0.1", true),
            case(on, Action::Hang, Kind::Timeout, "no answer from 127.0.0.1", true),
            case(on, Action::Unauthorized { http: true }, Kind::Login, "401; token", true),
            case(on, code(1, "out of cheese"), Kind::Refused, "out of cheese; code 1; trace", on != Create),
            case(on, code(1, "空间不足"), Kind::Refused, "空间不足; Free some space", true),
        ]);
        if on != Slice {
            all.push(case(on, Action::Empty, Kind::Protocol, "empty; base URL", true));
        }
        // (Too many requests, for ever, takes many minutes to give up on: in virtual time, the machine's tests.)
        // An answer whose `code` is 0 is a success for a slice, whatever its `data`, and no news of the file
        // at the end; neither makes a file of slices that are not there.
        let wrong_types = match on {
            Slice => (Kind::Refused, "分片未全部上传", true),
            Complete => (Kind::Server, "still verifying", true),
            _ => (Kind::Protocol, "base URL", true),
        };
        for garbage in GARBAGE {
            let (kind, word, resumable) = match garbage {
                Garbage::WrongTypes => wrong_types,
                _ => (Kind::Protocol, "base URL", true),
            };
            all.push(case(on, Action::Garbage(garbage), kind, word, resumable));
        }
        all.push(case(on, redirect(), Kind::Protocol, "redirect", true));
    }
    all.extend([
        case(Create, Action::ReuseZero, Kind::Protocol, "fileID", true),
        case(Create, code(1, "parentFileID不存在"), Kind::Refused, "parentFileID不存在; folder id", false),
        case(Create, code(1, "文件名要小于256个字符"), Kind::Name, "another name", false),
        case(Create, code(1, "该目录下已经有同名文件"), Kind::Refused, "another name", false),
        case(Create, Action::AnnounceSliceSize { bytes: 0 }, Kind::Protocol, "sliceSize", true),
        case(Create, Action::AnnounceSliceSize { bytes: -1 }, Kind::Protocol, "sliceSize", true),
        case(Slice, Action::CorruptByte { offset: 0 }, Kind::Verify, "文件上传失败; trace", false),
        case(Slice, Action::Forget, Kind::Refused, "preuploadID; code 1", false),
        case(Complete, Action::Forget, Kind::Refused, "preuploadID; code 1", false),
        case(Complete, Action::Failed, Kind::Verify, "文件上传失败; twice", false),
        case(Complete, Action::Pending, Kind::Server, "still verifying", true),
        case(Complete, nameless(), Kind::Server, "has named no file id", true),
        case(Complete, Action::Unfinished, Kind::Server, "still verifying", true),
        case(AccessToken, status(500), Kind::Server, "access_token; HTTP 500", true),
        case(AccessToken, Action::Reset, Kind::Network, "access_token; 127.0.0.1", true),
        case(AccessToken, code(401, "无效的登录信息"), Kind::Login, "access_token; 无效的登录信息", true),
        case(
            AccessToken,
            code(1, "tokens number has exceeded the imit"),
            Kind::Login,
            "tokens number has exceeded; asking for more tokens makes it worse",
            true,
        ),
        case(Single, code(1, "空间不足"), Kind::Refused, "空间不足", true),
    ]);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_ends_the_upload_with_the_step_the_words_and_the_trace() {
    all(lasting().into_iter().map(|case| async move {
        let bench = Bench::new();
        bench.script(vec![Fault::new(case.on, case.action.clone())]);
        let client = client(&bench, case.on, &case.action, Duration::from_millis(900));
        let ended = upload_bytes(&client, bytes(size(case.on), 1), "f").await;
        let error = ended.err().ok_or("a success")?;
        judge(&case, &error, &bench).map_err(|why| {
            let (on, action, kind) = (case.on.name(), &case.action, error.kind());
            format!("{on} {action:?}: {why}\n    {kind}: {}", words(&error))
        })
    }))
    .await;
}

fn judge(case: &Lasting, error: &Error, bench: &Bench) -> Result<(), String> {
    let said = words(error);
    if (error.kind(), error.kind().exit_code()) != (case.kind, case.exit_code) {
        return Err(format!("not {:?}", case.kind));
    }
    if let Some(word) = case.words.split("; ").find(|word| !said.contains(word)) {
        return Err(format!("does not say {word:?}"));
    }
    if error.is_resumable() != case.resumable {
        return Err(format!("resumable is {}", error.is_resumable()));
    }
    if error.http_status().is_some() && error.trace_id().is_none() {
        return Err("no trace id".into());
    }
    if error.advice().is_empty() || said.chars().count() > 1500 || said.contains('\n') {
        return Err("not a line with advice".into());
    }
    if bench.stored("f").is_some() {
        return Err("stored all the same".into());
    }
    let requests = bench.emulator.requests().len();
    if requests > 150 {
        return Err(format!("{requests} requests"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_the_service_asks_one_upload_for_holds_that_call_of_the_others() {
    for http in [false, true] {
        let bench = Bench::new();
        let action = Action::Throttled { http, retry_after: Some("2".into()) };
        bench.script(vec![Fault { times: Some(1), ..Fault::new(Endpoint::Slice, action) }]);
        let client = bench.builder().policy(Policy { single: SingleUse::Auto, ..impatient() });
        let client = client.vip_rates(true).build().unwrap();
        let new =
            |n: u64| client.upload(Source::bytes(bytes(SLICE, n)), Target::root(format!("f{n}"))).unwrap();
        let (first, second) = (new(1), new(2));
        let mut events = first.events();
        first.start();
        while !matches!(events.recv().await.unwrap(), Event::Retry { .. }) {}
        let asked = Instant::now();
        second.wait().await.unwrap();
        // A little less than two seconds, because the event took its time.
        let waited = asked.elapsed();
        assert!(waited >= Duration::from_millis(1500), "its slice waited {waited:?}");
        first.wait().await.unwrap();
        let count = |on| bench.requests(on).len();
        assert_eq!((count(Endpoint::Create), count(Endpoint::Slice), count(Endpoint::Single)), (2, 3, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_until_a_date_is_kept() {
    let bench = Bench::new();
    let in_4_s = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(4));
    let action = Action::Throttled { http: true, retry_after: Some(in_4_s) };
    bench.script(vec![Fault { times: Some(1), ..Fault::new(Endpoint::Create, action) }]);
    let began = Instant::now();
    upload_bytes(&bench.client(), bytes(SLICE, 1), "f").await.unwrap();
    // Dates have no fractions of seconds.
    assert!(began.elapsed() >= Duration::from_millis(2500), "{:?}", began.elapsed());
    assert_eq!(bench.requests(Endpoint::Create).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_a_search_waits_for_its_turn() {
    // Five a second go out; how long each is on its way makes no difference to this limit.
    let qps = Qps::Custom([("list".into(), 7)].into());
    let bench = Bench::behaving(Behaviour { qps, ..Behaviour::default() });
    let lost = Fault::new(Endpoint::Single, Action::Reset).at(At::Done);
    bench.script(vec![Fault { times: Some(1), ..lost }]);
    let client = bench.builder().vip_rates(false).policy(Policy { single: SingleUse::Always, ..impatient() });
    let (path, source) = ("1/2/3/4/5/6/7/f", Source::bytes(bytes(SLICE, 1)));
    let target = Target { contain_dir: true, ..Target::root(path) };
    client.build().unwrap().upload(source, target).unwrap().wait().await.unwrap();
    assert!(bench.stored(path).is_some());
    let pages: Vec<_> = bench.requests(Endpoint::List).iter().map(|page| page.code).collect();
    assert_eq!(pages, [Some(0); 8], "one for each folder, none too early");
}

/// The answer to a request that stored the file, or did not, is lost with the run that asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_stored_for_a_run_that_was_stopped_is_neither_a_conflict_nor_stored_twice() {
    for duplicate in [None, Some(Duplicate::KeepBoth), Some(Duplicate::Overwrite)] {
        for (on, at) in
            [Endpoint::Single, Endpoint::Create].into_iter().flat_map(|on| [(on, At::Head), (on, At::Done)])
        {
            let what = format!("{duplicate:?} {on:?} {at:?}");
            let bench = Bench::new();
            let path = bench.file("f", SLICE, 1);
            // With this content known to the service, `create` stores the file at once.
            if on == Endpoint::Create {
                upload(&bench.client(), &path, "known").await.unwrap();
            }
            // Of that name there is another one, so that the one to be kept beside it gets a number.
            let is_taken = duplicate == Some(Duplicate::KeepBoth);
            if is_taken {
                upload(&bench.client(), &bench.file("other", 9, 2), "f").await.unwrap();
            }
            let name = if is_taken { "f(1)" } else { "f" };
            bench.script(vec![Fault::new(on, Action::Hang).at(at)]);
            bench.emulator.clear_requests();
            let single = if on == Endpoint::Single { SingleUse::Always } else { SingleUse::Never };
            let client = || bench.builder().policy(Policy { single, ..impatient() }).build().unwrap();
            let target = || Target { duplicate, ..Target::root("f") };

            let first = client().upload(Source::file(&path).unwrap(), target()).unwrap();
            first.start();
            let has_come = || match at {
                At::Done => bench.stored(name).is_some(),
                _ => bench.journals() > 0,
            };
            let waiting = async {
                while !has_come() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("{what}"));
            first.cancel();
            assert_eq!(first.wait().await.unwrap_err().kind(), ErrorKind::Cancelled, "{what}");
            bench.script(vec![]);

            let again = client().upload(Source::file(&path).unwrap(), target()).unwrap().wait().await;
            let again = again.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(on == Endpoint::Single || again.bytes_sent == 0, "{what}");
            assert!(bench.stored(name).unwrap() == bytes(SLICE, 1), "{what}: other bytes");
            assert!(bench.stored("f(2)").is_none(), "{what}: stored twice");
            assert!(is_taken || bench.stored("f(1)").is_none(), "{what}: stored twice");
        }
    }
}
