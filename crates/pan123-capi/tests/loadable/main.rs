//! The plugins of `examples/plugins`, and bad ones in C++ and Rust, loaded by a program in C.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

#[path = "../../../../examples/plugins/sqlite_store/src/abi.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "it is of another crate, and only looked at")]
mod abi;
mod objects;
#[path = "../programs/support.rs"]
#[allow(dead_code, reason = "shared with the programs in C")]
mod support;

use std::{fs, mem::offset_of, path::PathBuf, process::Command, sync::OnceLock, time::Duration};

use pan123::{
    plugin::{Plugin, pan123_host, pan123_plugin, pan123_plugin_parts},
    store::pan123_store_vtable,
};
use pan123_emulator::{Action, Fault, Faults};
use pan123_upload::{ErrorKind, proto::Endpoint};
use support::{Link, STRICT, Service, TOKEN, compile, crate_dir, run, scratch};

const SIZE: usize = 50_000_000;

/// The program that loads plugins.
fn program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build_program("run", &[])).clone()
}

fn build_program(name: &str, extra: &[&str]) -> PathBuf {
    let program = scratch("loadable").join(name);
    let flags: Vec<&str> = ["-std=c99"].iter().chain(STRICT).chain(extra).copied().collect();
    compile("gcc", &crate_dir().join("tests/loadable/run.c"), &program, Link::Shared, &flags);
    program
}

/// A service, and a file to upload to it.
struct Place {
    service: Service,
    file: PathBuf,
}

impl Place {
    fn new(size: usize) -> Self {
        let service = Service::start();
        let file = service.dir.path().join("local");
        fs::write(&file, (0..size).map(|at| (at.wrapping_mul(37) >> 5) as u8).collect::<Vec<_>>()).unwrap();
        Self { service, file }
    }

    /// Uploads with plugins, each with its configuration, and returns whether it went well and what was printed.
    fn upload(&self, plugins: &[(&PathBuf, &str)]) -> (bool, String) {
        self.upload_with(program(), plugins)
    }

    fn upload_with(&self, program: PathBuf, plugins: &[(&PathBuf, &str)]) -> (bool, String) {
        let mut command = Command::new(program);
        command.arg(&self.file).arg("remote");
        command.args(plugins.iter().map(|(path, config)| format!("{}={config}", path.display())));
        self.service.tell(&mut command);
        let output = run(&mut command);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // Everything but a crash ends with 0 or 1.
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}: {text}", output.status);
        assert!(!text.contains(TOKEN), "{text}");
        (output.status.success(), text)
    }

    #[track_caller]
    fn check_good(&self, plugins: &[(&PathBuf, &str)]) -> String {
        let (done, text) = self.upload(plugins);
        assert!(done, "{text}");
        let stored = fs::read(self.service.dir.path().join("drive/files/remote")).unwrap();
        assert!(stored == fs::read(&self.file).unwrap(), "the service holds other bytes");
        text
    }

    #[track_caller]
    fn check_bad(&self, plugins: &[(&PathBuf, &str)], words: &[&str]) {
        let (done, text) = self.upload(plugins);
        assert!(!done, "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text:?}");
        }
    }
}

/// Gives the good token.
const HELPER: &str = "echo $PAN123_ACCESS_TOKEN";

#[test]
fn tokens_come_from_a_helper_process() {
    let (place, plugin) = (Place::new(1000), objects::token_helper());
    place.check_good(&[(&plugin, "echo ran >> ran; echo $PAN123_ACCESS_TOKEN; echo 99999999999999")]);
    // Once for all requests.
    assert_eq!(fs::read_to_string(place.service.dir.path().join("ran")).unwrap(), "ran\n");
}

