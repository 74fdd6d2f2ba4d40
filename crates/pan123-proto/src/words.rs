//! Words of others, made fit to show.

/// Shorter secrets are hidden only where they stand alone, or they would be found inside ordinary words. Those of the
/// service have 32 characters and more.
pub(crate) const SECRET_LEN_MIN: usize = 8;

pub(crate) const HIDDEN: &str = "[hidden]";

/// So many bytes of a secret in a row are no chance.
const PIECE_MIN: usize = 12;

/// `text` with `[hidden]` for every occurrence of `secret`, and of any 12 or more bytes of it in a row; secrets of less than
/// 8 bytes are replaced where no letter or digit is next to them.
pub fn without_secret(text: &str, secret: &str) -> String {
    if secret.is_empty() {
        return text.to_owned();
    }
    if secret.len() >= SECRET_LEN_MIN {
        return without_pieces(&text.replace(secret, HIDDEN), secret);
    }
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    let is_word = |c: char| c.is_ascii_alphanumeric();
    while let Some(at) = rest.find(secret) {
        let (before, after) = (&rest[..at], &rest[at + secret.len()..]);
        let before_it = before.chars().next_back().or_else(|| shown.chars().next_back());
        let alone = !before_it.is_some_and(is_word) && !after.starts_with(is_word);
        shown.push_str(before);
        shown.push_str(if alone { HIDDEN } else { secret });
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// Hides pieces of a long secret.
fn without_pieces(text: &str, secret: &str) -> String {
    let piece_at = |rest: &str| {
        let alike = |from: &str| {
            let same = rest.chars().zip(from.chars()).take_while(|(a, b)| a == b);
            same.map(|(a, _)| a.len_utf8()).sum::<usize>()
        };
        secret.char_indices().map(|(at, _)| alike(&secret[at..])).max().unwrap_or(0)
    };
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let piece = piece_at(rest);
        let is_piece = piece >= PIECE_MIN;
        let len = if is_piece { piece } else { first.len_utf8() };
        shown.push_str(if is_piece { HIDDEN } else { &rest[..len] });
        rest = &rest[len..];
    }
    shown
}

/// `text` on one line, without characters that could harm a terminal, and with `[hidden]` for what looks like a token.
pub fn one_line(text: &str) -> String {
    let line = text.split(|c: char| c.is_whitespace() || c.is_control() || is_invisible(c));
    hide_tokens(&line.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
}

/// Characters that would reorder or hide what a terminal shows around them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// Some servers repeat the request's `Authorization` in an error: JWTs and whatever follows
/// `Bearer` are replaced. [`without_secret`] does the same for a known secret.
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
        shown.push_str(if follows_bearer || is_jwt { HIDDEN } else { word });
        rest = &rest[start + word_len..];
    }
    shown.push_str(rest);
    shown
}
