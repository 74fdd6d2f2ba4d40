//! Comments as Markdown: one line for each paragraph, names as links.

use std::collections::BTreeSet;

/// The names that have a place in the reference, which is an anchor of the same name.
#[derive(Debug, Default)]
pub(super) struct Names(pub(super) BTreeSet<String>);

/// The paragraphs of a comment, each on one line, and its pieces of code and lists as they are.
pub(super) fn paragraphs(doc: &str) -> Vec<String> {
    let (mut paragraphs, mut is_code) = (vec![String::new()], false);
    for line in doc.lines() {
        let is_fence = line.starts_with("```");
        if !is_code && (is_fence || line.is_empty()) {
            paragraphs.push(String::new());
        }
        let paragraph = paragraphs.last_mut().expect("there is always one");
        if !paragraph.is_empty() {
            paragraph.push(if is_code || line.starts_with("- ") { '\n' } else { ' ' });
        }
        paragraph.push_str(if is_code { line } else { line.trim() });
        if is_fence && is_code {
            paragraphs.push(String::new());
        }
        is_code ^= is_fence;
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

impl Names {
    /// Makes links of the names in backquotes, but not in code and not to where the text itself stands.
    pub(super) fn link(&self, text: &str, here: &str) -> String {
        if text.starts_with("```") {
            return text.to_owned();
        }
        let mut linked = String::new();
        for (i, part) in text.split('`').enumerate() {
            // Each second part stands in backquotes.
            let anchor = part.split('.').next().filter(|anchor| self.0.contains(*anchor) && *anchor != here);
            match anchor {
                _ if i % 2 == 0 => linked.push_str(part),
                Some(anchor) => linked.push_str(&format!("[`{part}`](#{anchor})")),
                None => linked.push_str(&format!("`{part}`")),
            }
        }
        linked
    }

    /// As [`Names::link`], for a cell of a table.
    pub(super) fn cell(&self, text: &str, here: &str) -> String {
        self.link(&paragraphs(text).join(" "), here).replace('|', "\\|")
    }
}

/// Puts the names of a text that has no backquotes into backquotes.
pub(super) fn quote_names(text: &str) -> String {
    let mut quoted = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '*';
        let end = rest.find(|c: char| is_name(c) != rest.starts_with(is_name)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.contains('_') {
            quoted.push_str(&format!("`{word}`"))
        } else {
            quoted.push_str(word)
        }
        rest = after;
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_joined_and_code_and_lists_are_not() {
        let doc = "One\nparagraph:\n```c\nint x;\n\n    int y;\n```\nAnother.\n\n- a\n  b\n- c";
        let want = ["One paragraph:", "```c\nint x;\n\n    int y;\n```", "Another.", "- a b\n- c"];
        assert_eq!(paragraphs(doc), want);
    }

    #[test]
    fn known_names_become_links() {
        let names = Names(["pan123_x", "PAN123_OK"].map(str::to_owned).into());
        assert_eq!(
            names.link("`pan123_x.go` gives `PAN123_OK`", "PAN123_OK"),
            "[`pan123_x.go`](#pan123_x) gives `PAN123_OK`"
        );
        assert_eq!(names.link("pan123_x and `other`", ""), "pan123_x and `other`");
        assert_eq!(
            quote_names("pan123_go(e, PAN123_OK) or pan123_x_*, at once"),
            "`pan123_go`(e, `PAN123_OK`) or `pan123_x_*`, at once"
        );
    }
}
