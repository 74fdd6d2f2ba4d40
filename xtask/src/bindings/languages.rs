//! Each language: what it needs, and the commands that test its binding.

use std::process::Command;

use super::Kit;
use crate::tools::{DEBOOTSTRAP, GO, GXX, Need, PKG_CONFIG, PYTHON, VENV};

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
    /// Runs its example with one slice, once that has got its arguments.
    pub(crate) example: fn(&Kit) -> anyhow::Result<Command>,
    /// Builds its program for `bench bindings`, and says how to run it.
    pub(crate) cost: Option<fn(&Kit) -> anyhow::Result<Program>>,
}

/// A program that is there: what makes commands of it.
pub(crate) type Program = Box<dyn Fn(&Kit) -> Command>;

impl PartialEq for Language {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// All that [`LANGUAGES`] need.
pub(crate) const NEEDS: &[Need] = &[GXX, PKG_CONFIG, GO, PYTHON, VENV, DEBOOTSTRAP];

/// In the order of the matrix.
pub(crate) const LANGUAGES: &[Language] = &[
    Language {
        name: "c",
        title: "C",
        needs: &[],
        limit_minutes: 5,
        tests: |kit| scenarios(kit, "c"),
        example: |kit| compiled(kit, "examples/c/slice.c"),
        cost: Some(|kit| built(kit, "benches/bindings/cost.c")),
    },
    Language {
        name: "cpp",
        title: "C++",
        needs: &[GXX],
        limit_minutes: 5,
        tests: |kit| scenarios(kit, "cpp"),
        example: |kit| compiled(kit, "examples/cpp/slice.cpp"),
        cost: Some(|kit| built(kit, "benches/bindings/cost.cpp")),
    },
];

/// The scenario program in C or C++.
fn scenarios(kit: &Kit, extension: &str) -> anyhow::Result<Vec<Command>> {
    let source = format!("crates/pan123-capi/tests/scenarios/scenarios.{extension}");
    Ok(vec![kit.command(kit.compile(&source, &format!("scenarios-{extension}"), &[])?)])
}

fn compiled(kit: &Kit, source: &str) -> anyhow::Result<Command> {
    Ok(kit.command(kit.compile(source, &source.replace('/', "-"), &[])?))
}

fn built(kit: &Kit, source: &str) -> anyhow::Result<Program> {
    let program = kit.compile(source, &source.replace('/', "-"), &[])?;
    Ok(Box::new(move |kit| kit.command(&program)))
}

/// The same in Rust, which needs no binding.
pub(super) fn rust_example(kit: &Kit) -> anyhow::Result<Command> {
    // All packages at once, so that what `cargo test` has built is not built differently.
    kit.sh(kit.workspace.cargo().args(["build", "--workspace", "--example", "slice"]), 45)?;
    Ok(kit.command(kit.workspace.target.join("debug/examples/slice")))
}
