//! The documents lead where they say, the README says the same in both languages, and the C reference lacks nothing.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace")
}

/// Every Markdown file of the project.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the project") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str()) {
                documents(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// Where the links of a Markdown text go, code aside.
fn links(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose
        .flat_map(|prose| prose.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link)
        .collect()
}

/// What a link to a place in a Markdown text can name: its headings as GitHub spells them, and its anchors.
fn places(text: &str) -> BTreeSet<String> {
    let prose: String = text.split("```").step_by(2).collect();
    let headings = prose.lines().filter(|line| line.starts_with('#')).map(|line| {
        let kept = line.trim_start_matches('#').trim().to_lowercase();
        kept.chars()
            .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
            .collect::<String>()
            .replace(' ', "-")
    });
    let anchors =
        prose.split("<a id=\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned);
    headings.chain(anchors).collect()
}

/// The first words of each line of the shell examples.
fn commands(text: &str) -> Vec<&str> {
    text.split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .flat_map(|(example, _)| example.lines())
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut found = Vec::new();
    documents(&root(), &mut found);
    assert!(found.len() >= 4, "{found:?}");
    let mut broken = Vec::new();
    for document in found {
        let text = fs::read_to_string(&document).expect("a document");
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { document.clone() } else { document.with_file_name(file) };
            let is_there = if place.is_empty() {
                target.exists()
            } else {
                fs::read_to_string(target).is_ok_and(|text| places(&text).contains(place))
            };
            if !is_there {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "links to nothing:\n  {}", broken.join("\n  "));
}

#[test]
fn both_readmes_have_the_same_commands() {
    let read = |name: &str| fs::read_to_string(root().join(name)).expect("a README");
    let (english, chinese) = (read("README.md"), read("README.zh-CN.md"));
    assert!(commands(&english).len() >= 4);
    assert_eq!(commands(&english), commands(&chinese));
    let tables = |text: &str| text.lines().filter(|line| line.starts_with('|')).count();
    assert_eq!(tables(&english), tables(&chinese), "rows of tables");
}

#[test]
fn the_c_reference_has_all_that_is_exported_once() {
    let read = |name: &str| fs::read_to_string(root().join(name)).expect("a file of the project");
    let (reference, exports) = (read("docs/c-reference.md"), read("abi/exports.txt"));
    let headings: Vec<&str> =
        reference.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
    assert!(exports.lines().count() > 50);
    for function in exports.lines() {
        let times = headings.iter().filter(|heading| **heading == function).count();
        assert_eq!(times, 1, "{function} in docs/c-reference.md");
    }
    for entry in read("abi/pan123.symbols").lines().filter_map(|line| Some(line.split_once(' ')?.1)) {
        let written = match entry.split(' ').collect::<Vec<_>>()[..] {
            ["function", name] => format!("### `{name}`\n"),
            ["number", name, value] => format!("`{name}` | {value} |"),
            ["member", name] => {
                let (record, member) = name.split_once('.').expect("record and member");
                let (_, after) = reference.split_once(&format!("### `{record}`\n")).expect(record);
                let text = after.split("\n### ").next().unwrap_or_default();
                assert!(text.contains(&format!("- `{member}`: ")), "{name} in docs/c-reference.md");
                continue;
            }
            _ => panic!("{entry}"),
        };
        assert_eq!(reference.matches(&written).count(), 1, "{entry} in docs/c-reference.md");
    }
}
