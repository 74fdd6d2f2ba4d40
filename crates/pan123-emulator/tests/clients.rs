//! What the five official example clients of the slice call put on the wire, sent by those clients.
//!
//! A client that is not installed is skipped aloud; with `CI=true` that is a failure.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use pan123_proto::Endpoint;
use serde_json::json;
use support::{Rig, connect, md5, noise, read_answer};

/// More than a megabyte, so that curl asks with `Expect: 100-continue` first.
const SIZE: usize = (1 << 20) + 77;

struct Job {
    rig: Rig,
    bytes: Vec<u8>,
    id: String,
    file: PathBuf,
}

impl Job {
    fn new() -> Self {
        let rig = Rig::with(|options| options.slice_size = 4 << 20);
        let bytes = noise(SIZE);
        let id = rig.create("a.bin", &bytes)["preuploadID"].as_str().unwrap().to_owned();
        let file = rig.folder.path().join("新建 slice (4).txt.part1");
        fs::write(&file, &bytes).unwrap();
        Self { rig, bytes, id, file }
    }

    fn url(&self) -> String {
        format!("{}/upload/v2/file/slice", self.rig.emulator.servers()[0])
    }

    /// The client's answer was the envelope with code 0, and the file is stored.
    fn check(&self, answer: &[u8]) {
        let json: serde_json::Value = serde_json::from_slice(answer)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(answer)));
        assert_eq!((&json["code"], &json["data"]), (&json!(0), &json!(null)), "{json}");
        self.rig.completed(&self.id);
        assert!(fs::read(self.rig.stored("a.bin")).unwrap() == self.bytes, "the stored bytes differ");
        let seen = self.rig.seen(Endpoint::Slice).pop().unwrap();
        assert!(seen.bytes > SIZE as u64 && seen.status == Some(200), "{seen:?}");
    }
}

/// Runs a client; `None` when it is not installed.
fn run(command: &mut Command) -> Option<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.stdin(Stdio::null()).output() {
        Ok(output) => {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{name}: {} {words}", output.status);
            Some(output.stdout)
        }
        Err(error) => {
            skip(&format!("{name}: {error}"));
            None
        }
    }
}

fn skip(what: &str) {
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "not installed, and CI=true: {what}");
    // Past the test runner, which would keep it to itself.
    let _ = writeln!(std::io::stderr(), "SKIPPED: not installed: {what}");
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

#[test]
fn curl_with_form_fields() {
    for content_type in [&["--header", "content-type: multipart/form-data"][..], &[]] {
        let job = Job::new();
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            "20",
            "--request",
            "POST",
            "--url",
            &job.url(),
        ])
        .args(["--header", &format!("Authorization: Bearer {}", job.rig.emulator.token())])
        .args(["--header", "Platform: open_platform"])
        .args(content_type)
        .args(["--form", &format!("preuploadID={}", job.id), "--form", "sliceNo=1"])
        .args(["--form", &format!("sliceMD5={}", md5(&job.bytes))])
        .args(["--form", &format!("slice=@{}", job.file.display())]);
        let Some(answer) = run(&mut curl) else { return };
        job.check(&answer);
    }
}

#[test]
fn curl_with_the_file_first_as_single_create_shows_it() {
    let job = Job::new();
    let mut curl = Command::new("curl");
    let url = format!("{}/upload/v2/file/single/create", job.rig.emulator.servers()[1]);
    curl.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "20", "--url", &url])
        .args(["--header", &format!("Authorization: Bearer {}", job.rig.emulator.token())])
        .args(["--header", "Platform: open_platform"])
        .args(["--form", &format!("file=@{}", job.file.display()), "--form", "parentFileID=0"])
        .args(["--form", "filename=single.bin", "--form", &format!("etag={}", md5(&job.bytes))])
        .args(["--form", &format!("size={SIZE}")]);
    let Some(answer) = run(&mut curl) else { return };
    let json: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((&json["code"], &json["data"]["completed"]), (&json!(0), &json!(true)), "{json}");
    assert!(fs::read(job.rig.stored("single.bin")).unwrap() == job.bytes);
}

#[test]
fn python_with_a_body_made_by_hand() {
    let job = Job::new();
    let host = job.rig.emulator.servers()[0].trim_start_matches("http://").to_owned();
    let mut python = Command::new("python3");
    python.arg(clients().join("slice.py")).args([
        &host,
        job.rig.emulator.token(),
        &job.id,
        "1",
        &md5(&job.bytes),
    ]);
    let Some(answer) = run(python.arg(&job.file)) else { return };
    job.check(&answer);
}

