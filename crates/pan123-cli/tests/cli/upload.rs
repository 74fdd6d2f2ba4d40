//! `pan123 upload` with one file.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Bench, SLICE, bytes};

/// The names of the fields of a JSON line, in order.
fn keys(line: &str) -> Vec<String> {
    // `Value` sorts its keys; the text does not.
    let value: Value = serde_json::from_str(line).unwrap();
    let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    keys.sort_by_key(|key| line.find(&format!("\"{key}\":")));
    keys
}

#[test]
fn a_file_arrives_whole_and_the_last_line_says_so() {
    let bench = Bench::new();
    let content = bytes(3 * SLICE + 1);
    bench.file("film.mkv", &content);
    let run = bench.run(["upload", "film.mkv", "--json"]).exits(0);
    let last = run.out.lines().last().unwrap();
    assert_eq!(
        keys(last),
        ["event", "file_id", "etag", "size", "slices", "reused", "earlier", "bytes_sent", "elapsed_ms"]
    );
    let last = run.last();
    assert_eq!(
        (&last["event"], &last["size"], &last["slices"]),
        (&json!("completed"), &json!(3001), &json!(4))
    );
    assert_eq!((&last["reused"], &last["bytes_sent"]), (&json!(false), &json!(3001)));
    assert_eq!(run.err, "", "with --json nothing is said in words");
    assert_eq!(bench.stored("film.mkv").unwrap(), content);
    assert_eq!(bench.requests("slice"), 4);
}

