//! `cargo xtask swift`: the Swift package, with a compiler that this machine need not have.
//!
//! If the host has Swift 6, it is used. Otherwise, as root on Debian, it comes from a Debian of its own in a folder that
//! is kept for the next run; nothing on the host changes.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail};

use crate::{
    debian::{Debian, Recipe},
    process,
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

const LIMIT: Duration = Duration::from_secs(1200);

/// Folders and files that a run is told of, and has to see.
const LIBRARY: &str = "PAN123_LIB_DIR";
const PROGRAM: &str = "PAN123_PROGRAM";
const RESULTS: &str = "PAN123_SCENARIO_RESULTS";

/// Runs the tests and prints what they print, or a line `SKIPPED: …` where there can be no compiler.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let Some(swift) = Swift::set_up(&workspace)? else {
        eprintln!(
            "SKIPPED: the tests in Swift need Swift 6, from swift.org, or root and debootstrap on Debian"
        );
        return Ok(());
    };
    if options.setup {
        return Ok(());
    }
    let Some(library) = env::var_os(LIBRARY).map(PathBuf::from) else {
        bail!(
            "set {LIBRARY} to the folder of libpan123.so.0.1, and {PROGRAM} to the program pan123, \
             or run `cargo xtask bindings --only swift`, which makes both"
        );
    };
    let told = [PROGRAM, RESULTS].into_iter().filter_map(|name| Some((name, env::var_os(name)?)));
    let folders = told.filter_map(|(_, path)| Some(Path::new(&path).parent()?.to_owned()));
    let mut command = swift.command(&workspace, &library, &folders.collect::<Vec<_>>())?;
    if options.command.is_empty() {
        command.args(swift.test(&workspace));
    } else {
        command.args(&options.command);
    }
    let log = workspace.scratch().join("logs/swift.log");
    let finished = process::run(&mut command, LIMIT, &log)?;
    println!("{}", finished.output.trim_end());
    if !finished.success() {
        bail!("Swift: {}", finished.verdict());
    }
    Ok(())
}

/// A compiler.
pub(crate) enum Swift {
    /// The host's own.
    Host,
    /// One in a folder.
    Debian(Debian),
}

impl Swift {
    /// Finds a compiler, or sets one up; `None` where that cannot be.
    pub(crate) fn set_up(workspace: &Workspace) -> anyhow::Result<Option<Self>> {
        if on_host(workspace) {
            Ok(Some(Self::Host))
        } else if Debian::is_possible(workspace) {
            Ok(Some(Self::Debian(Debian::set_up(workspace, &RECIPE)?)))
        } else {
            Ok(None)
        }
    }

    /// A command in the root folder, to be given as arguments, that finds the library in the folder `library`, and sees
    /// the workspace, the target folder, the temporary one, and `folders` at their own paths.
    pub(crate) fn command(
        &self,
        workspace: &Workspace,
        library: &Path,
        folders: &[PathBuf],
    ) -> anyhow::Result<Command> {
        let scratch = scratch(workspace);
        fs::create_dir_all(&scratch).with_context(|| format!("create {}", scratch.display()))?;
        let temporary = env::temp_dir();
        let mut seen = vec![workspace.root.as_path(), &workspace.target, &temporary, library];
        seen.extend(folders.iter().map(PathBuf::as_path));
        let mut command = match self {
            Self::Host => workspace.command("env"),
            Self::Debian(debian) => debian.command(&seen),
        };
        command.env("LD_LIBRARY_PATH", library).current_dir(&workspace.root);
        Ok(command)
    }

    /// The words of the command that runs the package's tests.
    pub(crate) fn test(&self, workspace: &Workspace) -> Vec<OsString> {
        let words = ["swift", "test", "--disable-xctest", "--package-path", PACKAGE, "--scratch-path"];
        words.into_iter().map(OsString::from).chain([scratch(workspace).into_os_string()]).collect()
    }
}

/// Where the package is built.
fn scratch(workspace: &Workspace) -> PathBuf {
    workspace.scratch().join("swift")
}

fn on_host(workspace: &Workspace) -> bool {
    let output = workspace.command("swift").arg("--version").output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let version =
        said.split("Swift version ").nth(1).and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    version.is_some_and(|version| version >= 6)
}
