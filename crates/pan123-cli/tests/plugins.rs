//! `pan123 upload --plugin FILE[=CONFIG]` with the plugins of `examples/plugins`, and with bad ones.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

#[path = "../../pan123-capi/tests/loadable/objects.rs"]
mod objects;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use pan123_emulator::{Action, Emulator, Fault, Faults, Options};
use pan123_upload::proto::Endpoint;
use rustix::process::{Pid, Signal, kill_process};

const TOKEN: &str = "token-0123456789-marker";
/// Gives the good token.
const HELPER: &str = "echo $GOOD_TOKEN";

/// A service, a file to upload to it, and a home of one's own.
struct Place {
    emulator: Emulator,
    dir: tempfile::TempDir,
    bytes: Vec<u8>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.emulator.stop();
    }
}

impl Place {
    fn new(size: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::new(dir.path().join("drive"));
        options.tokens = vec![TOKEN.to_owned()];
        let bytes: Vec<u8> = (0..size).map(|at| (at.wrapping_mul(41) >> 6) as u8).collect();
        fs::write(dir.path().join("local"), &bytes).unwrap();
        Self { emulator: Emulator::start(options).unwrap(), dir, bytes }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs the program in our folder, without an account; returns its exit code and what it said.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", "120", env!("CARGO_BIN_EXE_pan123")])
            .args(arguments)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH"))
            .env("HOME", self.dir.path())
            .env("GOOD_TOKEN", TOKEN)
            .env("PAN123_BASE_URL", self.emulator.base_url())
            .current_dir(self.dir.path());
        let output = command.output().unwrap();
        let text = [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat();
        assert!(!text.contains(TOKEN), "{text}");
        (output.status.code(), text)
    }

    /// Uploads with plugins, each with its configuration.
    fn upload(&self, plugins: &[(&Path, &str)]) -> (Option<i32>, String) {
        let mut arguments: Vec<String> =
            ["upload", "local", "--json", "--retry-for", "1s"].map(str::to_owned).to_vec();
        for (path, config) in plugins {
            arguments.extend(["--plugin".to_owned(), format!("{}={config}", path.display())]);
        }
        self.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[track_caller]
    fn check_good(&self, plugins: &[(&Path, &str)]) {
        let (code, text) = self.upload(plugins);
        assert_eq!(code, Some(0), "{text}");
        assert!(
            fs::read(self.path("drive/files/local")).unwrap() == self.bytes,
            "the service holds other bytes"
        );
    }

    #[track_caller]
    fn check_bad(&self, plugins: &[(&Path, &str)], exit_code: i32, words: &[&str]) {
        let (code, text) = self.upload(plugins);
        assert_eq!(code, Some(exit_code), "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text:?}");
        }
    }
}

#[test]
fn three_plugins_at_once_and_an_upload_that_goes_on() {
    let (tokens, log) = (objects::token_helper(), objects::request_log());
    let Some(store) = objects::sqlite_store() else { return };
    let place = Place::new(50_000_000);
    // Paths are relative to where the program runs.
    let plugins = [(&*tokens, HELPER), (&*log, "requests.jsonl"), (&*store, "uploads.db")];
    let broken = Action::Status { status: 500, body: String::new(), retry_after: None };
    place.emulator.add_fault(Fault::new(Endpoint::Slice, broken).slices(3)).unwrap();
    place.check_bad(&plugins, 5, &["\"event\":\"failed\""]);
    place.emulator.set_faults(Faults::default()).unwrap();
    let before = place.emulator.requests().len();
    place.check_good(&plugins);
    let after = &place.emulator.requests()[before..];
    assert!(after.iter().all(|request| request.endpoint != Some(Endpoint::Create)), "{after:?}");
    assert!(after.iter().all(|request| !matches!(request.slice_no, Some(1 | 2))), "{after:?}");
    let requests = fs::read_to_string(place.path("requests.jsonl")).unwrap();
    assert_eq!(requests.lines().count(), place.emulator.requests().len());
    assert!(!requests.contains(TOKEN), "{requests}");
    // It was kept there and nowhere else.
    let elsewhere =
        Command::new("find").arg(place.dir.path()).args(["-path", "*/pan123/uploads/*"]).output().unwrap();
    assert!(elsewhere.stdout.is_empty(), "{}", String::from_utf8_lossy(&elsewhere.stdout));
}

#[test]
fn unfinished_uploads_in_the_store_of_a_plugin_are_listed_resumed_and_forgotten() {
    let tokens = objects::token_helper();
    let Some(store) = objects::sqlite_store() else { return };
    let place = Place::new(50_000_000);
    let plugins = [(&*tokens, HELPER), (&*store, "uploads.db")];
    let more = ["--plugin".to_owned(), format!("{}={HELPER}", tokens.display()), "--plugin".to_owned()];
    let more = [&more[..], &[format!("{}=uploads.db", store.display())]].concat();
    let run = |arguments: &[&str]| {
        let all: Vec<&str> = arguments.iter().copied().chain(more.iter().map(String::as_str)).collect();
        let (code, text) = place.run(&all);
        assert_eq!(code, Some(0), "{text}");
        text
    };
    let broken = Action::Status { status: 500, body: String::new(), retry_after: None };
    let script = Fault::new(Endpoint::Slice, broken).slices(3);
    for end in ["forget", "resume"] {
        place.emulator.set_faults(Faults { faults: vec![script.clone()], ..Faults::default() }).unwrap();
        place.check_bad(&plugins, 5, &["\"event\":\"resumable\""]);
        place.emulator.set_faults(Faults::default()).unwrap();
        let listed = run(&["uploads", "--json"]);
        assert_eq!(listed.lines().count(), 1, "{listed}");
        for words in
            ["\"event\":\"unfinished\"", "\"filename\":\"local\"", "\"slices_done\":2", "\"running\":false"]
        {
            assert!(listed.contains(words), "{words:?} is not in {listed}");
        }
        let before = place.emulator.requests().len();
        run(&["uploads", end, "--all"]);
        let after = &place.emulator.requests()[before..];
        if end == "resume" {
            assert!(after.iter().all(|request| request.endpoint != Some(Endpoint::Create)), "{after:?}");
            assert!(fs::read(place.path("drive/files/local")).unwrap() == place.bytes);
        } else {
            assert!(after.is_empty(), "{after:?}");
        }
        assert!(run(&["uploads"]).contains("nothing is unfinished"));
    }
}

#[test]
fn a_plugin_is_let_go_of_at_the_end_however_that_comes() {
    let plugin = objects::in_c("released", "crates/pan123-capi/tests/loadable/released.c", &["-pedantic"]);
    let option = |config: &str| format!("{}={config}", plugin.display());
    let runs: &[(&str, i32, &[&str])] = &[
        ("done", 0, &["upload", "local"]),
        ("one-call", 0, &["domain"]),
        ("gone", 4, &["upload", "gone", "local"]),
        ("refused", 6, &["upload", "local", "--to", "77"]),
        ("emulated", 0, &["upload", "local", "--local"]),
        ("no-list", 4, &["uploads"]),
        ("usage", 2, &["slice", "local", "--server", "ftp://x", "--preupload-id", "p", "--slice-no", "1"]),
    ];
    for (config, exit_code, arguments) in runs {
        let place = Place::new(100_000);
        let plugin = option(config);
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--plugin", &plugin]).collect();
        let (code, text) = place.run(&arguments);
        assert_eq!(code, Some(*exit_code), "{config}: {text}");
        let released = fs::read_to_string(place.path(config)).unwrap_or_default();
        let mut released: Vec<&str> = released.lines().collect();
        released.sort_unstable();
        assert_eq!(released, ["layer", "store", "tokens"], "{config}: {text}");
        if *config == "no-list" {
            assert!(text.contains("does not tell what it keeps") && text.contains("same upload"), "{text}");
        }
    }
}

#[test]
fn a_plugin_is_let_go_of_by_an_interrupted_upload_too() {
    let plugin = objects::in_c("interrupted", "crates/pan123-capi/tests/loadable/released.c", &["-pedantic"]);
    let place = Place::new(20_000_000);
    place.emulator.add_fault(Fault::new(Endpoint::Slice, Action::Hang).slices(2)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pan123"));
    command.args(["upload", "local", "--json", "--plugin", &format!("{}=log", plugin.display())]);
    command.current_dir(place.dir.path()).env_clear().env("HOME", place.dir.path()).env("GOOD_TOKEN", TOKEN);
    command.env("PAN123_BASE_URL", place.emulator.base_url()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("\"event\":\"slice\"")), "it ended before the first slice");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let rest = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    let released = fs::read_to_string(place.path("log")).unwrap_or_default();
    assert_eq!(released.lines().count(), 3, "{released}");
}

#[test]
fn tokens_of_a_plugin_are_used_by_other_commands_too() {
    let (place, tokens) = (Place::new(10), objects::token_helper());
    let plugin = format!("{}={HELPER}", tokens.display());
    let (code, text) = place.run(&["domain", "--plugin", &plugin]);
    assert!(code == Some(0) && text.contains("http://"), "{text}");
    let (code, text) = place.run(&["domain", "--plugin", &format!("{}=exit 9", tokens.display())]);
    assert!(code == Some(3) && text.contains("exit code 9"), "{text}");
}

#[test]
fn the_emulator_of_a_local_upload_is_asked_with_its_own_token() {
    let (place, tokens, log) = (Place::new(1000), objects::token_helper(), objects::request_log());
    let tokens = format!("{}=echo from-the-plugin", tokens.display());
    // Relative to where the program runs, like its configuration.
    fs::copy(log, place.path("log.so")).unwrap();
    let (code, text) =
        place.run(&["upload", "local", "--local", "--plugin", &tokens, "--plugin", "log.so=requests.jsonl"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(fs::read_to_string(place.path("requests.jsonl")).unwrap().lines().count() > 1);
}

#[test]
fn what_is_no_plugin_is_refused_before_anything_is_sent() {
    let place = Place::new(1000);
    let source = "crates/pan123-capi/tests/c/plugin.c";
    let bad: &[(&str, &[&str], &[&str])] = &[
        ("magic", &["-DMAGIC=7u"], &["magic"]),
        ("abi", &["-DABI=0x00020000u"], &["version"]),
        ("symbol", &["-Dpan123_plugin_entry=another_name"], &["pan123_plugin_entry"]),
        ("null", &["-DNO_PLUGIN"], &["NULL"]),
        ("size", &["-DSIZE=8"], &["struct_size"]),
        ("parts", &["-DBAD_PARTS"], &["pan123_tokens_vtable.get"]),
        ("refuses", &["-DREFUSES"], &["the vault is locked"]),
    ];
    for (name, definitions, words) in bad {
        let plugin = objects::in_c(&format!("bad-{name}"), source, definitions);
        place.check_bad(&[(&plugin, "")], 2, words);
        place.check_bad(&[(&plugin, "")], 2, &["load plugin", "advice", plugin.to_str().unwrap()]);
    }
    fs::write(place.path("text.so"), "no library").unwrap();
    for (name, words) in
        [("text.so", "cannot be loaded"), ("none.so", "none.so"), ("", "name the plugin's file")]
    {
        place.check_bad(&[(Path::new(name), "")], 2, &[words]);
    }
    assert!(place.emulator.requests().is_empty());
}

#[test]
fn a_plugin_that_fails_in_every_function_fails_the_upload_and_not_the_program() {
    let place = Place::new(1000);
    let fails = objects::in_c("fails", "crates/pan123-capi/tests/c/plugin.c", &["-DFAILS"]);
    place.check_bad(&[(&fails, "")], 4, &["as the plugin pleases"]);
    let throws = objects::in_cpp("throws", "crates/pan123-capi/tests/loadable/throws.cpp", &[]);
    place.check_bad(&[(&throws, "open")], 2, &["thrown by open"]);
    place.check_bad(&[(&throws, "get")], 4, &["thrown by get"]);
    let panics = objects::in_rust("panics", "crates/pan123-capi/tests/loadable/panics.rs");
    let tokens = objects::token_helper();
    place.check_bad(&[(&panics, "open"), (&tokens, HELPER)], 2, &["a panic in the plugin: in open"]);
    place.check_bad(&[(&panics, "load"), (&tokens, HELPER)], 4, &["in load"]);
    let (code, text) = place.run(&["uploads", "--plugin", panics.to_str().unwrap()]);
    assert!(code == Some(4) && text.contains("a panic in the plugin: in list"), "{text}");
    place.check_good(&[(&panics, ""), (&tokens, HELPER)]);
}
