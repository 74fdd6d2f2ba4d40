//! What bad input gets: a code, and words that say what to do. Nothing is sent.

use crate::support::{Bench, Run};

/// Runs `pan123 ARGS`, parted at blanks, in a folder with the files `f`, `g` and `d/f`.
#[track_caller]
fn check(args: &str, code: i32, words: &[&str]) {
    let bench = Bench::new();
    for name in ["f", "g", "d/f"] {
        bench.file(name, "content");
    }
    let run = bench.run(args.split(' ')).exits(code);
    assert_eq!(run.out, "", "{args}");
    words.iter().fold(run, |run, text| run.says(text));
    // With --json the same is in one line on stdout.
    let run = bench.run(["--json"].into_iter().chain(args.split(' '))).exits(code);
    let line = run.last();
    assert_eq!((line["event"].as_str(), run.out.lines().count()), (Some("failed"), 1), "{args}: {run:?}");
    let message = line["message"].as_str().unwrap();
    assert!(!message.is_empty() && line["advice"].as_str().is_some_and(|text| !text.is_empty()), "{line}");
    // The same words, but for the advice and for how clap lays them out.
    for text in words {
        let found = message.contains(text) || line["advice"].as_str().unwrap().contains(text);
        assert!(found, "{args}: {line} should contain {text:?}");
    }
    assert_eq!(run.err, "", "{args}");
    assert!(bench.emulator.requests().is_empty(), "{args} sent something");
}

#[test]
fn commands() {
    check("frobnicate", 2, &["unrecognized subcommand 'frobnicate'"]);
    check("upload", 2, &["<PATH>..."]);
    check("upload f --frob", 2, &["unexpected argument '--frob'"]);
    check("completions klingon", 2, &["[possible values: bash"]);
    let bench = Bench::new();
    bench.run([]).exits(2);
    Run::of(bench.command(["upload", "f"]).env("PAN123_LOG", "a=b=c")).exits(2).says("PAN123_LOG");
}

#[test]
fn upload_options() {
    check("upload gone", 4, &["gone: no such file", "Check the path"]);
    check("upload f --to nowhere", 2, &["a path that begins with a slash"]);
    check("upload f --to -1", 2, &[]);
    check("upload f --to 99999999999999999999", 2, &["a folder is an id"]);
    check("upload f --to /a/b:c", 4, &["contains :"]);
    check("upload f --to /a/../b", 4, &["\"..\" stands for a folder"]);
    check("upload f --name a/b", 4, &["contains /"]);
    check("upload f --name ..", 4, &["stands for a folder"]);
    check(&format!("upload f --name {}", "长".repeat(256)), 4, &["256 characters"]);
    check("upload f --name=", 4, &["the name is empty"]);
    check("upload d --name x", 2, &["d is a directory"]);
    check("upload f g --name x", 2, &["--name goes with one file"]);
    check("upload f d/f", 2, &["f and d/f would both be f in the drive"]);
    check("upload f --on-conflict maybe", 2, &["[possible values: fail, keep-both, overwrite]"]);
    for bad in ["0", "65", "-1", "many", "1.5", ""] {
        check(&format!("upload f --parallel={bad}"), 2, &["auto or a number from 1 to 64"]);
    }
    for bad in ["soon", "-5", "1.5h", "10d"] {
        check(&format!("upload f --retry-for={bad}"), 2, &["such as 90s"]);
    }
    for bad in ["0", "fast", "2MB", "-1"] {
        check(&format!("upload f --limit-rate={bad}"), 2, &["such as 500K"]);
    }
    for unused in
        ["--base-url http://127.0.0.1:1", "--proxy http://127.0.0.1:1", "--ca-file f", "--plain-http"]
    {
        check(&format!("upload f --local {unused}"), 2, &["cannot be used with"]);
    }
    check("upload f --local-dir d", 2, &["--local"]);
}

