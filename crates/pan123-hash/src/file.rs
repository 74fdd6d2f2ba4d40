//! Hashes one file or other input from its first byte to its last.

use std::{io, path::Path};

use crate::{Digests, Error, ErrorKind, FileInput, Input, Options, input::read_error};

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// Hashes the regular file of this name.
///
/// # Errors
///
/// Those of [`FileInput::open`] and [`hash_input`], with the path.
pub fn hash_file(path: impl AsRef<Path>, options: &Options) -> Result<Digests, Error> {
    let path = path.as_ref();
    hash_input(&FileInput::open(path)?, options).map_err(|error| error.at(path))
}

/// Hashes any input from its first byte to its last.
///
/// # Errors
///
/// [`ErrorKind::Shrunk`], [`ErrorKind::Grown`] and [`ErrorKind::Changed`] when the input does not
/// hold still, [`ErrorKind::Read`] when it cannot be read, [`ErrorKind::Cancelled`] when the caller wants no more,
/// and [`ErrorKind::Kernel`] when the environment names a kernel that cannot be used.
pub fn hash_input<I: Input + ?Sized>(input: &I, options: &Options) -> Result<Digests, Error> {
    let mut pass = options.one_pass()?;
    let size = input.size().map_err(|error| read_error(error, "learn the size"))?;
    let version = input.version().map_err(|error| read_error(error, "learn the time of the last write"))?;
    let mut buf = vec![0; CHUNK];
    while pass.bytes_hashed() < size {
        options.check_cancelled()?;
        let want = (size - pass.bytes_hashed()).min(CHUNK as u64) as usize;
        let got = read_some(input, pass.bytes_hashed(), &mut buf[..want])?;
        if got == 0 {
            return Err(shrunk(pass.bytes_hashed(), size));
        }
        pass.update(&buf[..got]);
        options.report(pass.bytes_hashed());
    }
    check_end(input, size, version)?;
    Ok(pass.finish())
}

fn read_some<I: Input + ?Sized>(input: &I, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
    loop {
        match input.read_at(offset, buf) {
            Ok(len) => return Ok(len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(error, &format!("read at byte {offset}"))),
        }
    }
}

/// Fails if the input is not what it was before the first read.
fn check_end<I: Input + ?Sized>(input: &I, size: u64, version: u128) -> Result<(), Error> {
    let size_now = input.size().map_err(|error| read_error(error, "learn the size"))?;
    if size_now < size {
        return Err(shrunk(size_now, size));
    }
    if size_now > size || read_some(input, size, &mut [0])? != 0 {
        let message = format!(
            "grew from {size} to {} bytes while it was read; hash it again when nobody writes to it",
            size_now.max(size + 1)
        );
        return Err(Error::new(ErrorKind::Grown, message));
    }
    let version_now =
        input.version().map_err(|error| read_error(error, "learn the time of the last write"))?;
    if version_now != version {
        let message = "was written to while it was read; hash it again when nobody writes to it";
        return Err(Error::new(ErrorKind::Changed, message));
    }
    Ok(())
}

fn shrunk(size_now: u64, size: u64) -> Error {
    let message = format!(
        "shrank from {size} to {size_now} bytes while it was read; hash it again when nobody writes to it"
    );
    Error::new(ErrorKind::Shrunk, message)
}
