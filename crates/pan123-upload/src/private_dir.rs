//! The state directory, and files in it that are for this user alone.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::error::{Error, ErrorKind, io_text};

/// Where state is kept unless the caller says otherwise: `$XDG_STATE_HOME/pan123` or
/// `~/.local/state/pan123`, on Windows `%APPDATA%\pan123`. Does not make it.
///
/// # Errors
///
/// [`ErrorKind::Store`] when the user has no home directory.
pub fn state_dir() -> Result<PathBuf, Error> {
    use etcetera::BaseStrategy;
    let base = etcetera::choose_base_strategy().map_err(|error| {
        Error::new(ErrorKind::Store, "find state directory", "this user has no home directory")
            .with_source(error)
            .with_advice("Name a state directory, for example with PAN123_STATE_DIR.")
    })?;
    Ok(base.state_dir().unwrap_or_else(|| base.data_dir()).join("pan123"))
}

/// Makes a directory that only this user may enter. One that exists is left as it is.
pub(crate) fn create(dir: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|error| {
        let message = format!("{}: {}", dir.display(), io_text(&error));
        Error::new(ErrorKind::Store, "make state directory", message).with_advice(
            "Make the directory above it writable for this user, or choose another state directory.",
        )
    })
}

/// Files made with these options are readable and writable for this user alone.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Replaces a file at once and for good: after a crash there is the old content or the new one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    // Made with mode 0600; removed again if anything fails.
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync(dir)
}

/// Puts the names in a directory on disk.
pub(crate) fn sync(dir: &Path) -> io::Result<()> {
    // Elsewhere directories cannot be opened as files, and names are durable with their files.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// True when the path still names this open file.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let named = match fs::metadata(path) {
        Ok(named) => named,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let open = file.metadata()?;
        Ok((open.dev(), open.ino()) == (named.dev(), named.ino()))
    }
    #[cfg(not(unix))]
    {
        // A file that is open cannot lose its name to another one here.
        let _ = (file, named);
        Ok(true)
    }
}
