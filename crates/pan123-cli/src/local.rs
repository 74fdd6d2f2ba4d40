//! `--local`: the emulator in place of the service.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read},
    path::{Path, PathBuf},
};

use pan123_emulator::{Emulator, Options};
use pan123_upload::{Error, ErrorKind};

use crate::settings::{Login, Settings};

/// An emulator for one run of the program.
pub(crate) struct Local {
    emulator: Emulator,
    /// Says that the folder is in use.
    _lock: Option<File>,
}

/// How many runs may go on at the same time, each with a folder of its own.
const RUNS_MAX: u32 = 64;

/// Bytes compared at a time.
const CHUNK: usize = 256 << 10;

impl Local {
    /// Starts an emulator and makes it what `settings` speak of. Blocks.
    ///
    /// `dir` is used as it is; without one, a folder under the state directory is, which is emptied first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] when the folder cannot be used.
    pub(crate) fn start(settings: &mut Settings, dir: Option<&Path>) -> Result<Self, Error> {
        let (dir, lock) = match dir {
            Some(dir) => (dir.to_owned(), None),
            None => {
                let (dir, lock) = empty_dir(&settings.state_dir)?;
                (dir, Some(lock))
            }
        };
        let emulator = Emulator::start(Options::new(dir)).map_err(|error| emulator_error(&error))?;
        settings.base_url = emulator.base_url().to_owned();
        settings.login = Login::Token(emulator.token().to_owned());
        (settings.proxy, settings.ca_file, settings.plain_http) = (None, None, false);
        // This emulator will not be there for another run to go on with.
        settings.journal_dir = None;
        // It has no request limits that would have to be kept.
        settings.vip = true;
        Ok(Self { emulator, _lock: lock })
    }

    /// Compares a stored file with the one it came from, and returns where it is. Blocks.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Verify`] when they differ, [`ErrorKind::Source`] when one of them cannot be read.
    pub(crate) fn compare(&self, file_id: i64, path: &Path) -> Result<PathBuf, Error> {
        let verify = |message: String| Error::new(ErrorKind::Verify, "compare", message);
        let stored = self
            .emulator
            .file_path(file_id)
            .ok_or_else(|| verify(format!("the emulator keeps no file with id {file_id}")))?;
        match first_difference(path, &stored) {
            Ok(None) => Ok(stored),
            Ok(Some(offset)) => {
                let message =
                    format!("{} differs from {} at byte {offset}", stored.display(), path.display());
                Err(verify(message)
                    .with_advice("Make sure that nothing writes to the file, and upload it again."))
            }
            Err(error) => {
                Err(Error::new(ErrorKind::Source, "compare", format!("{}: {error}", path.display()))
                    .with_advice("Both files must stay where they are until the upload has ended."))
            }
        }
    }
}

/// What the emulator could not do, as an error of the program.
pub(crate) fn emulator_error(error: &pan123_emulator::Error) -> Error {
    use pan123_emulator::ErrorKind as Kind;
    let (kind, advice) = match error.kind() {
        Kind::Options | Kind::Script => {
            (ErrorKind::Usage, "Correct it; \"pan123 help serve\" explains the options.")
        }
        Kind::Listen => (ErrorKind::Usage, "Choose another port, or 0 for any free one."),
        Kind::Log => (ErrorKind::Store, "Name another file with --log, in a folder where it can be written."),
        _ => (
            ErrorKind::Store,
            "Choose another folder: one that can be written to, and that no other emulator uses.",
        ),
    };
    Error::new(kind, "start emulator", error.to_string()).with_advice(advice)
}

/// An empty folder that no other run uses, and its lock.
fn empty_dir(state_dir: &Path) -> Result<(PathBuf, File), Error> {
    let fail = |path: &Path, error: &io::Error| {
        Error::new(ErrorKind::Store, "prepare emulator", format!("{}: {error}", path.display()))
            .with_advice("Make it writable, or name another state directory with PAN123_STATE_DIR.")
    };
    fs::create_dir_all(state_dir).map_err(|error| fail(state_dir, &error))?;
    for run in 1..=RUNS_MAX {
        let name = if run == 1 { "local".to_owned() } else { format!("local-{run}") };
        let (dir, lock_path) = (state_dir.join(&name), state_dir.join(format!("{name}.lock")));
        let lock = File::create(&lock_path).map_err(|error| fail(&lock_path, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => return Err(fail(&lock_path, &error)),
        }
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(&dir, &error)),
            _ => return Ok((dir, lock)),
        }
    }
    let message = format!("{RUNS_MAX} runs with --local are under way");
    Err(Error::new(ErrorKind::Store, "prepare emulator", message)
        .with_advice("Wait until one has finished, or name a folder with --local-dir."))
}

fn first_difference(a: &Path, b: &Path) -> io::Result<Option<u64>> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (mut a_chunk, mut b_chunk) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut offset = 0;
    loop {
        let (a_len, b_len) = (fill(&mut a, &mut a_chunk)?, fill(&mut b, &mut b_chunk)?);
        if a_chunk[..a_len] != b_chunk[..b_len] {
            let same = a_chunk[..a_len].iter().zip(&b_chunk[..b_len]).take_while(|(a, b)| a == b).count();
            return Ok(Some(offset + same as u64));
        }
        if a_len == 0 {
            return Ok(None);
        }
        offset += a_len as u64;
    }
}

/// Reads until the chunk is full or the file ends.
fn fill(file: &mut File, chunk: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < chunk.len() {
        match file.read(&mut chunk[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        let long = vec![7; CHUNK + 10];
        let check = |left: &[u8], right: &[u8], expected| {
            fs::write(&a, left).unwrap();
            fs::write(&b, right).unwrap();
            assert_eq!(first_difference(&a, &b).unwrap(), expected);
        };
        check(b"", b"", None);
        check(b"abc", b"abc", None);
        check(b"abc", b"abd", Some(2));
        check(b"abc", b"ab", Some(2));
        check(b"", b"x", Some(0));
        check(&long, &long, None);
        let mut other = long.clone();
        other[CHUNK + 3] = 8;
        check(&long, &other, Some(CHUNK as u64 + 3));
        check(&long, &long[..CHUNK], Some(CHUNK as u64));
    }

    #[test]
    fn runs_at_the_same_time_have_folders_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let (first, lock) = empty_dir(dir.path()).unwrap();
        let (second, _other_lock) = empty_dir(dir.path()).unwrap();
        assert_ne!(first, second);
        fs::create_dir(&first).unwrap();
        fs::write(first.join("left"), "x").unwrap();
        drop(lock);
        let (again, _lock) = empty_dir(dir.path()).unwrap();
        assert_eq!((again.clone(), again.exists()), (first, false));
    }
}