#[test]
fn the_helper_is_told_of_a_token_that_is_refused() {
    let (place, plugin) = (Place::new(1000), objects::token_helper());
    let helper = "read -r refused; echo \"$refused\" >> asked; \
                  if [ \"$refused\" = stale ]; then echo $PAN123_ACCESS_TOKEN; else echo stale; fi";
    place.check_good(&[(&plugin, helper)]);
    assert_eq!(fs::read_to_string(place.service.dir.path().join("asked")).unwrap(), "\nstale\n");
    let refused =
        place.service.emulator().requests().iter().filter(|request| request.code == Some(401)).count();
    assert_eq!(refused, 1);
}

#[test]
fn an_old_token_is_asked_for_anew() {
    let (place, plugin) = (Place::new(1000), objects::token_helper());
    place.check_good(&[(&plugin, "echo ran >> ran; echo $PAN123_ACCESS_TOKEN; echo 1000")]);
    let ran = fs::read_to_string(place.service.dir.path().join("ran")).unwrap().lines().count();
    assert!(ran >= place.service.emulator().requests().len(), "{ran}");
}

#[test]
fn a_helper_that_has_no_token_is_an_error_that_says_so() {
    let (place, plugin) = (Place::new(1000), objects::token_helper());
    for (helper, words) in [
        ("exit 3", &["PAN123_E_LOGIN", "exit code 3"][..]),
        ("no-such-program-anywhere", &["exit code 127"]),
        ("kill -9 $$", &["signal 9"]),
        ("true", &["printed nothing"]),
        ("yes", &["too long"]),
        ("", &["PAN123_E_PLUGIN", "configuration is empty"]),
    ] {
        place.check_bad(&[(&plugin, helper)], words);
    }
    let hasty = objects::in_c("hasty", "examples/plugins/token_helper.c", &["-DHELPER_LIMIT_MS=300"]);
    place.check_bad(&[(&hasty, "exec sleep 1000")], &["in time"]);
    assert!(place.service.emulator().requests().is_empty());
}

#[test]
fn every_request_is_logged_without_tokens() {
    let (place, tokens, log) = (Place::new(SIZE), objects::token_helper(), objects::request_log());
    let path = place.service.dir.path().join("log");
    let fault = Fault::new(Endpoint::Slice, Action::Reset).slices(2).attempts(1);
    place.service.emulator().add_fault(fault).unwrap();
    place.check_good(&[(&log, path.to_str().unwrap()), (&tokens, HELPER)]);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(TOKEN) && !text.contains("Bearer"), "{text}");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen = place.service.emulator().requests();
    assert_eq!(lines.len(), seen.len(), "{text}");
    // In order of their answers here and of their arrival there, so they are compared as sets.
    let mut ours: Vec<(String, Option<u64>)> =
        lines.iter().map(|line| (path_of(line["url"].as_str().unwrap()), line["status"].as_u64())).collect();
    let mut theirs: Vec<(String, Option<u64>)> = seen
        .iter()
        .map(|request| (request.line.split(' ').nth(1).unwrap().to_owned(), request.status.map(u64::from)))
        .collect();
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
    let failed: Vec<_> = lines.iter().filter(|line| line.get("error").is_some()).collect();
    assert!(failed.len() == 1 && failed[0]["code"].as_i64() == Some(200), "{failed:?}");
    assert!(lines.iter().any(|line| line["trace_id"].is_string() && line["answer_len"].as_u64() > Some(0)));
    place.check_bad(
        &[(&log, "/nonexistent/log"), (&tokens, HELPER)],
        &["open the log /nonexistent/log", "No such file"],
    );
}

fn path_of(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    rest[rest.find('/').unwrap()..].to_owned()
}