#[test]
fn events_come_in_order_and_progress_never_goes_back() {
    let bench = Bench::with_faults(r#"{"behaviour": {"total_bytes_per_sec": 20000}}"#);
    bench.file("f", bytes(12 * SLICE));
    let lines = bench.run(["upload", "f", "--json"]).exits(0).json();
    let stages: Vec<_> =
        lines.iter().filter(|line| line["event"] == "stage").map(|line| &line["stage"]).collect();
    // Hashed again because the slice size is not the usual one.
    assert_eq!(stages, ["hashing", "creating", "hashing", "sending", "completing", "done"]);
    let progress: Vec<_> = lines.iter().filter(|line| line["event"] == "progress").collect();
    assert!(progress.len() > 2, "{progress:?}");
    for field in ["bytes_hashed", "bytes_sent", "bytes_acknowledged", "slices_done"] {
        let figures: Vec<_> = progress.iter().map(|line| line[field].as_u64().unwrap()).collect();
        assert!(figures.is_sorted(), "{field}: {figures:?}");
    }
    for line in &progress {
        assert!(line["bytes_acknowledged"].as_u64() <= line["bytes_sent"].as_u64(), "{line}");
    }
    assert_eq!(lines.iter().filter(|line| line["event"] == "slice").count(), 12);
}

#[test]
fn without_json_the_result_is_in_words() {
    let bench = Bench::new();
    bench.file("film.mkv", bytes(2 * SLICE));
    let run = bench.run(["upload", "film.mkv"]).exits(0).says("film.mkv: hashing").says("film.mkv: sending");
    let etag = bench.run(["hash", "film.mkv", "--json"]).exits(0).last()["etag"].as_str().unwrap().to_owned();
    for text in ["film.mkv\n", "file id  ", &etag, "slices   2\n", "size     2000 bytes"] {
        assert!(run.out.contains(text), "{text:?} is not in {}", run.out);
    }
    assert!(!run.err.contains('\u{1b}'), "no terminal codes without a terminal");
}

#[test]
fn a_name_that_is_taken_is_refused_kept_or_overwritten_as_asked() {
    let bench = Bench::new();
    bench.file("f", "one");
    bench.run(["upload", "f"]).exits(0);
    bench.file("f", "two");
    let refused = bench.run(["upload", "f", "--json"]).exits(6);
    let last = refused.out.lines().last().unwrap();
    assert_eq!(keys(last), ["event", "kind", "message", "code", "http_status", "trace_id", "advice"]);
    assert!(!refused.out.contains("resumable"), "there is nothing to go on with: {}", refused.out);
    let last = refused.last();
    assert_eq!(
        (&last["kind"], &last["code"], &last["http_status"]),
        (&json!("refused"), &json!(1), &json!(200))
    );
    assert!(last["message"].as_str().unwrap().contains("create: 该目录下已经有同名文件"), "{last}");
    assert!(last["trace_id"].is_string(), "{last}");
    assert_eq!(bench.stored("f").unwrap(), b"one");

    bench.run(["upload", "f", "--on-conflict", "keep-both"]).exits(0);
    let files = fs::read_dir(bench.path("emulator/files")).unwrap().count();
    assert_eq!((bench.stored("f").unwrap(), files), (b"one".to_vec(), 2));

    bench.file("f", "three");
    bench.run(["upload", "f", "--on-conflict", "overwrite"]).exits(0);
    assert_eq!(bench.stored("f").unwrap(), b"three");
}

#[test]
fn what_the_service_has_already_is_not_sent() {
    let bench = Bench::new();
    bench.file("a", bytes(SLICE));
    bench.run(["upload", "a"]).exits(0);
    let run = bench.run(["upload", "a", "--name", "b", "--json"]).exits(0);
    assert_eq!((&run.last()["reused"], &run.last()["bytes_sent"]), (&json!(true), &json!(0)));
    let progress = run.json().into_iter().rfind(|line| line["event"] == "progress").unwrap();
    for field in ["bytes_total", "bytes_hashed", "bytes_sent", "bytes_acknowledged"] {
        assert_eq!(progress[field], SLICE, "{field} of {progress}");
    }
    assert_eq!((&progress["stage"], &progress["slices_total"]), (&json!("done"), &json!(0)), "{progress}");
    assert_eq!(bench.requests("slice"), 1);
    assert!(
        bench
            .run(["upload", "a", "--name", "c"])
            .exits(0)
            .out
            .contains("the service had these bytes already")
    );
}

#[test]
fn files_go_where_they_are_sent() {
    let bench = Bench::new();
    bench.file("f", "x");
    bench.run(["upload", "f", "--to", "/电影/2026/"]).exits(0);
    assert_eq!(bench.stored("电影/2026/f").unwrap(), b"x");
    bench.run(["upload", "f", "--to", "/电影", "--name", "测试 文件.mp4"]).exits(0);
    assert_eq!(bench.stored("电影/测试 文件.mp4").unwrap(), b"x");
    bench.run(["upload", "f", "--to", "0", "--name=-"]).exits(0);
    assert_eq!(bench.stored("-").unwrap(), b"x");
    bench
        .run(["upload", "f", "--to", "123456"])
        .exits(6)
        .says("parentFileID不存在")
        .says("  Check the folder id");
}

#[cfg(unix)]
#[test]
fn a_name_that_is_not_utf8_needs_another_one() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let bench = Bench::new();
    let name = OsStr::from_bytes(b"caf\xe9");
    bench.file(name, "x");
    let run = |args: &[&str]| crate::support::Run::of(bench.command(["upload"]).arg(name).args(args));
    run(&[]).exits(4).says("is not UTF-8").says("--name");
    let failed = run(&["--json"]).exits(4).last();
    assert_eq!(failed["kind"], "name");
    run(&["--name", "café"]).exits(0);
    assert_eq!(bench.stored("café").unwrap(), b"x");
}

