//! `docs/c-reference.md`: what the header declares, area by area, with links.

use std::fmt::Write;

use anyhow::{Context, bail};

use super::{
    items::{Item, Items},
    prose::{Names, paragraphs, quote_names},
};

/// What belongs together, in the order of the reference. A name belongs to the area that has it, or what it begins with.
const AREAS: &[(&str, &[&str])] = &[
    ("Library", &["pan123_abi_check", "pan123_version", "pan123_build_info", "pan123_constant_at"]),
    ("Errors", &["pan123_status", "pan123_error"]),
    ("Options", &["pan123_options"]),
    ("Clients", &["pan123_client"]),
    ("Sources", &["pan123_source", "pan123_identity"]),
    ("Uploads", &["pan123_upload", "pan123_progress"]),
    ("Events", &["pan123_queue", "pan123_event", "pan123_observer_vtable"]),
    ("Results", &["pan123_result"]),
    ("Service operations", &["pan123_hash", "pan123_api"]),
    ("Ending a wait early", &["pan123_stop"]),
    ("Vtables", &["pan123_vtable", "pan123_sink"]),
    ("Transports", &["pan123_transport", "pan123_http"]),
    ("Tokens", &["pan123_tokens"]),
    ("Resume stores", &["pan123_store"]),
    ("Plugins", &["pan123_plugin", "pan123_host"]),
];

/// The constants by what they begin with, and what a comment says before its first colon, if that has a meaning.
const NUMBERS: &[(&str, &[&str], Before)] = &[
    ("Status codes", &["PAN123_OK", "PAN123_E_"], Before::Nothing),
    ("Option numbers", &["PAN123_OPT_"], Before::Option),
    ("Field numbers", &["PAN123_F_"], Before::Field),
    ("Event kinds", &["PAN123_EV_"], Before::Nothing),
    ("Stages", &["PAN123_STAGE_"], Before::Nothing),
    ("Flags", &["PAN123_VT_", "PAN123_HASH_"], Before::Nothing),
    ("Other numbers", &["PAN123_NUL", "PAN123_ABI_VERSION", "PAN123_PLUGIN_MAGIC"], Before::Nothing),
];

/// What stands before the first colon of a constant's comment.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    /// What takes the option, and its type.
    Option,
    /// What has the field, and its type.
    Field,
}

/// What the last paragraphs of a function's comment are about.
const FACTS: &[&str] = &["Ownership", "Thread", "Blocking", "Ownership, thread, blocking"];

/// Makes the reference.
pub(super) fn of(items: &Items) -> anyhow::Result<String> {
    let places = [&items.constants, &items.types, &items.functions];
    let names = Names(places.into_iter().flatten().map(|item| item.name.clone()).collect());
    let areas = sort(AREAS, items.types.iter().chain(&items.functions), |name, beginning| {
        name.strip_prefix(beginning).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })?;
    let numbers: Vec<_> = NUMBERS.iter().map(|(title, owns, _)| (*title, *owns)).collect();
    let numbers = sort(&numbers, items.constants.iter(), |name, beginning| name.starts_with(beginning))?;

    let mut text = format!(
        "# libpan123 reference\n\n<!-- Made from include/pan123.h by `cargo xtask header`; do not edit. -->\n\n\
         All of [`include/pan123.h`](../include/pan123.h). [c-api.md](c-api.md) is the guide by task; [abi.md](abi.md) says \
         what may change.\n\n## Index\n\n{}\n{}",
        index(&areas, &numbers),
        manual(&items.manual)?
    );
    for (title, items_of_area) in &areas {
        write!(text, "\n## {title}\n")?;
        for item in items_of_area {
            write!(text, "\n### `{}`\n\n```c\n{}\n```\n\n", item.name, item.code)?;
            let is_function = items.functions.iter().any(|function| function.name == item.name);
            text += &if is_function { function(item, items, &names)? } else { type_(item, &names) };
        }
    }
    for ((title, constants), (_, _, before)) in numbers.iter().zip(NUMBERS) {
        write!(text, "\n## {title}\n\n{}", table(constants, *before, &names)?)?;
    }
    Ok(text)
}

