//! One file or other input, from its first byte to its last.

use std::{path::Path, sync::mpsc, thread};

use crate::{
    Digests, Error, FileInput, Input, OnePass, Options,
    input::{Before, read_error, read_full},
};

/// Bytes read at a time. Smaller inputs are read on the calling thread.
const CHUNK: usize = 1 << 20;

/// Buffers in rotation between the thread that reads and the one that hashes.
const BUFFERS: usize = 3;

/// Hashes the regular file of this name.
///
/// # Errors
///
/// Those of [`FileInput::open`] and [`hash_input`], with the path, and
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when the file is removed or replaced while it is read.
pub fn hash_file(path: impl AsRef<Path>, options: &Options) -> Result<Digests, Error> {
    let path = path.as_ref();
    let input = FileInput::open(path)?;
    hash_open_file(&input, options).map_err(|error| error.at(path))
}

/// Hashes any input from its first byte to its last.
///
/// Reads ahead on another thread, in three buffers of 1 MiB.
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
pub fn hash_input<I: Input + ?Sized>(input: &I, options: &Options) -> Result<Digests, Error> {
    let mut pass = options.one_pass()?;
    let before = Before::of(input)?;
    drive(input, before, &mut pass, options, &mut |_| {})?;
    Ok(pass.finish())
}

fn hash_open_file(input: &FileInput, options: &Options) -> Result<Digests, Error> {
    input.read_ahead();
    let digests = hash_input(input, options)?;
    let metadata = input.file().metadata().map_err(|error| read_error(error, "look at the open file"))?;
    input.check_linked(&metadata)?;
    Ok(digests)
}

/// Takes `pass` from where it is to the end of the input, and makes sure that the input is still what it was
/// `before`.
///
/// Calls `after_chunk` each time that the pass got further.
pub(crate) fn drive<I: Input + ?Sized>(
    input: &I,
    before: Before,
    pass: &mut OnePass,
    options: &Options,
    after_chunk: &mut dyn FnMut(&OnePass),
) -> Result<(), Error> {
    options.check_cancelled()?;
    let from = pass.bytes_hashed();
    let mut take = |chunk: &[u8]| {
        options.check_cancelled()?;
        pass.update(chunk);
        options.report(pass.bytes_hashed());
        after_chunk(pass);
        Ok(())
    };
    if before.size - from <= CHUNK as u64 {
        read_here(input, from, before, &mut take)?;
    } else {
        read_ahead(input, from, before, &mut take)?;
    }
    before.check(Before::of(input)?)?;
    if read_full(input, before.size, &mut [0])? != 0 {
        return Err(before.grown(before.size + 1));
    }
    Ok(())
}

type Take<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), Error>;

fn read_here<I: Input + ?Sized>(input: &I, from: u64, before: Before, take: Take) -> Result<(), Error> {
    let mut buf = vec![0; (before.size - from) as usize];
    let len = read_full(input, from, &mut buf)?;
    if len < buf.len() {
        return Err(before.shrunk(from + len as u64));
    }
    take(&buf)
}

/// Reads on another thread and takes what it read on this one.
fn read_ahead<I: Input + ?Sized>(input: &I, from: u64, before: Before, take: Take) -> Result<(), Error> {
    let (full_sender, full) = mpsc::sync_channel::<Result<(Vec<u8>, usize), Error>>(BUFFERS);
    let (empty, empty_receiver) = mpsc::channel::<Vec<u8>>();
    for _ in 0..BUFFERS {
        let _ = empty.send(vec![0; CHUNK]);
    }
    let read = move || {
        let mut offset = from;
        // The other side hangs up when it fails; either end of that is the end of this loop.
        for mut buf in empty_receiver {
            let want = (before.size - offset).min(CHUNK as u64) as usize;
            let result = match read_full(input, offset, &mut buf[..want]) {
                Ok(len) if len < want => Err(before.shrunk(offset + len as u64)),
                Ok(len) => Ok((buf, len)),
                Err(error) => Err(error),
            };
            offset += want as u64;
            if full_sender.send(result).is_err() || offset == before.size {
                return;
            }
        }
    };
    // Both ends here are dropped when the closure returns, before the scope waits for the reader.
    thread::scope(move |scope| {
        thread::Builder::new()
            .name("pan123-read".into())
            .spawn_scoped(scope, read)
            .map_err(|error| read_error(error, "start a thread to read"))?;
        for result in full {
            let (buf, len) = result?;
            take(&buf[..len])?;
            // The reader is gone when it has read the last byte.
            let _ = empty.send(buf);
        }
        Ok(())
    })
}
