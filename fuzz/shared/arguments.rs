//! Command lines, configuration files and folders of the drive: understood, or refused with words.
//!
//! Input: the words of a command line, one a line; or the text of a file, or of a folder.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use clap::Parser;
use pan123_upload::{ErrorKind, proto::names::check_path};

use crate::{
    args::Args,
    destination::{Conflict, Destination, Folder},
    settings,
};

pub(crate) fn run(input: &[u8]) {
    let words = input.split(|&byte| byte == b'\n').map(OsStr::from_bytes);
    if let Err(error) = Args::try_parse_from(std::iter::once(OsStr::new("pan123")).chain(words)) {
        assert_eq!(error.exit_code() != 0, error.use_stderr());
        assert!(matches!(error.exit_code(), 0 | 2) && !error.render().to_string().trim().is_empty());
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Err(message) = settings::parse(text) {
        assert!(!message.is_empty());
        // What is between quotes in the file may be a secret.
        let mut quoted = text.split('"').skip(1).step_by(2).filter(|value| value.len() > 12);
        assert!(quoted.all(|value| !message.contains(value)), "{message:?} repeats what is in {text:?}");
    }
    let Ok(folder) = text.parse::<Folder>() else { return };
    match (&folder, Destination::new(&folder, Conflict::Fail)) {
        (Folder::Id(id), taken) => assert!(*id >= 0 && taken.is_ok()),
        (Folder::Path(path), Ok(_)) => assert!(path.starts_with('/')),
        (Folder::Path(path), Err(error)) => {
            assert!(error.kind() == ErrorKind::Name && check_path(path).is_err(), "{path:?}: {error}");
        }
    }
}
