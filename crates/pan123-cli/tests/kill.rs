//! `kill -9` at any instant: the same command again sends no more than what was in flight, and the file is
//! right.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::{
    env, thread,
    time::{Duration, Instant},
};

use pan123_emulator::{Action, At, Behaviour, Fault, Request};
use pan123_upload::proto::Endpoint;
use support::{Bench, Running, SLICE, bytes, told};

const SLICES: u64 = 12;
const SIZE: u64 = SLICES * SLICE - 7;
const IN_FLIGHT: u64 = 3;

/// The service holds nothing of this content already, so that every file has to be sent.
fn forgetful() -> Bench {
    Bench::with(|options| {
        options.tokens = vec!["first".to_owned(), SECOND.to_owned()];
        options.faults.behaviour = Behaviour { reuse: false, ..Behaviour::default() };
    })
}

/// The token of the run after the kill. The server may come to what the killed run sent only later, so its
/// requests are told apart by this.
const SECOND: &str = "second";

/// What the server's log has for that token: the first digits of its MD5.
const SECOND_LOGGED: &str = "a9f0e61a";

fn of_second_run(bench: &Bench, endpoint: Endpoint) -> Vec<Request> {
    let mut requests = bench.requests(endpoint);
    requests.retain(|request| request.token.as_deref() == Some(SECOND_LOGGED));
    requests
}

fn arguments(path: &str) -> Vec<&str> {
    vec!["upload", path, "--json", "--parallel", "3", "--retry-for", "20s"]
}

fn start(bench: &Bench, path: &str) -> Running {
    Running::start(&mut bench.program(&arguments(path)))
}

/// What the run after the kill is held to.
struct Expect {
    creates: usize,
    /// Slices that it sends, exactly.
    slices: u64,
    hashes: bool,
}

fn goes_on(bench: &Bench, path: &str, seed: u64, expect: &Expect, what: &str) {
    let name = path.rsplit('/').next().unwrap();
    let mut second = bench.program(&arguments(path));
    let (code, lines) = Running::start(second.env("PAN123_ACCESS_TOKEN", SECOND)).end();
    assert_eq!(code, Some(0), "{what}: {lines:?}");
    assert!(bench.stored(name).unwrap() == bytes(SIZE, seed), "{what}: other bytes");
    assert!(bench.stored(&format!("{name}(1)")).is_none(), "{what}: stored twice");
    assert_eq!(of_second_run(bench, Endpoint::Create).len(), expect.creates, "{what}: creates");
    assert_eq!(of_second_run(bench, Endpoint::Slice).len() as u64, expect.slices, "{what}: slices");
    let hashed = lines.iter().any(|line| line["event"] == "stage" && line["stage"] == "hashing");
    assert!(expect.hashes || !hashed, "{what}: hashed again");
    let left = told(&bench.program(&["uploads"]).output().unwrap());
    assert_eq!(left.0, Some(0));
    assert!(left.1.contains("nothing is unfinished"), "{what}: {}", left.1);
}

#[test]
fn killed_while_create_is_asked_for() {
    for at in [At::Head, At::Done] {
        let bench = forgetful();
        bench.script(vec![Fault::new(Endpoint::Create, Action::Hang).at(at)]);
        let path = bench.file("f", SIZE, 1);
        let mut running = start(&bench, &path);
        running.stage("creating");
        running.kill();
        bench.script(vec![]);
        let expect = Expect { creates: 1, slices: SLICES, hashes: true };
        goes_on(&bench, &path, 1, &expect, &format!("create {at:?}"));
    }
}

#[test]
fn killed_when_create_is_answered() {
    let bench = forgetful();
    bench.script(vec![Fault::new(Endpoint::Slice, Action::Hang).at(At::Head)]);
    let path = bench.file("f", SIZE, 2);
    let mut running = start(&bench, &path);
    running.stage("sending");
    running.kill();
    bench.script(vec![]);
    goes_on(&bench, &path, 2, &Expect { creates: 0, slices: SLICES, hashes: false }, "created");
}

#[test]
fn killed_when_a_slice_is_acknowledged() {
    for known in 1..SLICES {
        let bench = forgetful();
        // Slices above this one hang, so that exactly those below get through.
        let no = u32::try_from(known).unwrap();
        let hang = Fault::new(Endpoint::Slice, Action::Hang).at(At::Early);
        bench.script(vec![hang.slices(no + 1..)]);
        let path = bench.file("f", SIZE, known);
        let mut running = start(&bench, &path);
        assert!(running.line(|line| line["event"] == "slice" && line["done"] == known).is_some());
        running.kill();
        bench.script(vec![]);
        // What the program has told of is on record: not one of these goes again.
        let expect = Expect { creates: 0, slices: SLICES - known, hashes: false };
        goes_on(&bench, &path, known, &expect, &format!("slice {known}"));
    }
}

