//! Ctrl-C, SIGTERM, a terminal that is closed, and output that nobody reads.

use std::{
    fs::{self, File},
    net::TcpListener,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Bench, Run, Running, SLICE, bytes, wait_until};

fn signal(running: &Running, signal: Signal) {
    kill_process(Pid::from_child(&running.child), signal).unwrap();
}

/// An emulator that takes slices 1 to 3 and then answers no more.
fn stuck_at_slice_4() -> Bench {
    Bench::with_faults(r#"{"faults": [{"on": "slice", "slice_no": "4..", "do": "hang"}]}"#)
}

#[test]
fn an_interrupted_upload_stops_at_once_and_goes_on_later() {
    for which in [
        Signal::INT,
        Signal::TERM,
        #[cfg(target_os = "linux")]
        Signal::HUP,
    ] {
        let bench = stuck_at_slice_4();
        let content = bytes(6 * SLICE);
        bench.file("film.mkv", &content);
        let mut upload = bench.start(["upload", "film.mkv", "--parallel", "1", "--json"]);
        upload.until(r#""done":3"#);
        let asked = Instant::now();
        signal(&upload, which);
        let run = upload.finish().exits(130);
        assert!(asked.elapsed() < Duration::from_millis(2000), "took {:?}", asked.elapsed());
        assert_eq!((&run.last()["event"], &run.last()["kind"]), (&json!("failed"), &json!("cancelled")));
        assert!(run.last()["advice"].as_str().unwrap().contains("pan123 uploads resume"), "{run:?}");

        let listed = bench.run(["uploads", "--json"]).exits(0).last();
        assert_eq!((&listed["event"], &listed["filename"]), (&json!("unfinished"), &json!("film.mkv")));
        assert_eq!((&listed["slices_done"], &listed["slices_total"]), (&json!(3), &json!(6)));
        let words = bench.run(["uploads"]).exits(0).out;
        assert!(words.contains("3 of 6 slices") && words.contains("film.mkv"), "{words}");

        bench.emulator.set_faults(pan123_emulator::Faults::default()).unwrap();
        bench.emulator.clear_requests();
        let key = listed["key"].as_str().unwrap();
        bench.run(["uploads", "resume", &key[..6]]).exits(0);
        assert_eq!(bench.stored("film.mkv").unwrap(), content);
        assert_eq!((bench.requests("create"), bench.requests("slice")), (0, 3), "only what was missing");
        bench.run(["uploads"]).exits(0).says("nothing is unfinished");
    }
}

/// As `nohup` starts it.
#[cfg(target_os = "linux")]
#[test]
fn a_program_that_is_to_outlive_its_terminal_does() {
    let bench = stuck_at_slice_4();
    bench.file("f", bytes(6 * SLICE));
    let program = bench.command(["upload", "f", "--parallel", "1", "--json"]);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(program.get_program()).args(program.get_args());
    shell.current_dir(program.get_current_dir().unwrap()).stdin(Stdio::null()).env_clear();
    shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut upload = Running::of(&mut shell);
    upload.until(r#""done":3"#);
    let status = fs::read_to_string(format!("/proc/{}/status", upload.child.id())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 1, 1, "SIGHUP is ignored as it was: {status}");
    signal(&upload, Signal::TERM);
    upload.finish().exits(130);
}

#[test]
fn an_interrupt_in_the_middle_of_a_directory_ends_it() {
    let bench = Bench::with_faults(r#"{"faults": [{"on": "slice", "do": "hang"}]}"#);
    for i in 0..20 {
        bench.file(format!("d/{i:02}"), bytes(2 * SLICE));
    }
    let mut upload = bench.start(["upload", "d", "--vip", "--json"]);
    upload.until("sending");
    signal(&upload, Signal::INT);
    let run = upload.finish().exits(130);
    let last = run.last();
    assert_eq!((&last["event"], &last["exit_code"]), (&json!("summary"), &json!(130)));
    assert!(last["failed"].as_u64().unwrap() < 20, "what had not begun is not counted: {last}");
}

#[test]
fn the_first_interrupt_is_told_in_words() {
    let bench = stuck_at_slice_4();
    bench.file("f", bytes(6 * SLICE));
    let upload = bench.start(["upload", "f", "--parallel", "1"]);
    // What is said in words comes through another pipe; the server knows as well that it has begun.
    wait_until("three slices are taken", || bench.requests("slice") >= 3);
    signal(&upload, Signal::INT);
    upload.finish().exits(130).says("interrupted: stopping").says("Run the same command again");
}

#[test]
fn commands_that_wait_for_the_service_can_be_interrupted() {
    let bench = Bench::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let domain = Running::of(bench.command(["domain", "--json"]).env("PAN123_BASE_URL", url));
    let _connection = silent.accept().unwrap();
    signal(&domain, Signal::INT);
    assert_eq!(domain.finish().exits(130).last()["kind"], "cancelled");
}

/// What a running program has open.
fn open_files(running: &Running) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{}/fd", running.child.id())).unwrap();
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.map(|link| link.to_string_lossy().into_owned()).collect()
}

#[test]
fn a_huge_file_that_is_being_hashed_can_be_interrupted() {
    let bench = Bench::new();
    File::create(bench.path("huge")).unwrap().set_len(10 << 30).unwrap();
    for args in [&["upload", "huge", "--json"][..], &["hash", "huge", "--json"]] {
        let mut running = bench.start(args.iter().copied());
        if args[0] == "upload" {
            running.until("hashing");
        }
        // `hash` says nothing before its result; its file being open tells that it is at work.
        let huge = bench.path("huge").to_string_lossy().into_owned();
        wait_until("the file is open", || open_files(&running).contains(&huge));
        let asked = Instant::now();
        signal(&running, Signal::INT);
        let run = running.finish().exits(130);
        assert_eq!(run.last()["kind"], "cancelled", "{args:?}");
        assert!(asked.elapsed() < Duration::from_secs(2), "{args:?} took {:?}", asked.elapsed());
    }
}

#[test]
fn an_emulator_stops_when_asked_and_removes_its_temporary_folder() {
    let bench = Bench::new();
    for which in [Signal::INT, Signal::TERM] {
        let mut serve = bench.start(["serve", "--json"]);
        let line: Value = serde_json::from_str(&serve.line()).unwrap();
        let dir = line["dir"].as_str().unwrap().to_owned();
        assert!(fs::exists(&dir).unwrap());
        signal(&serve, which);
        serve.finish().exits(0);
        assert!(!fs::exists(&dir).unwrap(), "{dir} is left behind");
    }
}

#[test]
fn a_second_signal_right_after_the_first_is_the_same_request() {
    // Both are there when the program looks: it stops as for one, and takes its temporary folder with it.
    let bench = Bench::new();
    for (first, second) in [(Signal::INT, Signal::TERM), (Signal::TERM, Signal::INT)] {
        let mut serve = bench.start(["serve", "--json"]);
        let line: Value = serde_json::from_str(&serve.line()).unwrap();
        let dir = line["dir"].as_str().unwrap().to_owned();
        signal(&serve, first);
        signal(&serve, second);
        serve.finish().exits(0);
        assert!(!fs::exists(&dir).unwrap(), "{dir} is left behind");
    }
}

#[test]
fn output_that_nobody_reads_stops_no_upload() {
    let bench = Bench::new();
    let content = bytes(5 * SLICE);
    bench.file("f", &content);
    for args in [&["upload", "f", "--json"][..], &["upload", "f"], &["hash", "f"], &["--help"], &["domain"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = bench.command(args.iter().copied());
        let output =
            command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!text.contains("panicked"), "{args:?}: {text}");
        if args[0] == "upload" && args.len() == 3 {
            assert_eq!(output.status.code(), Some(0), "{args:?}: {text}");
            assert_eq!(bench.stored("f").unwrap(), content);
        }
    }
    // Without stderr too.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status =
        bench.command(["-vv", "upload", "gone"]).stdout(Stdio::null()).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(4));
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let bench = Bench::new();
    bench.file("f", "x");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = bench.command(["hash", "f"]).stdout(full).output().unwrap();
    Run::from(output).exits(4).says("the results cannot be written to stdout");
}

#[test]
fn an_upload_whose_result_cannot_be_written_is_named_on_stderr() {
    for args in [&["upload", "f", "g", "--vip"][..], &["upload", "f", "g", "--vip", "--json"]] {
        let bench = Bench::new();
        bench.file("f", "x");
        bench.file("g", "y");
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = bench.command(args.iter().copied()).stdout(full).output().unwrap();
        let run = Run::from(output).exits(4).says("the results cannot be written to stdout");
        for (name, content) in [("f", b"x"), ("g", b"y")] {
            let words = format!("{name} is uploaded: it is stored with file id ");
            let file_id = run.err.lines().find_map(|line| line.strip_prefix(&words)).expect(&run.err);
            let stored = bench.emulator.file_path(file_id.parse().unwrap()).unwrap();
            assert_eq!(fs::read(stored).unwrap(), content);
        }
    }
}
