//! `cargo xtask cpp`: what tests of `pan123-capi` do not show of `pan123.hpp` and the plugins.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail};

use crate::{process, workspace::Workspace};

/// Warnings that are errors here.
const STRICT: &[&str] =
    &["-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-fsyntax-only", "-Iinclude"];

/// Where the guides are.
const GUIDES: &[&str] = &["docs/c-api.md", "docs/plugins.md"];

/// Looks at one thing, and says what it saw.
type Check = fn(&Workspace) -> anyhow::Result<String>;

/// Runs the checks, and says of each what it saw.
pub(crate) fn run() -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let checks: &[(&str, Check)] = &[
        ("programs in guides", programs_in_guides),
        ("another compiler", another_compiler),
        ("plugin in Rust", plugin_in_rust),
    ];
    let mut failed = 0;
    for (name, check) in checks {
        match check(&workspace) {
            Ok(said) => println!("{name:<18} {said}"),
            Err(error) => {
                failed += 1;
                println!("{name:<18} FAILED: {error:#}");
            }
        }
    }
    if failed > 0 {
        bail!("{failed} checks of C++ and plugins failed");
    }
    Ok(())
}

/// A piece of a guide that has an `#include` is a whole file, and compiles.
fn programs_in_guides(workspace: &Workspace) -> anyhow::Result<String> {
    let folder = workspace.scratch().join("cpp");
    fs::create_dir_all(&folder)?;
    let mut count = 0;
    for guide in GUIDES {
        let text = fs::read_to_string(workspace.root.join(guide)).with_context(|| format!("read {guide}"))?;
        for (language, code) in pieces(&text) {
            let (compiler, dialect) = match language {
                "c" => ("gcc", "-std=c99"),
                "cpp" => ("g++", "-std=c++17"),
                _ => continue,
            };
            if !code.contains("#include") {
                continue;
            }
            count += 1;
            let file = folder.join(format!("guide-{count}.{language}"));
            fs::write(&file, code)?;
            sh(workspace, workspace.command(compiler).arg(dialect).args(STRICT).arg(file))
                .with_context(|| format!("program in {guide}"))?;
        }
    }
    if count == 0 {
        bail!("no guide has a program");
    }
    Ok(format!("{count} programs"))
}

/// The fenced pieces of a text, with their language.
fn pieces(text: &str) -> Vec<(&str, String)> {
    let (mut pieces, mut open) = (Vec::new(), None);
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language, String::new())),
            (Some(_), Some(_)) => pieces.extend(open.take()),
            (None, Some((_, code))) => {
                code.push_str(line);
                code.push('\n');
            }
            (None, None) => {}
        }
    }
    pieces
}

/// What g++ takes in the tests, clang takes too.
fn another_compiler(workspace: &Workspace) -> anyhow::Result<String> {
    let mut sources = Vec::new();
    for folder in ["examples/cpp", "crates/pan123-capi/tests/cpp", "crates/pan123-capi/tests/loadable"] {
        sources.extend(files(&workspace.root.join(folder), "cpp")?);
    }
    for dialect in ["-std=c++17", "-std=c++20"] {
        for source in &sources {
            // std::stop_token, which not every library of clang's has yet, is C++20.
            if dialect == "-std=c++17" && source.ends_with("stop_token.cpp") {
                continue;
            }
            sh(workspace, workspace.command("clang++").arg(dialect).args(STRICT).arg(source))?;
        }
    }
    let plugins = files(&workspace.root.join("examples/plugins"), "c")?;
    for source in plugins.iter().chain(&files(&workspace.root.join("examples/c"), "c")?) {
        sh(workspace, workspace.command("clang").arg("-std=c99").args(STRICT).arg(source))?;
    }
    Ok(format!("{} files in C++, {} plugins in C", sources.len(), plugins.len()))
}

/// The files of a folder with this extension.
fn files(folder: &Path, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("no .{extension} in {}", folder.display());
    }
    Ok(files)
}

/// It is outside the workspace, so its style is looked at here.
fn plugin_in_rust(workspace: &Workspace) -> anyhow::Result<String> {
    let manifest = "examples/plugins/sqlite_store/Cargo.toml";
    sh(workspace, workspace.cargo().args(["fmt", "--check", "--manifest-path", manifest]))?;
    let mut clippy = workspace.cargo();
    clippy.args(["clippy", "--quiet", "--locked", "--manifest-path", manifest, "--target-dir"]);
    sh(workspace, clippy.arg(workspace.target.join("tmp/sqlite_store")).args(["--", "-D", "warnings"]))?;
    Ok("formatted, and clean under clippy".to_owned())
}

/// Runs a command; what it said is in the error if it fails.
fn sh(workspace: &Workspace, command: &mut Command) -> anyhow::Result<()> {
    let log = workspace.scratch().join("logs/cpp-command.log");
    let finished = process::run(command, Duration::from_secs(600), &log)?;
    if !finished.success() {
        bail!("{command:?}: {}\n{}", finished.verdict(), finished.output.trim_end());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_guide_are_found_with_their_language() {
        let text = "words\n```c\nint a;\nint b;\n```\nwords\n```sh\nls\n```\n```\nplain\n```\n";
        let expected = [("c", "int a;\nint b;\n"), ("sh", "ls\n"), ("", "plain\n")];
        assert_eq!(pieces(text), expected.map(|(language, code)| (language, code.to_owned())));
    }
}
