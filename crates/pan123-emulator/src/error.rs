//! Why the emulator could not start, or could not read a fault script.

use std::{fmt, io, path::Path};

/// Where and why the emulator failed. Requests never fail with this: they get an answer.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {detail}")]
pub struct Error {
    kind: ErrorKind,
    step: &'static str,
    detail: String,
    source: Option<io::Error>,
}

/// What kind of trouble it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An option is out of its range. The message names the option and the range.
    Options,
    /// A fault script could not be read or makes no sense. The message names the place.
    Script,
    /// A port could not be opened.
    Listen,
    /// The folder could not be used: not writable, in use by another emulator, or its index is damaged.
    Storage,
    /// The request log could not be opened.
    Log,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, step: &'static str, detail: impl fmt::Display) -> Self {
        Self { kind, step, detail: detail.to_string(), source: None }
    }

    pub(crate) fn io(
        kind: ErrorKind,
        step: &'static str,
        detail: impl fmt::Display,
        source: io::Error,
    ) -> Self {
        Self { kind, step, detail: format!("{detail}: {source}"), source: Some(source) }
    }

    /// For `map_err` around a file operation of the drive.
    pub(crate) fn storage(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::io(ErrorKind::Storage, step, path.display(), source)
    }

    /// What kind of trouble it was.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}
