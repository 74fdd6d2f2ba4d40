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
    /// The storage failed to open or read; the cause is in [`source`](std::error::Error::source).
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
    /// The cache directory cannot be used; the cause is in [`source`](std::error::Error::source).
    Cache,
}

/// The one error of this crate.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    #[source]
    source: Option<io::Error>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), path: None, source: None }
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "hashing was cancelled")
    }

    pub(crate) fn with_source(mut self, source: io::Error) -> Self {
        self.source = Some(source);
        self
    }

    pub(crate) fn at(mut self, path: &Path) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The file it happened to, if it has a name.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "hash {}: {}", path.display(), self.message),
            None => f.write_str(&self.message),
        }
    }
}
