//! What happens to the machine, the network and the service while the program runs, and what its user sees.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::{
    fs,
    io::Write,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use pan123_emulator::{Action, At, Behaviour, Fault};
use pan123_upload::proto::Endpoint;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};
use serde_json::{Value, json};
use support::{Bench, Running, SLICE, bytes, program, state, told};

/// A service in a process of its own, which can be stopped and killed.
struct Serving {
    running: Running,
    base_url: String,
    port: u16,
}

const TOKEN: &str = "a-token-that-serve-takes";

fn serve(dir: &std::path::Path, port: u16, faults: &str) -> Serving {
    let mut command = program(dir);
    let folder = dir.join("drive");
    command.args(["serve", "--json", "--token", TOKEN, "--port", &port.to_string()]);
    command.args(["--slice-size", &SLICE.to_string(), "--faults", faults, "--dir"]).arg(folder);
    command.arg("--log").arg(dir.join("requests"));
    let mut running = Running::start(&mut command);
    let line = running.line(|line| line["event"] == "listening").expect("it listens");
    let base_url = line["base_url"].as_str().unwrap().to_owned();
    let port = base_url.rsplit(':').next().unwrap().parse().unwrap();
    Serving { running, base_url, port }
}

impl Serving {
    fn upload(&self, dir: &std::path::Path, path: &str, more: &[&str]) -> Running {
        let mut command = program(dir);
        command.env("PAN123_BASE_URL", &self.base_url).env("PAN123_ACCESS_TOKEN", TOKEN);
        Running::start(command.args(["upload", "--json", path]).args(more))
    }
}

/// Requests in the log of [`serve`].
fn requests(dir: &std::path::Path, endpoint: &str) -> Vec<Value> {
    let text = fs::read_to_string(dir.join("requests")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["endpoint"] == endpoint).collect()
}

fn file(dir: &std::path::Path, name: &str, len: u64) -> String {
    let path = dir.join(name);
    fs::write(&path, bytes(len, 1)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn failed(lines: &[Value]) -> &Value {
    let last = lines.last().unwrap();
    assert_eq!(last["event"], "failed", "{lines:?}");
    last
}

const SLOW: &str = r#"{"behaviour": {"total_bytes_per_sec": 2000000, "reuse": false}}"#;

#[test]
fn a_service_that_is_killed_and_started_again_finishes_the_same_upload() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "f", 40 * SLICE);
    let serving = serve(dir.path(), 0, SLOW);
    let mut upload = serving.upload(dir.path(), &path, &["--parallel", "4", "--retry-for", "60s"]);
    assert!(upload.line(|line| line["event"] == "slice" && line["done"] == 8).is_some());
    let port = serving.port;
    serving.running.kill();
    // It has met the dead service before that comes back.
    assert!(upload.line(|line| line["event"] == "retry").is_some());
    let _serving = serve(dir.path(), port, SLOW);
    let (code, lines) = upload.end();
    assert_eq!(code, Some(0), "{lines:?}");
    assert!(fs::read(dir.path().join("drive/files/f")).unwrap() == bytes(40 * SLICE, 1));
    assert_eq!(requests(dir.path(), "create").len(), 1);
    let taken = requests(dir.path(), "slice").iter().filter(|it| it["code"] == 0).count();
    assert!(taken <= 40 + 4, "{taken} slices for 40");
}

#[test]
fn a_service_that_is_gone_is_named_and_the_next_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "f", 40 * SLICE);
    let serving = serve(dir.path(), 0, SLOW);
    let mut upload = serving.upload(dir.path(), &path, &["--parallel", "4", "--retry-for", "1s"]);
    assert!(upload.line(|line| line["event"] == "slice" && line["done"] == 8).is_some());
    let port = serving.port;
    serving.running.kill();
    let (code, lines) = upload.end();
    let failed = failed(&lines);
    assert_eq!((code, &failed["kind"]), (Some(5), &"network".into()));
    assert_eq!(lines[lines.len() - 2], json!({"event": "resumable"}));
    assert!(failed["message"].as_str().unwrap().contains("127.0.0.1:"), "{failed}");
    assert!(failed["advice"].as_str().unwrap().contains("same command again"), "{failed}");
    let serving = serve(dir.path(), port, SLOW);
    assert_eq!(serving.upload(dir.path(), &path, &[]).end().0, Some(0));
    assert!(fs::read(dir.path().join("drive/files/f")).unwrap() == bytes(40 * SLICE, 1));
    assert_eq!(requests(dir.path(), "create").len(), 1);
}

