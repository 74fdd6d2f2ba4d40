//! What the header declares, each with its comment. The header is ours, so that anything which is not of the few shapes
//! here is an error, as is anything without a comment.

use std::collections::BTreeSet;

use anyhow::{Context, bail};

/// All of the header, in its order.
#[derive(Debug, Default)]
pub(crate) struct Items {
    /// The comment at its top.
    pub(crate) manual: String,
    pub(crate) constants: Vec<Item>,
    pub(crate) types: Vec<Item>,
    pub(crate) functions: Vec<Item>,
}

/// One declaration.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) name: String,
    /// As it stands in the header, without comments; of a constant the value.
    pub(crate) code: String,
    pub(crate) doc: String,
    /// Of a record.
    pub(crate) members: Vec<Item>,
}

/// Lines that declare nothing.
const FRAME: &[&str] = &[
    "#ifndef PAN123_H",
    "#define PAN123_H",
    "#ifdef __cplusplus",
    "extern \"C\" {",
    "#endif // __cplusplus",
    "}  // extern \"C\"",
    "#endif  // __cplusplus",
    "#endif  /* PAN123_H */",
];

/// Reads a header.
pub(crate) fn read(header: &str) -> anyhow::Result<Items> {
    let mut items = Items::default();
    let mut doc = None;
    let mut lines = header.lines();
    while let Some(line) = lines.next() {
        if line.is_empty() || FRAME.contains(&line) || line.starts_with("#include <") {
            continue;
        }
        if line.starts_with("/*") {
            let text = comment(line, &mut lines);
            if let Some(manual) = text.strip_prefix("@file pan123.h\n") {
                items.manual = manual.to_owned();
            } else if let Some(unused) = doc.replace(text) {
                bail!("a comment that belongs to nothing: {unused}");
            }
        } else if line == "#ifndef PAN123_API" {
            export_macro(&mut lines)?;
            doc = None;
        } else if let Some((name, value)) =
            line.strip_prefix("#define ").and_then(|rest| rest.split_once(' '))
        {
            items.constants.push(item(name, value, doc.take())?);
        } else if line.starts_with("typedef struct ") && line.ends_with(" {") {
            items.types.push(record(line, doc.take(), &mut lines)?);
        } else if line.starts_with("typedef ") {
            let code = statement(line, &mut lines);
            items.types.push(item(declared(&code)?, &code, doc.take())?);
        } else if let Some(line) = line.strip_prefix("PAN123_API") {
            let code = statement(line.trim_start(), &mut lines).trim_start().to_owned();
            let name = code.split('(').next().and_then(|head| head.rsplit([' ', '*']).next());
            items.functions.push(item(name.context("a function without a name")?, &code, doc.take())?);
        } else {
            bail!("the header has a line that the reference cannot understand: {line}");
        }
    }
    if let Some(unused) = doc {
        bail!("a comment that belongs to nothing: {unused}");
    }
    let mut names = BTreeSet::new();
    for item in items.constants.iter().chain(&items.types).chain(&items.functions) {
        if !names.insert(&item.name) {
            bail!("{} is declared twice", item.name);
        }
    }
    Ok(items)
}

fn item(name: &str, code: &str, doc: Option<String>) -> anyhow::Result<Item> {
    let doc = doc.filter(|doc| !doc.is_empty()).with_context(|| format!("{name} has no comment"))?;
    Ok(Item { name: name.to_owned(), code: code.to_owned(), doc, members: Vec::new() })
}

/// A record with its members; each of them has a comment.
fn record<'a>(
    head: &str,
    doc: Option<String>,
    lines: &mut impl Iterator<Item = &'a str>,
) -> anyhow::Result<Item> {
    let name = head.trim_start_matches("typedef struct ").trim_end_matches(" {");
    let mut code = format!("{head}\n");
    let (mut members, mut doc_of_member) = (Vec::new(), None);
    loop {
        let line = lines.next().with_context(|| format!("{name} has no end"))?;
        if line == format!("}} {name};") {
            code.push_str(line);
            break;
        } else if !line.starts_with("    ") {
            bail!("{name} has no end before: {line}");
        } else if line.trim_start().starts_with("/*") {
            doc_of_member = Some(comment(line, lines));
        } else {
            let member = statement(line, lines);
            let full_name = format!("{name}.{}", declared(&member)?);
            members.push(item(&full_name, &member, doc_of_member.take())?);
            code.push_str(&format!("{member}\n"));
        }
    }
    Ok(Item { members, ..item(name, &code, doc)? })
}

