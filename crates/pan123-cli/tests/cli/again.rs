//! The same command over several files again, after it was cut off or a file of it failed.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pan123_emulator::{Faults, Request};
use pan123_upload::{journal, proto::Endpoint};
use serde_json::{Value, json};

use crate::support::{Bench, Run, SECOND, SECOND_LOGGED, SLICE, bytes, wait_until};

/// Files that get through, and files that do not. They come in this order.
const SMALL: usize = 8;
const LARGE: usize = 12;

fn content(i: usize) -> Vec<u8> {
    let mut content = bytes(if i < SMALL { SLICE - i } else { 8 * SLICE - i });
    content[0] = i as u8;
    content
}

fn directory(faults: &str) -> Bench {
    let bench = Bench::with_faults(faults);
    for i in 0..SMALL + LARGE {
        bench.file(format!("d/{i:02}"), content(i));
    }
    bench
}

/// In slices or in one request, a large file does not get past its first half.
const STUCK: &str = r#"{"faults": [
    {"on": "slice", "slice_no": "4..", "do": "hang"},
    {"on": "single_create", "at": {"byte": 4000}, "do": "hang"}]}"#;
/// The large files have nothing in them, which fails.
fn broken() -> Bench {
    let bench = directory("{}");
    (SMALL..SMALL + LARGE).for_each(|i| drop(bench.file(format!("d/{i:02}"), "")));
    bench
}

fn fill(bench: &Bench) {
    (SMALL..SMALL + LARGE).for_each(|i| drop(bench.file(format!("d/{i:02}"), content(i))));
}

fn upload(on_conflict: &str) -> [&str; 6] {
    ["upload", "d", "--vip", "--json", "--on-conflict", on_conflict]
}

fn mend(bench: &Bench) {
    bench.emulator.set_faults(Faults::default()).unwrap();
    bench.emulator.clear_requests();
}

/// Requests that may store a file, of runs with this token.
fn stores(bench: &Bench, token: &str) -> usize {
    let stores = |request: &Request| {
        matches!(request.endpoint, Some(Endpoint::Create | Endpoint::Single))
            && request.token.as_deref() == Some(token)
    };
    bench.emulator.requests().iter().filter(|request| stores(request)).count()
}

/// The file ids of those that are completed, by path and by whether an earlier run did it.
fn completed(run: &Run) -> BTreeMap<(String, bool), i64> {
    let lines = run.json().into_iter().filter(|line| line["event"] == "completed");
    // A command over one file has no need to say which.
    let text = |line: &Value| line["path"].as_str().unwrap_or_default().to_owned();
    lines
        .map(|line| ((text(&line), line["earlier"].as_bool().unwrap()), line["file_id"].as_i64().unwrap()))
        .collect()
}

/// Each file is in the drive, once.
fn all_stored_once(bench: &Bench) {
    assert_eq!(fs::read_dir(bench.path("emulator/files/d")).unwrap().count(), SMALL + LARGE);
    for i in 0..SMALL + LARGE {
        assert!(bench.stored(&format!("d/{i:02}")).unwrap() == content(i), "file {i}");
    }
}

/// The command goes on where the first run was, and after that it is a new one.
fn goes_on(bench: &Bench, on_conflict: &str, told: &BTreeMap<(String, bool), i64>) {
    mend(bench);
    let mut second = bench.command(upload(on_conflict));
    let run = Run::of(second.env("PAN123_ACCESS_TOKEN", SECOND)).exits(0);
    let ends = completed(&run);
    assert_eq!(ends.len(), SMALL + LARGE);
    let earlier = ends.iter().filter(|((_, earlier), _)| *earlier);
    let earlier: BTreeMap<_, _> = earlier.map(|((path, _), &id)| ((path.clone(), false), id)).collect();
    assert_eq!(&earlier, told, "what was told is told again");
    let asked = stores(bench, SECOND_LOGGED);
    assert!((1..=LARGE).contains(&asked), "{asked} requests for {LARGE} files");
    all_stored_once(bench);
    bench.run(["uploads"]).exits(0).says("nothing is unfinished");

    mend(bench);
    let run = bench.run(upload(on_conflict)).exits(if on_conflict == "fail" { 6 } else { 0 });
    let third = bench.requests("create") + bench.requests("single_create");
    assert!(third >= SMALL + LARGE, "{third}: a new upload of each file");
    assert!(!completed(&run).keys().any(|(_, earlier)| *earlier), "{run:?}");
    bench.run(["uploads"]).exits(0).says("nothing is unfinished");
}

