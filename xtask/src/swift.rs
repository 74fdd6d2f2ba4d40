//! `cargo xtask swift`: the Swift package, with a compiler that this machine need not have.
//!
//! If the host has Swift 6, it is used. Otherwise, as root on Debian, it comes from a Debian of its own in a folder that
//! is kept for the next run; nothing on the host changes.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{self, Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

use crate::{
    debian::{Debian, Recipe},
    workspace::Workspace,
};

/// What `cargo xtask swift` can be told.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only see to it that there is a compiler
    #[arg(long)]
    setup: bool,
    /// What to run in the root folder where the compiler is, instead of the package's tests
    #[arg(last = true)]
    command: Vec<OsString>,
}

/// Swift 6.0. The compiler does not depend on what it links with.
const RECIPE: Recipe =
    Recipe { name: "swift", architecture: None, packages: "swiftlang libc6-dev libstdc++-14-dev" };

/// The package.
const PACKAGE: &str = "bindings/swift";

/// Folders and files that a run is told of, and has to see.
const LIBRARY: &str = "PAN123_LIB_DIR";
const PROGRAM: &str = "PAN123_PROGRAM";
const RESULTS: &str = "PAN123_SCENARIO_RESULTS";

/// Becomes the command that runs the tests, or prints a line `SKIPPED: …` where there can be no compiler.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let debian = if on_host(&workspace) {
        None
    } else if Debian::is_possible(&workspace) {
        Some(Debian::set_up(&workspace, &RECIPE)?)
    } else {
        eprintln!(
            "SKIPPED: the tests in Swift need Swift 6, from swift.org, or root and debootstrap on Debian"
        );
        return Ok(());
    };
    if options.setup {
        return Ok(());
    }
    let mut command = command(&workspace, debian.as_ref())?;
    if options.command.is_empty() {
        command.args(["swift", "test", "--disable-xctest", "--package-path", PACKAGE, "--scratch-path"]);
        command.arg(workspace.scratch().join("swift"));
    } else {
        command.args(&options.command);
    }
    // Whoever ends us ends it.
    Err(command.exec()).with_context(|| format!("run {command:?}"))
}

/// A command in the root folder, to be given as arguments, that finds the library and sees what it has to, the workspace
/// and the folder for temporary files among it, at the same paths as we do.
fn command(workspace: &Workspace, debian: Option<&Debian>) -> anyhow::Result<Command> {
    let Some(library) = told(LIBRARY)? else {
        bail!(
            "set {LIBRARY} to the folder of libpan123.so.0.1, and {PROGRAM} to the program pan123, \
             or run `cargo xtask bindings --only swift`, which makes both"
        );
    };
    let mut folders =
        vec![workspace.root.clone(), workspace.target.clone(), env::temp_dir(), library.clone()];
    let mut files = Vec::new();
    for name in [PROGRAM, RESULTS] {
        if let Some(path) = told(name)? {
            folders.extend(path.parent().map(Path::to_owned));
            files.push((name, path));
        }
    }
    let mut command = match debian {
        Some(debian) => debian.command(&folders),
        None => workspace.command("env"),
    };
    command.current_dir(&workspace.root).env(LIBRARY, &library).env("LD_LIBRARY_PATH", library).envs(files);
    Ok(command)
}

/// A path that a variable names.
fn told(name: &str) -> anyhow::Result<Option<PathBuf>> {
    let path = env::var_os(name).map(path::absolute).transpose();
    path.with_context(|| format!("{name} has no path in it"))
}

fn on_host(workspace: &Workspace) -> bool {
    let output = workspace.command("swift").arg("--version").output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let version =
        said.split("Swift version ").nth(1).and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    version.is_some_and(|version| version >= 6)
}
