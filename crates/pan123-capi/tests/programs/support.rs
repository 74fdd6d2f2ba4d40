//! Compiles programs in C against the library and runs them against the emulator.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use pan123_emulator::{Emulator, Options};

/// How a program is linked with the library.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Shared,
    Static,
}

/// What it is compiled with.
pub(crate) const STRICT: &[&str] =
    &["-g", "-Wall", "-Wextra", "-Werror", "-Wstrict-prototypes", "-Wno-missing-field-initializers"];

/// The folder of the crate.
pub(crate) fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    crate_dir().join("../..")
}

/// A folder of this test run for `name`.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The folder with the library: the released one if `PAN123_LIB_DIR` names it, else that of this build.
pub(crate) fn library() -> PathBuf {
    if let Some(dir) = env::var_os("PAN123_LIB_DIR") {
        return dir.into();
    }
    let built = env::current_exe().unwrap();
    let built = built.parent().unwrap();
    let folder = scratch("lib");
    // The name that programs look for at run time is the SONAME.
    for name in ["libpan123.so", "libpan123.so.0.1"] {
        let link = folder.join(name);
        let target = built.join("libpan123.so");
        if fs::read_link(&link).ok().as_deref() != Some(&*target) {
            // Another test may be making the same link, which is as good.
            let _ = fs::remove_file(&link);
            let _ = std::os::unix::fs::symlink(&target, &link);
        }
    }
    folder
}

/// True if the library is the released one, of which there is a static archive too.
pub(crate) fn is_released() -> bool {
    env::var_os("PAN123_LIB_DIR").is_some()
}

/// What a program needs besides a static library.
pub(crate) fn native_libs() -> Vec<String> {
    let list = fs::read_to_string(root().join("abi/native-libs/x86_64-unknown-linux-gnu")).unwrap();
    list.split_whitespace().map(str::to_owned).collect()
}

/// Compiles `source` into `program`.
#[track_caller]
pub(crate) fn compile(compiler: &str, source: &Path, program: &Path, link: Link, arguments: &[&str]) {
    let library = library();
    let mut command = Command::new(compiler);
    command.arg("-I").arg(root().join("include")).args(arguments).arg("-o").arg(program).arg(source);
    match link {
        Link::Shared => {
            command.arg("-L").arg(&library).arg("-lpan123");
            command.arg(format!("-Wl,-rpath,{}", library.display()));
        }
        Link::Static => {
            command.arg(library.join("libpan123.a")).args(native_libs());
        }
    }
    // Libraries that arguments name come after the source that needs them.
    command.args(arguments.iter().filter(|argument| argument.starts_with("-l"))).arg("-lpthread");
    let output = command.output().unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// An emulator in a folder that goes when it does.
pub(crate) struct Service {
    emulator: Option<Emulator>,
    pub(crate) dir: tempfile::TempDir,
}

impl Service {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::new(dir.path().join("drive"));
        options.tokens = vec![TOKEN.to_owned()];
        let emulator = Emulator::start(options).unwrap();
        Self { emulator: Some(emulator), dir }
    }

    pub(crate) fn emulator(&self) -> &Emulator {
        self.emulator.as_ref().unwrap()
    }

    /// Tells a program where the emulator is.
    pub(crate) fn tell(&self, command: &mut Command) {
        command
            .env("PAN123_BASE_URL", self.emulator().base_url())
            .env("PAN123_ACCESS_TOKEN", TOKEN)
            .env_remove("http_proxy")
            .current_dir(self.dir.path());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(emulator) = self.emulator.take() {
            emulator.stop();
        }
    }
}

/// A token that must not show up where it has no business.
pub(crate) const TOKEN: &str = "token-0123456789-marker";

/// Runs a program for at most this many seconds, and checks that it says "ok" at its end.
#[track_caller]
pub(crate) fn run_ok(command: &mut Command) -> Output {
    let output = run(command);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.trim_end().ends_with("ok"),
        "{command:?}: {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a command to its end; `timeout` ends it when it hangs.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Output {
    let mut limited = Command::new("timeout");
    limited.arg("--kill-after=5").arg("240").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    // Cargo's would lead to the library of another build.
    limited.env_remove("LD_LIBRARY_PATH");
    if let Some(dir) = command.get_current_dir() {
        limited.current_dir(dir);
    }
    limited.output().unwrap_or_else(|error| panic!("{limited:?}: {error}"))
}

/// Compiles one of `tests/c` and runs it against an emulator of its own.
#[track_caller]
pub(crate) fn check_program(name: &str, arguments: &[&str]) -> Output {
    let service = Service::start();
    // Two tests that run at once may use the same one with other arguments.
    let words = arguments.iter().filter(|argument| !argument.contains('/'));
    let program =
        scratch("bin").join([&name].into_iter().chain(words).copied().collect::<Vec<_>>().join("-"));
    let flags: Vec<&str> = ["-std=gnu99"].iter().chain(STRICT).copied().collect();
    compile("gcc", &crate_dir().join(format!("tests/c/{name}.c")), &program, Link::Shared, &flags);
    let mut command = Command::new(program);
    command.args(arguments);
    service.tell(&mut command);
    run_ok(&mut command)
}

/// Says that a test was skipped, past the test runner's capture.
pub(crate) fn skipped(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
}

/// Whether a command can be run and succeeds.
pub(crate) fn answers(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success())
}
