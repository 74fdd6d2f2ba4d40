//! Loadable plugins, good and bad: whatever they do wrong, the host learns what, and goes on.

use std::{fs, path::PathBuf, process::Command};

use pan123::plugin::Plugin;

use crate::support::{Link, STRICT, Service, compile, crate_dir, root, run_ok, scratch};

/// Compiles `tests/c/plugin.c` with these definitions.
fn build(name: &str, definitions: &[&str]) -> PathBuf {
    let object = scratch("plugins").join(format!("{name}.so"));
    let mut command = Command::new("gcc");
    command.args(["-shared", "-fPIC", "-std=c99"]).args(STRICT).arg("-I").arg(root().join("include"));
    command.args(definitions).arg(crate_dir().join("tests/c/plugin.c")).arg("-o").arg(&object);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    object
}

#[track_caller]
fn check_refused(name: &str, definitions: &[&str], words: &[&str]) {
    let path = build(name, definitions);
    let error = Plugin::load(&path, "").unwrap_err().to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    for word in words {
        assert!(error.contains(word), "{word:?} is not in {error:?}");
    }
}

#[test]
fn a_wrong_magic_is_refused() {
    check_refused("magic", &["-DMAGIC=0x12345678u"], &["magic", "no plugin"]);
}

#[test]
fn another_version_of_the_interface_is_refused() {
    check_refused("abi", &["-DABI=0x00020000u"], &["version 0.2", "has 0.1"]);
    check_refused("newer", &["-DABI=PAN123_ABI_VERSION+1"], &["version 0.1+1"]);
}

#[test]
fn a_record_that_is_too_small_is_refused() {
    check_refused("size", &["-DSIZE=8"], &["struct_size is 8"]);
}

#[test]
fn a_missing_symbol_is_refused() {
    check_refused("symbol", &["-Dpan123_plugin_entry=another_name"], &["pan123_plugin_entry"]);
}

#[test]
fn a_symbol_that_is_no_function_is_refused() {
    check_refused("data", &["-DNO_FUNCTION"], &["pan123_plugin_entry is no function"]);
}

#[test]
fn an_entry_without_an_answer_is_refused() {
    check_refused("null", &["-DNO_PLUGIN"], &["returned NULL"]);
    check_refused("no-open", &["-DOPEN=NULL"], &["open is NULL"]);
}

#[test]
fn a_plugin_that_cannot_open_says_why() {
    check_refused("refuses", &["-DREFUSES"], &["the vault is locked"]);
}

#[test]
fn parts_that_cannot_be_are_refused() {
    check_refused("parts", &["-DBAD_PARTS"], &["pan123_tokens_vtable.get is NULL"]);
}

#[test]
fn what_is_no_library_is_refused() {
    let folder = scratch("plugins");
    fs::write(folder.join("text.so"), "this is no library").unwrap();
    let error = Plugin::load(&folder.join("text.so"), "").unwrap_err().to_string();
    assert!(error.contains("cannot be loaded"), "{error}");
    let error = Plugin::load(&folder.join("none.so"), "").unwrap_err().to_string();
    assert!(error.contains("none.so"), "{error}");
    let error = Plugin::load("relative.so".as_ref(), "").unwrap_err().to_string();
    assert!(error.contains("absolute"), "{error}");
}

#[test]
fn a_library_that_was_cut_short_is_refused() {
    let whole = fs::read(build("whole", &[])).unwrap();
    let cut = scratch("plugins").join("cut.so");
    for len in [0, 1, 16, 64, 100, 4096, 8192, whole.len() / 2].into_iter().filter(|len| *len < whole.len()) {
        fs::write(&cut, &whole[..len]).unwrap();
        let error = Plugin::load(&cut, "").unwrap_err().to_string();
        let words = if len < 16 { "not a shared library" } else { "cut short" };
        assert!(error.contains("cut.so") && error.contains(words), "{len} bytes: {error}");
    }
    // Nothing that the loader maps is missing without the table of sections, which it does not read.
    fs::write(&cut, &whole[..whole.len() - 1]).unwrap();
    Plugin::load(&cut, "").unwrap();
}

#[test]
fn a_library_with_a_header_that_lies_is_refused() {
    let whole = fs::read(build("honest", &[])).unwrap();
    let lies = scratch("plugins").join("lies.so");
    // Where in the file the table of segments is, and how long each of its entries; how many there are.
    for (at, lie) in [(32, [0xff; 8].as_slice()), (54, &[0xff; 2]), (56, &[0xff; 2]), (64 + 8, &[0xff; 8])] {
        let mut bytes = whole.clone();
        bytes[at..at + lie.len()].copy_from_slice(lie);
        fs::write(&lies, bytes).unwrap();
        let error = Plugin::load(&lies, "").unwrap_err().to_string();
        assert!(error.contains("lies.so") && error.contains("cannot be loaded"), "byte {at}: {error}");
    }
}

/// Runs `tests/c/plugged.c` with a plugin.
#[track_caller]
fn check_plugged(name: &str, definitions: &[&str], expectation: &str) {
    let plugin = build(name, definitions);
    let service = Service::start();
    let program = scratch("bin").join("plugged");
    let flags: Vec<&str> = ["-std=gnu99"].iter().chain(STRICT).copied().collect();
    compile("gcc", &crate_dir().join("tests/c/plugged.c"), &program, Link::Shared, &flags);
    let mut command = Command::new(program);
    command.arg(plugin).arg(expectation);
    service.tell(&mut command);
    run_ok(&mut command);
}

#[test]
fn a_plugin_brings_tokens_transport_and_store() {
    check_plugged("good", &[], "works");
}

#[test]
fn a_plugin_that_fails_in_every_function_fails_the_upload_alone() {
    check_plugged("fails", &["-DFAILS"], "fails");
}

#[test]
fn rust_programs_use_plugins_too() {
    let plugin = Plugin::load(&build("rust", &[]), "config").unwrap();
    assert_eq!(plugin.name(), "test 1.2");
    assert!(plugin.tokens().is_some() && plugin.layer().is_some() && plugin.store().is_some());
}
