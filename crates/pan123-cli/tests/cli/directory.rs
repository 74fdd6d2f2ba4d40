//! `pan123 upload` with directories and several files.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};

use crate::support::{Bench, bytes};

/// The last event of each file: its path with `completed`, or with the kind of its failure.
fn ends(lines: &[Value]) -> BTreeMap<&str, &str> {
    let text = |line: &'_ Value, key| line[key].as_str().unwrap_or_default().to_owned().leak() as &str;
    lines
        .iter()
        .filter_map(|line| match line["event"].as_str()? {
            "completed" => Some((text(line, "path"), "completed")),
            "failed" => Some((text(line, "path"), text(line, "kind"))),
            _ => None,
        })
        .collect()
}

#[test]
fn a_directory_goes_with_its_name_and_its_folders() {
    let bench = Bench::new();
    for name in ["photos/a.jpg", "photos/2026/五月/b.jpg", "photos/2026/.hidden"] {
        bench.file(name, name);
    }
    fs::create_dir(bench.path("photos/nothing")).unwrap();
    let run = bench.run(["upload", "photos", "--to", "/backup", "--json"]).exits(0);
    for name in ["photos/a.jpg", "photos/2026/五月/b.jpg", "photos/2026/.hidden"] {
        assert_eq!(bench.stored(&format!("backup/{name}")).unwrap(), name.as_bytes());
    }
    let last = run.last();
    assert_eq!((&last["event"], &last["completed"]), (&json!("summary"), &json!(3)));
    assert_eq!((&last["failed"], &last["exit_code"]), (&json!(0), &json!(0)));
    for line in &run.json()[..run.json().len() - 1] {
        assert!(line["path"].is_string(), "{line}");
    }
}

#[test]
fn the_files_of_the_folder_one_is_in_go_without_its_name() {
    let bench = Bench::new();
    bench.file("d/sub/f", "x");
    for (path, name) in [(".", "sub/f"), ("../d", "d/sub/f"), ("./sub/", "sub/f")] {
        let mut command = bench.command(["upload", path, "--on-conflict", "overwrite"]);
        crate::support::Run::of(command.current_dir(bench.path("d"))).exits(0);
        assert_eq!(bench.stored(name).unwrap(), b"x", "{path}");
    }
}

#[cfg(unix)]
#[test]
fn what_cannot_be_uploaded_is_told_and_stops_nothing_else() {
    use std::{
        ffi::OsStr,
        os::unix::{ffi::OsStrExt, fs::symlink},
    };
    let bench = Bench::new();
    bench.file("d/a", "a");
    bench.file("d/empty", "");
    bench.file("d/what?", "q");
    bench.file("d/z/last", "z");
    bench.file(OsStr::from_bytes(b"d/bad\xff"), "b");
    symlink("a", bench.path("d/link")).unwrap();
    symlink("z", bench.path("d/link-to-folder")).unwrap();
    symlink("nowhere", bench.path("d/dangling")).unwrap();
    let pipe = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, bench.path("d/pipe"), pipe, rustix::fs::Mode::RWXU, 0).unwrap();
    let expected = BTreeMap::from([
        ("d/a", "completed"),
        ("d/bad\u{fffd}", "name"),
        ("d/dangling", "source"),
        ("d/empty", "source"),
        ("d/link", "source"),
        ("d/link-to-folder", "source"),
        ("d/pipe", "source"),
        ("d/what?", "name"),
        ("d/z/last", "completed"),
    ]);
    let run = bench.run(["upload", "d", "--json"]).exits(4);
    assert_eq!(ends(&run.json()), expected);
    let last = run.last();
    assert_eq!((&last["completed"], &last["failed"], &last["exit_code"]), (&json!(2), &json!(7), &json!(4)));
    let words = bench.run(["upload", "d", "--on-conflict", "overwrite"]).exits(4);
    assert!(
        words.out.ends_with(" uploaded, 7 failed; 0 B sent in 0.0 s\n")
            || words.out.contains("2 uploaded, 7 failed")
    );
    words
        .says("d/pipe is a named pipe, not a file")
        .says("d/link is a symbolic link")
        .says("the file is empty");
}

#[cfg(unix)]
#[test]
fn a_link_on_the_command_line_is_followed() {
    let bench = Bench::new();
    bench.file("d/f", "x");
    std::os::unix::fs::symlink("d", bench.path("folder")).unwrap();
    std::os::unix::fs::symlink("d/f", bench.path("file")).unwrap();
    bench.run(["upload", "folder", "file"]).exits(0);
    assert_eq!(
        (bench.stored("folder/f").unwrap(), bench.stored("file").unwrap()),
        (b"x".into(), b"x".into())
    );
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_read_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.file("d/a", "a");
    bench.file("d/locked/b", "b");
    fs::set_permissions(bench.path("d/locked"), fs::Permissions::from_mode(0o000)).unwrap();
    let may_read_all = fs::read_dir(bench.path("d/locked")).is_ok();
    let run = bench.run(["upload", "d", "--json"]);
    fs::set_permissions(bench.path("d/locked"), fs::Permissions::from_mode(0o700)).unwrap();
    // For root there is no such folder.
    let (code, locked) =
        if may_read_all { (0, ("d/locked/b", "completed")) } else { (4, ("d/locked", "source")) };
    assert_eq!(ends(&run.exits(code).json()), BTreeMap::from([("d/a", "completed"), locked]));
}

#[test]
fn a_folder_without_files_is_no_success() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("d/e")).unwrap();
    bench.run(["upload", "d"]).exits(4).says("there is no file in d");
}

#[test]
fn the_exit_code_is_the_highest_of_all_files() {
    let bench = Bench::new();
    bench.file("a", "a");
    bench.file("b", "b");
    bench.run(["upload", "a"]).exits(0);
    // `a` is refused, `gone` is not there, `b` goes through.
    let run = bench.run(["upload", "a", "gone", "b", "--json"]).exits(6);
    assert_eq!(ends(&run.json()), BTreeMap::from([("a", "refused"), ("b", "completed"), ("gone", "source")]));
    assert_eq!(bench.stored("b").unwrap(), b"b");
}

#[test]
fn many_files_share_one_login_and_arrive_whole() {
    let bench = Bench::new();
    for i in 0..40 {
        bench.file(format!("d/{i}"), bytes(i * 100 + 1));
    }
    let mut command = bench.command(["upload", "d", "--vip", "--json"]);
    command.env_remove("PAN123_ACCESS_TOKEN");
    command.env("PAN123_CLIENT_ID", "emulator-id").env("PAN123_CLIENT_SECRET", "emulator-secret");
    let run = crate::support::Run::of(&mut command).exits(0);
    assert_eq!(run.last()["completed"], 40);
    assert_eq!(bench.requests("access_token"), 1);
    for i in 0..40 {
        assert_eq!(bench.stored(&format!("d/{i}")).unwrap(), bytes(i * 100 + 1), "file {i}");
    }
}
