//! The examples, built as C99 and C11 with all warnings, and what they do at the service.

use std::{fs, path::PathBuf, process::Command};

use crate::support::{Link, STRICT, Service, compile, root, run, scratch};

/// Compiles an example as C99 and as C11, and returns the latter.
fn build(name: &str, extra: &[&str]) -> PathBuf {
    let program = scratch("bin").join(format!("example-{name}"));
    for std in ["-std=c99", "-std=c11"] {
        let arguments: Vec<&str> = [std, "-pedantic"].iter().chain(STRICT).chain(extra).copied().collect();
        compile("gcc", &root().join(format!("examples/c/{name}.c")), &program, Link::Shared, &arguments);
    }
    program
}

/// Bytes that no other test uploads.
fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(next).collect()
}

/// Runs an example that uploads one file, and checks what the service has then. Returns what it printed.
#[track_caller]
fn check_upload(name: &str, extra: &[&str], seed: u64) -> String {
    let service = Service::start();
    let program = build(name, extra);
    let (file, bytes) = (service.dir.path().join("local"), content(seed, 20_000_000));
    fs::write(&file, &bytes).unwrap();
    let mut command = Command::new(program);
    command.arg(&file).arg("remote name");
    service.tell(&mut command);
    let output = run(&mut command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let stored = fs::read(service.dir.path().join("drive/files/remote name")).unwrap();
    assert!(stored == bytes, "the service holds other bytes");
    text
}

#[test]
fn upload() {
    let text = check_upload("upload", &[], 101);
    assert!(text.starts_with("file id "), "{text}");
}

#[test]
fn upload_says_why_it_failed() {
    let service = Service::start();
    let mut command = Command::new(build("upload", &[]));
    command.args(["/nonexistent", "x"]);
    service.tell(&mut command);
    let output = run(&mut command);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.starts_with("PAN123_E_SOURCE_IO: ") && text.contains("no such file"), "{text}");
}

#[test]
fn progress() {
    let text = check_upload("progress", &[], 102);
    assert!(text.contains('#') && text.contains("done, file id "), "{text}");
}

#[test]
fn own_transport_on_libcurl() {
    if fs::metadata("/usr/include/curl/curl.h").is_err()
        && fs::metadata("/usr/include/x86_64-linux-gnu/curl/curl.h").is_err()
    {
        crate::support::skipped(
            "the example on libcurl: install its header (on Debian: apt-get install libcurl4-openssl-dev)",
        );
        return;
    }
    check_upload("curl_transport", &["-lcurl"], 103);
}

#[test]
fn own_source() {
    let service = Service::start();
    let mut command = Command::new(build("source", &[]));
    command.args(["20000000", "counted"]);
    service.tell(&mut command);
    let output = run(&mut command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stored = fs::read(service.dir.path().join("drive/files/counted")).unwrap();
    assert_eq!(stored.len(), 20_000_000);
    let word = |at: usize| u64::from_le_bytes(stored[at..at + 8].try_into().unwrap());
    assert_eq!((word(0), word(8)), (0, 0x9e37_79b9_7f4a_7c15));
}

#[test]
fn event_loop_with_poll() {
    let service = Service::start();
    let files: Vec<PathBuf> = (0..3)
        .map(|index| {
            let file = service.dir.path().join(format!("loop {index}"));
            fs::write(&file, content(200 + index, 3_000_000)).unwrap();
            file
        })
        .collect();
    let mut command = Command::new(build("poll", &[]));
    command.args(&files);
    service.tell(&mut command);
    let output = run(&mut command);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for index in 0..3 {
        assert!(text.contains(&format!("loop {index}: file id ")), "{text}");
    }
}
