//! What every binding is given: the library where a system would have it, and the service.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail};

use super::Language;
use crate::{capi, process, tools::Tools, workspace::Workspace};

/// The library, installed in a folder of our own, and the program.
pub(crate) struct Kit {
    pub(crate) workspace: Workspace,
    pub(crate) tools: Tools,
    /// `lib`, `include` and so on are in it.
    pub(crate) prefix: PathBuf,
    /// The program `pan123`.
    pub(crate) pan123: PathBuf,
    /// For what is built and written.
    pub(crate) folder: PathBuf,
}

impl Kit {
    /// Builds and installs both; as they are released, or quickly.
    pub(crate) fn build(workspace: Workspace, tools: Tools, is_dev: bool) -> anyhow::Result<Self> {
        let folder = workspace.scratch().join("bindings");
        let prefix = folder.join("prefix");
        capi::install_into(&workspace, if is_dev { "dev" } else { "dist" }, &prefix)?;
        let mut cargo = workspace.cargo();
        cargo.args(["build", "--bin", "pan123"]).args((!is_dev).then_some("--release"));
        let kit = Self {
            pan123: workspace.target.join(if is_dev { "debug/pan123" } else { "release/pan123" }),
            workspace,
            tools,
            prefix,
            folder,
        };
        kit.sh(&mut cargo, 45)?;
        fs::create_dir_all(kit.folder.join("bin"))?;
        Ok(kit)
    }

    /// A command in the root folder that finds the library by the usual ways, and the program by its variable.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let lib = self.lib();
        let mut command = self.workspace.command(program);
        self.tools.tell(&mut command);
        command
            .env("PAN123_LIB_DIR", &lib)
            .env("PAN123_INCLUDE_DIR", self.prefix.join("include"))
            .env("PAN123_PROGRAM", &self.pan123)
            .env("PKG_CONFIG_PATH", lib.join("pkgconfig"))
            // Cargo's would lead to the library of another build.
            .env("LD_LIBRARY_PATH", lib);
        for ours in ["PAN123_BASE_URL", "PAN123_ACCESS_TOKEN", "PAN123_STATE_DIR", "PAN123_CONFIG"] {
            command.env_remove(ours);
        }
        command
    }

    /// The folder of the library.
    pub(crate) fn lib(&self) -> PathBuf {
        self.prefix.join("lib")
    }

    /// Where a language's tests write what came of the scenarios.
    pub(crate) fn results(&self, language: &Language) -> PathBuf {
        self.folder.join(format!("results-{}.jsonl", language.name))
    }

    /// Compiles a program in C or C++ with all warnings, and returns where it is.
    pub(crate) fn compile(&self, source: &str, name: &str, flags: &[&str]) -> anyhow::Result<PathBuf> {
        let program = self.folder.join("bin").join(name);
        let is_cpp = Path::new(source).extension().is_some_and(|extension| extension == "cpp");
        let mut compiler = self.command(if is_cpp { "g++" } else { "gcc" });
        compiler.args(if is_cpp {
            ["-std=c++17", "-pedantic"]
        } else {
            ["-std=gnu99", "-Wstrict-prototypes"]
        });
        compiler.args(["-g", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror"]).args(flags);
        compiler.arg("-I").arg(self.prefix.join("include")).arg(source).arg("-o").arg(&program);
        compiler.arg("-L").arg(self.lib()).args(["-lpan123", "-lpthread"]);
        self.sh(&mut compiler, 5)?;
        Ok(program)
    }

    /// Runs a command; what it said is the result, or in the error if it fails.
    pub(crate) fn sh(&self, command: &mut Command, minutes: u64) -> anyhow::Result<String> {
        let log = self.workspace.scratch().join("logs/bindings-command.log");
        let finished = process::run(command, Duration::from_secs(60 * minutes), &log)?;
        if !finished.success() {
            bail!("{}: {}\n{}", words(command), finished.verdict(), finished.output.trim_end());
        }
        Ok(finished.output)
    }
}

/// A command as one would type it, without the environment.
pub(crate) fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Makes a folder anew.
pub(crate) fn fresh(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))
}