#[test]
fn node_with_axios_and_form_data() {
    // `cargo xtask test` says where it put the packages; `npm ci` puts them into the folder.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node");
    let packages = env::var_os("NODE_PATH").map_or(folder.join("node_modules"), PathBuf::from);
    if !packages.join("axios").exists() {
        return skip(
            "the Node packages axios and form-data: run `npm ci` in crates/pan123-emulator/tests/node",
        );
    }
    let job = Job::new();
    let mut command = Command::new("node");
    command.env("NODE_PATH", packages).arg(clients().join("slice.js")).args([
        &job.rig.emulator.servers()[0],
        job.rig.emulator.token(),
        &job.id,
        "1",
        &md5(&job.bytes),
    ]);
    let Some(answer) = run(command.arg(&job.file)) else { return };
    job.check(&answer);
}

/// OkHttp writes a `Content-Length` into each part, quotes names, and percent-encodes nothing.
#[test]
fn okhttp_as_it_writes_multipart_bodies() {
    let job = Job::new();
    let boundary = "7f3bb0a2-6f0c-4f63-9a2b-0d7d0b7a3c55";
    let mut body = Vec::new();
    for (name, value) in [("preuploadID", job.id.as_str()), ("sliceNo", "1"), ("sliceMD5", &md5(&job.bytes))]
    {
        let length = value.len();
        body.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\nContent-Length: {length}\r\n\r\n{value}\r\n").bytes());
    }
    body.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"slice\"; filename=\"/D:/新建 文本文档 (4).txt\"\r\nContent-Type: application/octet-stream\r\nContent-Length: {SIZE}\r\n\r\n").bytes());
    body.extend(&job.bytes);
    body.extend(format!("\r\n--{boundary}--\r\n").bytes());
    let mut stream = connect(&job.rig.emulator.servers()[0]);
    let head = format!(
        "POST /upload/v2/file/slice HTTP/1.1\r\n{}Content-Type: multipart/form-data; boundary={boundary}\r\nContent-Length: {}\r\nHost: 127.0.0.1\r\nConnection: close\r\nAccept-Encoding: gzip\r\nUser-Agent: okhttp/4.12.0\r\n\r\n",
        job.rig.headers(),
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    job.check(&read_answer(&mut stream).unwrap().body);
}

#[test]
fn a_browser_may_ask_from_any_origin() {
    let rig = Rig::new();
    let headers = "Origin: http://example.com\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,platform\r\n";
    for (url, path) in [
        (&rig.emulator.servers()[0], "/upload/v2/file/slice"),
        (&rig.emulator.base_url().to_owned(), "/upload/v2/file/create"),
    ] {
        let answer = support::send(url, "OPTIONS", path, headers, b"").unwrap();
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin").as_deref()),
            (204, Some("*"))
        );
        assert_eq!(answer.header("access-control-allow-headers").as_deref(), Some("authorization,platform"));
        assert!(answer.header("access-control-allow-methods").unwrap().contains("POST"));
    }
    let answer = rig.slice(0, "unknown", 1, b"x");
    assert_eq!(
        answer.header("access-control-allow-origin").as_deref(),
        Some("*"),
        "refusals must be readable too"
    );
    let page = rig.get("/");
    assert_eq!(
        (page.status, page.header("access-control-allow-origin")),
        (200, None),
        "the page is nobody else's"
    );
}

#[test]
fn chromium_uploads_a_slice_from_the_page() {
    let rig = Rig::with(|options| options.slice_size = 1 << 20);
    let profile = tempfile::tempdir().unwrap();
    let page = format!("{}/#token={}&sample=70000", rig.emulator.base_url(), rig.emulator.token());
    let mut chromium = Command::new("chromium");
    chromium
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args([
            "--disable-background-networking",
            "--no-proxy-server",
            "--virtual-time-budget=20000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(page);
    let Some(dom) = run(&mut chromium) else { return };
    let dom = String::from_utf8_lossy(&dom).into_owned();
    let expected: Vec<u8> = (0..70_000u32).map(|i| ((i * 31) ^ (i >> 8)) as u8).collect();
    assert!(dom.contains("sample.bin: uploaded, file id"), "{dom}");
    assert!(dom.contains(&format!("<td>{}</td>", md5(&expected))), "the list shows it: {dom}");
    assert!(fs::read(rig.stored("sample.bin")).unwrap() == expected);
    let lines: Vec<String> = rig.seen(Endpoint::Slice).into_iter().map(|it| it.line).collect();
    assert_eq!(
        lines,
        ["OPTIONS /upload/v2/file/slice", "POST /upload/v2/file/slice"],
        "a preflight came first"
    );
}
