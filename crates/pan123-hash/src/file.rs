//! One file or other input, from its first byte to its last.

use std::{
    panic,
    path::Path,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use crate::{
    Digests, Error, FileInput, Input, OnePass, Options,
    input::{Before, SMALL_MAX, read_full_owned},
    tiny::{TINY_ALONE, hash_tiny},
};

/// Bytes read at a time on another thread.
const CHUNK: usize = 1 << 20;

/// Bytes read at a time on the calling thread. They are still in the core's own cache when they are hashed.
const CHUNK_HERE: usize = 256 << 10;

/// With less to read than this, to start a thread costs more than it gives.
pub(crate) const AHEAD_MIN: u64 = 4 << 20;

/// Buffers in rotation between the thread that reads and the one that hashes.
const BUFFERS: usize = 3;

/// How often to look at the cancel flag while nothing comes.
const PATIENCE: Duration = Duration::from_millis(50);

/// Hashes the regular file of this name.
///
/// # Errors
///
/// Those of [`FileInput::open`] and [`hash_input`], with the path, and
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when, at the end, the path does not name the file any
/// more that was read. Of a file of up to 256 KiB it is not the path that is looked at, but whether a rename has set the
/// time of the last change.
pub fn hash_file(path: impl AsRef<Path>, options: &Options) -> Result<Digests, Error> {
    let path = path.as_ref();
    let hash = || {
        let kernel = options.chosen_kernel()?;
        let (input, stat) = FileInput::open_with_stat(path)?;
        let before = Before::of_file(&stat);
        if let Some(digests) = hash_tiny(&input, before, TINY_ALONE, kernel, options) {
            options.report(digests.size);
            return Ok(digests);
        }
        let mut pass = options.one_pass_with(kernel);
        drive_file(&input, before, Some(path), &mut pass, options, &mut |pass| {
            options.report(pass.bytes_hashed());
        })?;
        Ok(pass.finish())
    };
    hash().map_err(|error: Error| error.at(path))
}

/// Hashes any input from its first byte to its last.
///
/// From 4 MiB on, reads ahead on another thread, in three buffers of 1 MiB, or on this one if none can be started. When it
/// is cancelled, it waits for the one read that is under way.
///
/// # Errors
///
/// [`ErrorKind::Shrunk`], [`ErrorKind::Grown`] and [`ErrorKind::Changed`] when the input does not
/// hold still, [`ErrorKind::Read`] when it cannot be read, [`ErrorKind::Cancelled`] when the caller wants no
/// more, and [`ErrorKind::Kernel`] when the environment names a kernel that cannot be used.
///
/// [`ErrorKind::Shrunk`]: crate::ErrorKind::Shrunk
/// [`ErrorKind::Grown`]: crate::ErrorKind::Grown
/// [`ErrorKind::Changed`]: crate::ErrorKind::Changed
/// [`ErrorKind::Read`]: crate::ErrorKind::Read
/// [`ErrorKind::Cancelled`]: crate::ErrorKind::Cancelled
/// [`ErrorKind::Kernel`]: crate::ErrorKind::Kernel
///
/// # Panics
///
/// When the input or the progress callback does, with what that panicked with, whichever thread it was on.
pub fn hash_input<I: Input + ?Sized>(input: &I, options: &Options) -> Result<Digests, Error> {
    let mut pass = options.one_pass()?;
    let look = || Before::of(input);
    let before = look()?;
    let reading = Reading { input, before, look: &look, may_cross_end: false, options };
    reading.drive(&mut pass, &mut |pass| options.report(pass.bytes_hashed()))?;
    before.check(look()?)?;
    Ok(pass.finish())
}

/// Takes `pass` from where it is to the end of the file, and makes sure that the file is still what it was
/// `before`, and if `path` is given, that it still has that name.
///
/// Calls `after_chunk` each time that the pass got further.
pub(crate) fn drive_file(
    input: &FileInput,
    before: Before,
    path: Option<&Path>,
    pass: &mut OnePass,
    options: &Options,
    after_chunk: &mut dyn FnMut(&OnePass),
) -> Result<(), Error> {
    let left = before.size - pass.bytes_hashed();
    if left >= AHEAD_MIN {
        input.read_ahead();
    }
    let look = || input.look_again(path);
    Reading { input, before, look: &look, may_cross_end: true, options }.drive(pass, after_chunk)?;
    match path {
        Some(path) if before.size <= SMALL_MAX => input.check_small(before, path),
        _ => before.check(look()?),
    }
}

/// An input that is being read.
struct Reading<'a, I: ?Sized> {
    input: &'a I,
    before: Before,
    /// What the input is like now.
    look: &'a (dyn Fn() -> Result<Before, Error> + Sync),
    /// One read may ask for the last byte and one more. Not every source takes that well.
    may_cross_end: bool,
    options: &'a Options<'a>,
}

