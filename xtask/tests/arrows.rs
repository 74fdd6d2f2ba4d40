//! Dependencies point one way: `cli -> capi -> upload -> {proto, hash, transport}`,
//! `emulator -> {proto, hash}`, and nothing points back.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Each crate, and all that it may depend on directly when built for use (tests may use more).
/// A new name here is a decision: its commit says what the dependency saves and what it drags in.
#[rustfmt::skip]
const ALLOWED: &[(&str, &[&str])] = &[
    ("pan123-proto", &["fastrand", "form_urlencoded", "httpdate", "jiff", "serde", "serde_json", "thiserror"]),
    ("pan123-hash", &["md-5", "rustix", "sha1", "thiserror"]),
    ("pan123-transport", &[
        "bytes", "fastrand", "http-body", "http-body-util", "hyper", "hyper-util", "libc", "reqwest", "rustix",
        "rustls", "rustls-platform-verifier", "thiserror", "tokio", "tokio-rustls", "tower-service", "tracing", "url",
    ]),
    ("pan123-upload", &[
        "pan123-hash", "pan123-proto", "pan123-transport",
        "bytes", "crc32fast", "etcetera", "fastrand", "md-5", "rustix", "secrecy", "serde", "serde_json", "tempfile",
        "thiserror", "tokio", "tracing",
    ]),
    ("pan123-capi", &[
        "pan123-hash", "pan123-upload",
        "bytes", "libc", "libloading", "rustix", "serde_json", "tokio",
    ]),
    ("pan123-emulator", &[
        "pan123-hash", "pan123-proto",
        "bytes", "fastrand", "form_urlencoded", "http-body-util", "hyper", "hyper-util", "jiff", "md-5",
        "memchr", "serde", "serde_json", "sha1", "socket2", "thiserror", "tokio", "tracing",
    ]),
    ("pan123-cli", &[
        "pan123-capi", "pan123-emulator", "pan123-hash", "pan123-upload",
        "clap", "clap_complete", "etcetera", "indicatif", "serde", "serde_json", "signal-hook", "tempfile", "tokio", "toml",
        "tracing-subscriber", "walkdir",
    ]),
    ("pan123-sim", &["pan123-proto", "fastrand"]),
];

/// What a crate must not reach, not even through others, and why.
const UNREACHABLE: &[(&str, &[&str], &str)] = &[
    (
        "pan123-proto",
        &["hyper", "mio", "reqwest", "tokio"],
        "it does no I/O and knows no runtime, so that a simulator can run it in virtual time",
    ),
    (
        "pan123-hash",
        &["hyper", "mio", "reqwest", "serde", "tokio"],
        "others take it for its digests alone, and pay for nothing else",
    ),
    (
        "pan123-transport",
        &["pan123-proto", "pan123-hash"],
        "it carries requests and knows nothing of uploads, so that a host can replace it whole",
    ),
    (
        "pan123-emulator",
        &["pan123-transport", "pan123-upload", "reqwest"],
        "it is the other side: sharing the client's code, it would share the client's mistakes",
    ),
];

/// Who depends on whom: the crates of `crates/` by name, and everything below them by package id.
struct Graph {
    /// Direct dependencies of each of our crates, for every platform and feature.
    direct: BTreeMap<String, BTreeSet<String>>,
    /// Names of all that each of our crates reaches.
    reached: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn read() -> Self {
        let metadata = MetadataCommand::new()
            .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
            .exec()
            .expect("cargo metadata");
        let crates = metadata.workspace_root.join("crates");
        let ours = metadata.workspace_packages().into_iter().filter(|p| p.manifest_path.starts_with(&crates));
        let mut graph = Self { direct: BTreeMap::new(), reached: BTreeMap::new() };
        for package in ours {
            let direct = package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development);
            graph.direct.insert(package.name.to_string(), direct.map(|d| d.name.clone()).collect());
            graph.reached.insert(package.name.to_string(), reached(&metadata, &package.id));
        }
        graph
    }

    /// Every way in which the arrows are not as they should be, as sentences.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, direct) in &self.direct {
            let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| known == name) else {
                faults.push(format!("{name} is not in ALLOWED: say there what it may depend on"));
                continue;
            };
            for dependency in direct.iter().filter(|d| !allowed.contains(&d.as_str())) {
                faults.push(format!("{name} may not depend on {dependency}: its list in ALLOWED lacks it"));
            }
        }
        for (name, unreachable, why) in UNREACHABLE {
            let reached = self.reached.get(*name);
            for dependency in unreachable.iter().filter(|d| reached.is_some_and(|r| r.contains(**d))) {
                faults.push(format!("{name} may not reach {dependency}, directly or through others: {why}"));
            }
        }
        faults
    }
}

/// The names of all packages below one, tests aside.
fn reached(metadata: &Metadata, start: &cargo_metadata::PackageId) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("cargo metadata resolves");
    let mut seen = BTreeSet::new();
    let mut names = BTreeSet::new();
    let mut rest = vec![start];
    while let Some(id) = rest.pop() {
        let node = resolve.nodes.iter().find(|node| node.id == *id).expect("a node for each package");
        for below in &node.deps {
            let used = below.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development);
            if used && seen.insert(&below.pkg) {
                names.insert(metadata[&below.pkg].name.to_string());
                rest.push(&below.pkg);
            }
        }
    }
    names
}

#[test]
fn dependencies_point_one_way() {
    let faults = Graph::read().faults();
    assert!(faults.is_empty(), "\n  {}\n", faults.join("\n  "));
}

#[test]
fn every_crate_of_the_lists_exists() {
    let graph = Graph::read();
    for name in ALLOWED.iter().map(|(name, _)| name).chain(UNREACHABLE.iter().map(|(name, ..)| name)) {
        assert!(graph.direct.contains_key(*name), "{name} is listed, but is no crate of ours");
    }
}

#[track_caller]
fn check_caught(change: impl FnOnce(&mut Graph), fault: &str) {
    let mut graph = Graph::read();
    change(&mut graph);
    let faults = graph.faults();
    assert!(faults.iter().any(|found| found.starts_with(fault)), "{fault:?} is not among {faults:?}");
}

#[test]
fn a_wrong_arrow_is_caught() {
    let add = |graph: &mut Graph, name: &str, below: &str| {
        graph.direct.get_mut(name).expect("our crate").insert(below.to_owned());
    };
    check_caught(|g| add(g, "pan123-proto", "tokio"), "pan123-proto may not depend on tokio");
    check_caught(
        |g| add(g, "pan123-transport", "pan123-upload"),
        "pan123-transport may not depend on pan123-upload",
    );
    check_caught(
        |g| _ = g.reached.get_mut("pan123-hash").expect("our crate").insert("reqwest".to_owned()),
        "pan123-hash may not reach reqwest",
    );
    check_caught(
        |g| _ = g.direct.insert("pan123-new".to_owned(), BTreeSet::new()),
        "pan123-new is not in ALLOWED",
    );
}
