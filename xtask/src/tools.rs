//! What the checks need beyond Rust and a C compiler, and how to come by it.
//!
//! As root on Debian it is installed; elsewhere it is named, and what needs it is skipped.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail};

use crate::{process, workspace::Workspace};

/// Something a check needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A program: a command that succeeds when it is there, and the Debian package that brings it.
    Program { probe: &'static [&'static str], debian: &'static str },
    /// A component of the Rust toolchain, and the cargo command it brings.
    Rustup { component: &'static str, command: &'static str },
    /// Packages for Node. The folder holds `package.json` and `package-lock.json`; checks find the
    /// packages through `NODE_PATH`.
    Node { folder: &'static str },
    /// Packages for Python. The folder holds `requirements.txt` with versions and hashes; checks
    /// find the interpreter that has them in the environment variable `env`.
    Python { folder: &'static str, env: &'static str },
    /// Go 1.21 or newer: that gets what a module asks for by itself. Where there is only the older one of the Debian
    /// package, that fetches a newer one, which checks find first in `PATH`.
    Go { debian: &'static str },
}

/// `curl`, the program.
pub(crate) const CURL: Need = Need::Program { probe: &["curl", "--version"], debian: "curl" };
/// Node.
pub(crate) const NODE: Need = Need::Program { probe: &["node", "--version"], debian: "nodejs" };
/// The package manager of Node.
pub(crate) const NPM: Need = Need::Program { probe: &["npm", "--version"], debian: "npm" };
/// The Node packages that the service's samples use.
pub(crate) const FORM_DATA: Need = Need::Node { folder: "crates/pan123-emulator/tests/node" };
/// A browser that needs no screen.
pub(crate) const CHROMIUM: Need = Need::Program { probe: &["chromium", "--version"], debian: "chromium" };
/// Python 3.
pub(crate) const PYTHON: Need = Need::Program { probe: &["python3", "--version"], debian: "python3" };
/// Virtual environments for Python 3, with pip.
pub(crate) const VENV: Need =
    Need::Program { probe: &["python3", "-c", "import ensurepip, venv"], debian: "python3-venv" };
/// Other clients of the service, to measure against.
pub(crate) const CLIENTS: Need = Need::Python { folder: "xtask/clients", env: "PAN123_CLIENTS_PYTHON" };
/// What makes, checks and tests the wheel.
pub(crate) const BINDING_PYTHON: Need =
    Need::Python { folder: "bindings/python", env: "PAN123_BINDING_PYTHON" };
/// What finds libraries for compilers.
pub(crate) const PKG_CONFIG: Need =
    Need::Program { probe: &["pkg-config", "--version"], debian: "pkg-config" };
/// A C++ compiler.
pub(crate) const GXX: Need = Need::Program { probe: &["g++", "--version"], debian: "g++" };
/// Another compiler of C and C++.
pub(crate) const CLANG: Need = Need::Program { probe: &["clang++", "--version"], debian: "clang" };
/// The header of SQLite. What is probed goes with `PKG_CONFIG`.
pub(crate) const SQLITE: Need =
    Need::Program { probe: &["pkg-config", "--exists", "sqlite3"], debian: "libsqlite3-dev" };
/// What compares the interfaces of shared libraries.
pub(crate) const ABIGAIL: Need = Need::Program { probe: &["abidiff", "--version"], debian: "abigail-tools" };
/// CMake.
pub(crate) const CMAKE: Need = Need::Program { probe: &["cmake", "--version"], debian: "cmake" };
/// What sees every access to memory.
pub(crate) const VALGRIND: Need = Need::Program { probe: &["valgrind", "--version"], debian: "valgrind" };
/// libcurl with its headers.
pub(crate) const LIBCURL: Need =
    Need::Program { probe: &["curl-config", "--version"], debian: "libcurl4-openssl-dev" };
/// The headers of OpenSSL.
pub(crate) const LIBSSL: Need =
    Need::Program { probe: &["test", "-e", "/usr/include/openssl/ssl.h"], debian: "libssl-dev" };
/// What sets up networks, and `tc`.
pub(crate) const IPROUTE: Need = Need::Program { probe: &["tc", "-V"], debian: "iproute2" };
/// Debian in a folder.
pub(crate) const DEBOOTSTRAP: Need =
    Need::Program { probe: &["debootstrap", "--version"], debian: "debootstrap" };
/// Go, of a version that can fetch the one that a module wants.
pub(crate) const GO: Need = Need::Go { debian: "golang-go" };
/// `cargo fmt`.
pub(crate) const RUSTFMT: Need = Need::Rustup { component: "rustfmt", command: "fmt" };
/// `cargo clippy`.
pub(crate) const CLIPPY: Need = Need::Rustup { component: "clippy", command: "clippy" };

/// A download may be slow, but not endless.
const INSTALL_LIMIT: Duration = Duration::from_secs(600);

/// What was found or made: the needs that could not be met, and variables for the checks.
#[derive(Default)]
pub(crate) struct Tools {
    missing: Vec<(Need, String)>,
    variables: Vec<(&'static str, PathBuf)>,
}

impl Tools {
    /// Sees to it that all of `needs` are there, as far as this machine lets us.
    pub(crate) fn set_up(workspace: &Workspace, needs: &[Need]) -> Self {
        let mut tools = Self::default();
        install_debian(workspace, needs);
        // Programs come before the packages that are fetched with them.
        let (programs, packages): (Vec<Need>, Vec<Need>) =
            needs.iter().partition(|need| matches!(need, Need::Program { .. } | Need::Rustup { .. }));
        for need in programs.into_iter().chain(packages) {
            if let Err(error) = tools.meet(workspace, need) {
                tools.missing.push((need, format!("{error:#}")));
            }
        }
        tools
    }

    /// Why `need` is not met, with what to do about it; `None` if it is.
    pub(crate) fn missing(&self, need: Need) -> Option<&str> {
        self.missing.iter().find(|(missing, _)| *missing == need).map(|(_, why)| why.as_str())
    }

    /// Tells `command` where things are.
    pub(crate) fn tell(&self, command: &mut Command) {
        command.envs(self.variables.iter().map(|(name, path)| (name, path)));
    }

    /// Where the packages of `need` are.
    pub(crate) fn variable(&self, need: Need) -> Option<&Path> {
        let name = match need {
            Need::Node { .. } => "NODE_PATH",
            Need::Python { env, .. } => env,
            Need::Program { .. } | Need::Rustup { .. } | Need::Go { .. } => return None,
        };
        self.variables.iter().find(|(known, _)| *known == name).map(|(_, path)| path.as_path())
    }

    fn meet(&mut self, workspace: &Workspace, need: Need) -> anyhow::Result<()> {
        match need {
            Need::Program { probe, debian } => {
                if !answers(workspace.command(probe[0]).args(&probe[1..])) {
                    bail!(
                        "`{}` does not work here: install it (on Debian: apt-get install {debian})",
                        probe.join(" ")
                    );
                }
            }
            Need::Rustup { component, command } => {
                let present = || answers(workspace.cargo().args([command, "--version"]));
                if !present() {
                    // May fail where Rust does not come from rustup; the second look tells.
                    let _ =
                        install(workspace, workspace.command("rustup").args(["component", "add", component]));
                    if !present() {
                        bail!("`cargo {command}` does not work here: rustup component add {component}");
                    }
                }
            }
            Need::Node { folder } => self.variables.push(("NODE_PATH", node_packages(workspace, folder)?)),
            Need::Python { folder, env } => self.variables.push((env, python_packages(workspace, folder)?)),
            Need::Go { debian } => match go_minor(workspace) {
                None => bail!(
                    "`go version` does not work here: install Go, from go.dev (on Debian: apt-get install {debian})"
                ),
                Some(minor) if minor >= GO_MINOR_MIN => {}
                Some(_) => {
                    let bin = newer_go(workspace)?.join("bin");
                    let path = env::var_os("PATH").unwrap_or_default();
                    let all = std::iter::once(bin).chain(env::split_paths(&path));
                    self.variables.push(("PATH", env::join_paths(all)?.into()));
                }
            },
        }
        Ok(())
    }
}

/// Installs the Debian packages of the programs that are missing, where that is ours to do.
fn install_debian(workspace: &Workspace, needs: &[Need]) {
    let packages: Vec<&str> = needs
        .iter()
        .filter_map(|need| match need {
            Need::Program { probe, debian } if !answers(workspace.command(probe[0]).args(&probe[1..])) => {
                Some(*debian)
            }
            Need::Go { debian } if go_minor(workspace).is_none() => Some(*debian),
            _ => None,
        })
        .collect();
    let ours = Path::new("/etc/debian_version").exists() && rustix::process::geteuid().is_root();
    if packages.is_empty() || !ours {
        return;
    }
    println!("installing {} …", packages.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = workspace.command("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-o", "DPkg::Lock::Timeout=300"]);
        install(workspace, command.args(arguments))
    };
    // A package list that could not be renewed may still do.
    if let Err(error) = apt(&["update"]) {
        println!("{error:#}");
    }
    let all: Vec<&str> = ["install", "-y", "--no-install-recommends"].into_iter().chain(packages).collect();
    if let Err(error) = apt(&all) {
        println!("{error:#}");
    }
}

/// The packages of `folder`'s lock file, in a `node_modules` under the target folder.
fn node_packages(workspace: &Workspace, folder: &str) -> anyhow::Result<PathBuf> {
    let place = fetched(workspace, folder, "package-lock.json", |place| {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(workspace.root.join(folder).join(file), place.join(file))?;
        }
        let mut npm = workspace.command("npm");
        install(workspace, npm.current_dir(place).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]))
    })?;
    Ok(place.join("node_modules"))
}

