//! `--to`, `--name` and `--on-conflict`: where files go in the drive.

use std::{path::Path, str::FromStr};

use clap::ValueEnum;
use pan123_upload::{
    Error, ErrorKind, Target,
    proto::{machine::Duplicate, names::DrivePath},
};

/// A folder in the drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Folder {
    /// By its id; 0 is the root.
    Id(i64),
    /// By its path from the root on; the service makes what is missing.
    Path(String),
}

impl FromStr for Folder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return Ok(Self::Path(text.to_owned()));
        }
        match text.parse::<i64>() {
            Ok(id @ 0..) => Ok(Self::Id(id)),
            _ => Err("a folder is an id such as 0 or 1234567, or a path that begins with a slash".to_owned()),
        }
    }
}

/// What happens when the name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Conflict {
    /// The upload is refused
    Fail,
    /// The new file gets a number in its name
    KeepBoth,
    /// The new file replaces the old one
    Overwrite,
}

/// Where the files of a command go.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    parent_id: i64,
    /// Folders from the parent on.
    folders: Vec<String>,
    duplicate: Option<Duplicate>,
}

impl Destination {
    /// # Errors
    ///
    /// [`ErrorKind::Name`] when the folder's path breaks the rules for names.
    pub(crate) fn new(folder: &Folder, conflict: Conflict) -> Result<Self, Error> {
        let duplicate = match conflict {
            Conflict::Fail => None,
            Conflict::KeepBoth => Some(Duplicate::KeepBoth),
            Conflict::Overwrite => Some(Duplicate::Overwrite),
        };
        let (parent_id, folders) = match folder {
            Folder::Id(id) => (*id, Vec::new()),
            Folder::Path(path) => {
                let path = DrivePath::parse(path)
                    .map_err(|error| Error::new(ErrorKind::Name, "check folder", error.to_string()))?;
                (0, path.folders().to_vec())
            }
        };
        Ok(Self { parent_id, folders, duplicate })
    }

    /// The target of a file whose path from the destination on has these parts.
    pub(crate) fn target(&self, parts: &[&str]) -> Target {
        let contain_dir = !self.folders.is_empty() || parts.len() > 1;
        let filename = if contain_dir {
            let folders = self.folders.iter().map(String::as_str);
            folders.chain(parts.iter().copied()).fold(String::new(), |path, part| path + "/" + part)
        } else {
            parts.concat()
        };
        Target { parent_id: self.parent_id, filename, contain_dir, duplicate: self.duplicate }
    }
}

/// The name of a file or directory, as the service wants it.
///
/// # Errors
///
/// [`ErrorKind::Name`] when it is not UTF-8.
pub(crate) fn utf8<'a>(name: &'a std::ffi::OsStr, path: &Path) -> Result<&'a str, Error> {
    name.to_str().ok_or_else(|| {
        let message = format!("the name of {} is not UTF-8", path.display());
        Error::new(ErrorKind::Name, "name file", message)
            .with_advice("Rename it, or upload it by itself and give it a name with --name.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(folder: &str, parts: &[&str], parent_id: i64, filename: &str, contain_dir: bool) {
        let destination = Destination::new(&folder.parse().unwrap(), Conflict::KeepBoth).unwrap();
        let expected = Target {
            parent_id,
            filename: filename.into(),
            contain_dir,
            duplicate: Some(Duplicate::KeepBoth),
        };
        assert_eq!(destination.target(parts), expected, "{folder} {parts:?}");
    }

    #[test]
    fn targets() {
        check("0", &["a"], 0, "a", false);
        check("77", &["a"], 77, "a", false);
        check("77", &["d", "a"], 77, "/d/a", true);
        check("/", &["a"], 0, "a", false);
        check("/x/y/", &["a"], 0, "/x/y/a", true);
        check("/x", &["d", "e", "a"], 0, "/x/d/e/a", true);
    }

    #[test]
    fn folders_that_are_none() {
        for bad in ["", "a/b", "-1", "1.5", "99999999999999999999", " 1"] {
            assert!(bad.parse::<Folder>().is_err(), "{bad:?}");
        }
        let error = Destination::new(&"/a/b:c".parse().unwrap(), Conflict::Fail).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Name);
        assert!(error.to_string().contains("/a/b:c"), "{error}");
    }
}
