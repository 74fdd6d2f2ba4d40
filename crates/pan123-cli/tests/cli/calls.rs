//! The commands that make one call of the service, and `hash`.

use serde_json::json;

use crate::support::{Bench, SLICE, TOKEN, bytes};

#[test]
fn an_upload_can_be_made_call_by_call() {
    let bench = Bench::with_faults(r#"{"behaviour": {"complete_pending": 1}}"#);
    let content = bytes(2 * SLICE + 500);
    bench.file("f", &content);
    let created = bench.run(["create", "f", "--to", "/x", "--json"]).exits(0).last();
    assert_eq!((&created["event"], &created["reused"]), (&json!("created"), &json!(false)));
    assert_eq!((&created["slice_size"], &created["file_id"]), (&json!(SLICE), &json!(null)));
    let id = created["preupload_id"].as_str().unwrap();

    let hosts = bench.run(["domain", "--json"]).exits(0).last();
    assert_eq!(hosts["servers"].as_array().unwrap().len(), 2);
    assert_eq!(bench.run(["domain"]).exits(0).out.lines().count(), 2);
    let server = hosts["servers"][0].as_str().unwrap();

    let hashed = bench.run(["hash", "f", "--slice-size", "1000", "--json"]).exits(0).last();
    let md5 = hashed["slices"][1].as_str().unwrap();
    let slice = |rest: &[&'static str]| {
        let args = ["slice", "f", "--server", server, "--preupload-id", id, "--json"];
        bench.run(args.iter().chain(rest).copied())
    };
    let taken = slice(&["--slice-no", "1", "--length", "1000"]).exits(0).last();
    assert_eq!(taken, json!({"event": "slice_taken", "slice_no": 1}));
    let wrong = slice(&["--slice-no", "2", "--offset", "1000", "--length", "1000", "--md5", EMPTY]);
    assert_eq!(wrong.exits(6).last()["kind"], "refused");
    let args = ["slice", "f", "--server", server, "--preupload-id", id, "--slice-no", "2"];
    bench.run(args.into_iter().chain(["--offset=1000", "--length=1000", "--md5", md5])).exits(0);
    slice(&["--slice-no", "3", "--offset", "2000"]).exits(0);

    let not_yet = bench.run(["complete", id, "--json"]).exits(5).last();
    assert_eq!(not_yet["completed"].as_bool().or(Some(false)), Some(false), "{not_yet}");
    let complete = bench.run(["complete", id, "--json"]).exits(0).last();
    assert_eq!((&complete["event"], &complete["completed"]), (&json!("complete"), &json!(true)));
    assert!(complete["file_id"].is_i64());
    assert_eq!(bench.stored("x/f").unwrap(), content);

    let reused = bench.run(["create", "f", "--name", "g", "--json"]).exits(0).last();
    assert_eq!((&reused["reused"], &reused["preupload_id"]), (&json!(true), &json!(null)));
}

#[test]
fn a_file_that_is_complete_and_has_no_id_is_not_called_unfinished() {
    let data = r#"{"completed": true, "fileID": 0}"#;
    let fault = format!(
        r#"{{"faults": [{{"on": "upload_complete", "do": {{"code": {{"code": 0, "message": "ok", "data": {data}}}}}}}]}}"#
    );
    let bench = Bench::with_faults(&fault);
    let run = bench.run(["complete", "some-id"]).exits(5);
    assert_eq!(run.out, "");
    run.says("calls the file complete, but names no file id").says("look for the file in the drive");
}

const EMPTY: &str = "d41d8cd98f00b204e9800998ecf8427e";

#[test]
fn create_needs_no_file_when_told_what_it_would_say() {
    let bench = Bench::new();
    let args = ["create", "--name", "n", "--etag", "900150983CD24FB0D6963F7D28E17F72", "--size", "3"];
    let out = bench.run(args).exits(0).out;
    assert!(out.contains("preupload id") && out.contains("server "), "{out}");
    let id = out.lines().next().unwrap().split_whitespace().last().unwrap();
    bench.file("abc", "abc");
    let server = out.lines().last().unwrap().split_whitespace().last().unwrap();
    bench.run(["slice", "abc", "--server", server, "--preupload-id", id, "--slice-no", "1"]).exits(0);
    bench.run(["complete", id]).exits(0);
    assert_eq!(bench.stored("n").unwrap(), b"abc");
}

#[test]
fn errors_of_a_call_carry_what_the_service_said() {
    let bench = Bench::new();
    let failed = bench.run(["complete", "unknown", "--json"]).exits(6).last();
    assert!(failed["message"].as_str().unwrap().starts_with("upload_complete: "), "{failed}");
    assert!(failed["trace_id"].is_string() && failed["code"].is_i64() && failed["advice"] != "", "{failed}");
    let failed = bench.run(["create", "--name", "n", "--etag", EMPTY, "--size", "3", "--to", "9"]).exits(6);
    failed.says("parentFileID不存在").says("code 1").says("trace ");
}

#[test]
fn token_prints_the_token_and_nothing_else() {
    let bench = Bench::new();
    assert_eq!(bench.run(["token"]).exits(0).out, format!("{TOKEN}\n"));
    let mut command = bench.command(["token", "--json"]);
    command.env_remove("PAN123_ACCESS_TOKEN");
    command.env("PAN123_CLIENT_ID", "emulator-id").env("PAN123_CLIENT_SECRET", "emulator-secret");
    let line = crate::support::Run::of(&mut command).exits(0).last();
    assert!(line["access_token"].as_str().unwrap().len() > 10 && line["expires_unix_ms"].is_i64(), "{line}");
}

#[test]
fn hash_prints_what_the_service_wants() {
    let bench = Bench::new();
    bench.file("abc", "abc");
    bench.file("empty", "");
    let lines = bench.run(["hash", "abc", "gone", "empty", "--slice-size", "2", "--json"]).exits(4).json();
    assert_eq!(
        lines[0],
        json!({"event": "hashed", "path": "abc", "etag": "900150983cd24fb0d6963f7d28e17f72", "size": 3, "slice_size": 2,
               "slices": ["187ef4436122d1cc2f40dc2b92f0eba0", "4a8a08f09d37b73795649038408b5f33"]})
    );
    assert_eq!((&lines[1]["event"], &lines[1]["path"]), (&json!("failed"), &json!("gone")));
    assert_eq!((&lines[2]["etag"], &lines[2]["slices"]), (&json!(EMPTY), &json!([EMPTY])));
    let words = bench.run(["hash", "abc"]).exits(0).out;
    assert_eq!(
        words,
        "abc\n  etag       900150983cd24fb0d6963f7d28e17f72\n  size       3 bytes\n  slice 1    900150983cd24fb0d6963f7d28e17f72\n"
    );
    assert!(bench.emulator.requests().is_empty());
}

#[test]
fn hash_says_what_is_wrong_with_the_kernel_that_was_asked_for() {
    let bench = Bench::new();
    bench.file("abc", "abc");
    let mut command = bench.command(["hash", "abc"]);
    command.env("PAN123_HASH_KERNEL", "abacus");
    let run = crate::support::Run::of(&mut command).exits(2);
    assert!(run.err.contains("abacus"), "{}", run.err);
}
