//! The server's words, made fit to show: one line, no control characters, no tokens, not too long.

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
    let line = text.split(|c: char| c.is_whitespace() || c.is_control() || is_invisible(c));
    let line = line.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let line = hide_tokens(&line);
    match line.char_indices().nth(chars) {
        None => line,
        Some(_) => line.chars().take(chars - 1).chain(['…']).collect(),
    }
}

/// Characters that would reorder or hide what a terminal shows around them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// Some servers repeat the request's `Authorization` in an error: JWTs and whatever follows
/// `Bearer` are replaced. [`Failure::hide`](crate::Failure::hide) does the same for a known secret.
fn hide_tokens(line: &str) -> String {
    let is_token_char = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find(is_token_char) {
        let word_len = rest[start..].find(|c| !is_token_char(c)).unwrap_or(rest.len() - start);
        let (before, word) = (&rest[..start], &rest[start..start + word_len]);
        shown.push_str(before);
        let follows_bearer = matches!(before, " " | ": ")
            && shown.trim_end_matches([' ', ':']).to_ascii_lowercase().ends_with("bearer");
        let is_jwt = word.starts_with("eyJ") && word.len() >= 16;
        shown.push_str(if follows_bearer || is_jwt { "[hidden]" } else { word });
        rest = &rest[start + word_len..];
    }
    shown.push_str(rest);
    shown
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
