//! The registry of the C interface: every function, number and member, with the version that brought it.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, bail};

use crate::{
    header::items::{self, Items},
    workspace::Workspace,
};

/// What is in the registry: a line without its version, and the version.
type Entries = BTreeMap<String, String>;

const PATH: &str = "abi/pan123.symbols";

/// Checks that everything in the header is in the registry and the other way round, with the same values. With
/// `bless`, what is new is added under `version`.
pub(super) fn check(workspace: &Workspace, version: &str, bless: bool) -> anyhow::Result<usize> {
    let header =
        fs::read_to_string(workspace.root.join("include/pan123.h")).context("read include/pan123.h")?;
    let found = entries_of(&items::read(&header)?);
    let path = workspace.root.join(PATH);
    let text = fs::read_to_string(&path).unwrap_or_default();
    let mut known: Entries = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(since, entry)| (entry.to_owned(), since.to_owned()))
        .collect();
    let new: Vec<String> = found.iter().filter(|entry| !known.contains_key(*entry)).cloned().collect();
    let gone: Vec<&String> = known.keys().filter(|entry| !found.contains(entry)).collect();
    if !gone.is_empty() {
        bail!("{PATH} has what the header no longer has; nothing may go or change:\n  {gone:#?}");
    }
    if !new.is_empty() && !bless {
        bail!(
            "the header has what {PATH} has not; cargo xtask capi --bless adds it:\n  {}",
            new.join("\n  ")
        );
    }
    if bless && !new.is_empty() {
        known.extend(new.into_iter().map(|entry| (entry, version.to_owned())));
        let lines: Vec<String> = known.iter().map(|(entry, since)| format!("{since} {entry}\n")).collect();
        fs::write(path, lines.concat())?;
    }
    Ok(found.len())
}

/// Every function, number and member of a header, as a line.
fn entries_of(items: &Items) -> Vec<String> {
    // The one number that is meant to change.
    let numbers = items.constants.iter().filter(|number| number.name != "PAN123_ABI_VERSION");
    let members = items.types.iter().flat_map(|record| &record.members);
    let functions = items.functions.iter().map(|function| format!("function {}", function.name));
    let numbers = numbers.map(|number| format!("number {} {}", number.name, number.code));
    functions.chain(numbers).chain(members.map(|member| format!("member {}", member.name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_has_what_the_header_has() {
        let root = Workspace::find().unwrap().root;
        let header = fs::read_to_string(root.join("include/pan123.h")).unwrap();
        let registry = fs::read_to_string(root.join(PATH)).unwrap();
        let mut known: Vec<&str> =
            registry.lines().filter_map(|line| line.split_once(' ')).map(|(_, entry)| entry).collect();
        let mut found = entries_of(&items::read(&header).unwrap());
        known.sort_unstable();
        found.sort_unstable();
        assert_eq!(known, found);
    }
}
