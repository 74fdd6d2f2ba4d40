//! `cargo xtask capi`: checks of the released C library.
//!
//! What only the released libraries can show is checked here; then the tests of `pan123-capi` run against them.

mod dist;
mod install;
mod registry;

pub(crate) use install::{Options as InstallOptions, install_into, run as install};

use std::{fs, path::Path};

use anyhow::{Context, bail};
use dist::{Dist, run as sh};

use crate::{header::items, workspace::Workspace};

/// What `cargo xtask capi` can be told.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write down what is new in the interface, where that is allowed
    #[arg(long)]
    bless: bool,
}

/// Looks at the libraries, and says in a few words what it saw; the flag is `--bless`.
type Check = fn(&Workspace, &Dist, bool) -> anyhow::Result<String>;

/// Largest size of the stripped shared library, in bytes.
const SIZE_MAX: u64 = 6 << 20;

/// Builds the libraries and checks them.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    header_stands_alone(&workspace)?;
    let dist = dist::build(&workspace)?;
    let checks: &[(&str, Check)] = &[
        ("registry", |workspace, dist, bless| {
            Ok(format!("{} entries", registry::check(workspace, &dist.version, bless)?))
        }),
        ("exports", exports),
        ("native libraries", native_libs),
        ("dynamic section", dynamic_section),
        ("additions only", additions_only),
        ("archive", archive_shows_nothing_else),
        ("two archives", two_archives),
        ("install", stranger),
    ];
    let mut failed = 0;
    for (name, check) in checks {
        match check(&workspace, &dist, options.bless) {
            Ok(said) => println!("{name:<18} {said}"),
            Err(error) => {
                failed += 1;
                println!("{name:<18} FAILED: {error:#}");
            }
        }
    }
    if failed > 0 {
        bail!("{failed} checks of the C library failed");
    }
    // Their results are part of ours.
    let tests = || {
        let mut tests = workspace.cargo();
        tests.args(["test", "--package", "pan123-capi", "--no-fail-fast"]);
        tests
    };
    let mut panics = tests();
    panics.args(["--test", "programs", "--features", "test-panic", "--", "a_panic_in_every_function"]);
    let mut sanitized = workspace.cargo();
    sanitized.args(["test", "--package", "pan123-capi", "--test", "from_rust", "--target", &dist.target]);
    // The sanitizer is for development versions of Rust; this is how a released one is asked for it.
    sanitized.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
    sanitized.env("CARGO_TARGET_DIR", workspace.target.join("asan"));
    for mut command in [tests(), panics, sanitized] {
        let said = sh(command.env("PAN123_LIB_DIR", &dist.lib), 30, &workspace)?;
        for line in said.lines().filter(|line| line.starts_with("test result") || line.starts_with("SKIPPED"))
        {
            println!("{line}");
        }
    }
    Ok(())
}

/// The header compiles alone and twice, as each C and C++, and defines no name but ours.
fn header_stands_alone(workspace: &Workspace) -> anyhow::Result<()> {
    let folder = workspace.scratch().join("capi");
    fs::create_dir_all(&folder)?;
    fs::write(
        folder.join("twice.c"),
        "#include <pan123.h>\n#include <pan123.h>\nint main(void) { return PAN123_OK; }\n",
    )?;
    let standards = [("gcc", ["c99", "c11", "c17"]), ("g++", ["c++11", "c++17", "c++20"])];
    for (compiler, standards) in standards {
        for standard in standards {
            let mut command = workspace.command(compiler);
            command.args(["-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-Iinclude"]);
            command.arg(format!("-std={standard}")).args(["-x", if compiler == "gcc" { "c" } else { "c++" }]);
            if compiler == "gcc" {
                command.args(["-Wstrict-prototypes", "-Wpadded"]);
            }
            sh(command.arg(folder.join("twice.c")), 1, workspace)?;
        }
    }
    let defines = |code: &str| -> anyhow::Result<Vec<String>> {
        fs::write(folder.join("defines.c"), code)?;
        let said = sh(
            workspace.command("gcc").args(["-E", "-dM", "-Iinclude"]).arg(folder.join("defines.c")),
            1,
            workspace,
        )?;
        Ok(said.lines().filter_map(|line| line.split([' ', '(']).nth(1).map(str::to_owned)).collect())
    };
    let without = defines("#include <stddef.h>\n#include <stdint.h>\n")?;
    let with = defines("#include <pan123.h>\n")?;
    let foreign: Vec<&String> =
        with.iter().filter(|name| !without.contains(name) && !name.starts_with("PAN123_")).collect();
    if !foreign.is_empty() {
        bail!("include/pan123.h defines names that are not ours: {foreign:?}");
    }
    Ok(())
}