/// Runs the command until nothing more gets through, and ends it.
fn cut(
    bench: &Bench,
    on_conflict: &str,
    end: impl FnOnce(&mut std::process::Child),
) -> BTreeMap<(String, bool), i64> {
    let mut running = bench.start(upload(on_conflict));
    let mut told = BTreeMap::new();
    while told.len() < SMALL {
        let line: Value = serde_json::from_str(&running.until(r#""event":"completed""#)).unwrap();
        told.insert((line["path"].as_str().unwrap().to_owned(), false), line["file_id"].as_i64().unwrap());
    }
    end(&mut running.child);
    let code = running.finish().code;
    assert!(code.is_none() || code == Some(130), "{code:?}");
    told
}

#[test]
fn a_directory_that_was_killed_goes_on() {
    for on_conflict in ["fail", "keep-both", "overwrite"] {
        let bench = directory(STUCK);
        let told = cut(&bench, on_conflict, |child| child.kill().unwrap());
        goes_on(&bench, on_conflict, &told);
    }
}

#[cfg(unix)]
#[test]
fn a_directory_that_was_interrupted_goes_on() {
    use rustix::process::{Pid, Signal, kill_process};
    let interrupt = |child: &mut std::process::Child| {
        kill_process(Pid::from_child(child), Signal::INT).unwrap();
    };
    for on_conflict in ["fail", "keep-both", "overwrite"] {
        let bench = directory(STUCK);
        let told = cut(&bench, on_conflict, interrupt);
        goes_on(&bench, on_conflict, &told);
    }
    // "uploads resume" in between takes nothing away.
    let bench = directory(STUCK);
    cut(&bench, "fail", interrupt);
    let words = bench.run(["uploads"]).exits(0).out;
    assert_eq!(words.matches("one of a command that did not end well").count(), SMALL, "{words}");
    mend(&bench);
    let resumed = completed(&bench.run(["uploads", "resume", "--all", "--json"]).exits(0));
    assert!(resumed.len() <= 4 && !resumed.keys().any(|(_, earlier)| *earlier), "{resumed:?}");
    mend(&bench);
    let run = completed(&bench.run(upload("fail")).exits(0));
    assert_eq!(run.keys().filter(|(_, earlier)| *earlier).count(), SMALL + resumed.len());
    all_stored_once(&bench);
    bench.run(["uploads"]).exits(0).says("nothing is unfinished");
}

#[test]
fn a_directory_with_files_that_failed_goes_on() {
    for on_conflict in ["fail", "keep-both", "overwrite"] {
        let bench = broken();
        let run = bench.run(upload(on_conflict));
        assert_ne!(run.code, Some(0));
        let told = completed(&run);
        assert_eq!(told.len(), SMALL, "{run:?}");
        fill(&bench);
        goes_on(&bench, on_conflict, &told);
    }
}

#[test]
fn results_that_stay_can_be_forgotten_and_are_not_believed_for_ever() {
    let bench = broken();
    assert_eq!(completed(&bench.run(upload("overwrite"))).len(), SMALL);
    let forgot = bench.run(["uploads", "forget", "--all"]).exits(0).out;
    assert!(forgot.matches("forgot").count() >= SMALL, "{forgot}");
    let run = bench.run(upload("overwrite"));
    assert!(!completed(&run).keys().any(|(_, earlier)| *earlier), "{run:?}");

    // As if that had been yesterday, or tomorrow by a clock that was wrong.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let hour = Duration::from_secs(60 * 60).as_millis() as i64;
    for (told, believed) in [(now - 23 * hour, true), (now - 25 * hour, false), (now + 25 * hour, false)] {
        let dated = tell_at(&bench, told);
        assert_eq!(dated, SMALL);
        mend(&bench);
        let run = bench.run(upload("overwrite"));
        let earlier = completed(&run).keys().filter(|(_, earlier)| *earlier).count();
        assert_eq!(earlier, if believed { SMALL } else { 0 }, "{run:?}");
        assert!(!run.out.contains(r#""event":"restart""#), "{run:?}");
    }
    // Those whose files are gone do not pile up.
    tell_at(&bench, now - 25 * hour);
    fs::remove_file(bench.path("d/00")).unwrap();
    fill(&bench);
    mend(&bench);
    bench.run(upload("overwrite")).exits(0);
    bench.run(["uploads"]).exits(0).says("nothing is unfinished");
}

/// Dates all told results; returns how many there are.
fn tell_at(bench: &Bench, unix_ms: i64) -> usize {
    let listed = bench.run(["uploads", "--json"]).exits(0).json();
    let told: Vec<_> = listed.iter().filter(|line| line["told_unix_ms"].is_i64()).collect();
    let files: Vec<_> = walkdir::WalkDir::new(bench.path("state")).into_iter().map(Result::unwrap).collect();
    for line in &told {
        let name = format!("{}.journal", line["key"].as_str().unwrap());
        let path = files.iter().find(|file| file.file_name() == name.as_str()).unwrap().path();
        let old = fs::read(path).unwrap();
        let last = journal::encode_told(line["told_unix_ms"].as_i64().unwrap());
        let records = old.strip_suffix(last.as_slice()).expect("it is the last line");
        fs::write(path, [records, &journal::encode_told(unix_ms)].concat()).unwrap();
    }
    told.len()
}

#[test]
fn files_that_are_no_uploads_keep_results_too() {
    let bench = Bench::new();
    bench.file("d/a", "a");
    bench.file("d/empty", "");
    let first = completed(&bench.run(upload("keep-both")).exits(4));
    let second = completed(&bench.run(upload("keep-both")).exits(4));
    assert_eq!(first.values().collect::<Vec<_>>(), second.values().collect::<Vec<_>>());
    bench.file("d/empty", "no more");
    bench.run(upload("keep-both")).exits(0);
    assert_eq!(completed(&bench.run(upload("keep-both")).exits(0)).len(), 2);
    assert!(bench.stored("d/a(1)").is_some() && bench.stored("d/a(2)").is_none());
}

#[test]
fn when_nothing_gets_through_no_more_files_are_begun() {
    for (fault, kind) in [
        (r#"{"do": "reset"}"#, "network"),
        (r#"{"do": {"code": {"code": 429, "message": "too many"}}}"#, "rate_limited"),
    ] {
        let bench = directory(&format!(r#"{{"faults": [{fault}]}}"#));
        let again = [&upload("fail")[..], &["--retry-for", "1s"]].concat();
        let run = bench.run(again.iter().copied()).exits(5);
        let lines = run.json();
        let not_begun = &lines[lines.len() - 2];
        let files = SMALL + LARGE - 4;
        let advice = "Run the same command again to go on.";
        assert_eq!(not_begun, &json!({"event": "not_begun", "files": files, "kind": kind, "advice": advice}));
        assert_eq!(run.last()["failed"], 4);
        mend(&bench);
        bench.run(again.iter().copied()).exits(0);
        all_stored_once(&bench);

        let bench = directory(&format!(r#"{{"faults": [{fault}]}}"#));
        let words = bench.run(["upload", "d", "--retry-for", "1s"]).exits(5).out;
        assert!(words.contains("16 files not begun; run the same command again to go on\n"), "{words}");
    }
}

/// Files that are sent, and are checked for as long as the script stands; and one with a slice that is never taken.
const CHECKING: &str = r#"{"behaviour": {"reuse": false}, "faults": [
    {"on": "single_create", "do": {"code": {"code": 1, "message": "not this way"}}},
    {"on": "slice", "slice_no": 8, "do": "reset"}, {"on": "upload_complete", "do": "pending"}]}"#;

#[test]
fn when_a_file_gets_through_after_all_those_held_up_begin() {
    let bench = Bench::with_faults(CHECKING);
    for i in 0..10 {
        let len = if i == 3 { 8 } else { 2 } * SLICE;
        let mut content = bytes(len);
        content[0] = i;
        bench.file(format!("d/{i}"), content);
    }
    let mut running = bench.start([&upload("fail")[..], &["--retry-for", "1s"]].concat());
    let failed: Value = serde_json::from_str(&running.until(r#""event":"failed""#)).unwrap();
    assert_eq!(failed["kind"], "network", "{failed}");
    // The three that are being checked ask on, and nothing else does.
    let asked = bench.requests("upload_complete");
    wait_until("they have asked on", || bench.requests("upload_complete") >= asked + 6);
    assert_eq!(bench.requests("create"), 4, "the others are held up");
    mend(&bench);
    let rest = running.finish();
    assert_eq!(completed(&rest).len(), 9, "{}", rest.out);
    assert!(!rest.out.contains("not_begun"), "{}", rest.out);
    assert_eq!((rest.code, &rest.last()["failed"]), (Some(5), &json!(1)));
    assert_eq!(fs::read_dir(bench.path("emulator/files/d")).unwrap().count(), 9);
}
