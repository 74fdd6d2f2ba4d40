//! The service's rules for names, paths and sizes, checked before anything is hashed or sent.
//!
//! Sources: the official page of `create` (fewer than 256 characters, none of `"\/:*?|><`, not only
//! blanks; at most 10 GB) and of `single/create` (at most 1 GB). Neither says whether a character is a
//! byte or a code point, nor whether a GB is decimal. The readings chosen here never refuse a file that the
//! service may take where its own refusal costs little:
//!
//! * A character is a Unicode scalar value. Counting bytes would forbid Chinese names of 86
//!   characters; if the service does count bytes, `create` says so before any byte of the file is sent.
//! * 10 GB is 2^30 × 10. Read as decimal, files of 10.0 to 10.7 × 10^9 bytes could never be uploaded;
//!   read as binary, such a file is hashed for nothing (under a minute) and refused by `create`.
//! * 1 GB is 10^9. Here the wrong guess would cost a whole upload, and the other way, slices, is always open.
//!
//! Beyond the documented rules only names that do harm are refused: control characters, `.` and `..`.
//! Blanks at either end are left as they are.

use std::fmt;

/// Largest file in bytes: 10 GiB. Source: official page of `create`, "10 GB"; see above for the reading.
pub const FILE_SIZE_MAX: u64 = 10 << 30;

/// Largest file in bytes for `single/create`: 10^9. Source: its official page, "1 GB"; see above.
pub const SINGLE_SIZE_MAX: u64 = 1_000_000_000;

/// Most characters (Unicode scalar values) of a name. Source: official page of `create`, "fewer than 256".
pub const NAME_CHARS_MAX: usize = 255;

/// Characters that no name may hold. Source: official page of `create`.
pub const FORBIDDEN: [char; 9] = ['"', '\\', '/', ':', '*', '?', '|', '>', '<'];

const _: () = assert!(SINGLE_SIZE_MAX < FILE_SIZE_MAX);

/// A name or path that the service would refuse, or that would do harm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing, or nothing between two slashes.
    #[error("the name is empty; give the file a name")]
    Empty,
    /// Nothing but blanks.
    #[error("the name is made of blanks alone; give the file a name that can be seen")]
    OnlyBlanks,
    /// `.` or `..`.
    #[error("{0:?} stands for a folder, not for a name; give the file another name")]
    Dots(String),
    /// More than [`NAME_CHARS_MAX`] characters.
    #[error("the name has {chars} characters and the service takes at most {NAME_CHARS_MAX}; shorten it")]
    TooLong {
        /// How many it has.
        chars: usize,
    },
    /// One of [`FORBIDDEN`].
    #[error(
        "the name {name:?} contains {found} and the service takes none of {}; give the file another name",
        Forbidden
    )]
    Forbidden {
        /// The name.
        name: String,
        /// The first such character.
        found: char,
    },
    /// A control character, such as a line break.
    #[error("the name {name:?} contains the control character U+{:04X}; give the file another name", u32::from(*found))]
    Control {
        /// The name.
        name: String,
        /// The first such character.
        found: char,
    },
    /// A path on the drive that does not start with `/`.
    #[error("{0:?} is not a path on the drive; write it from the root on, such as \"/photos/2026\"")]
    NotFromRoot(String),
    /// One part of a path.
    #[error("in the path {path:?}: {cause}")]
    InPath {
        /// The whole path.
        path: String,
        /// What is wrong with the part.
        cause: Box<NameError>,
    },
}

/// A size that the service would refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SizeError {
    /// No bytes. Whether the service takes such a file is unknown; no public client has seen it do so.
    #[error("the file is empty and the service is not known to take empty files; leave it out")]
    Empty,
    /// More than [`FILE_SIZE_MAX`] bytes.
    #[error(
        "the file has {size} bytes and the service takes at most {FILE_SIZE_MAX} (10 GiB); split it into smaller files"
    )]
    TooLarge {
        /// How many it has.
        size: u64,
    },
}

/// Checks a file's size in bytes: 1 to [`FILE_SIZE_MAX`].
///
/// # Errors
///
/// [`SizeError::Empty`] for 0, which a caller may choose to try all the same; [`SizeError::TooLarge`].
pub fn check_size(size: u64) -> Result<(), SizeError> {
    match size {
        0 => Err(SizeError::Empty),
        1..=FILE_SIZE_MAX => Ok(()),
        _ => Err(SizeError::TooLarge { size }),
    }
}

/// Checks the name of one file or folder.
///
/// # Errors
///
/// The first rule that the name breaks, in words that say what to do.
pub fn check_filename(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.chars().all(char::is_whitespace) {
        return Err(NameError::OnlyBlanks);
    }
    if matches!(name, "." | "..") {
        return Err(NameError::Dots(name.to_owned()));
    }
    let chars = name.chars().count();
    if chars > NAME_CHARS_MAX {
        return Err(NameError::TooLong { chars });
    }
    if let Some(found) = name.chars().find(|c| FORBIDDEN.contains(c)) {
        return Err(NameError::Forbidden { name: name.to_owned(), found });
    }
    if let Some(found) = name.chars().find(|c| c.is_control()) {
        return Err(NameError::Control { name: name.to_owned(), found });
    }
    Ok(())
}

