//! `pan123 serve`.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Bench, Run, Running};

fn base_url(serve: &mut Running) -> String {
    serve.line().strip_prefix("listening ").expect("the first line").to_owned()
}

#[test]
fn it_is_a_server_that_the_program_can_upload_to() {
    let bench = Bench::new();
    let args =
        ["serve", "--token", "one", "--token", "two", "--dir", "drive", "--servers", "3", "--log", "log"];
    let mut serve = bench.start(args.into_iter().chain(["--slice-size", "10"]));
    let url = base_url(&mut serve);
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert_eq!(serve.line(), "token      one");
    bench.file("f", "a file of more than ten bytes");
    for (token, name) in [("one", "1"), ("two", "2")] {
        let mut command = bench.command(["upload", "f", "--name", name, "--json"]);
        command.env("PAN123_BASE_URL", &url).env("PAN123_ACCESS_TOKEN", token);
        Run::of(&mut command).exits(0);
        assert_eq!(fs::read(bench.path("drive/files").join(name)).unwrap(), b"a file of more than ten bytes");
    }
    let log = fs::read_to_string(bench.path("log")).unwrap();
    let slices =
        log.lines().filter(|line| serde_json::from_str::<Value>(line).unwrap()["endpoint"] == "slice");
    assert_eq!(slices.count(), 3);
}

#[test]
fn with_json_its_first_line_is_json() {
    let bench = Bench::new();
    let mut serve = bench.start(["serve", "--json"]);
    let line: Value = serde_json::from_str(&serve.line()).unwrap();
    assert_eq!(line["event"], "listening");
    assert!(line["base_url"].is_string() && line["token"].is_string() && line["dir"].is_string(), "{line}");
    assert_eq!(line["servers"].as_array().unwrap().len(), 2);
}

#[test]
fn a_port_that_is_taken_is_told() {
    let bench = Bench::new();
    let port = bench.emulator.base_url().rsplit_once(':').unwrap().1.to_owned();
    bench.run(["serve", "--port", &port]).exits(2).says(&port).says("Choose another port");
}

#[test]
fn a_folder_in_use_is_told() {
    let bench = Bench::new();
    bench.run(["serve", "--dir", "emulator"]).exits(4).says("in use by another emulator");
}

#[test]
fn faults_come_from_a_file_or_the_command_line() {
    let bench = Bench::new();
    bench.file("f", "x");
    let script = r#"{"faults": [{"on": "create", "do": {"code": {"code": 1, "message": "scripted"}}}]}"#;
    bench.file("faults.json", script);
    for faults in ["faults.json", script] {
        let mut serve = bench.start(["serve", "--token", "any-token", "--faults", faults]);
        let url = base_url(&mut serve);
        let mut command = bench.command(["upload", "f", "--json"]);
        command.env("PAN123_BASE_URL", &url).env("PAN123_ACCESS_TOKEN", "any-token");
        let failed = Run::of(&mut command).exits(6).last();
        assert_eq!(failed["message"], "create: scripted");
    }
}

#[test]
fn an_upload_gets_through_random_faults() {
    let bench = Bench::new();
    let content = crate::support::bytes(100_000);
    bench.file("f", &content);
    let args = ["serve", "--token", "any-token", "--dir", "drive", "--random-faults", "0.2", "--seed", "7"];
    let mut serve = bench.start(args.into_iter().chain(["--slice-size", "10000"]));
    let url = base_url(&mut serve);
    let mut command = bench.command(["upload", "f", "--vip", "--json"]);
    command.env("PAN123_BASE_URL", &url).env("PAN123_ACCESS_TOKEN", "any-token");
    let lines = Run::of(&mut command).exits(0).json();
    assert!(lines.iter().any(|line| line["event"] == "retry"), "the seed lets something go wrong");
    assert_eq!(fs::read(bench.path("drive/files/f")).unwrap(), content);
}

#[cfg(unix)]
#[test]
fn without_a_reader_of_its_output_it_goes_on() {
    let bench = Bench::new();
    bench.file("f", "x");
    let mut serve = bench.start(["serve", "--token", "any-token", "--no-keep"]);
    let url = base_url(&mut serve);
    let Running { child, out } = &mut serve;
    let (reader, _writer) = std::io::pipe().unwrap();
    drop(std::mem::replace(out, std::io::BufReader::new(std::os::fd::OwnedFd::from(reader).into())));
    let mut command = bench.command(["upload", "f", "--json"]);
    command.env("PAN123_BASE_URL", &url).env("PAN123_ACCESS_TOKEN", "any-token");
    assert_eq!(Run::of(&mut command).exits(0).last()["event"], json!("completed"));
    assert!(child.try_wait().unwrap().is_none(), "it is still there");
}