#[test]
fn killed_while_the_service_completes() {
    // The answer is lost after the file is stored, or nothing has happened yet.
    for at in [At::Head, At::Done] {
        let bench = forgetful();
        bench.script(vec![Fault::new(Endpoint::Complete, Action::Hang).at(at)]);
        let path = bench.file("f", SIZE, 3);
        let mut running = start(&bench, &path);
        running.stage("completing");
        if at == At::Done {
            until("the file is stored", || bench.stored("f").is_some());
        }
        running.kill();
        bench.script(vec![]);
        let expect = Expect { creates: 0, slices: 0, hashes: false };
        goes_on(&bench, &path, 3, &expect, &format!("complete {at:?}"));
    }
}

/// Starts an upload whose result nobody reads, waits until it is on record, and kills it.
#[cfg(target_os = "linux")]
fn killed_untold(bench: &Bench, arguments: &[&str]) -> i64 {
    use std::io::Write as _;
    let (reader, mut writer) = std::io::pipe().unwrap();
    // Full, as pipes are made.
    writer.write_all(&[b' '; 64 << 10]).unwrap();
    let mut child = bench.program(arguments).stdout(writer).spawn().unwrap();
    let mut file_id = None;
    until("the result is on record", || {
        let listed = bench.program(&["uploads", "--json"]).output().unwrap().stdout;
        let line: Option<serde_json::Value> = serde_json::from_slice(&listed).ok();
        file_id = line.and_then(|line| line["file_id"].as_i64());
        file_id.is_some()
    });
    assert!(child.try_wait().unwrap().is_none(), "it waits for its reader");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(reader);
    file_id.unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn killed_before_the_result_is_told() {
    for reuse in [false, true] {
        let bench = Bench::with(|options| {
            options.faults.behaviour = Behaviour { reuse, ..Behaviour::default() };
        });
        let path = bench.file("f", SIZE, 4);
        if reuse {
            assert_eq!(start(&bench, &bench.file("same", SIZE, 4)).end().0, Some(0));
        }
        let keep_both = [arguments(&path), vec!["--on-conflict", "keep-both"]].concat();
        let run = || Running::start(&mut bench.program(&keep_both)).end();

        let file_id = killed_untold(&bench, &keep_both);
        let (code, listed) = told(&bench.program(&["uploads"]).output().unwrap());
        let words = format!("finished as file id {file_id}, result not yet told");
        assert!(code == Some(0) && listed.contains(&words), "{listed}");

        bench.emulator.clear_requests();
        let (code, lines) = run();
        let last = lines.last().unwrap();
        assert_eq!((code, &last["event"]), (Some(0), &"completed".into()), "{lines:?}");
        assert_eq!((last["file_id"].as_i64(), &last["earlier"]), (Some(file_id), &true.into()), "{last}");
        assert_eq!((&last["reused"], last["bytes_sent"].as_u64()), (&reuse.into(), Some(0)), "{last}");
        assert!(bench.emulator.requests().is_empty(), "{:?}", bench.emulator.requests());
        assert!(told(&bench.program(&["uploads"]).output().unwrap()).1.contains("nothing is unfinished"));

        // Told once, the next run is a new upload.
        let (code, lines) = run();
        let last = lines.last().unwrap();
        assert_eq!((code, &last["earlier"]), (Some(0), &false.into()), "{last}");
        assert_ne!(last["file_id"].as_i64(), Some(file_id));

        // A file that has changed since is another upload, too.
        let file_id = killed_untold(&bench, &keep_both);
        bench.file("f", SIZE, 5);
        let (code, lines) = run();
        let last = lines.last().unwrap();
        assert_eq!((code, &last["earlier"]), (Some(0), &false.into()), "{last}");
        assert_ne!(last["file_id"].as_i64(), Some(file_id));
        assert_eq!(last["bytes_sent"].as_u64(), Some(SIZE), "{last}");

        // Whoever knows it already may forget it.
        killed_untold(&bench, &keep_both);
        let forgot = told(&bench.program(&["uploads", "forget", "--all"]).output().unwrap());
        assert!(forgot.0 == Some(0) && forgot.1.contains("forgot"), "{}", forgot.1);
        assert_eq!(run().1.last().unwrap()["earlier"], false);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_was_not_told_is_told_without_its_file() {
    for change in [None, Some(5)] {
        let bench = forgetful();
        let path = bench.file("f", SIZE, 4);
        let file_id = killed_untold(&bench, &arguments(&path));
        match change {
            Some(seed) => drop(bench.file("f", SIZE, seed)),
            None => std::fs::remove_file(&path).unwrap(),
        }
        bench.emulator.clear_requests();
        let resume = ["uploads", "resume", "--all", "--json"];
        let (code, lines) = Running::start(&mut bench.program(&resume)).end();
        let last = lines.last().unwrap();
        assert_eq!((code, &last["event"]), (Some(0), &"completed".into()), "{lines:?}");
        assert_eq!((last["file_id"].as_i64(), &last["earlier"]), (Some(file_id), &true.into()), "{last}");
        assert_eq!((last["size"].as_u64(), last["bytes_sent"].as_u64()), (Some(SIZE), Some(0)), "{last}");
        assert!(bench.emulator.requests().is_empty(), "{:?}", bench.emulator.requests());
        assert!(told(&bench.program(&["uploads"]).output().unwrap()).1.contains("nothing is unfinished"));
    }
}

/// Bytes that a process has read so far, from files and sockets.
#[cfg(target_os = "linux")]
fn bytes_read(running: &Running) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{}/io", running.child.id())).unwrap();
    io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_hashed_is_not_hashed_again_even_if_create_was_never_answered() {
    let bench = Bench::with(|options| options.slice_size = 16 << 20);
    // No slice goes out in either run: what is read is read to hash it.
    bench.script(vec![Fault::new(Endpoint::Create, Action::Hang)]);
    let len = 64 << 20;
    let path = bench.file("f", len, 1);
    let mut first = start(&bench, &path);
    first.stage("creating");
    assert!(bytes_read(&first) >= len, "the first run reads the file");
    first.kill();
    let mut second = start(&bench, &path);
    second.stage("creating");
    let read = bytes_read(&second);
    assert!(read < len / 4, "the second run read {read} bytes");
    second.kill();
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within 60 s");
        thread::sleep(Duration::from_millis(2));
    }
}

/// How many instants: `PAN123_TEST_KILLS` of them, or a few.
fn kills() -> u64 {
    env::var("PAN123_TEST_KILLS").map_or(24, |number| number.parse().unwrap())
}

#[test]
fn killed_at_random_instants() {
    let seed = env::var("PAN123_TEST_SEED").map_or(20, |seed| seed.parse().unwrap());
    let bench = forgetful();
    let path = bench.file("whole", SIZE, 0);
    let began = Instant::now();
    assert_eq!(start(&bench, &path).end().0, Some(0));
    let whole = began.elapsed();

    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut cut, mut resumed) = (0, 0);
    for round in 1..=kills() {
        let name = format!("f{round}");
        let path = bench.file(&name, SIZE, round);
        bench.emulator.clear_requests();
        let instant = whole.mul_f64(rng.f64() * 1.1);
        let what = format!("seed {seed} round {round}, killed after {instant:?}");
        let running = start(&bench, &path);
        // The instant is what is being tested.
        thread::sleep(instant);
        running.kill();
        let before = bench.taken();
        if bench.stored(&name).is_none() {
            cut += 1;
            resumed += u64::from(before > 0);
        }
        let listed = told(&bench.program(&["uploads", "--json"]).output().unwrap()).1;
        if bench.stored(&name).is_some() && listed.is_empty() {
            // It was through.
            continue;
        }
        let (code, lines) = start(&bench, &path).end();
        assert_eq!(code, Some(0), "{what}: {lines:?}");
        assert!(bench.stored(&name).unwrap() == bytes(SIZE, round), "{what}: other bytes");
        assert!(bench.stored(&format!("{name}(1)")).is_none(), "{what}: stored twice");
        let (creates, taken) = (bench.requests(Endpoint::Create).len(), bench.taken());
        // Without a slice the first run may have died before the answer was on record.
        assert!(creates == 1 || (creates == 2 && before == 0), "{what}: {creates} creates");
        assert!(taken <= SLICES + IN_FLIGHT, "{what}: {taken} slices taken");
    }
    assert!(cut > 0 && resumed > 0, "no kill came in time: {cut} cut, {resumed} with slices there");
}
