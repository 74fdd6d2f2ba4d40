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
    Digests, Error, FileInput, Kernel, Options,
    file::AHEAD_MIN,
    input::{Before, SMALL_MAX, is_out_of_descriptors, read_full},
    many::SLICE_MIN,
    tiny::{TINY_AMONG_MANY, hash_tiny},
};

/// Room for data in a batch, in bytes; half of a core's own cache, so that what was read is still there to hash.
const ROOM: usize = 512 << 10;

/// The shortest piece of a file that does not fit into a batch as a whole, if many files share it.
const PIECE_MIN: usize = 16 << 10;

/// Files held open at a time, which is as many as there are lanes.
const OPEN_MAX: usize = ROOM / PIECE_MIN;

/// Pieces in a batch: enough to fill the lanes, and few enough for the core's own cache, the names and what the
/// system keeps of each file included.
const PIECES_MAX: usize = 64;

/// Pieces in a batch that is hashed before other threads are started: as many as there are lanes.
const PIECES_FIRST: usize = 32;

/// A line of the cache. Pieces start at one and leave one free between them: pieces at distances of a power
/// of two would all fall on the same few places of the cache, which costs a quarter of the speed.
const LINE: usize = 64;

/// Bytes of a batch that is full, with the gaps in it.
const BUF_MAX: usize = ROOM + (OPEN_MAX + 2) * 2 * LINE;

/// Room at first: so much memory costs little to get, and a few small files need no more.
const ROOM_FIRST: usize = 96 << 10;

/// Bytes to begin with.
const BUF_MIN: usize = 2 << 10;

/// A buffer and the pieces of files in it.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Room for data.
    room: usize,
    pieces_max: usize,
    /// Grows until a batch was full once.
    buf: Vec<u8>,
    /// Where the first line of the cache begins in it; all other places count from here.
    base: usize,
    used: usize,
    pub(crate) pieces: Vec<Piece>,
    /// Files that were done in passing, or could not be opened.
    pub(crate) done: Vec<(usize, Result<Digests, Error>)>,
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
        Self {
            room: ROOM,
            pieces_max: PIECES_MAX,
            buf: Vec::new(),
            base: 0,
            used: 0,
            pieces: Vec::new(),
            done: Vec::new(),
        }
    }

    /// A batch that takes less, until it is [enlarged](Self::enlarge).
    pub(crate) fn small() -> Self {
        Self { room: ROOM_FIRST, pieces_max: PIECES_FIRST, ..Self::new() }
    }

    pub(crate) fn enlarge(&mut self) {
        (self.room, self.pieces_max) = (ROOM, PIECES_MAX);
    }

    /// The bytes of a piece of this batch.
    pub(crate) fn bytes(&self, content: &Content) -> &[u8] {
        &self.buf[self.base..][content.range.clone()]
    }

    fn clear(&mut self) {
        self.used = 0;
        self.pieces.clear();
        self.done.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.done.is_empty()
    }

    /// Bytes that still fit, with one to spare.
    fn room(&self) -> usize {
        let len = self.room + BUF_MAX - ROOM;
        if self.pieces.len() + self.done.len() >= PIECES_MAX {
            0
        } else {
            len.saturating_sub(self.used + 3 * LINE)
        }
    }

    /// The next so many bytes of the buffer.
    fn space(&mut self, len: usize) -> &mut [u8] {
        let need = LINE + self.used + len;
        if need > self.buf.len() {
            let len = need.saturating_mul(4).min(self.room + BUF_MAX - ROOM).max(need).max(BUF_MIN);
            let mut buf = vec![0; len];
            let base = buf.as_ptr().align_offset(LINE).min(LINE);
            // It may end within the gap after the last piece.
            let old = &self.buf[self.base..];
            let kept = old.len().min(self.used);
            buf[base..][..kept].copy_from_slice(&old[..kept]);
            (self.buf, self.base) = (buf, base);
        }
        &mut self.buf[self.base + self.used..][..len]
    }
}

/// Reads files of `paths`, several of them at once if they are large. The readers of the same list share `next`.
pub(crate) struct Reader<'a, P> {
    pub(crate) paths: &'a [P],
    next: &'a AtomicUsize,
    kernel: Kernel,
    options: &'a Options<'a>,
    open_max: usize,
    pub(crate) open: VecDeque<Open>,
    /// Files that are better read by themselves than in batches.
    pub(crate) alone: Vec<Open>,
    /// Files for which there was no descriptor. They are tried again when others have been closed.
    pub(crate) put_off: Vec<usize>,
    /// No other reader of the list is at work, so none will close a file.
    pub(crate) is_last: bool,
}

/// A file that is being read.
pub(crate) struct Open {
    pub(crate) file: usize,
    pub(crate) input: FileInput,
    pub(crate) before: Before,
    /// Where the next piece begins.
    offset: u64,
}

/// What became of a file when it was opened.
pub(crate) enum Begun {
    /// Nothing is left to do.
    Done(Result<Digests, Error>),
    /// It is to be read in batches.
    Open(Open),
    /// It is to be read by itself.
    Alone(Open),
    /// No more files can be open; it was put off.
    PutOff,
}

