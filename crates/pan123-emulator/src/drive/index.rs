//! The index: an append-only file of JSON lines beside the stored files.
//!
//! A line is written in one piece before its effect on the folder tree, or right after the slice it tells of. A
//! process that is killed loses at most the line it was writing: a torn last line is dropped.
//! Nothing is synced to the device; a power cut may lose the last seconds.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Mutex,
};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// One line of the index.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Record {
    /// A file or folder.
    Node(Node),
    /// The SHA-1 of a stored file, worked out when somebody asked.
    Sha1 { id: i64, sha1: String },
    /// A file or folder could not be put in its place after all.
    Remove { id: i64 },
    /// An upload began.
    Upload(UploadRecord),
    /// A slice is stored and checked.
    Slice { upload: String, no: u32, md5: String },
    /// A slice is about to be replaced by another content.
    Unslice { upload: String, no: u32 },
    /// The whole-file check failed.
    Failed { upload: String },
    /// An upload is forgotten.
    Forget { upload: String },
    /// An access or refresh token was issued. Only its digest is kept.
    Token { digest: String, client: String, expires_ms: i64, kind: TokenKind },
    /// A token is no longer valid.
    Revoke { digest: String },
}

/// A file or folder of the drive.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) id: i64,
    pub(crate) parent: i64,
    pub(crate) name: String,
    pub(crate) is_folder: bool,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) created_ms: i64,
    /// False when the bytes were not kept.
    pub(crate) kept: bool,
    /// The name under `parts/` from which it is moved into place: an upload's id, or that of a scratch file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) upload: Option<String>,
    /// The file that this one overwrites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replaces: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha1: Option<String>,
}

/// What `create` was told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct UploadRecord {
    pub(crate) id: String,
    pub(crate) parent: i64,
    pub(crate) name: String,
    pub(crate) duplicate: Duplicate,
    pub(crate) etag: String,
    pub(crate) size: u64,
    pub(crate) slice_size: u64,
    pub(crate) created_ms: i64,
}

/// `duplicate` of `create`: what to do when the name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Duplicate {
    /// Not given: refuse.
    Refuse,
    /// 1: the new file gets a number in its name.
    KeepBoth,
    /// 2: the new file, with a new id, takes the place of the old one.
    Overwrite,
}

/// Which call a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenKind {
    /// From `access_token`: at most three of a client live.
    Developer,
    /// From the OAuth2 call.
    Oauth,
    /// Refresh token of the OAuth2 call.
    Refresh,
}

/// The open index file.
#[derive(Debug)]
pub(crate) struct Index {
    file: Mutex<File>,
    path: PathBuf,
}

impl Index {
    /// Reads all lines of `path`. A torn last line is dropped.
    pub(crate) fn read(path: &Path) -> Result<Vec<Record>, Error> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::storage("read index", path)(error)),
        };
        let whole = memchr::memrchr(b'\n', &text).map_or(&[][..], |end| &text[..end]);
        let lines = whole.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
        lines
            .map(|(number, line)| {
                serde_json::from_slice(line).map_err(|error| {
                    let place = format!("{} line {}", path.display(), number + 1);
                    let advice = "repair or delete the line, or start in another folder";
                    Error::new(ErrorKind::Storage, "read index", format!("{place}: {error}; {advice}"))
                })
            })
            .collect()
    }

    /// Starts the file anew with these lines, in one step, and keeps it open.
    pub(crate) fn rewrite(path: &Path, records: &[Record]) -> Result<Self, Error> {
        let fresh = path.with_extension("new");
        let mut text = Vec::new();
        for record in records {
            push_line(&mut text, record);
        }
        fs::write(&fresh, text).map_err(Error::storage("write index", &fresh))?;
        fs::rename(&fresh, path).map_err(Error::storage("write index", path))?;
        let file = OpenOptions::new().append(true).open(path).map_err(Error::storage("open index", path))?;
        Ok(Self { file: Mutex::new(file), path: path.to_owned() })
    }

    /// Appends one line.
    pub(crate) fn append(&self, record: &Record) -> Result<(), std::io::Error> {
        let mut line = Vec::new();
        push_line(&mut line, record);
        let mut file = self.file.lock().expect("no code panics while it writes the index");
        file.write_all(&line).inspect_err(
            |error| tracing::error!(path = %self.path.display(), %error, "the index cannot be written"),
        )
    }
}

fn push_line(text: &mut Vec<u8>, record: &Record) {
    serde_json::to_writer(&mut *text, record).expect("records have string keys and go to memory");
    text.push(b'\n');
}
