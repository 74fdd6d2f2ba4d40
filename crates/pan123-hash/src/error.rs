//! Why something could not be hashed.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no file of that name, or it was removed or replaced while it was read.
    NotFound,
    /// The path names a directory, a pipe, a socket or a device. Only regular files are hashed.
    NotAFile,
    /// The storage failed to open or read; [`Error::io_error`] is what it said.
    Read,
    /// The input ended before its size.
    Shrunk,
    /// The input goes on after its size.
    Grown,
    /// The input was written to while it was read; its size is the same.
    Changed,
    /// The cancel flag was set.
    Cancelled,
    /// No kernel of that name, or one that this CPU cannot run.
    Kernel,
    /// A saved state that is damaged, or belongs to something else.
    State,
    /// The cache directory cannot be used; [`Error::io_error`] is what the system said.
    Cache,
}

/// The one error of this crate.
///
/// What it displays says all, what the system or the storage said included; so that is not in its
/// [`source`](std::error::Error::source) once more, but what is behind that may be.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    io_error: Option<io::Error>,
}

impl Error {
    #[cold]
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), path: None, io_error: None }
    }

    #[cold]
    pub(crate) fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "hashing was cancelled")
    }

    /// `message`, and what the system or the storage said.
    #[cold]
    pub(crate) fn because_of(kind: ErrorKind, message: &str, error: io::Error) -> Self {
        Self { io_error: Some(error), ..Self::new(kind, message) }
    }

    #[cold]
    pub(crate) fn at(mut self, path: &Path) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What the system or the storage said, if that is why.
    pub fn io_error(&self) -> Option<&io::Error> {
        self.io_error.as_ref()
    }

    /// The file it happened to, if it has a name.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "hash {}: ", path.display())?;
        }
        f.write_str(&self.message)?;
        self.io_error.as_ref().map_or(Ok(()), |error| write!(f, ": {error}"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.io_error.as_ref()?.source()
    }
}