impl<'a, P: AsRef<Path>> Reader<'a, P> {
    /// One of `readers` of the same list.
    pub(crate) fn new(
        paths: &'a [P],
        next: &'a AtomicUsize,
        kernel: Kernel,
        options: &'a Options<'a>,
        readers: usize,
    ) -> Self {
        // None takes so many large files that the others go without.
        let open_max = paths.len().div_ceil(readers).min(OPEN_MAX);
        Self {
            paths,
            next,
            kernel,
            options,
            open_max,
            open: VecDeque::new(),
            alone: Vec::new(),
            put_off: Vec::new(),
            is_last: false,
        }
    }

    /// Files that no reader has begun.
    pub(crate) fn waiting(&self) -> usize {
        self.paths.len().saturating_sub(self.next.load(Ordering::Relaxed))
    }

    /// Opens the next file, if there is one left, and hashes it at once if it has no more than so many bytes.
    pub(crate) fn begin_next(&mut self, tiny_max: usize) -> Option<(usize, Begun)> {
        let file = self.put_off.pop().unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed));
        let path = self.paths.get(file)?.as_ref();
        let (input, stat) = match FileInput::open_with_stat(path) {
            Ok(opened) => opened,
            Err(error) => return Some((file, self.not_opened(file, error))),
        };
        let before = Before::of_file(&stat);
        if let Some(digests) = hash_tiny(&input, before, tiny_max, self.kernel, self.options) {
            return Some((file, Begun::Done(Ok(digests))));
        }
        let open = Open { file, input, before, offset: 0 };
        let slice_size = self.options.slice_size().get();
        if slice_size < SLICE_MIN && before.size > slice_size {
            return Some((file, Begun::Alone(open)));
        }
        if before.size > SMALL_MAX {
            open.input.read_ahead();
        }
        Some((file, Begun::Open(open)))
    }

    /// Puts the file off if it can be opened when others have been closed.
    #[cold]
    fn not_opened(&mut self, file: usize, error: Error) -> Begun {
        let is_full = error.io_error().is_some_and(is_out_of_descriptors);
        let may_close = !(self.is_last && self.open.is_empty() && self.alone.is_empty());
        if !(is_full && may_close) {
            return Begun::Done(Err(error));
        }
        self.put_off.push(file);
        // Somebody else needs some, too: the other readers, and the rest of the process.
        self.open_max = (self.open.len() / 2).max(1);
        Begun::PutOff
    }

    /// Fills the batch; false when nothing was left, neither for it nor for [`alone`](Self::alone), or only what was
    /// [put off](Self::put_off).
    pub(crate) fn fill(&mut self, batch: &mut Batch) -> bool {
        batch.clear();
        let files = (self.open.len() + self.waiting()).clamp(1, self.open_max);
        let share = (batch.room / files).max(PIECE_MIN) / LINE * LINE;
        for _ in 0..self.open.len() {
            if let Some(open) = self.open.pop_front() {
                self.read(open, share, batch);
            }
        }
        while self.open.len() < self.open_max
            && batch.room() >= LINE
            && self.alone.is_empty()
            && self.options.check_cancelled().is_ok()
        {
            match self.begin_next(TINY_AMONG_MANY) {
                None | Some((_, Begun::PutOff)) => break,
                Some((file, Begun::Done(result))) => batch.done.push((file, result)),
                Some((_, Begun::Open(open))) => self.read(open, share, batch),
                Some((_, Begun::Alone(open))) => self.alone.push(open),
            }
        }
        // The last one has nothing to share the lanes with, but it can be read ahead.
        if self.open.len() == 1 && self.waiting() == 0 {
            let is_long = |open: &Open| open.before.size - open.offset >= AHEAD_MIN;
            if self.open.front().is_some_and(is_long) {
                self.alone.extend(self.open.pop_front());
            }
        }
        !batch.is_empty() || !self.alone.is_empty()
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
        let content = self.read_piece(&open, len, last, batch);
        let goes_on = content.is_ok() && !last;
        batch.pieces.push(Piece { file: open.file, content });
        if goes_on {
            open.offset += len as u64;
            self.open.push_back(open);
        }
    }

    fn read_piece(&self, open: &Open, len: usize, last: bool, batch: &mut Batch) -> Result<Content, Error> {
        let Open { file, input, before, offset } = open;
        let path = self.paths[*file].as_ref();
        let look = || input.look_again(Some(path));
        // One byte more than there should be: if it does not come, one call has read the file and seen its end.
        let space = batch.space(len + usize::from(last));
        let got = read_full(input, *offset, space, len, self.options)?;
        if got < len {
            return Err(before.ended(offset + got as u64, look()?));
        }
        if last && before.size <= SMALL_MAX {
            input.check_small(*before, path)?;
        } else if last {
            before.check(look()?)?;
        }
        if got > len {
            return Err(before.went_on(look()?));
        }
        let start = batch.used;
        batch.used = (start + len).next_multiple_of(LINE) + LINE;
        Ok(Content { range: start..start + len, size: before.size, last })
    }
}
