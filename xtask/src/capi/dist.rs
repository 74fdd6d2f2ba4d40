//! The released libraries: `libpan123.so` with its version node, and an archive that shows nothing but `pan123_*`.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail};

use crate::{process, workspace::Workspace};

/// The part of the version that binaries are bound to.
pub(super) const SO_VERSION: &str = "0.1";

/// Released libraries in a folder.
pub(super) struct Dist {
    /// `libpan123.so`, its versioned names, and `libpan123.a`.
    pub(super) lib: PathBuf,
    /// The libraries of the system that ours needs, as rustc names them.
    pub(super) native_libs: String,
    pub(super) target: String,
    pub(super) version: String,
}

impl Dist {
    /// The shared library itself, with its debug information.
    pub(super) fn shared(&self) -> PathBuf {
        self.lib.join(format!("libpan123.so.{}", self.version))
    }

    pub(super) fn archive(&self) -> PathBuf {
        self.lib.join("libpan123.a")
    }
}

/// Builds both libraries under the target folder, as they are released.
pub(super) fn build(workspace: &Workspace) -> anyhow::Result<Dist> {
    build_profile(workspace, "dist")
}

/// The same by another of cargo's profiles.
pub(super) fn build_profile(workspace: &Workspace, profile: &str) -> anyhow::Result<Dist> {
    let target = host(workspace)?;
    let (archive, native_libs) = rust_archive(workspace, profile, &[])?;
    let lib = workspace.target.join(if profile == "dist" { "capi/lib" } else { "capi/lib-dev" });
    if lib.exists() {
        fs::remove_dir_all(&lib)?;
    }
    fs::create_dir_all(&lib)?;
    let dist = Dist { lib, native_libs, target, version: version(workspace)? };
    link_shared(workspace, &dist, &archive)?;
    make_archive(workspace, &archive, &dist.archive())?;
    Ok(dist)
}

/// Has cargo build the archive, and says what it needs besides.
pub(super) fn rust_archive(
    workspace: &Workspace,
    profile: &str,
    features: &[&str],
) -> anyhow::Result<(PathBuf, String)> {
    let mut cargo = workspace.cargo();
    cargo.args(["rustc", "--package", "pan123-capi", "--profile", profile, "--crate-type", "staticlib"]);
    cargo.args(features).args(["--", "--print", "native-static-libs"]);
    let said = run(&mut cargo, 45, workspace)?;
    let list = said.lines().find_map(|line| line.split("native-static-libs: ").nth(1));
    let list = list.context("rustc did not print native-static-libs")?.trim().to_owned();
    let folder = workspace.target.join(if profile == "dev" { "debug" } else { profile });
    Ok((folder.join("libpan123.a"), list))
}

/// Links the shared library ourselves, because rustc's own version script would win over ours.
fn link_shared(workspace: &Workspace, dist: &Dist, archive: &Path) -> anyhow::Result<()> {
    let mut cc = workspace.command("cc");
    cc.args(["-shared", "-o"]).arg(dist.shared());
    cc.arg("-Wl,--whole-archive").arg(archive).arg("-Wl,--no-whole-archive");
    cc.args(["-Wl,--version-script=abi/pan123.map", "-Wl,-z,nodelete", "-Wl,-z,defs", "-Wl,--gc-sections"]);
    cc.arg(format!("-Wl,-soname,libpan123.so.{SO_VERSION}")).args(dist.native_libs.split_whitespace());
    run(&mut cc, 5, workspace)?;
    let shared = dist.shared();
    let name = shared.file_name().context("a file name")?;
    symlink(name, dist.lib.join(format!("libpan123.so.{SO_VERSION}")))?;
    symlink(name, dist.lib.join("libpan123.so"))?;
    Ok(())
}

/// Makes one object of an archive in which only `pan123_*` is global, so that it lives beside another archive made
/// by Rust.
pub(super) fn make_archive(workspace: &Workspace, from: &Path, to: &Path) -> anyhow::Result<()> {
    let object = to.with_file_name("pan123.o");
    let mut ld = workspace.command("ld");
    // Without the groups being allocated the linker drops a copy of the personality pointer, and a program dies at
    // its first panic.
    ld.args(["-r", "--force-group-allocation", "-o"]).arg(&object).arg("--whole-archive").arg(from);
    run(&mut ld, 5, workspace)?;
    let mut objcopy = workspace.command("objcopy");
    // What LLVM keeps for itself would make Debian's ar stumble.
    objcopy.args(["--wildcard", "--keep-global-symbol=pan123_*", "--strip-debug"]);
    objcopy.args(["--remove-section=.llvmbc", "--remove-section=.llvmcmd"]).arg(&object);
    run(&mut objcopy, 5, workspace)?;
    let _ = fs::remove_file(to);
    run(workspace.command("ar").arg("rcs").arg(to).arg(&object), 5, workspace)?;
    Ok(fs::remove_file(object)?)
}

/// Copies the shared library without its debug information.
pub(super) fn strip(workspace: &Workspace, from: &Path, to: &Path) -> anyhow::Result<u64> {
    run(workspace.command("strip").args(["--strip-unneeded", "-o"]).arg(to).arg(from), 5, workspace)?;
    Ok(fs::metadata(to)?.len())
}

/// Runs a command and returns what it said; it says it again in the error if it fails.
pub(super) fn run(command: &mut Command, minutes: u64, workspace: &Workspace) -> anyhow::Result<String> {
    let log = workspace.scratch().join("logs/capi-command.log");
    let finished = process::run(command, Duration::from_secs(60 * minutes), &log)?;
    if !finished.success() {
        bail!("{command:?}: {}\n{}", finished.verdict(), finished.output.trim_end());
    }
    Ok(finished.output)
}

fn host(workspace: &Workspace) -> anyhow::Result<String> {
    let said = run(workspace.command("rustc").arg("-vV"), 1, workspace)?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

fn version(workspace: &Workspace) -> anyhow::Result<String> {
    let manifest = workspace.root.join("Cargo.toml");
    let metadata = cargo_metadata::MetadataCommand::new().manifest_path(manifest).no_deps().exec()?;
    let package = metadata.packages.iter().find(|package| package.name.as_str() == "pan123-capi");
    Ok(package.context("no package pan123-capi")?.version.to_string())
}