#[test]
fn addresses_and_files_for_the_network() {
    check("upload f --base-url ftp://example.com", 2, &["ftp://example.com", "only http and https"]);
    check("upload f --base-url http://", 2, &["not usable"]);
    check("upload f --base-url https://user:pw@example.com", 2, &["not usable"]);
    check("upload f --proxy gopher://example.com", 2, &["proxy"]);
    check("upload f --ca-file gone.pem", 2, &["gone.pem"]);
    check("upload f --ca-file f", 2, &["f"]);
    check("upload f --config gone.toml", 2, &["gone.toml", "--config"]);
}

#[test]
fn logins() {
    let bench = Bench::new();
    bench.file("f", "x");
    let run = |name: &str, value: &str| {
        let mut command = bench.command(["upload", "f"]);
        Run::of(command.env_remove("PAN123_ACCESS_TOKEN").env(name, value))
    };
    run("X", "").exits(3).says("no access token").says("PAN123_CLIENT_ID").says("--local");
    run("PAN123_ACCESS_TOKEN", "").exits(3).says("no access token");
    run("PAN123_ACCESS_TOKEN", " ").exits(3).says("the access token is empty");
    run("PAN123_ACCESS_TOKEN", "two words").exits(3).says("blanks");
    run("PAN123_CLIENT_ID", "x").exits(3).says("the client secret is missing");
    run("PAN123_CLIENT_SECRET", "hunter2").exits(3).says("the client id is missing");
    run("PAN123_REFRESH_TOKEN", "hunter2").exits(3).says("the client id is missing");
    assert!(bench.emulator.requests().is_empty());

    let wrong = run("PAN123_ACCESS_TOKEN", "wrong-token").exits(3);
    assert!(!wrong.err.contains("wrong-token") && wrong.err.contains("  "), "{}", wrong.err);
    let mut command = bench.command(["token"]);
    command.env_remove("PAN123_ACCESS_TOKEN").env("PAN123_CLIENT_ID", "emulator-id");
    let wrong = Run::of(command.env("PAN123_CLIENT_SECRET", "hunter2")).exits(3);
    assert!(!wrong.err.contains("hunter2"), "{}", wrong.err);
}

#[test]
fn other_commands() {
    check("hash gone", 4, &["gone: no such file"]);
    check("hash d", 4, &["d: this is a directory"]);
    check("hash f --slice-size 0", 2, &["--slice-size", "a whole number of bytes, at least 1"]);
    check("hash f --slice-size 1k", 2, &["--slice-size", "a whole number of bytes, at least 1"]);
    check("create", 2, &["<FILE>"]);
    check("create --name x --size 5", 2, &[]);
    check("create f --etag xyz", 2, &["--etag"]);
    check("create f --size -1", 2, &[]);
    check("create f --name a:b", 4, &["contains :"]);
    check("create gone", 4, &["gone: no such file"]);
    check("slice f", 2, &["--server", "--preupload-id", "--slice-no"]);
    let slice = "slice f --server http://127.0.0.1:1 --preupload-id p --slice-no";
    check(&format!("{slice} 0"), 2, &["1..="]);
    check(&format!("{slice} 1 --md5 00"), 2, &["--md5"]);
    check(&format!("{slice} 1 --offset 8"), 2, &["starts at byte 8", "only 7 bytes"]);
    check(&format!("{slice} 1 --offset 3 --length 5"), 2, &["only 4 follow byte 3"]);
    check(&format!("{slice} 1 --length 99999999999999999999"), 2, &["--length"]);
    check("slice gone --server http://127.0.0.1:1 --preupload-id p --slice-no 1", 4, &["no such file"]);
    check(&format!("{slice} 1 --length 0"), 2, &["slice 1", "no bytes"]);
    check(&format!("{slice} 1 --offset 7"), 2, &["no bytes"]);
    check(
        &slice.replace(" p ", " a\u{7}b ").replace("--slice-no", "--slice-no 1"),
        2,
        &["control characters"],
    );
    check("slice f --server ftp://x --preupload-id p --slice-no 1", 2, &["ftp://x", "https://HOST"]);
    check("slice f --server= --preupload-id p --slice-no 1", 2, &["https://HOST"]);
    check("slice f --server http://127.0.0.1:1 --preupload-id= --slice-no 1", 2, &["id is empty", "create"]);
    check("complete", 2, &["<PREUPLOAD_ID>"]);
    for bad in ["", "\u{3000}", "a\tb"] {
        let bench = Bench::new();
        bench.run(["complete", bad]).exits(2).says("the preupload id").says("as create answered it");
        assert!(bench.emulator.requests().is_empty());
    }
    check("uploads frob", 2, &[]);
    check("uploads resume", 2, &["<KEY|--all>"]);
    check("uploads forget", 2, &["<KEY|--all>"]);
    check("uploads resume 1a", 2, &["no unfinished upload has a key that begins with \"1a\""]);
    check(
        "uploads forget 1a",
        2,
        &["no unfinished upload has a key that begins with \"1a\"", "lists the keys"],
    );
    check("uploads forget --all 1a", 2, &["cannot be used with"]);
}

