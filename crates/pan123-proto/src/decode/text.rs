//! The server's words, made fit to show: one line, no control characters, no tokens, not too long.

use crate::words::one_line;

/// A body that is no envelope, as text.
pub(super) fn plain(body: &[u8]) -> String {
    // Four bytes are the longest character, so more than this never shows.
    let shown = &body[..body.len().min(4 * super::MESSAGE_CHARS_MAX + 4)];
    String::from_utf8_lossy(shown).into_owned()
}

/// A body without the byte order mark that some gateways put in front.
pub(super) fn unmarked(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// What to say of a body that is a web page, if it is one: nobody wants to read its markup.
pub(super) fn page(body: &[u8]) -> Option<String> {
    let text = plain(unmarked(body)).trim_start().to_owned();
    let lower = text.to_ascii_lowercase();
    if !lower.starts_with("<!doctype html") && !lower.starts_with("<html") {
        return None;
    }
    let words = "a web page in place of the service's answer";
    let title = lower.find("<title").and_then(|tag| {
        let start = tag + lower[tag..].find('>')? + 1;
        let title = text[start..start + lower[start..].find("</")?].trim();
        (!title.is_empty()).then(|| format!("{words}: \"{}\"", shorten(title, TITLE_CHARS_MAX)))
    });
    Some(title.unwrap_or_else(|| words.to_owned()))
}

/// Most characters of a page's title that are shown.
const TITLE_CHARS_MAX: usize = 100;

/// `text` on one line, cut to at most `chars` characters, the last of which is then `…`.
pub(super) fn shorten(text: &str, chars: usize) -> String {
    let line = one_line(text);
    match line.char_indices().nth(chars) {
        None => line,
        Some(_) => line.chars().take(chars - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_out_on_one_line_without_what_could_harm_a_terminal() {
        for (text, shown) in [
            ("", ""),
            ("ok", "ok"),
            ("a\r\nb\t c\u{1b}[31mred\u{0}", "a b c [31mred"),
            ("abc\u{202e}def", "abc def"),
            ("文件上传失败", "文件上传失败"),
            ("exactly 15 long", "exactly 15 long"),
            ("more than 15 long", "more than 15 l…"),
            ("分片重复上传分片重复上传分片重复", "分片重复上传分片重复上传分片…"),
        ] {
            assert_eq!(shorten(text, 15), shown, "{text:?}");
        }
    }

    #[test]
    fn tokens_are_hidden() {
        let jwt = format!("eyJ{}.{}.{}", "a".repeat(30), "b".repeat(40), "c_-".repeat(9));
        for (text, shown) in [
            (format!("token {jwt} is expired"), "token [hidden] is expired"),
            (format!("\"{jwt}\""), "\"[hidden]\""),
            ("Authorization: Bearer abc-123 refused".into(), "Authorization: Bearer [hidden] refused"),
            ("bearer: xyz".into(), "bearer: [hidden]"),
            ("the bearer, who came late".into(), "the bearer, who came late"),
            ("eyJ is short".into(), "eyJ is short"),
        ] {
            assert_eq!(shorten(&text, 500), shown);
        }
    }
}
