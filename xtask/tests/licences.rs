//! What we stand on may be used by everybody who may use us, and is there once.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

/// Licences that ask for no more than ours do. A new one is a decision: its commit says why.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that are there in several versions, and who holds on to the old one.
const TWICE: &[(&str, &str)] =
    &[("getrandom", "ring 0.17"), ("syn", "the macros of tracing; it is built for no target")];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .exec()
        .expect("cargo metadata")
}

/// Everything that is built into what others get, on any platform.
fn shipped(metadata: &Metadata) -> Vec<&Package> {
    let resolve = metadata.resolve.as_ref().expect("resolved");
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut seen = BTreeSet::new();
    let ours = metadata.workspace_packages();
    let mut left: Vec<&PackageId> =
        ours.iter().filter(|it| it.name.starts_with("pan123-")).map(|it| &it.id).collect();
    while let Some(id) = left.pop() {
        if seen.insert(id) {
            let deps = nodes[id]
                .deps
                .iter()
                .filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development));
            left.extend(deps.map(|dep| &dep.pkg));
        }
    }
    seen.into_iter().map(|id| &metadata[id]).collect()
}

/// Whether one of the ways to read an SPDX expression is ours to take. Knows `OR`, `AND`, `/` and parentheses
/// around the parts of an `AND`.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ");
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for word in expression.replace('(', " ( ").replace(')', " ) ").split_whitespace() {
        match word {
            "(" => depth += 1,
            ")" => depth -= 1,
            "AND" if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        let part = parts.last_mut().expect("there is one");
        part.push_str(word);
        part.push(' ');
    }
    parts.iter().all(|part| {
        let choice = part.trim().trim_start_matches('(').trim_end_matches(')');
        choice.split(" OR ").any(|one| LICENCES.contains(&one.trim()))
    })
}

#[test]
fn expressions_are_read_as_they_are_meant() {
    for (expression, allowed) in [
        ("MIT", true),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0", false),
        ("MIT/Apache-2.0", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND GPL-2.0", false),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
        ("Apache-2.0 AND ISC", true),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression), allowed, "{expression:?}");
    }
}

#[test]
fn every_licence_is_one_of_those() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in shipped(&metadata) {
        let licence = package.license.as_deref().unwrap_or_default();
        if !is_allowed(licence) {
            wrong.push(format!("{} {}: {licence:?}", package.name, package.version));
        }
    }
    assert!(wrong.is_empty(), "licences to decide upon:\n{}", wrong.join("\n"));
}

#[test]
fn every_crate_is_there_once() {
    let metadata = metadata();
    let mut versions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for package in shipped(&metadata) {
        versions.entry(&package.name).or_default().insert(package.version.to_string());
    }
    let twice: Vec<String> = versions
        .iter()
        .filter(|(_, versions)| versions.len() > 1)
        .filter(|(name, _)| !is_system(name))
        .map(|(name, versions)| format!("{name}: {versions:?}"))
        .collect();
    let known: BTreeSet<&str> = TWICE.iter().map(|(name, _)| *name).collect();
    let new: Vec<&String> =
        twice.iter().filter(|line| !known.contains(line.split(':').next().unwrap_or_default())).collect();
    assert!(new.is_empty(), "there in several versions:\n{new:#?}");
    let gone: Vec<&&str> =
        known.iter().filter(|name| versions.get(**name).is_none_or(|it| it.len() < 2)).collect();
    assert!(gone.is_empty(), "no longer there twice: {gone:?}");
}

#[test]
fn everything_comes_from_the_registry() {
    let metadata = metadata();
    for package in &metadata.packages {
        let source = package.source.as_ref().map_or("", |source| source.repr.as_str());
        let ours = source.is_empty();
        assert!(
            ours || source.starts_with("registry+https://github.com/rust-lang/crates.io-index"),
            "{source}"
        );
    }
}

/// Bindings of systems that we are not built for here: declarations alone, of which each crate brings its own.
fn is_system(name: &str) -> bool {
    name.starts_with("windows")
        || name.starts_with("core-foundation")
        || name.starts_with("security-framework")
}
