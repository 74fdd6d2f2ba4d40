//! Each language: what it needs, and the commands that test its binding.

use std::{path::Path, process::Command};

use anyhow::Context;

use super::{Kit, fresh};
use crate::tools::{BINDING_PYTHON, DEBOOTSTRAP, GO, GXX, Need, PKG_CONFIG, PYTHON, VENV};

/// A binding.
#[derive(Clone, Copy)]
pub(crate) struct Language {
    /// In results and for `--only`.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    pub(crate) needs: &'static [Need],
    /// For each command, from nothing, on a slow machine.
    pub(crate) limit_minutes: u64,
    /// What builds and tests it, in this order.
    pub(crate) tests: fn(&Kit) -> anyhow::Result<Vec<Command>>,
    /// Builds its example that sends one slice, if it has one of its own.
    pub(crate) example: Option<fn(&Kit) -> anyhow::Result<Program>>,
    /// Builds its program for `bench bindings`.
    pub(crate) cost: fn(&Kit) -> anyhow::Result<Program>,
}

/// A program that is there: what makes commands of it.
pub(crate) type Program = Box<dyn Fn(&Kit) -> Command>;

impl PartialEq for Language {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// In the order of the matrix.
pub(crate) const LANGUAGES: &[Language] = &[
    Language {
        name: "c",
        title: "C",
        needs: &[],
        limit_minutes: 5,
        tests: |kit| scenarios(kit, "c"),
        example: Some(|kit| compiled(kit, "examples/c/slice.c")),
        cost: |kit| compiled(kit, "benches/bindings/cost.c"),
    },
    Language {
        name: "cpp",
        title: "C++",
        needs: &[GXX],
        limit_minutes: 5,
        tests: |kit| scenarios(kit, "cpp"),
        example: Some(|kit| compiled(kit, "examples/cpp/slice.cpp")),
        cost: |kit| compiled(kit, "benches/bindings/cost.cpp"),
    },
    Language {
        name: "go",
        title: "Go",
        needs: &[GO, PKG_CONFIG],
        limit_minutes: 10,
        tests: |kit| {
            let go = |arguments: &[&str]| go(kit, GO_CGO, arguments);
            let mut checked = go(&["test", "-count=1", "./..."]);
            checked.env("GOEXPERIMENT", "cgocheck2");
            let stressed = go(&["test", "-count=1", "-tags", "pan123_gcstress", "./..."]);
            Ok(vec![
                formatted(kit, GO_CGO),
                go(&["vet", "./..."]),
                go(&["test", "-race", "-count=1", "./..."]),
                checked,
                stressed,
            ])
        },
        example: Some(|kit| go_built(kit, GO_EXAMPLE, ".")),
        cost: |kit| go_built(kit, GO_CGO, "./internal/cost/main"),
    },
    Language {
        name: "go-nocgo",
        title: "Go without cgo",
        needs: &[GO],
        limit_minutes: 10,
        tests: |kit| {
            let go = |arguments: &[&str]| go(kit, GO_NOCGO, arguments);
            Ok(vec![go(&["vet", "./..."]), go(&["test", "-count=1", "./..."])])
        },
        example: None,
        cost: |kit| go_built(kit, GO_NOCGO, "./internal/cost"),
    },
    Language {
        name: "swift",
        title: "Swift",
        needs: &[DEBOOTSTRAP],
        limit_minutes: 20,
        tests: |kit| Ok(vec![swift(kit, &[])]),
        example: Some(|kit| swift_built(kit, "examples/swift/slice", "slice")),
        cost: |kit| swift_built(kit, "bindings/swift/Benchmarks", "cost"),
    },
    Language {
        name: "python",
        title: "Python",
        needs: &[PYTHON, VENV, BINDING_PYTHON],
        limit_minutes: 10,
        tests: |kit| {
            install_wheel(kit)?;
            let python = |arguments: &[&str]| {
                let mut command = python(kit);
                command.current_dir(kit.workspace.root.join(PYTHON_FOLDER)).args(["-m"]).args(arguments);
                command
            };
            let types = ["mypy", "tests", "benches", "../../examples/python/slice.py"];
            Ok(vec![python(&["mypy", "-p", "pan123"]), python(&types), python(&["pytest", "-q"])])
        },
        example: Some(|kit| script(kit, "examples/python/slice.py")),
        cost: |kit| script(kit, "bindings/python/benches/cost.py"),
    },
];

// C and C++.

/// The scenario program.
fn scenarios(kit: &Kit, extension: &str) -> anyhow::Result<Vec<Command>> {
    let source = format!("crates/pan123-capi/tests/scenarios/scenarios.{extension}");
    Ok(vec![compiled(kit, &source)?(kit)])
}

fn compiled(kit: &Kit, source: &str) -> anyhow::Result<Program> {
    let program = kit.compile(source, &source.replace('/', "-"), &[])?;
    Ok(Box::new(move |kit| kit.command(&program)))
}

// Go.

const GO_CGO: &str = "bindings/go";
const GO_NOCGO: &str = "bindings/go/nocgo";
const GO_EXAMPLE: &str = "examples/go";

fn go(kit: &Kit, folder: &str, arguments: &[&str]) -> Command {
    let mut command = kit.command("go");
    command.current_dir(kit.workspace.root.join(folder)).args(arguments);
    command.env("CGO_ENABLED", if folder == GO_NOCGO { "0" } else { "1" });
    command
}

/// Fails, and names them, if files are not as `gofmt` would have them.
fn formatted(kit: &Kit, folder: &str) -> Command {
    let mut command = kit.command("sh");
    command.current_dir(kit.workspace.root.join(folder));
    command.args(["-c", "files=$(gofmt -l .) && test -z \"$files\" || { echo \"gofmt: $files\"; exit 1; }"]);
    command
}

fn go_built(kit: &Kit, folder: &str, package: &str) -> anyhow::Result<Program> {
    let program =
        kit.folder.join("bin").join(format!("{}-{}", folder.replace('/', "-"), package.replace('/', "-")));
    kit.sh(go(kit, folder, &["build", "-o"]).arg(&program).arg(package), 10)?;
    Ok(Box::new(move |kit| kit.command(&program)))
}

// Swift, whose compiler may live in a folder with another Debian; the task knows.

fn swift(kit: &Kit, arguments: &[&str]) -> Command {
    let mut command = kit.command("/proc/self/exe");
    command.arg("swift").args(arguments);
    command
}

fn swift_built(kit: &Kit, package: &str, product: &str) -> anyhow::Result<Program> {
    let scratch = kit.folder.join("swift").join(product);
    let scratch = scratch.to_str().context("the target folder's name is not UTF-8")?;
    let build = [
        "--",
        "swift",
        "build",
        "--configuration",
        "release",
        "--package-path",
        package,
        "--product",
        product,
    ];
    kit.sh(swift(kit, &build).args(["--scratch-path", scratch]), 20)?;
    let program = format!("{scratch}/release/{product}");
    Ok(Box::new(move |kit| swift(kit, &["--", &program])))
}

// Python.

const PYTHON_FOLDER: &str = "bindings/python";

fn python(kit: &Kit) -> Command {
    let mut command = kit.command(kit.tools.variable(BINDING_PYTHON).unwrap_or(Path::new("python3")));
    // The wheel has a library of its own.
    command.env_remove("LD_LIBRARY_PATH");
    command
}

/// Makes the wheel and installs it, with the tools that the requirements name and no others.
fn install_wheel(kit: &Kit) -> anyhow::Result<()> {
    let wheels = kit.folder.join("wheels");
    fresh(&wheels)?;
    let pip = |arguments: &[&str]| {
        let mut command = python(kit);
        command.args(["-m", "pip", "--disable-pip-version-check", "--quiet"]).args(arguments);
        command
    };
    let make = ["wheel", "--no-deps", "--no-build-isolation", PYTHON_FOLDER, "--wheel-dir"];
    kit.sh(pip(&make).arg(&wheels), 5)?;
    let mut install = pip(&["install", "--no-deps", "--force-reinstall"]);
    for wheel in std::fs::read_dir(&wheels)? {
        install.arg(wheel?.path());
    }
    kit.sh(&mut install, 5).map(drop)
}

fn script(kit: &Kit, path: &str) -> anyhow::Result<Program> {
    install_wheel(kit)?;
    let path = path.to_owned();
    Ok(Box::new(move |kit| {
        let mut command = python(kit);
        command.arg(&path);
        command
    }))
}

// Rust, which needs no binding.

/// Its example that sends one slice.
pub(super) fn rust_example(kit: &Kit) -> anyhow::Result<Program> {
    // All packages at once, so that what `cargo test` has built is not built differently.
    kit.sh(kit.workspace.cargo().args(["build", "--workspace", "--example", "slice"]), 45)?;
    Ok(Box::new(|kit| kit.command(kit.workspace.target.join("debug/examples/slice"))))
}