#[test]
fn a_file_that_is_not_there_needs_no_login_to_be_told() {
    let bench = Bench::new();
    bench.file("f", "content");
    for args in
        ["upload gone", "create gone", "slice gone --server http://127.0.0.1:1 --preupload-id p --slice-no 1"]
    {
        let without = |args: &str| Run::of(bench.command(args.split(' ')).env_remove("PAN123_ACCESS_TOKEN"));
        without(args).exits(4).says("gone: no such file");
        without(&args.replace("gone", "f")).exits(3).says("no access token");
    }
}

#[test]
fn to_go_on_with_nothing_is_done_at_once_and_needs_no_login() {
    let bench = Bench::new();
    for (args, lines) in [("resume", 1), ("forget", 0)] {
        let run = |more: &[&'static str]| {
            let mut command = bench.command(["uploads", args, "--all"]);
            Run::of(command.args(more).env_remove("PAN123_ACCESS_TOKEN"))
        };
        run(&[]).exits(0).says("nothing is unfinished");
        let json = run(&["--json"]).exits(0);
        assert_eq!((json.json().len(), json.err.as_str()), (lines, ""), "{json:?}");
        assert!(json.json().iter().all(|line| line["event"] == "summary" && line["completed"] == 0));
    }
    let unknown = bench.run(["uploads", "forget", "xyz"]).exits(2);
    assert!(!unknown.err.contains("nothing is unfinished"), "one thing is said: {}", unknown.err);
}

#[test]
fn serve_options() {
    check("serve --port 65536", 2, &["--port"]);
    check("serve --servers 0", 2, &["1 to 64"]);
    check("serve --servers 65", 2, &["1 to 64"]);
    check("serve --slice-size 0", 2, &["slice_size"]);
    check("serve --token=", 2, &["a token is"]);
    check("serve --faults gone.json", 2, &["gone.json"]);
    check("serve --faults f", 2, &["line 1 column 1"]);
    check("serve --random-faults 1.5", 2, &["a number from 0 to 1"]);
    check("serve --seed 1", 2, &["--random-faults"]);
    check("serve --dir f", 4, &["f", "Choose another folder"]);
    check("serve --log d", 4, &["d", "Name another file with --log"]);
}

#[test]
fn help_is_there_for_each_command() {
    let bench = Bench::new();
    let run = bench.run(["--help"]).exits(0);
    for text in ["Examples:", "PAN123_ACCESS_TOKEN", "PAN123_CONFIG", "Exit codes:", "130 interrupted"] {
        assert!(run.out.contains(text), "{text:?} is not in the help");
    }
    let names = "upload uploads hash create slice complete domain token serve completions";
    for name in names.split(' ') {
        let help = bench.run(["help", name]).exits(0).out;
        assert!(help.contains(&format!("Usage: pan123 {name}")), "{help}");
        assert!(run.out.contains(&format!("  {name} ")), "{name} is not listed");
        let widest = help.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 100, "{name}: a line of {widest} characters");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(bench.run(["completions", shell]).exits(0).out.contains("on-conflict"), "{shell}");
    }
}