#[test]
fn two_processes_do_not_send_the_same_file_to_the_same_place() {
    let bench = Bench::new();
    bench.script(vec![Fault::new(Endpoint::Slice, Action::Hang).at(At::Head)]);
    let path = bench.file("f", 4 * SLICE, 1);
    let mut first = Running::start(&mut bench.program(&["upload", "--json", &path]));
    first.stage("sending");
    let (code, text) = told(&bench.program(&["upload", &path]).output().unwrap());
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("the same file is being uploaded to the same place already"), "{text}");
    assert!(text.contains("Wait until it has finished"), "{text}");
    let (code, text) = told(&bench.program(&["uploads"]).output().unwrap());
    assert!(code == Some(0) && text.contains("running"), "{text}");
    // What is running is neither resumed nor forgotten.
    let (_, text) = told(&bench.program(&["uploads", "forget", "--all"]).output().unwrap());
    assert!(!text.contains("forgot "), "{text}");
    first.kill();
    bench.script(vec![]);
    let (code, text) = told(&bench.program(&["upload", &path]).output().unwrap());
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(bench.requests(Endpoint::Create).len(), 1);
}

/// Leaves an upload of `slices` slices behind with `done` of them acknowledged.
fn unfinished(bench: &Bench, name: &str, slices: u64, done: u32) -> String {
    bench.script(vec![Fault::new(Endpoint::Slice, Action::Hang).at(At::Early).slices(done + 1..)]);
    let path = bench.file(name, slices * SLICE, slices);
    let mut running = Running::start(&mut bench.program(&["upload", "--json", &path]));
    assert!(running.line(|line| line["event"] == "slice" && line["done"] == done).is_some());
    // The journal has a thread of its own, which may come to a slice after it was told.
    let is_written = || listed(bench).iter().any(|line| line["path"] == path && line["slices_done"] == done);
    assert!((0..1000).any(|_| is_written()), "the journal has {:?}", listed(bench));
    running.kill();
    bench.script(vec![]);
    path
}