/// A buffer, and how many bytes in it were read.
type Chunk = (Vec<u8>, usize);

type Take<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), Error>;

impl<I: Input + ?Sized> Reading<'_, I> {
    fn drive(&self, pass: &mut OnePass, after_chunk: &mut dyn FnMut(&OnePass)) -> Result<(), Error> {
        self.options.check_cancelled()?;
        let from = pass.bytes_hashed();
        let mut take = |chunk: &[u8]| {
            self.options.check_cancelled()?;
            pass.update(chunk);
            after_chunk(pass);
            Ok(())
        };
        if self.before.size - from < AHEAD_MIN {
            self.read_here(from, &mut take)
        } else {
            self.read_ahead(from, &mut take)
        }
    }

    /// Reads what comes at `offset`, one byte less than fits at most, and sees whether the end is where it
    /// should be.
    fn read(&self, offset: u64, buf: &mut Vec<u8>) -> Result<usize, Error> {
        let left = self.before.size - offset;
        let len = left.min(buf.len() as u64 - 1) as usize;
        let is_last = len as u64 == left;
        let want = len + usize::from(is_last && self.may_cross_end);
        let mut got = read_full_owned(self.input, offset, buf, 0..want, len, self.options)?;
        if got < len {
            return Err(self.before.ended(offset + got as u64, (self.look)()?));
        }
        if is_last && !self.may_cross_end {
            got += read_full_owned(self.input, self.before.size, buf, len..len + 1, 1, self.options)?;
        }
        if got > len {
            return Err(self.before.went_on((self.look)()?));
        }
        Ok(len)
    }

    fn read_here(&self, from: u64, take: Take) -> Result<(), Error> {
        let mut offset = from;
        let mut buf = vec![0; (self.before.size - from).min(CHUNK_HERE as u64) as usize + 1];
        loop {
            let len = self.read(offset, &mut buf)?;
            take(&buf[..len])?;
            offset += len as u64;
            if offset == self.before.size {
                return Ok(());
            }
        }
    }

    /// Reads on another thread and takes what it read on this one, which does both if there is no other.
    fn read_ahead(&self, from: u64, take: Take) -> Result<(), Error> {
        let (full_sender, full) = mpsc::sync_channel::<Result<Chunk, Error>>(BUFFERS);
        let (empty, empty_receiver) = mpsc::channel::<Vec<u8>>();
        for _ in 0..BUFFERS {
            let _ = empty.send(vec![0; CHUNK + 1]);
        }
        let read = move || {
            let mut offset = from;
            // The other side hangs up when it fails; either end of that is the end of this loop.
            for mut buf in empty_receiver {
                let result = self.read(offset, &mut buf).map(|len| {
                    offset += len as u64;
                    (buf, len)
                });
                let is_end = result.is_err() || offset == self.before.size;
                if full_sender.send(result).is_err() || is_end {
                    return;
                }
            }
        };
        thread::scope(move |scope| {
            let Ok(reader) = thread::Builder::new().name("pan123-read".into()).spawn_scoped(scope, read)
            else {
                return self.read_here(from, take);
            };
            let taken = self.take_all(full, empty, take);
            reader.join().unwrap_or_else(|payload| panic::resume_unwind(payload));
            taken
        })
    }

    /// Takes the chunks as they come, gives the buffers back, and hangs up, so that the reader ends.
    fn take_all(
        &self,
        full: Receiver<Result<Chunk, Error>>,
        empty: Sender<Vec<u8>>,
        take: Take,
    ) -> Result<(), Error> {
        loop {
            match full.recv_timeout(PATIENCE) {
                Ok(result) => {
                    let (buf, len) = result?;
                    take(&buf[..len])?;
                    // The reader is gone when it has read the last byte.
                    let _ = empty.send(buf);
                }
                Err(RecvTimeoutError::Timeout) => self.options.check_cancelled()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }
}