/// Gives each item to the one group that owns its name.
fn sort<'a>(
    groups: &[(&'static str, &[&str])],
    items: impl Iterator<Item = &'a Item>,
    owns: impl Fn(&str, &str) -> bool,
) -> anyhow::Result<Vec<(&'static str, Vec<&'a Item>)>> {
    let mut sorted: Vec<_> = groups.iter().map(|(title, _)| (*title, Vec::new())).collect();
    for item in items {
        let is_owner = |i: &usize| groups[*i].1.iter().any(|beginning| owns(&item.name, beginning));
        let owners: Vec<usize> = (0..groups.len()).filter(is_owner).collect();
        let [owner] = owners[..] else {
            bail!("{} belongs to {} areas of the reference, and must to one", item.name, owners.len());
        };
        sorted[owner].1.push(item);
    }
    if let Some((title, _)) = sorted.iter().find(|(_, items)| items.is_empty()) {
        bail!("nothing belongs to {title:?}");
    }
    Ok(sorted)
}

type Groups<'a> = [(&'static str, Vec<&'a Item>)];

fn index(areas: &Groups<'_>, numbers: &Groups<'_>) -> String {
    let mut text = "- [Rules that hold everywhere](#rules-that-hold-everywhere)\n".to_owned();
    let anchor = |title: &str| title.to_lowercase().replace(' ', "-");
    for (title, items) in areas {
        let links: Vec<String> = items.iter().map(|item| format!("[`{0}`](#{0})", item.name)).collect();
        text += &format!("- [{title}](#{}): {}\n", anchor(title), links.join(", "));
    }
    let links: Vec<String> =
        numbers.iter().map(|(title, _)| format!("[{}](#{})", title.to_lowercase(), anchor(title))).collect();
    text + &format!("- Constants: {}\n", links.join(", "))
}

/// The rules at the top of the header; its first program and its levels are in the guide.
fn manual(manual: &str) -> anyhow::Result<String> {
    let title = "Rules that hold everywhere";
    let (_, rules) = manual
        .split_once(&format!("{title}\n{}\n\n", "-".repeat(title.len())))
        .with_context(|| format!("the header has no {title:?}"))?;
    let mut text = format!("## {title}\n\n");
    for line in rules.lines() {
        let (word, words) = line.split_at_checked("Globals  ".len()).context("a rule is too short")?;
        if word.trim().contains(' ') || !word.ends_with(' ') {
            bail!("a rule that the reference cannot understand: {line}");
        }
        match word.trim() {
            "" => text.insert_str(text.len() - 1, &format!(" {}", quote_names(words))),
            word => text += &format!("- **{word}**: {}\n", quote_names(words)),
        }
    }
    Ok(text)
}

/// The text of a handle, a record with its members, or another type.
fn type_(item: &Item, names: &Names) -> String {
    let prose: Vec<String> =
        paragraphs(&item.doc).iter().map(|paragraph| names.link(paragraph, &item.name) + "\n").collect();
    let mut text = prose.join("\n");
    if !item.members.is_empty() {
        text += "\nMembers:\n\n";
    }
    for member in &item.members {
        let name = member.name.rsplit('.').next().unwrap_or_default();
        text += &format!("- `{name}`: {}\n", names.link(&paragraphs(&member.doc).join(" "), &item.name));
    }
    text
}

/// The text of a function: what it does, and then as a list what it returns and what holds for it.
fn function(item: &Item, items: &Items, names: &Names) -> anyhow::Result<String> {
    let (mut text, mut facts) = (String::new(), Vec::new());
    for paragraph in paragraphs(&item.doc) {
        if let Some(returns) = paragraph.strip_prefix("Returns ") {
            facts.push(("Returns", returns.to_owned()));
        } else if let Some(requires) = paragraph.strip_prefix("Requires: ") {
            facts.push(("Requires", requires.to_owned()));
        } else if FACTS.iter().any(|fact| paragraph.starts_with(&format!("{fact}: "))) {
            facts.extend(split_facts(&paragraph).with_context(|| item.name.clone())?);
        } else {
            text += &format!("{}\n\n", names.link(&paragraph, &item.name));
        }
    }
    let has = |wanted: &str| facts.iter().any(|(fact, _)| fact.to_lowercase().contains(wanted));
    let needed = [
        ("thread", true),
        ("blocking", true),
        ("since", true),
        ("returns", !item.code.starts_with("void ")),
        ("requires", item.code.split_once('(').is_some_and(|(_, parameters)| parameters.contains('*'))),
    ];
    if let Some((fact, _)) = needed.iter().find(|(fact, is_needed)| *is_needed && !has(fact)) {
        bail!("{} does not say: {fact}", item.name);
    }
    parameters(item, items)?;
    for (fact, words) in facts {
        text += &format!("- **{fact}**: {}\n", names.link(&words, &item.name));
    }
    Ok(text)
}

/// Takes `Ownership: yours. Thread: any. Blocking: no. Since 0.1.` apart.
fn split_facts(paragraph: &str) -> anyhow::Result<Vec<(&'static str, String)>> {
    let (mut rest, since) = paragraph.rsplit_once(" Since ").context("no version at the end")?;
    let mut facts = Vec::new();
    while !rest.is_empty() {
        let (fact, words) = FACTS
            .iter()
            .find_map(|fact| Some((*fact, rest.strip_prefix(fact)?.strip_prefix(": ")?)))
            .with_context(|| format!("not understood: {rest}"))?;
        let next = FACTS.iter().filter_map(|fact| words.find(&format!(". {fact}: "))).min();
        facts.push((fact, words[..next.map_or(words.len(), |next| next + 1)].to_owned()));
        rest = next.map_or("", |next| &words[next + 2..]);
    }
    facts.push(("Since", since.trim_end_matches('.').to_owned()));
    Ok(facts)
}

/// Each parameter is spoken of: in the comment, in that of a function which this one is "as", or in the rules that hold
/// everywhere, which explain `err` and lengths of texts.
fn parameters(item: &Item, items: &Items) -> anyhow::Result<()> {
    let like = items.functions.iter().filter(|other| item.doc.contains(&format!("s `{}`", other.name)));
    let docs: Vec<&str> = like.map(|other| &*other.doc).chain([&*item.doc]).collect();
    let parameters =
        item.code.split_once('(').map_or("", |(_, parameters)| parameters).trim_end_matches(");");
    // Types of functions among them have one parameter, a context.
    for parameter in parameters.replace("(*release)(uintptr_t ctx)", "release").split(',') {
        let name = parameter.rsplit([' ', '*']).next().unwrap_or_default();
        let is_general = name == "void" || name == "err" || name == "len" || name.ends_with("_len");
        let mut quoted = docs.iter().flat_map(|doc| doc.split('`').skip(1).step_by(2));
        if !is_general
            && !quoted.any(|words| {
                words.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)
            })
        {
            bail!("{} does not say what {name:?} is", item.name);
        }
    }
    Ok(())
}

