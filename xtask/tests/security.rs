//! The inventory of unsafe code in `docs/security.md` is whole.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of ours") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

/// Whether a file has unsafe code of its own, and does not only speak of it.
fn is_unsafe(text: &str) -> bool {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.into_iter().any(|line| {
        ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "#[unsafe("]
            .iter()
            .any(|it| line.contains(it))
    })
}

/// The paths in the table.
fn listed() -> Vec<String> {
    let text = fs::read_to_string(root().join("docs/security.md")).expect("docs/security.md");
    let table = text.split_once("## Unsafe code").expect("the chapter").1;
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split_once('`')).map(|(path, _)| path.to_owned()).collect()
}

#[test]
fn unsafe_code_is_where_the_table_says_and_nowhere_else() {
    let (root, listed) = (root(), listed());
    assert!(!listed.is_empty(), "there is no table");
    let (mut used, mut missing) = (BTreeSet::new(), Vec::new());
    for krate in fs::read_dir(root.join("crates")).expect("crates") {
        let krate = krate.expect("readable").path();
        let mut files = Vec::new();
        sources(&krate.join("src"), &mut files);
        for path in files.iter().filter(|path| is_unsafe(&fs::read_to_string(path).expect("readable"))) {
            let path = path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
            match listed.iter().find(|it| path.starts_with(it.as_str())) {
                Some(row) => _ = used.insert(row.clone()),
                None => missing.push(path),
            }
        }
        let is_listed = listed.iter().any(|it| root.join(it).starts_with(&krate));
        let first = ["src/lib.rs", "src/main.rs"].map(|file| krate.join(file));
        let first = first.iter().find(|path| path.exists()).expect("a crate has a first file");
        let forbids = fs::read_to_string(first).expect("readable").contains("#![forbid(unsafe_code)]");
        assert!(forbids != is_listed, "{}: either in the table, or it forbids unsafe code", first.display());
    }
    assert!(missing.is_empty(), "unsafe code that docs/security.md does not list: {missing:#?}");
    for row in &listed {
        assert!(used.contains(row), "docs/security.md lists {row}, where there is none");
    }
}

#[test]
fn every_test_that_the_documents_name_is_there() {
    let root = root();
    let mut files = Vec::new();
    for krate in fs::read_dir(root.join("crates")).expect("crates") {
        sources(&krate.expect("readable").path(), &mut files);
    }
    let there = |name: &str| {
        let known = name.ends_with(".rs") && files.iter().any(|path| path.ends_with(name));
        known || [root.join(name), root.join("crates").join(name)].iter().any(|path| path.exists())
    };
    for document in ["docs/security.md", "docs/reliability.md"] {
        let text = fs::read_to_string(root.join(document)).expect(document);
        let names = text.split('`').skip(1).step_by(2);
        let paths = names.filter(|name| name.starts_with("pan123-") || name.ends_with(".rs"));
        for name in paths.filter(|name| !name.contains([' ', ':'])) {
            assert!(there(name), "{document} names {name}, which is not there");
        }
        for target in text.split("fuzz target `").skip(1).filter_map(|rest| rest.split('`').next()) {
            let path = root.join("fuzz/fuzz_targets").join(format!("{target}.rs"));
            assert!(path.exists(), "{document} names the fuzz target {target}, which is not there");
        }
    }
}