#[test]
fn the_emulator_of_a_local_upload_keeps_the_same_bytes() {
    let bench = Bench::new();
    let content = bytes(100_000);
    bench.file("README.md", &content);
    for _ in 0..2 {
        // Neither the environment's account nor a half one is in the way.
        let mut command = bench.command(["upload", "--local", "README.md", "--json"]);
        command.env("PAN123_BASE_URL", "http://192.0.2.1").env_remove("PAN123_ACCESS_TOKEN");
        let run = crate::support::Run::of(command.env("PAN123_CLIENT_ID", "half")).exits(0);
        let lines = run.json();
        let kept = &lines[lines.len() - 2];
        assert_eq!((&kept["event"], &kept["identical"]), (&json!("kept"), &json!(true)));
        assert_eq!(fs::read(kept["file"].as_str().unwrap()).unwrap(), content);
        assert_eq!(run.last()["reused"], false, "each run begins with an empty drive");
    }
    let words = bench.run(["upload", "--local", "README.md"]).exits(0);
    let expected = bench.path("state/local/files/README.md");
    assert!(
        words.out.contains(&format!("kept in  {}, compared byte by byte", expected.display())),
        "{}",
        words.out
    );
    assert_eq!(bench.requests("create"), 0);
    bench.run(["uploads"]).exits(0).says("nothing is unfinished");
}

#[test]
fn a_folder_given_to_a_local_upload_keeps_what_is_in_it() {
    let bench = Bench::new();
    for content in ["one", "two"] {
        bench.file("f", content);
        bench.run(["upload", "--local", "--local-dir", "drive", "f"]).exits(0);
    }
    assert_eq!(fs::read(bench.path("drive/files/f")).unwrap(), b"one");
    assert_eq!(fs::read_dir(bench.path("drive/files")).unwrap().count(), 2);
}

#[test]
fn bytes_that_arrive_changed_fail_with_a_code_of_their_own() {
    let faults = r#"{"faults": [{"on": "slice", "do": {"corrupt_byte": {"offset": 7}}}]}"#;
    let bench = Bench::with_faults(faults);
    bench.file("f", bytes(2 * SLICE));
    let failed = bench.run(["upload", "f", "--json"]).exits(7).last();
    assert_eq!((&failed["event"], &failed["kind"]), (&json!("failed"), &json!("verify")));
    assert_eq!(bench.stored("f"), None);
}

#[test]
fn an_upload_that_gives_up_is_gone_on_with() {
    let bench = Bench::with_faults(r#"{"faults": [{"on": "slice", "slice_no": 3, "do": "reset"}]}"#);
    bench.file("f", bytes(3 * SLICE));
    let run = bench.run(["upload", "f", "--retry-for", "0s", "--parallel", "1", "--json"]).exits(5);
    assert_eq!((&run.last()["kind"], &run.last()["http_status"]), (&json!("network"), &json!(null)));
    assert!(run.last()["message"].as_str().unwrap().starts_with("slice 3: "), "{run:?}");
    assert!(run.last()["advice"].as_str().unwrap().contains("run the same command again"), "{run:?}");
    let listed = bench.run(["uploads", "--json"]).exits(0).last();
    assert_eq!((&listed["slices_done"], &listed["slices_total"]), (&json!(2), &json!(3)));
    bench.emulator.set_faults(pan123_emulator::Faults::default()).unwrap();
    bench.run(["upload", "f"]).exits(0);
    assert_eq!(bench.stored("f").unwrap(), bytes(3 * SLICE));
    assert_eq!(bench.requests("create"), 1);
    bench.run(["uploads"]).exits(0).says("nothing is unfinished");
}

#[test]
fn what_is_sent_again_is_told_in_words() {
    let faults =
        r#"{"faults": [{"on": "slice", "slice_no": 2, "attempt": 1, "do": {"status": {"status": 503}}}]}"#;
    let bench = Bench::with_faults(faults);
    bench.file("f", bytes(3 * SLICE));
    bench.run(["upload", "f"]).exits(0).says("f: slice 2: ").says("HTTP 503").says("; again in ");
}

#[test]
fn a_rate_that_is_asked_for_is_kept() {
    let bench = Bench::new();
    bench.file("f", bytes(300_000));
    let last = bench.run(["upload", "f", "--limit-rate", "200K", "--json"]).exits(0).last();
    // 1.46 s at this rate, less the 0.2 s that may go out at once.
    assert!(last["elapsed_ms"].as_u64().unwrap() >= 1200, "{last}");
}