/// Checks the `filename` of a request with `containDir`: names with `/` between them and perhaps one in front.
///
/// # Errors
///
/// What [`check_filename`] says of the first bad part, with the path around it.
pub fn check_path(path: &str) -> Result<(), NameError> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    inner.split('/').try_for_each(|part| check_part(part, path))
}

/// A folder of the drive, named by its path from the root on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DrivePath(Vec<String>);

impl DrivePath {
    /// Reads `/a/b`. `/` is the root; slashes at the end or in a row count once.
    ///
    /// # Errors
    ///
    /// [`NameError::NotFromRoot`], or what [`check_filename`] says of the first bad folder name.
    pub fn parse(path: &str) -> Result<Self, NameError> {
        let Some(inner) = path.strip_prefix('/') else {
            return Err(NameError::NotFromRoot(path.to_owned()));
        };
        let parts = inner.split('/').filter(|part| !part.is_empty());
        let parts = parts.map(|part| check_part(part, path).map(|()| part.to_owned()));
        Ok(Self(parts.collect::<Result<_, _>>()?))
    }

    /// The folder names from the root down; empty for the root.
    pub fn folders(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for DrivePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0.join("/"))
    }
}

fn check_part(part: &str, path: &str) -> Result<(), NameError> {
    let in_path = |cause| NameError::InPath { path: path.to_owned(), cause: Box::new(cause) };
    check_filename(part).map_err(in_path)
}

/// Shows [`FORBIDDEN`] with blanks between.
struct Forbidden;

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&FORBIDDEN.map(String::from).join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(result: Result<(), NameError>, expected: &str) {
        let shown = result.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
        assert!(shown.contains(expected), "{shown:?} should contain {expected:?}");
    }

    #[test]
    fn names() {
        for good in
            ["a", "测试文件.mp4", " a ", "...", ".bashrc", "a.part1", "“quoted”", "a：b", "😀", "a%2Fb;'&"]
        {
            assert_eq!(check_filename(good), Ok(()), "{good:?}");
        }
        check(check_filename(""), "empty");
        check(check_filename(" \u{3000}\t"), "blanks alone");
        check(check_filename("."), "\".\" stands for a folder");
        check(check_filename(".."), "stands for a folder");
        check(check_filename(&"长".repeat(255)), "ok");
        check(check_filename(&"长".repeat(256)), "256 characters and the service takes at most 255");
        for bad in FORBIDDEN {
            check(
                check_filename(&format!("a{bad}b")),
                &format!("contains {bad} and the service takes none of \" \\ /"),
            );
        }
        check(check_filename("a\r\nb"), r#""a\r\nb" contains the control character U+000D"#);
        check(check_filename("a\0"), "U+0000");
        check(check_filename("a\u{85}"), "U+0085");
    }

    #[test]
    fn paths() {
        check(check_path("/你好/123/测试文件.mp4"), "ok");
        check(check_path("a/b"), "ok");
        check(check_path("a"), "ok");
        for bad in ["", "/", "a//b", "a/", "//a"] {
            check(check_path(bad), "is empty");
        }
        check(check_path("/a/../b"), "in the path \"/a/../b\": \"..\" stands for a folder");
        check(check_path("/a/b:c"), "contains :");
        check(check_path(&format!("/{0}/{0}", "长".repeat(255))), "ok");
    }

    #[test]
    fn drive_paths() {
        for (path, shown, folders) in
            [("/", "/", 0), ("/a", "/a", 1), ("/a/b/", "/a/b", 2), ("//a//你 好", "/a/你 好", 2)]
        {
            let parsed = DrivePath::parse(path).unwrap();
            assert_eq!((parsed.to_string().as_str(), parsed.folders().len()), (shown, folders));
        }
        check(DrivePath::parse("a/b").map(drop), "is not a path on the drive");
        check(DrivePath::parse("").map(drop), "is not a path on the drive");
        check(DrivePath::parse("/a/../b").map(drop), "stands for a folder");
    }

    #[test]
    fn sizes() {
        assert_eq!(check_size(0), Err(SizeError::Empty));
        assert_eq!(check_size(1), Ok(()));
        assert_eq!(check_size(FILE_SIZE_MAX), Ok(()));
        assert_eq!(check_size(FILE_SIZE_MAX + 1), Err(SizeError::TooLarge { size: FILE_SIZE_MAX + 1 }));
        assert_eq!(check_size(u64::MAX), Err(SizeError::TooLarge { size: u64::MAX }));
    }
}