/// What a declaration declares: `int64_t x;` is `x`, as is `void (*x)(int);`.
fn declared(code: &str) -> anyhow::Result<&str> {
    let of_function = code.split_once("(*").and_then(|(_, after)| after.split(')').next());
    let of_value = code.trim_end_matches(';').rsplit([' ', '*']).next();
    of_function.or(of_value).with_context(|| format!("nothing is declared by: {code}"))
}

/// A declaration to its end.
fn statement<'a>(first: &str, lines: &mut impl Iterator<Item = &'a str>) -> String {
    let mut code = first.to_owned();
    while !code.ends_with(';') {
        let Some(line) = lines.next() else { break };
        code = format!("{code}\n{line}");
    }
    code
}

/// The text of a comment.
fn comment<'a>(first: &str, lines: &mut impl Iterator<Item = &'a str>) -> String {
    let mut text = Vec::new();
    let mut line = first.trim_start().trim_start_matches("/*").trim_start_matches('*');
    loop {
        let body = line.strip_suffix("*/").unwrap_or(line);
        text.push(body.strip_prefix(' ').unwrap_or(body).trim_end());
        if line.ends_with("*/") {
            break;
        }
        let Some(next) = lines.next() else { break };
        line = next.trim_start().trim_start_matches('*');
        line = if line == "/" { "*/" } else { line };
    }
    text.join("\n").trim_matches('\n').to_owned()
}

/// Skips what `PAN123_API` is for which compiler.
fn export_macro<'a>(lines: &mut impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
    let mut depth = 1;
    for line in lines {
        depth += i32::from(line.starts_with("#if")) - i32::from(line == "#endif");
        if depth == 0 {
            return Ok(());
        }
    }
    bail!("PAN123_API has no end")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "/**\n * @file pan123.h\n * The manual.\n */\n\n#include <stdint.h>\n\n/* For Windows. */\n\
        #ifndef PAN123_API\n#if defined(_WIN32)\n#define PAN123_API x\n#else\n#define PAN123_API\n#endif\n#endif\n\
        /** Done. */\n#define PAN123_OK 0\n\n/**\n * A thing.\n *\n * Of two paragraphs.\n */\n\
        typedef struct pan123_x pan123_x;\n\n/** A record. */\ntypedef struct pan123_y {\n    /** A size. */\n\
        \x20   uint32_t size;\n    /**\n     * (a) comment;\n     */\n    int (*go)(int a,\n              int b);\n\
        } pan123_y;\n\n/** Goes. */\nPAN123_API\nconst char *pan123_go(int a,\n                      int b);\n";

    #[test]
    fn everything_is_found_with_its_comment() {
        let items = read(HEADER).unwrap();
        assert_eq!(items.manual, "The manual.");
        let all = |items: &[Item]| -> Vec<(String, String)> {
            items.iter().map(|item| (item.name.clone(), item.doc.clone())).collect()
        };
        let pair = |name: &str, doc: &str| (name.to_owned(), doc.to_owned());
        assert_eq!(all(&items.constants), [pair("PAN123_OK", "Done.")]);
        let types = [pair("pan123_x", "A thing.\n\nOf two paragraphs."), pair("pan123_y", "A record.")];
        assert_eq!(all(&items.types), types);
        let members = [pair("pan123_y.size", "A size."), pair("pan123_y.go", "(a) comment;")];
        assert_eq!(all(&items.types[1].members), members);
        assert_eq!(all(&items.functions), [pair("pan123_go", "Goes.")]);
        assert_eq!(items.functions[0].code, "const char *pan123_go(int a,\n                      int b);");
    }

    #[test]
    fn what_has_no_comment_or_no_known_shape_is_an_error() {
        let fails = |from: &str, to: &str, word: &str| {
            assert!(HEADER.contains(from), "{from}");
            let message = read(&HEADER.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        };
        fails("/** Goes. */\n", "", "pan123_go has no comment");
        fails("    /** A size. */\n", "", "pan123_y.size has no comment");
        fails("/** Done. */\n", "", "PAN123_OK has no comment");
        fails("/** Goes. */\n", "/** Goes. */\n/** Twice. */\n", "belongs to nothing");
        fails("/** Goes. */\nPAN123_API", "/** Goes. */\nextern", "cannot understand: extern");
        fails("} pan123_y;", "} pan123_z;", "pan123_y has no end before: } pan123_z;");
        fails("typedef struct pan123_x pan123_x;", "typedef struct pan123_y pan123_y;", "declared twice");
    }
}