/// Exported is what the header declares, and what is written down.
fn exports(workspace: &Workspace, dist: &Dist, bless: bool) -> anyhow::Result<String> {
    let said = sh(workspace.command("nm").args(["-D", "--defined-only"]).arg(dist.shared()), 1, workspace)?;
    let mut exported: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split_whitespace().collect::<Vec<_>>().try_into().ok())
        .filter(|[_, kind, _]: &[&str; 3]| *kind != "A")
        .map(|[_, _, name]| name.split('@').next().unwrap_or(name))
        .collect();
    exported.sort_unstable();
    let header = fs::read_to_string(workspace.root.join("include/pan123.h"))?;
    let declared: Vec<String> =
        items::read(&header)?.functions.into_iter().map(|function| function.name).collect();
    let missing: Vec<_> = declared.iter().filter(|name| !exported.contains(&name.as_str())).collect();
    let extra: Vec<_> = exported.iter().filter(|name| !declared.iter().any(|known| known == *name)).collect();
    if !missing.is_empty() || !extra.is_empty() {
        bail!("declared and not exported: {missing:?}; exported and not declared: {extra:?}");
    }
    written(workspace, "abi/exports.txt", &format!("{}\n", exported.join("\n")), bless)?;
    let unversioned: Vec<&str> =
        said.lines().filter(|line| line.contains(" T ") && !line.contains("@@PAN123_0_1")).collect();
    if !unversioned.is_empty() {
        bail!("without a version node: {unversioned:?}");
    }
    let size = dist::strip(workspace, &dist.shared(), &workspace.scratch().join("capi/stripped.so"))?;
    if size > SIZE_MAX {
        bail!("the stripped library has {size} bytes, more than {SIZE_MAX}");
    }
    Ok(format!("{} functions; {:.2} MiB stripped", exported.len(), size as f64 / f64::from(1 << 20)))
}

fn native_libs(workspace: &Workspace, dist: &Dist, bless: bool) -> anyhow::Result<String> {
    let path = format!("abi/native-libs/{}", dist.target);
    written(workspace, &path, &format!("{}\n", dist.native_libs), bless)?;
    Ok(dist.native_libs.clone())
}

/// Name, flags and needs of the shared library.
fn dynamic_section(workspace: &Workspace, dist: &Dist, bless: bool) -> anyhow::Result<String> {
    let said = sh(workspace.command("readelf").arg("-d").arg(dist.shared()), 1, workspace)?;
    let lines = said.lines().filter_map(|line| line.trim().split_once(' ').map(|(_, rest)| rest.trim()));
    let wanted = ["SONAME", "NEEDED", "FLAGS", "TEXTREL", "RPATH", "RUNPATH"];
    let kept: Vec<String> = lines
        .filter(|line| wanted.iter().any(|word| line.contains(word)))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    written(
        workspace,
        &format!("abi/dynamic-{}.txt", dist.target),
        &format!("{}\n", kept.join("\n")),
        bless,
    )?;
    Ok(format!("{} lines", kept.len()))
}

/// Nothing was taken away or changed since the baseline, as far as debug information can tell.
fn additions_only(workspace: &Workspace, dist: &Dist, bless: bool) -> anyhow::Result<String> {
    let sections = sh(workspace.command("readelf").arg("-SW").arg(dist.shared()), 1, workspace)?;
    if !sections.contains(".debug_info") {
        bail!("the library has no debug information, without which abidiff sees nothing");
    }
    let baseline = workspace.root.join(format!("abi/baseline-{}.abi", dist.target));
    if bless && !baseline.exists() {
        let mut abidw = workspace.command("abidw");
        abidw.args(["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--out-file"]).arg(&baseline);
        sh(abidw.arg(dist.shared()), 5, workspace)?;
    }
    let mut abidiff = workspace.command("abidiff");
    abidiff.arg("--no-added-syms").arg(&baseline).arg(dist.shared());
    sh(&mut abidiff, 5, workspace)?;
    Ok("abidiff sees no change".into())
}

fn archive_shows_nothing_else(workspace: &Workspace, dist: &Dist, _: bool) -> anyhow::Result<String> {
    let said = sh(workspace.command("nm").args(["-g", "--defined-only"]).arg(dist.archive()), 1, workspace)?;
    let names: Vec<&str> = said.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let foreign: Vec<&&str> = names.iter().filter(|name| !name.starts_with("pan123_")).collect();
    if !foreign.is_empty() {
        bail!("global in the archive besides pan123_*: {foreign:?}");
    }
    Ok(format!("{} globals", names.len()))
}