fn listed(bench: &Bench) -> Vec<Value> {
    let output = bench.program(&["uploads", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn unfinished_uploads_are_listed_resumed_and_forgotten() {
    let bench = Bench::new();
    let one = unfinished(&bench, "one", 5, 2);
    let two = unfinished(&bench, "two", 6, 4);
    let list = listed(&bench);
    assert_eq!(list.len(), 2, "{list:?}");
    for (line, path, done, total) in [(&list[0], &one, 2, 5), (&list[1], &two, 4, 6)] {
        assert_eq!(
            (line["path"].as_str(), &line["slices_done"], &line["slices_total"], &line["running"]),
            (Some(path.as_str()), &done.into(), &total.into(), &false.into()),
        );
    }
    let key = list[0]["key"].as_str().unwrap();
    let (taken, creates) = (bench.taken(), bench.requests(Endpoint::Create).len());
    let (code, text) = told(&bench.program(&["uploads", "resume", &key[..12]]).output().unwrap());
    assert_eq!(code, Some(0), "{text}");
    assert!(bench.stored("one").unwrap() == bytes(5 * SLICE, 5));
    assert_eq!(bench.taken() - taken, 3, "only what was missing went out");
    assert_eq!(bench.requests(Endpoint::Create).len(), creates);

    let (code, text) = told(&bench.program(&["uploads", "resume", "no-such-key"]).output().unwrap());
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("no unfinished upload has a key that begins with"), "{text}");

    let (code, text) = told(&bench.program(&["uploads", "forget", "--all"]).output().unwrap());
    assert!(code == Some(0) && text.contains("forgot "), "{text}");
    assert!(listed(&bench).is_empty());
    assert!(PathBuf::from(&two).exists() && bench.stored("two").is_none());
    let creates = bench.requests(Endpoint::Create).len();
    assert_eq!(bench.program(&["upload", &two]).output().unwrap().status.code(), Some(0));
    assert_eq!(bench.requests(Endpoint::Create).len(), creates + 1, "it began anew");
}

#[test]
fn an_upload_that_the_service_has_forgotten_begins_anew_once() {
    let bench = Bench::new();
    let path = unfinished(&bench, "f", 5, 3);
    let id = bench.requests(Endpoint::Slice)[0].preupload_id.clone().unwrap();
    bench.emulator.forget_upload(&id).unwrap();
    let (code, lines) = Running::start(&mut bench.program(&["upload", "--json", &path])).end();
    assert_eq!(code, Some(0), "{lines:?}");
    let restarts: Vec<_> = lines.iter().filter(|line| line["event"] == "restart").collect();
    assert_eq!(restarts.len(), 1, "{lines:?}");
    assert!(restarts[0]["reason"].as_str().unwrap().contains("preuploadID"), "{restarts:?}");
    assert_eq!(bench.requests(Endpoint::Create).len(), 2);
    assert!(bench.stored("f").unwrap() == bytes(5 * SLICE, 5));
}

#[test]
fn a_failed_check_after_a_resume_begins_anew_once_and_then_gives_up() {
    for (times, code, creates) in [(1, 0, 2), (9, 7, 2)] {
        let bench = Bench::with(|options| {
            options.faults.behaviour = Behaviour { reuse: false, ..Behaviour::default() };
        });
        let path = unfinished(&bench, "f", 5, 3);
        let fail = Fault::new(Endpoint::Complete, Action::Failed);
        bench.script(vec![Fault { times: Some(times), ..fail }]);
        let (ended, lines) = Running::start(&mut bench.program(&["upload", "--json", &path])).end();
        assert_eq!(ended, Some(code), "{lines:?}");
        assert_eq!(bench.requests(Endpoint::Create).len(), creates);
        assert_eq!(bench.stored("f").is_some(), code == 0);
        if code != 0 {
            let failed = failed(&lines);
            assert_eq!(failed["kind"], "verify");
            assert!(failed["message"].as_str().unwrap().contains("文件上传失败"), "{failed}");
            assert!(failed["trace_id"].is_string() && failed["code"].is_i64(), "{failed}");
        }
        assert!(listed(&bench).is_empty(), "there is nothing to go on with");
    }
}

fn journal(bench: &Bench) -> PathBuf {
    let mut files = fs::read_dir(state(bench.dir.path()).join("uploads")).unwrap();
    files.next().unwrap().unwrap().path()
}

#[test]
fn a_journal_of_another_version_or_a_damaged_one_is_told_and_not_used() {
    for (what, says) in
        [("version", "format version 9"), ("header", "first line is damaged"), ("binary", "damaged")]
    {
        let bench = Bench::new();
        let path = unfinished(&bench, "f", 5, 3);
        let journal = journal(&bench);
        let text = fs::read_to_string(&journal).unwrap();
        let damaged = match what {
            "version" => {
                let (head, rest) = text.split_once('\n').unwrap();
                let line = head.split_once("\"line\":").unwrap().1.strip_suffix('}').unwrap();
                let line = line.replacen("\"version\":1", "\"version\":9", 1);
                format!("{{\"crc\":\"{:08x}\",\"line\":{line}}}\n{rest}", crc32fast::hash(line.as_bytes()))
                    .into_bytes()
            }
            "header" => text.replacen("filename", "filenome", 1).into_bytes(),
            _ => vec![0xff; 5000],
        };
        fs::write(&journal, damaged).unwrap();
        if what == "version" {
            let (code, text) = told(&bench.program(&["uploads"]).output().unwrap());
            assert!(code == Some(0) && text.contains(says), "{what}: {text}");
        }
        let (code, lines) = Running::start(&mut bench.program(&["upload", "--json", &path])).end();
        assert_eq!(code, Some(0), "{what}: {lines:?}");
        if what == "version" {
            let told = lines
                .iter()
                .any(|line| line["event"] == "restart" && line["reason"].as_str().unwrap().contains(says));
            assert!(told, "{lines:?}");
        }
        assert!(bench.stored("f").unwrap() == bytes(5 * SLICE, 5));
        assert_eq!(bench.requests(Endpoint::Create).len(), 2, "{what}");
    }
}

#[test]
fn a_torn_journal_costs_the_slices_that_it_lost_and_no_more() {
    let bench = Bench::new();
    let path = unfinished(&bench, "f", 8, 6);
    let journal = journal(&bench);
    let len = fs::metadata(&journal).unwrap().len();
    fs::OpenOptions::new().write(true).open(&journal).unwrap().set_len(len - 5).unwrap();
    fs::OpenOptions::new().append(true).open(&journal).unwrap().write_all(&[0; 40]).unwrap();
    let taken = bench.taken();
    assert_eq!(bench.program(&["upload", &path]).output().unwrap().status.code(), Some(0));
    assert_eq!(bench.taken() - taken, 2 + 1);
    assert!(bench.stored("f").unwrap() == bytes(8 * SLICE, 8));
}

#[test]
fn a_file_that_changed_since_is_sent_anew() {
    let bench = Bench::new();
    let path = unfinished(&bench, "f", 5, 3);
    fs::write(&path, bytes(5 * SLICE, 99)).unwrap();
    let (code, lines) = Running::start(&mut bench.program(&["upload", "--json", &path])).end();
    assert_eq!(code, Some(0), "{lines:?}");
    let told = |line: &Value| {
        line["event"] == "restart" && line["reason"].as_str().unwrap().contains("the file is not what it was")
    };
    assert!(lines.iter().any(told), "{lines:?}");
    assert!(bench.stored("f").unwrap() == bytes(5 * SLICE, 99));
}

#[test]
fn a_disk_without_room_for_the_journal_costs_the_resume_and_not_the_upload() {
    let bench = Bench::new();
    let path = bench.file("f", 6 * SLICE, 1);
    let (code, text) = told(&in_little_room(bench.program(&["upload", "-v", &path])).output().unwrap());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("another run could not go on from here"), "{text}");
    assert!(text.contains("write journal"), "{text}");
    assert!(bench.stored("f").unwrap() == bytes(6 * SLICE, 1));
    assert!(listed(&bench).is_empty());
}

#[test]
fn a_run_whose_journal_could_not_be_written_promises_nothing_of_the_next_one() {
    let bench = Bench::new();
    let path = bench.file("f", 6 * SLICE, 1);
    let busy = Action::Status { status: 500, body: String::new(), retry_after: None };
    bench.script(vec![Fault::new(Endpoint::Slice, busy).slices(4..)]);
    let run = || bench.program(&["upload", "--retry-for", "0s", "--parallel", "1", &path]);
    let (code, text) = told(&in_little_room(run()).output().unwrap());
    assert_eq!(code, Some(5), "{text}");
    assert!(text.contains("Run the same command again.") && !text.contains("it goes on from"), "{text}");
    let (code, text) = told(&run().output().unwrap());
    assert_eq!(code, Some(5), "{text}");
    assert!(text.contains("it goes on from the last acknowledged slice"), "{text}");
}

/// The command, in a process whose files may not grow beyond this: as on a full disk, but with another word for it.
fn in_little_room(mut command: Command) -> Command {
    let limit = Rlimit { current: Some(300), maximum: Some(300) };
    // SAFETY: between fork and exec only system calls are made, which are async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            setrlimit(Resource::Fsize, limit)?;
            ignore_sigxfsz();
            Ok(())
        });
    }
    command
}

