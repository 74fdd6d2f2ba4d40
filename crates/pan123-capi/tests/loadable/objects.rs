//! Builds plugins: those of `examples/plugins`, and bad ones.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The folder of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where objects are made; each has a name of its own.
fn object(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("objects").join(env!("CARGO_CRATE_NAME"));
    fs::create_dir_all(&folder).unwrap();
    folder.join(format!("{name}.so"))
}

#[track_caller]
fn make(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// Compiles a plugin in C; `source` is a path in the workspace.
#[track_caller]
pub(crate) fn in_c(name: &str, source: &str, definitions: &[&str]) -> PathBuf {
    let object = object(name);
    let flags = ["-shared", "-fPIC", "-std=c99", "-g", "-Wall", "-Wextra", "-Werror", "-Wstrict-prototypes"];
    make(
        Command::new("gcc")
            .args(flags)
            .args(definitions)
            .arg("-I")
            .arg(root().join("include"))
            .arg(root().join(source))
            .arg("-o")
            .arg(&object),
    );
    object
}

/// Compiles a plugin in C++.
#[track_caller]
pub(crate) fn in_cpp(name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let object = object(name);
    let all = ["-shared", "-fPIC", "-std=c++17", "-g", "-Wall", "-Wextra", "-Wshadow", "-Werror"];
    // Nothing may be missing: the host does not give it our library.
    make(
        Command::new("g++")
            .args(all)
            .args(flags)
            .arg("-I")
            .arg(root().join("include"))
            .arg(root().join(source))
            .arg("-Wl,-z,defs")
            .arg("-o")
            .arg(&object),
    );
    object
}

/// Compiles a plugin in Rust of one file and nothing but std.
#[track_caller]
pub(crate) fn in_rust(name: &str, source: &str) -> PathBuf {
    let object = object(name);
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    make(
        Command::new(rustc)
            .args(["--edition=2024", "--crate-type=cdylib", "--crate-name", name])
            .arg(root().join(source))
            .arg("-o")
            .arg(&object),
    );
    object
}

/// The token provider of the examples.
pub(crate) fn token_helper() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| in_c("token_helper", "examples/plugins/token_helper.c", &["-pedantic"])).clone()
}

/// The request log of the examples.
pub(crate) fn request_log() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| in_c("request_log", "examples/plugins/request_log.c", &["-pedantic"])).clone()
}

/// The resume store of the examples; `None` where SQLite's header is missing, which is said.
pub(crate) fn sqlite_store() -> Option<PathBuf> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build_sqlite_store).clone()
}

fn build_sqlite_store() -> Option<PathBuf> {
    let found = Command::new("pkg-config").args(["--exists", "sqlite3"]).status();
    if !found.is_ok_and(|status| status.success()) {
        use std::io::Write;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: the plugin on SQLite: install it (on Debian: apt-get install libsqlite3-dev pkg-config)"
        );
        return None;
    }
    let manifest = root().join("examples/plugins/sqlite_store/Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sqlite_store");
    make(
        Command::new(env!("CARGO"))
            .args(["build", "--locked", "--manifest-path"])
            .arg(manifest)
            .arg("--target-dir")
            .arg(&target),
    );
    Some(target.join("debug/libpan123_sqlite_store.so"))
}