/// Our archive and another one made by Rust in one program, and each catches a panic of its own.
fn two_archives(workspace: &Workspace, dist: &Dist, _: bool) -> anyhow::Result<String> {
    let folder = workspace.scratch().join("capi");
    let tests = workspace.root.join("crates/pan123-capi/tests/c");
    // The same recipe over a build that can be made to panic.
    let (archive, _) = dist::rust_archive(workspace, "dev", &["--features", "test-panic"])?;
    let (ours, other) = (folder.join("libpan123.a"), folder.join("libother.a"));
    dist::make_archive(workspace, &archive, &ours)?;
    let mut rustc = workspace.command("rustc");
    rustc
        .args(["--edition=2024", "--crate-type=staticlib", "-O", "-o"])
        .arg(&other)
        .arg(tests.join("other.rs"));
    sh(&mut rustc, 5, workspace)?;
    let program = folder.join("two");
    for order in [[&ours, &other], [&other, &ours]] {
        let mut gcc = workspace.command("gcc");
        gcc.args(["-std=gnu99", "-Wall", "-Wextra", "-Werror", "-Iinclude", "-o"]).arg(&program);
        gcc.arg(tests.join("two.c")).args(order).args(dist.native_libs.split_whitespace());
        sh(&mut gcc, 5, workspace)?;
        let said = sh(&mut workspace.command(&program), 1, workspace)?;
        if !said.trim_end().ends_with("ok") {
            bail!("the program said {said:?}");
        }
    }
    Ok("both catch their panics".into())
}

/// Installed, found with pkg-config and CMake by somebody who knows no more than the name, and used.
fn stranger(workspace: &Workspace, dist: &Dist, _: bool) -> anyhow::Result<String> {
    let folder = workspace.scratch().join("capi/stranger");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let root = folder.join("root");
    let size = install::into(workspace, dist, &root)?;
    let code = workspace.root.join("crates/pan123-capi/tests/find_package/stranger.c");
    for arguments in [&["--cflags", "--libs"][..], &["--static", "--cflags", "--libs"]] {
        let is_static = arguments.contains(&"--static");
        let mut pkg_config = workspace.command("pkg-config");
        pkg_config.args(arguments).arg("pan123").env("PKG_CONFIG_SYSROOT_DIR", &root);
        pkg_config.env("PKG_CONFIG_PATH", root.join("usr/lib/pkgconfig"));
        let flags = sh(&mut pkg_config, 1, workspace)?;
        // As linkers are told to take archives.
        let flags: Vec<&str> = flags
            .split_whitespace()
            .map(|flag| if is_static && flag == "-lpan123" { "-l:libpan123.a" } else { flag })
            .collect();
        let program = folder.join(if is_static { "static" } else { "shared" });
        let mut gcc = workspace.command("gcc");
        sh(
            gcc.args(["-std=c99", "-Wall", "-Werror", "-o"]).arg(&program).arg(&code).args(&flags),
            2,
            workspace,
        )?;
        check_says_version(workspace, dist, &program, (!is_static).then_some(&root.join("usr/lib")))?;
    }
    let build = folder.join("cmake");
    let mut cmake = workspace.command("cmake");
    cmake.arg("-S").arg(workspace.root.join("crates/pan123-capi/tests/find_package")).arg("-B").arg(&build);
    cmake.arg(format!("-DCMAKE_PREFIX_PATH={}", root.join("usr").display()));
    sh(&mut cmake, 3, workspace)?;
    sh(workspace.command("cmake").arg("--build").arg(&build), 3, workspace)?;
    check_says_version(workspace, dist, &build.join("shared"), None)?;
    check_says_version(workspace, dist, &build.join("static"), None)?;
    Ok(format!("pkg-config and CMake, shared and static; {} KiB", size >> 10))
}

fn check_says_version(
    workspace: &Workspace,
    dist: &Dist,
    program: &Path,
    lib: Option<&Path>,
) -> anyhow::Result<()> {
    let mut command = workspace.command(program);
    // Cargo's would lead to the library of another build.
    command.env_remove("LD_LIBRARY_PATH");
    if let Some(lib) = lib {
        command.env("LD_LIBRARY_PATH", lib);
    }
    let said = sh(&mut command, 1, workspace)?;
    if said.trim() != format!("pan123 {}", dist.version) {
        bail!("{} said {said:?}", program.display());
    }
    Ok(())
}

/// Compares with a file that is kept; with `bless`, writes it.
fn written(workspace: &Workspace, path: &str, found: &str, bless: bool) -> anyhow::Result<()> {
    let full = workspace.root.join(path);
    if bless {
        if let Some(folder) = full.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&full, found)?;
    }
    let kept = fs::read_to_string(&full)
        .with_context(|| format!("read {path}; cargo xtask capi --bless writes it"))?;
    if kept != found {
        bail!("{path} says\n{kept}and found is\n{found}cargo xtask capi --bless writes down what is right");
    }
    Ok(())
}