/// From this 1.x on, Go gets what a module asks for.
const GO_MINOR_MIN: u32 = 21;
/// The Go that is fetched with an older one.
const GO_FETCHED: &str = "v0.0.1-go1.25.0";

/// The x in the version 1.x of the Go that is here.
fn go_minor(workspace: &Workspace) -> Option<u32> {
    let output = workspace.command("go").arg("version").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let minor = said.split(" go1.").nth(1)?;
    minor.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Fetches Go as a module, as newer ones do by themselves; returns its folder.
fn newer_go(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let system = match env::consts::ARCH {
        "x86_64" => "linux-amd64",
        "aarch64" => "linux-arm64",
        other => bail!("on {other}, install Go 1.21 or newer from go.dev"),
    };
    let cache = workspace.scratch().join("packages/go");
    let folder = cache.join(format!("golang.org/toolchain@{GO_FETCHED}.{system}"));
    let stamp = cache.join("ready");
    if fs::read_to_string(&stamp).is_ok_and(|ready| ready == GO_FETCHED) {
        return Ok(folder);
    }
    println!("fetching Go {GO_FETCHED} …");
    fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    let mut go = workspace.command("go");
    go.args(["mod", "download", &format!("golang.org/toolchain@{GO_FETCHED}.{system}")]);
    install(workspace, go.current_dir(&cache).env("GOMODCACHE", &cache).env("GOFLAGS", "-mod=mod"))?;
    // Modules are kept read-only, and hold no programs.
    let mut programs = workspace.command("chmod");
    install(workspace, programs.args(["-R", "u+w,+X", "."]).current_dir(&folder))?;
    let mut programs = workspace.command("sh");
    install(workspace, programs.args(["-c", "chmod +x bin/* pkg/tool/*/*"]).current_dir(&folder))?;
    fs::write(&stamp, GO_FETCHED).with_context(|| format!("write {}", stamp.display()))?;
    Ok(folder)
}

/// The packages of `folder`'s requirements, in a virtual environment under the target folder.
fn python_packages(workspace: &Workspace, folder: &str) -> anyhow::Result<PathBuf> {
    let list = workspace.root.join(folder).join("requirements.txt");
    let place = fetched(workspace, folder, "requirements.txt", |place| {
        install(workspace, workspace.command("python3").args(["-m", "venv", "--clear"]).arg(place))?;
        let mut pip = workspace.command(place.join("bin/python"));
        install(workspace, pip.args(["-m", "pip", "install", "--quiet", "--require-hashes", "-r"]).arg(list))
    })?;
    Ok(place.join("bin/python"))
}

/// A folder that `fetch` fills, filled anew when the lock file is no longer what it was filled from.
fn fetched(
    workspace: &Workspace,
    folder: &str,
    lock_file: &str,
    fetch: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let lock_path = workspace.root.join(folder).join(lock_file);
    let lock = fs::read(&lock_path).with_context(|| format!("read {}", lock_path.display()))?;
    let place = workspace.scratch().join("packages").join(folder.replace('/', "-"));
    // Written last, so that a fetch that was cut short is not taken for a whole one.
    let stamp = place.join("fetched-from");
    if fs::read(&stamp).is_ok_and(|found| found == lock) {
        return Ok(place);
    }
    println!("fetching the packages of {folder}/{lock_file} …");
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("remove {}", place.display()))?;
    }
    fs::create_dir_all(&place).with_context(|| format!("create {}", place.display()))?;
    fetch(&place)?;
    fs::write(&stamp, lock).with_context(|| format!("write {}", stamp.display()))?;
    Ok(place)
}

/// Runs a command that installs something; its output is in the error.
fn install(workspace: &Workspace, command: &mut Command) -> anyhow::Result<()> {
    let finished = process::run(command, INSTALL_LIMIT, &workspace.scratch().join("logs/install.log"))?;
    if !finished.success() {
        bail!("{command:?}: {}\n{}", finished.verdict(), finished.output.trim_end());
    }
    Ok(())
}

/// Whether a command can be run and succeeds.
fn answers(command: &mut Command) -> bool {
    let quiet = env::temp_dir().join(format!("pan123-xtask-probe-{}", std::process::id()));
    let finished = process::run(command, Duration::from_secs(60), &quiet);
    // Only a leftover in the folder for temporary files is at stake.
    let _ = fs::remove_file(&quiet);
    finished.is_ok_and(|finished| finished.success())
}
