//! A streaming reader of multipart/form-data that takes what clients really send.
//!
//! The published crates (multer, multipart) refuse or misread part headers such as
//! `Content-Disposition: form-data; name=preuploadID;` (no quotes, a semicolon at the end), which is what
//! the official Python example of the slice call puts on the wire. Hence this one: it is fed buffers,
//! copies nothing of a file's bytes, and holds at most one delimiter's length back.

use std::collections::VecDeque;

use bytes::Bytes;
use memchr::memmem::{self, Finder};

/// Longest block of part headers, in bytes.
const HEADERS_LEN_MAX: usize = 16 << 10;
/// Most parts in one body.
const PARTS_MAX: u32 = 64;

/// What the reader found next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A part begins; its bytes follow as `Data`.
    Part(PartHead),
    /// Bytes of the current part.
    Data(Bytes),
    /// The current part is complete.
    PartEnd,
    /// The closing delimiter was seen. What follows it is ignored.
    End,
}

/// What a part's headers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartHead {
    pub(crate) name: String,
    pub(crate) filename: Option<String>,
}

/// Why a body is not multipart/form-data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MultipartError {
    #[error("Content-Type must be multipart/form-data")]
    NotMultipart,
    #[error("multipart: Content-Type names no boundary")]
    NoBoundary,
    #[error("multipart: the body ends before its closing delimiter")]
    Truncated,
    #[error("multipart: a delimiter is followed by neither a line break nor `--`")]
    BadDelimiter,
    #[error("multipart: part headers are longer than {HEADERS_LEN_MAX} bytes")]
    HeadersTooLong,
    #[error("multipart: more than {PARTS_MAX} parts")]
    TooManyParts,
    #[error("multipart: a part has no Content-Disposition with a name")]
    NoName,
}

enum State {
    /// Before the first delimiter.
    Preamble,
    /// Just after a delimiter.
    Delimited,
    Headers,
    Data,
    Done,
}

/// The reader: [`push`](Self::push) buffers, take [`next`](Self::next) events until `None`.
pub(crate) struct Reader {
    finder: Finder<'static>,
    delimiter_len: usize,
    chunks: VecDeque<Bytes>,
    state: State,
    parts: u32,
}