#[test]
fn an_upload_goes_on_from_a_database() {
    let Some(store) = objects::sqlite_store() else { return };
    let (place, tokens) = (Place::new(SIZE), objects::token_helper());
    let database = place.service.dir.path().join("uploads.db");
    let plugins = [(&store, database.to_str().unwrap()), (&tokens, HELPER)];
    let broken = Action::Status { status: 500, body: String::new(), retry_after: None };
    place.service.emulator().add_fault(Fault::new(Endpoint::Slice, broken).slices(3)).unwrap();
    place.check_bad(&plugins, &["PAN123_E_SERVER"]);
    assert!(fs::read(&database).unwrap().starts_with(b"SQLite format 3\0"));
    place.service.emulator().set_faults(Faults::default()).unwrap();
    place.service.emulator().clear_requests();
    place.check_good(&plugins);
    let seen = place.service.emulator().requests();
    let mut slices: Vec<u32> = seen.iter().filter_map(|request| request.slice_no).collect();
    slices.sort_unstable();
    assert_eq!(slices, [3], "the others were stored already");
    assert!(seen.iter().all(|request| request.endpoint != Some(Endpoint::Create)), "{seen:?}");
    // Nothing is left of it, so another upload begins anew.
    place.service.emulator().clear_requests();
    place.check_bad(&plugins, &["PAN123_E_REFUSED"]);
    assert!(
        place.service.emulator().requests().iter().any(|request| request.endpoint == Some(Endpoint::Create))
    );
}

#[test]
fn a_database_that_is_none_is_an_error_that_says_so() {
    let Some(store) = objects::sqlite_store() else { return };
    let (place, tokens) = (Place::new(1000), objects::token_helper());
    let text = place.service.dir.path().join("text");
    fs::write(&text, "this is no database, however long it is read").unwrap();
    for (config, words) in [
        (text.to_str().unwrap(), &["PAN123_E_PLUGIN", "not a database"][..]),
        ("/nonexistent/uploads.db", &["open /nonexistent/uploads.db", "unable to open"]),
        ("", &["configuration is empty"]),
    ] {
        place.check_bad(&[(&store, config), (&tokens, HELPER)], words);
    }
}

#[test]
fn sanitizers_find_nothing_in_the_plugins() {
    const SANITIZED: &[&str] = &["-fsanitize=address,undefined", "-fno-sanitize-recover"];
    let program = build_program("run-sanitized", SANITIZED);
    let tokens = objects::in_c("tokens-sanitized", "examples/plugins/token_helper.c", SANITIZED);
    let log = objects::in_c("log-sanitized", "examples/plugins/request_log.c", SANITIZED);
    let cpp = objects::in_cpp("cpp-sanitized", "crates/pan123-capi/tests/loadable/throws.cpp", SANITIZED);
    let place = Place::new(SIZE);
    let path = place.service.dir.path().join("log");
    let fault = Fault::new(Endpoint::Slice, Action::Reset).slices(2).attempts(1);
    place.service.emulator().add_fault(fault).unwrap();
    let stale = "read -r refused; if [ \"$refused\" ]; then echo $PAN123_ACCESS_TOKEN; else echo stale; fi";
    let log = (&log, path.to_str().unwrap());
    let (_, text) = place.upload_with(program.clone(), &[log, (&tokens, "exit 1")]);
    assert!(text.contains("PAN123_E_LOGIN"), "{text}");
    let (_, text) = place.upload_with(program.clone(), &[(&cpp, "get")]);
    assert!(text.contains("thrown by get"), "{text}");
    // A sanitizer that finds something, also a leak, ends the program with another code.
    let (done, text) = place.upload_with(program, &[log, (&tokens, stale), (&cpp, "save")]);
    assert!(done, "{text}");
}

#[test]
fn exceptions_in_a_plugin_are_errors_with_their_text() {
    let plugin = objects::in_cpp("throws", "crates/pan123-capi/tests/loadable/throws.cpp", &[]);
    let place = Place::new(SIZE);
    place.check_bad(&[(&plugin, "open")], &["PAN123_E_PLUGIN", "thrown by open"]);
    place.check_bad(&[(&plugin, "int by open")], &["no std::exception"]);
    place.check_bad(&[(&plugin, "refuses")], &["the vault is locked"]);
    place.check_bad(&[(&plugin, "get")], &["PAN123_E_CALLBACK", "thrown by get"]);
    place.check_bad(&[(&plugin, "send")], &["thrown by send"]);
    place.check_bad(&[(&plugin, "load")], &["PAN123_E_STORE", "thrown by load"]);
    place.check_bad(&[(&plugin, "int by load")], &["PAN123_E_STORE", "no std::exception"]);
    // An upload whose store takes nothing goes on without it.
    for config in ["save", "remove", "in turns", ""] {
        Place::new(SIZE).check_good(&[(&plugin, config)]);
    }
}

