//! The registry of the C interface: every function, number and member, with the version that brought it.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, bail};

use crate::workspace::Workspace;

/// What is in the registry: a line without its version, and the version.
type Entries = BTreeMap<String, String>;

const PATH: &str = "abi/pan123.symbols";

/// Checks that everything in the header is in the registry and the other way round, with the same values. With
/// `bless`, what is new is added under `version`.
pub(super) fn check(workspace: &Workspace, version: &str, bless: bool) -> anyhow::Result<usize> {
    let header =
        fs::read_to_string(workspace.root.join("include/pan123.h")).context("read include/pan123.h")?;
    let found = entries_of(&header);
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
pub(super) fn entries_of(header: &str) -> Vec<String> {
    let mut entries: Vec<String> =
        functions(header).into_iter().map(|name| format!("function {name}")).collect();
    for line in header.lines() {
        if let Some((name, value)) = line.strip_prefix("#define ").and_then(|rest| rest.split_once(' '))
            && name.starts_with("PAN123_")
            && name != "PAN123_API"
            // The one number that is meant to change.
            && name != "PAN123_ABI_VERSION"
        {
            entries.push(format!("number {name} {value}"));
        }
    }
    for (record, members) in records(header) {
        entries.extend(members.iter().map(|member| format!("member {record}.{member}")));
    }
    entries
}

/// The names of all functions, sorted.
pub(super) fn functions(header: &str) -> Vec<String> {
    let mut names: Vec<String> = header
        .split("\nPAN123_API")
        .skip(1)
        .filter_map(|part| part.split('(').next()?.trim().rsplit([' ', '*', '\n']).next().map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// The open records with their members, in order.
fn records(header: &str) -> Vec<(String, Vec<String>)> {
    let mut records = Vec::new();
    for part in header.split("\ntypedef struct ").skip(1) {
        let Some((name, rest)) = part.split_once(" {\n") else { continue };
        if name.contains([';', '\n']) {
            continue;
        }
        let body = rest.split("\n} ").next().unwrap_or_default();
        let mut members: Vec<String> = Vec::new();
        let (mut is_comment, mut depth) = (false, 0_i32);
        for line in body.lines().map(str::trim) {
            is_comment |= line.starts_with("/**");
            if !is_comment {
                let begins = depth == 0;
                depth += line.matches('(').count() as i32 - line.matches(')').count() as i32;
                let of_function = line.split_once("(*").and_then(|(_, after)| after.split(')').next());
                let of_value = line
                    .ends_with(';')
                    .then(|| line.trim_end_matches(';').rsplit([' ', '*']).next())
                    .flatten();
                members.extend(of_function.or(of_value).filter(|_| begins).map(str::to_owned));
            }
            is_comment &= !line.ends_with("*/");
        }
        records.push((name.to_owned(), members));
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_numbers_and_members_are_found() {
        let header = "\n#define PAN123_OK 0\n#define PAN123_ABI_VERSION 0x1u\n\ntypedef struct pan123_x pan123_x;\n\n\
                      typedef struct pan123_y {\n    /** A size. */\n    uint32_t size;\n    /**\n     * (a) comment;\n     */\n    \
                      int (*go)(int a,\n              int b);\n} pan123_y;\n\nPAN123_API\nconst char *pan123_go(int a);\n";
        assert_eq!(
            entries_of(header),
            ["function pan123_go", "number PAN123_OK 0", "member pan123_y.size", "member pan123_y.go"]
        );
    }
}