/// A write beyond the limit is then an error and does not end the process.
fn ignore_sigxfsz() {
    // SAFETY: `SIG_IGN` is a valid handler, and there is no other thread in the child of a fork.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_the_resume_and_not_the_upload() {
    let bench = Bench::new();
    let path = bench.file("f", 6 * SLICE, 1);
    // A small disk with something else all over it; it is gone with the process.
    let script = "mount -t tmpfs -o size=32k none \"$1\" 2>/dev/null || exit 77; shift; \
                  dd if=/dev/zero of=\"$PAN123_STATE_DIR/other\" bs=4k status=none 2>/dev/null; exec \"$@\"";
    let state = state(bench.dir.path());
    fs::create_dir_all(&state).unwrap();
    let program = bench.program(&[]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(&state).arg(program.get_program());
    command.args(["upload", "-v", &path]);
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output();
    let Some(output) = output.ok().filter(|it| !matches!(it.status.code(), Some(1 | 77))) else {
        eprintln!("SKIPPED: a full disk needs unshare and the right to mount; run the tests as root");
        return;
    };
    let (code, text) = told(&output);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("another run could not go on from here"), "{text}");
    assert!(text.contains("no space left on device"), "{text}");
    assert!(bench.stored("f").unwrap() == bytes(6 * SLICE, 1));
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_be_read_is_named_with_the_systems_words() {
    // The loopback device has no speed, which the kernel finds out when one asks.
    let path = "/sys/class/net/lo/speed";
    if fs::read(path).is_ok() || fs::metadata(path).map_or(0, |file| file.len()) == 0 {
        eprintln!("SKIPPED: no file here that can be opened and not be read");
        return;
    }
    let bench = Bench::new();
    let (code, lines) = Running::start(&mut bench.program(&["upload", "--json", path])).end();
    let failed = failed(&lines);
    assert_eq!((code, &failed["kind"]), (Some(4), &"source".into()), "{failed}");
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains("Invalid argument") && message.matches(path).count() == 1, "{failed}");
    assert!(failed["advice"].as_str().unwrap().contains("what the file is on"), "{failed}");
    assert!(bench.emulator.requests().is_empty());
}