#[test]
fn panics_in_a_plugin_are_errors_with_their_text() {
    let plugin = objects::in_rust("panics", "crates/pan123-capi/tests/loadable/panics.rs");
    let (place, tokens) = (Place::new(SIZE), objects::token_helper());
    place.check_bad(&[(&plugin, "open"), (&tokens, HELPER)], &["PAN123_E_PLUGIN", "a panic", "in open"]);
    place.check_bad(&[(&plugin, "load"), (&tokens, HELPER)], &["PAN123_E_STORE", "a panic", "in load"]);
    // An upload goes on without its store.
    place.check_good(&[(&plugin, ""), (&tokens, HELPER)]);
}

/// What the plugin in Rust writes down by hand is what the header has.
#[test]
fn the_store_of_a_plugin_tells_what_it_keeps() {
    let plugin = objects::in_cpp("keeper", "crates/pan123-capi/tests/loadable/keeper.cpp", &[]);
    let list = |config: &str| {
        let plugin = Plugin::load(&plugin, config).unwrap();
        let listed = plugin.store().unwrap().list();
        assert!(plugin.close(Duration::from_secs(60)), "it is let go of");
        listed.map(|logs| logs.into_iter().map(|log| (log.key, log.bytes, log.busy)).collect::<Vec<_>>())
    };
    let entry = |key: &str| (key.to_owned(), key.as_bytes().to_vec(), false);
    assert_eq!(list("").unwrap(), []);
    assert_eq!(list("one two-2").unwrap(), [entry("one"), entry("two-2")]);
    let longest = "k".repeat(64);
    assert_eq!(list(&longest).unwrap(), [entry(&longest)]);
    for bad in ["One", "a/b", "键", &"k".repeat(65)] {
        let error = list(&format!("good {bad}")).unwrap_err();
        assert!(error.kind() == ErrorKind::Store && error.to_string().contains("which is no key"), "{error}");
    }
    let error = list("silent").unwrap_err();
    assert!(error.to_string().contains("does not tell what it keeps"), "{error}");
}

#[test]
fn the_plugin_in_rust_has_the_layout_of_the_header() {
    assert_eq!(size_of::<abi::Host>(), size_of::<pan123_host>());
    assert_eq!(offset_of!(abi::Host, error_new), offset_of!(pan123_host, error_new));
    assert_eq!(offset_of!(abi::Host, sink_put), offset_of!(pan123_host, sink_put));
    assert_eq!(size_of::<abi::Parts>(), size_of::<pan123_plugin_parts>());
    assert_eq!(offset_of!(abi::Parts, store), offset_of!(pan123_plugin_parts, store));
    assert_eq!(offset_of!(abi::Parts, store_ctx), offset_of!(pan123_plugin_parts, store_ctx));
    assert_eq!(size_of::<abi::Plugin>(), size_of::<pan123_plugin>());
    assert_eq!(offset_of!(abi::Plugin, open), offset_of!(pan123_plugin, open));
    assert_eq!(size_of::<abi::StoreVtable>(), size_of::<pan123_store_vtable>());
    assert_eq!(offset_of!(abi::StoreVtable, save), offset_of!(pan123_store_vtable, save));
    assert_eq!(offset_of!(abi::StoreVtable, remove), offset_of!(pan123_store_vtable, remove));
    assert_eq!(offset_of!(abi::StoreVtable, list), offset_of!(pan123_store_vtable, list));
    assert_eq!(
        (abi::MAGIC, abi::VERSION),
        (pan123::numbers::PAN123_PLUGIN_MAGIC, pan123::numbers::PAN123_ABI_VERSION)
    );
}