/// A table of constants. Each row is an anchor.
fn table(constants: &[&Item], before: Before, names: &Names) -> anyhow::Result<String> {
    let (head, line) = match before {
        Before::Nothing => ("| name | value |", "|---|---|"),
        Before::Option => ("| name | value | taken by | type |", "|---|---|---|---|"),
        Before::Field => ("| name | value | field of | type |", "|---|---|---|---|"),
    };
    let mut text = format!("{head} meaning |\n{line}---|\n");
    for Item { name, code, doc, .. } in constants {
        text += &format!("| <a id=\"{name}\"></a>`{name}` | {code} |");
        let meaning = match before {
            Before::Nothing => doc,
            Before::Option | Before::Field => {
                let (head, meaning) =
                    doc.split_once(": ").with_context(|| format!("{name} does not say what it is for"))?;
                let split = head.split_once("; ").or_else(|| head.split_once(", "));
                let (whose, kind) = split.unwrap_or((head, "number"));
                text += &format!(" {} | {kind} |", whose.to_lowercase().replace("http", "HTTP"));
                meaning
            }
        };
        text += &format!(" {} |\n", names.cell(meaning, name));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{super::items, *};

    const HEADER: &str = include_str!("../../../include/pan123.h");

    #[track_caller]
    fn fails(from: &str, to: &str, words: &str) {
        assert!(HEADER.contains(from), "{from}");
        let message = format!("{:#}", of(&items::read(&HEADER.replacen(from, to, 1)).unwrap()).unwrap_err());
        assert!(message.contains(words), "{message}");
    }

    #[test]
    fn what_has_no_place_or_does_not_say_enough_is_an_error() {
        fails(
            "typedef struct pan123_stop pan123_stop;",
            "typedef struct pan123_new pan123_new;",
            "pan123_new belongs to 0 areas",
        );
        fails("#define PAN123_NUL", "#define PAN123_ODD", "PAN123_ODD belongs to 0 areas");
        fails(
            " * Returns the library's version",
            " * Gives the library's version",
            "pan123_version does not say: returns",
        );
        fails(" * Requires: `r` is NULL or a live result.\n", "", "pan123_result_i64 does not say: requires");
        fails(
            "Thread: any. Blocking: no. Since 0.1.",
            "Thread: any. Blocking: no.",
            "pan123_constant_at: no version",
        );
        fails("code `code`", "code", "pan123_status_name does not say what \"code\" is");
        fails(
            "/** Upload, 0 or 1: the name is",
            "/** The name is",
            "PAN123_OPT_CONTAIN_DIR does not say what it is for",
        );
        fails(" * Waiting  Functions", " * Waiting Functions", "cannot understand: Waiting");
    }
}