#[test]
fn a_state_directory_that_cannot_be_used_is_named() {
    let bench = Bench::new();
    let path = bench.file("f", SLICE, 1);
    let file = bench.file("no-directory", 1, 1);
    let output = bench.program(&["upload", &path]).env("PAN123_STATE_DIR", &file).output().unwrap();
    let (code, text) = told(&output);
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("no-directory") && text.contains("choose another state directory"), "{text}");
    assert!(bench.emulator.requests().is_empty());
}

#[test]
fn a_file_that_is_truncated_replaced_or_grows_while_it_goes_out_is_no_success() {
    for (change, says) in [
        ("truncate", "changed its size"),
        ("grow", "changed its size"),
        ("replace", "was replaced by another file"),
        ("write", "was written to"),
        ("write and put the time back", "was written to and its time put back"),
        ("remove", "was removed or renamed"),
    ] {
        let bench = Bench::new();
        let path = bench.file("f", 6 * SLICE, 1);
        bench.script(vec![Fault::new(Endpoint::Slice, Action::Delay { ms: 300 }).slices(4..)]);
        let mut running = Running::start(&mut bench.program(&["upload", "--json", "--parallel", "2", &path]));
        assert!(running.line(|line| line["event"] == "slice" && line["done"] == 2).is_some());
        let open = || fs::OpenOptions::new().write(true).open(&path).unwrap();
        match change {
            "truncate" => open().set_len(5 * SLICE).unwrap(),
            "grow" => open().set_len(7 * SLICE).unwrap(),
            "replace" => fs::rename(bench.file("g", 6 * SLICE, 2), &path).unwrap(),
            "write" => open().write_all(b"changed").unwrap(),
            "write and put the time back" => {
                let before = fs::metadata(&path).unwrap().modified().unwrap();
                let mut file = open();
                file.write_all(b"changed").unwrap();
                file.set_modified(before).unwrap();
            }
            _ => fs::remove_file(&path).unwrap(),
        }
        let (code, lines) = running.end();
        let failed = failed(&lines);
        assert_eq!((code, &failed["kind"]), (Some(4), &"source_changed".into()), "{change}: {failed}");
        let message = failed["message"].as_str().unwrap();
        assert!(message.contains(says) && message.contains(&path), "{change}: {message}");
        assert!(bench.stored("f").is_none(), "{change}: stored all the same");
        assert!(listed(&bench).is_empty(), "{change}: the old upload is of no use");
    }
}

