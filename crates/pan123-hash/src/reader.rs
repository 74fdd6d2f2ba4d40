//! Reads many files into few large buffers.
//!
//! A *batch* is a buffer with pieces of files in it: many whole files if they are small, or one piece each of
//! several larger ones, so that a batch is work for many lanes. No file has two pieces in one batch.

use std::{
    collections::VecDeque,
    ops::Range,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    Error, FileInput,
    input::{Before, read_error, read_full},
};

/// Room for data in a batch, in bytes; half of a core's own cache, so that what was read is still there to hash.
const ROOM: usize = 512 << 10;

/// The shortest piece of a file that does not fit into a batch as a whole, if many files share it.
const PIECE_MIN: usize = 16 << 10;

/// Files held open at a time, which is as many as there are lanes.
const OPEN_MAX: usize = ROOM / PIECE_MIN;

/// Pieces in a batch.
const PIECES_MAX: usize = 1024;

/// A line of the cache. Pieces start at one and leave one free between them: pieces at distances of a power
/// of two would all fall on the same few places of the cache, which costs a quarter of the speed.
const LINE: usize = 64;

/// A buffer and the pieces of files in it.
#[derive(Debug)]
pub(crate) struct Batch {
    buf: Vec<u8>,
    used: usize,
    pub(crate) pieces: Vec<Piece>,
}

/// A part of one file, or why there is none.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Which of the files it is.
    pub(crate) file: usize,
    pub(crate) content: Result<Content, Error>,
}

/// A part of one file.
#[derive(Debug)]
pub(crate) struct Content {
    range: Range<usize>,
    /// Of the whole file.
    pub(crate) size: u64,
    /// Nothing comes after it, and the file did not change while it was read.
    pub(crate) last: bool,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self { buf: vec![0; ROOM + (OPEN_MAX + 2) * 2 * LINE], used: 0, pieces: Vec::new() }
    }

    /// The bytes of a piece of this batch.
    pub(crate) fn bytes(&self, content: &Content) -> &[u8] {
        &self.buf[content.range.clone()]
    }

    fn clear(&mut self) {
        self.used = self.buf.as_ptr().align_offset(LINE).min(LINE);
        self.pieces.clear();
    }

    /// Bytes that still fit, with one to spare.
    fn room(&self) -> usize {
        if self.pieces.len() >= PIECES_MAX { 0 } else { self.buf.len().saturating_sub(self.used + 2 * LINE) }
    }
}

/// Reads files of `paths`, several of them at once if they are large. The readers of the same list share `next`.
pub(crate) struct Reader<'a, P> {
    paths: &'a [P],
    next: &'a AtomicUsize,
    open: VecDeque<Open>,
}

struct Open {
    file: usize,
    input: FileInput,
    before: Before,
    offset: u64,
}

impl<'a, P: AsRef<Path>> Reader<'a, P> {
    pub(crate) fn new(paths: &'a [P], next: &'a AtomicUsize) -> Self {
        Self { paths, next, open: VecDeque::new() }
    }

    /// Fills the batch; false when nothing was left.
    pub(crate) fn fill(&mut self, batch: &mut Batch) -> bool {
        batch.clear();
        let files = self.open.len() + self.paths.len().saturating_sub(self.next.load(Ordering::Relaxed));
        let share = (ROOM / files.max(1)).max(PIECE_MIN) / LINE * LINE;
        for _ in 0..self.open.len() {
            if let Some(open) = self.open.pop_front() {
                self.read(open, share, batch);
            }
        }
        while self.open.len() < OPEN_MAX && batch.room() >= LINE {
            let file = self.next.fetch_add(1, Ordering::Relaxed);
            if file >= self.paths.len() {
                break;
            }
            match FileInput::open_with_metadata(self.paths[file].as_ref()) {
                Ok((input, metadata)) => {
                    let before = Before::of_file(&metadata);
                    if before.size > share as u64 {
                        input.read_ahead();
                    }
                    self.read(Open { file, input, before, offset: 0 }, share, batch);
                }
                Err(error) => batch.pieces.push(Piece { file, content: Err(error) }),
            }
        }
        !batch.pieces.is_empty()
    }

    /// Reads the next piece of a file, and keeps the file open if that was not the last.
    fn read(&mut self, mut open: Open, share: usize, batch: &mut Batch) {
        let left = open.before.size - open.offset;
        let fits = share.min(batch.room() / LINE * LINE);
        let last = left <= fits as u64;
        let len = if last { left as usize } else { fits };
        if len == 0 && !last {
            self.open.push_back(open);
            return;
        }
        let content = open.read(len, last, batch);
        let goes_on = content.is_ok() && !last;
        batch.pieces.push(Piece { file: open.file, content });
        if goes_on {
            open.offset += len as u64;
            self.open.push_back(open);
        }
    }
}

impl Open {
    fn read(&self, len: usize, last: bool, batch: &mut Batch) -> Result<Content, Error> {
        let start = batch.used;
        // One byte more than there should be, so that one call reads the file and sees its end.
        let want = len + usize::from(last);
        let got = read_full(&self.input, self.offset, &mut batch.buf[start..start + want])?;
        if got < len {
            return Err(self.before.shrunk(self.offset + got as u64));
        }
        if last {
            let metadata =
                self.input.file().metadata().map_err(|error| read_error(error, "look at the open file"))?;
            self.before.check(Before::of_file(&metadata))?;
            self.input.check_linked(&metadata)?;
            if got > len {
                return Err(self.before.grown(self.before.size + 1));
            }
        }
        batch.used = (start + len).next_multiple_of(LINE) + LINE;
        Ok(Content { range: start..start + len, size: self.before.size, last })
    }
}
