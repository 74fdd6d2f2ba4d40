//! `cargo xtask header`: makes `include/pan123.h` from the crate of the C interface, and from that `docs/c-reference.md` and
//! the copy that the Swift package carries, which has to build without anything outside of it.

pub(crate) mod items;
mod prose;
mod reference;

use std::{fs, path::Path};

use anyhow::{Context, bail};

use crate::workspace::Workspace;

/// What `cargo xtask header` can be told.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail if the header or the reference is not what the source makes it
    #[arg(long)]
    check: bool,
}

/// Makes the header with its copy and the reference, or checks them.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    let header = generate(&workspace.root.join("crates/pan123-capi"))?;
    let reference = reference::of(&items::read(&header)?)?;
    let made = [
        ("include/pan123.h", &header),
        ("bindings/swift/Sources/CPan123/include/pan123.h", &header),
        ("docs/c-reference.md", &reference),
    ];
    for (name, made) in made {
        let path = workspace.root.join(name);
        if options.check {
            let found = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            same(name, &found, made)?;
        } else {
            fs::write(&path, made).with_context(|| format!("write {}", path.display()))?;
        }
    }
    Ok(())
}

/// Fails, and says where, if a file is not what it should be.
fn same(name: &str, found: &str, made: &str) -> anyhow::Result<()> {
    let line = match found.lines().zip(made.lines()).position(|(found, made)| found != made) {
        None if found == made => return Ok(()),
        None => found.lines().count().min(made.lines().count()),
        Some(line) => line,
    };
    bail!("{name} is not what the source makes it, from line {} on: run cargo xtask header", line + 1)
}

/// The header's text.
pub(crate) fn generate(crate_folder: &Path) -> anyhow::Result<String> {
    let config =
        cbindgen::Config::from_file(crate_folder.join("cbindgen.toml")).map_err(anyhow::Error::msg)?;
    let bindings = cbindgen::Builder::new().with_crate(crate_folder).with_config(config).generate();
    let mut text = Vec::new();
    bindings.context("cbindgen")?.write(&mut text);
    Ok(for_c(&String::from_utf8(text).context("cbindgen")?))
}

/// Turns what cbindgen makes into what a reader of C expects.
fn for_c(text: &str) -> String {
    let text = text.replace(" * # Safety\n *\n * ", " * Requires: ").replace("\\[", "[").replace("\\]", "]");
    let text = text
        .replace("PAN123_ABI_VERSION 65536", "PAN123_ABI_VERSION 0x00010000u")
        .replace("PAN123_PLUGIN_MAGIC 858927440", "PAN123_PLUGIN_MAGIC 0x33323150u");
    let mut lines = Vec::new();
    let mut shift = 0;
    for line in text.lines() {
        // Typedefs make the tags superfluous; arguments below stay under the first one.
        let line = if line.starts_with("typedef struct") || line.starts_with(" *") {
            line.to_owned()
        } else {
            let bare = line.replace("struct pan123_", "pan123_");
            let is_argument = line.starts_with("        ") && shift > 0;
            if !is_argument {
                shift = line.find('(').unwrap_or(0) - bare.find('(').unwrap_or(0);
            }
            if is_argument { bare[shift..].to_owned() } else { bare }
        };
        lines.push(line);
    }
    short_comments(&lines)
}

/// Puts comments of one line on one line, and constants that have one below each other.
fn short_comments(lines: &[String]) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut rest = lines;
    while let Some((line, after)) = rest.split_first() {
        match rest {
            [open, text, close, ..] if open.trim() == "/**" && close.trim() == "*/" => {
                let indent = &open[..open.len() - open.trim_start().len()];
                let words = text.trim_start().trim_start_matches('*').trim_start();
                // A constant below a constant.
                if out.len() >= 2
                    && out[out.len() - 1].is_empty()
                    && out[out.len() - 2].starts_with("#define PAN123_")
                {
                    out.pop();
                }
                out.push(format!("{indent}/** {words} */"));
                rest = &rest[3..];
            }
            _ => {
                out.push(line.clone());
                rest = after;
            }
        }
    }
    out.join("\n") + "\n"
}