impl Reader {
    /// A reader for a body with this `Content-Type`.
    pub(crate) fn new(content_type: &str) -> Result<Self, MultipartError> {
        let boundary = parameters(content_type)
            .find(|(name, _)| name.eq_ignore_ascii_case("boundary"))
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty() && value.len() <= 200)
            .ok_or(MultipartError::NoBoundary)?;
        let delimiter = format!("\r\n--{boundary}");
        // The first delimiter has no line break of its own when the body starts with it.
        let chunks = VecDeque::from([Bytes::from_static(b"\r\n")]);
        let delimiter_len = delimiter.len();
        let finder = Finder::new(delimiter.as_bytes()).into_owned();
        Ok(Self { finder, delimiter_len, chunks, state: State::Preamble, parts: 0 })
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.chunks.push_back(bytes);
        }
    }

    /// True once the closing delimiter was seen.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The next event, or `None` when more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, MultipartError> {
        loop {
            match self.state {
                State::Preamble | State::Data => {
                    let in_part = matches!(self.state, State::Data);
                    let Some(mut chunk) = self.chunks.pop_front() else { return Ok(None) };
                    if let Some(at) = self.finder.find(&chunk) {
                        let data = chunk.split_to(at);
                        if in_part && !data.is_empty() {
                            self.chunks.push_front(chunk);
                            return Ok(Some(Event::Data(data)));
                        }
                        self.put_back(chunk.split_off(self.delimiter_len));
                        self.state = State::Delimited;
                        if in_part {
                            return Ok(Some(Event::PartEnd));
                        }
                        continue;
                    }
                    let held = held_back(&chunk, self.finder.needle());
                    let data = chunk.split_to(chunk.len() - held);
                    if held > 0 {
                        // Only a tail that may begin a delimiter is joined with what follows.
                        self.put_back(chunk);
                        if data.is_empty() && !self.join(usize::MAX) {
                            return Ok(None);
                        }
                    }
                    if in_part && !data.is_empty() {
                        return Ok(Some(Event::Data(data)));
                    }
                }
                State::Delimited => {
                    if !self.join_to(2) {
                        return Ok(None);
                    }
                    let front = &mut self.chunks[0];
                    if front.starts_with(b"--") {
                        self.state = State::Done;
                        return Ok(Some(Event::End));
                    }
                    // Transport padding: blanks between the delimiter and its line break.
                    if front[0] == b' ' || front[0] == b'\t' {
                        let _ = front.split_to(1);
                        continue;
                    }
                    if !front.starts_with(b"\r\n") {
                        return Err(MultipartError::BadDelimiter);
                    }
                    self.state = State::Headers;
                }
                State::Headers => return self.headers(),
                State::Done => return Ok(None),
            }
        }
    }

    /// Reads `\r\n headers \r\n\r\n`; the line break of the delimiter is still there, so that a part
    /// without headers needs no case of its own.
    fn headers(&mut self) -> Result<Option<Event>, MultipartError> {
        let end = loop {
            let front = self.chunks.front().map_or(&[][..], |front| front);
            let searched = &front[..front.len().min(HEADERS_LEN_MAX)];
            if let Some(end) = memmem::find(searched, b"\r\n\r\n") {
                break end;
            }
            if front.len() >= HEADERS_LEN_MAX {
                return Err(MultipartError::HeadersTooLong);
            }
            if !self.join(HEADERS_LEN_MAX) {
                return Ok(None);
            }
        };
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(MultipartError::TooManyParts);
        }
        let mut front = self.chunks.pop_front().unwrap_or_default();
        let block = front.split_to(end + 4);
        self.put_back(front);
        let head = part_head(&String::from_utf8_lossy(&block)).ok_or(MultipartError::NoName)?;
        self.state = State::Data;
        Ok(Some(Event::Part(head)))
    }

    fn put_back(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.chunks.push_front(bytes);
        }
    }

    /// Makes the first chunk at least `len` bytes long, if there is enough.
    fn join_to(&mut self, len: usize) -> bool {
        while self.chunks.front().map_or(0, Bytes::len) < len {
            if !self.join(usize::MAX) {
                return false;
            }
        }
        true
    }

    /// Joins the first chunk with (at most `most` bytes of) the second. False if there is no second.
    fn join(&mut self, most: usize) -> bool {
        if self.chunks.len() < 2 {
            return false;
        }
        let first = self.chunks.pop_front().unwrap_or_default();
        let mut second = self.chunks.pop_front().unwrap_or_default();
        let taken = second.split_to(second.len().min(most));
        self.put_back(second);
        self.chunks.push_front([first, taken].concat().into());
        true
    }
}

/// How many bytes at the end of `chunk` may be the beginning of `delimiter`.
fn held_back(chunk: &[u8], delimiter: &[u8]) -> usize {
    let start = chunk.len().saturating_sub(delimiter.len() - 1);
    let tail = &chunk[start..];
    memchr::memchr_iter(delimiter[0], tail)
        .find(|&at| delimiter.starts_with(&tail[at..]))
        .map_or(0, |at| tail.len() - at)
}

fn part_head(block: &str) -> Option<PartHead> {
    let disposition = block.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let mut head = PartHead::default();
    for (name, value) in parameters(disposition) {
        match name.to_ascii_lowercase().as_str() {
            "name" => head.name = value,
            "filename" | "filename*" if head.filename.is_none() => head.filename = Some(value),
            _ => {}
        }
    }
    (!head.name.is_empty()).then_some(head)
}

/// The `; name=value` pairs of a header value. Values may be quoted or not; empty pairs are skipped.
fn parameters(header: &str) -> impl Iterator<Item = (&str, String)> {
    let mut rest = header.split_once(';').map_or("", |(_, rest)| rest);
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches([';', ' ', '\t']);
            if rest.is_empty() {
                return None;
            }
            let end = rest.find(['=', ';']).unwrap_or(rest.len());
            let name = rest[..end].trim();
            rest = &rest[end..];
            let Some(value) = rest.strip_prefix('=') else { continue };
            let value = value.trim_start_matches([' ', '\t']);
            let (text, after) = match value.strip_prefix('"') {
                Some(quoted) => unquote(quoted),
                None => {
                    let end = value.find(';').unwrap_or(value.len());
                    (value[..end].trim().to_owned(), &value[end..])
                }
            };
            rest = after;
            return Some((name, text));
        }
    })
}

/// Reads to the closing quote. A backslash escapes a quote or a backslash and stands for itself otherwise,
/// because browsers and Windows users send bare ones.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next_if(|&(_, next)| next == '"' || next == '\\') {
                Some((_, next)) => value.push(next),
                None => value.push('\\'),
            },
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests;