#[test]
fn no_network_no_name_and_no_proxy_are_told_apart() {
    let bench = Bench::new();
    let path = bench.file("f", SLICE, 1);
    for (variable, value, kind, says) in [
        (
            "PAN123_BASE_URL",
            "https://no-such-host.invalid",
            "network",
            "no-such-host.invalid did not resolve",
        ),
        ("PAN123_BASE_URL", "http://127.0.0.1:1", "network", "no connection to 127.0.0.1:1"),
        ("PAN123_PROXY", "http://127.0.0.1:1", "network", "the proxy did not connect"),
        ("PAN123_BASE_URL", "https://127.0.0.1:PORT", "tls", "no tls connection to 127.0.0.1"),
    ] {
        let port = bench.emulator.base_url().rsplit(':').next().unwrap();
        let mut command = bench.program(&["upload", "--json", "--retry-for", "1s", &path]);
        match variable {
            "PAN123_PROXY" => command.args(["--proxy", value]),
            _ => command.env(variable, value.replace("PORT", port)),
        };
        let began = Instant::now();
        let (code, lines) = Running::start(&mut command).end();
        let failed = failed(&lines);
        assert_eq!((code, &failed["kind"]), (Some(5), &kind.into()), "{value}: {failed}");
        assert!(failed["message"].as_str().unwrap().contains(says), "{value}: {failed}");
        let advice = failed["advice"].as_str().unwrap();
        let wanted = if kind == "tls" { ["CA file", ""] } else { ["proxy settings", "same command again"] };
        assert!(wanted.iter().all(|words| advice.contains(words)), "{value}: {advice}");
        assert!(began.elapsed() < Duration::from_secs(60), "{value}");
    }
    assert!(bench.requests(Endpoint::Create).is_empty());
}

#[test]
fn ctrl_c_ends_at_once_and_the_next_run_goes_on() {
    let bench = Bench::new();
    bench.script(vec![Fault::new(Endpoint::Slice, Action::Hang).at(At::Early).slices(4..)]);
    let path = bench.file("f", 6 * SLICE, 1);
    let mut running = Running::start(&mut bench.program(&["upload", "--json", &path]));
    assert!(running.line(|line| line["event"] == "slice" && line["done"] == 3).is_some());
    kill_process(Pid::from_child(&running.child), Signal::INT).unwrap();
    let (code, lines) = running.end();
    let failed = failed(&lines);
    assert_eq!((code, &failed["kind"]), (Some(130), &"cancelled".into()));
    assert_eq!(lines[lines.len() - 2], json!({"event": "resumable"}));
    bench.script(vec![]);
    assert_eq!(bench.program(&["upload", &path]).output().unwrap().status.code(), Some(0));
    assert_eq!((bench.requests(Endpoint::Create).len(), bench.taken()), (1, 6));
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_upload() {
    let bench = Bench::new();
    let path = bench.file("f", 6 * SLICE, 1);
    let mut child: std::process::Child = {
        let mut command: Command = bench.program(&["upload", "--json", &path]);
        command.stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    drop(child.stdout.take());
    let deadline = Instant::now() + Duration::from_secs(60);
    while bench.stored("f").is_none() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    child.wait().unwrap();
    assert!(bench.stored("f").unwrap() == bytes(6 * SLICE, 1));
}
