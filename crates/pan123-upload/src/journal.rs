//! What stands in an upload's log: a header, then one line per record.
//!
//! A line is a JSON object, `{"crc":"1a2b3c4d","line":…}` and a line feed; the CRC-32 covers the text
//! of `line`. Reading stops at the first line that is cut short or does not fit its CRC: that is how
//! a log looks whose last write did not get in whole. Nothing here does I/O, so any store can use it.
//!
//! A kind of record that a program does not know ends what it reads, too: a log of a later program is one that
//! stopped a little earlier. Only what an older program would misunderstand takes another [`VERSION`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};
use pan123_proto::machine::{Completed, Record, UploadSpec};
use serde::{Deserialize, Serialize};

use crate::source::Identity;

/// The version of the format that this code writes and reads.
pub const VERSION: u32 = 1;

/// The first line: what is uploaded, and where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// The source as people know it, for example its path.
    pub source: String,
    /// The path to open it with again; `None` for a source that is no file or whose path is not UTF-8.
    pub path: Option<String>,
    /// The source's state when the upload began.
    pub identity: Identity,
    /// The service that it goes to.
    pub base_url: String,
    /// Folder, name and size.
    pub spec: UploadSpec,
    /// When the log was begun, in milliseconds since 1970 UTC.
    pub started_unix_ms: i64,
}

/// A log, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// The first line.
    pub header: Header,
    /// The records in order.
    pub records: Vec<Record>,
    /// When the result was told, in milliseconds since 1970 UTC, if the log is kept all the same: see
    /// [`Upload::kept`](crate::Upload::kept).
    pub told_unix_ms: Option<i64>,
}

/// How long a result that was told is believed.
const BELIEVED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The line after the last record of a log that is kept although its result was told.
#[derive(Serialize, Deserialize)]
struct Told {
    told_unix_ms: i64,
}

/// Why a log cannot be used. Begin a new one, and say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// Another version of the program wrote it.
    #[error("it has format version {0}, and this program reads version {VERSION}")]
    Version(u32),
    /// It does not begin with a whole header.
    #[error("its first line is damaged")]
    Header,
}

impl Journal {
    /// Reads a log. `Ok(None)` if it is empty.
    ///
    /// # Errors
    ///
    /// [`Unreadable`]. Damage after the header is no error: what follows it is left out.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, Unreadable> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }

        if bytes.is_empty() {
            return Ok(None);
        }
        let mut lines = Lines(bytes);
        let first = lines.next().ok_or(Unreadable::Header)?;
        let Version { version } = serde_json::from_slice(first).map_err(|_| Unreadable::Header)?;
        if version != VERSION {
            return Err(Unreadable::Version(version));
        }
        let header = serde_json::from_slice(first).map_err(|_| Unreadable::Header)?;
        let (mut records, mut told_unix_ms) = (Vec::new(), None);
        for line in lines {
            if let Ok(record) = serde_json::from_slice(line) {
                records.push(record);
            } else {
                told_unix_ms = serde_json::from_slice(line).ok().map(|Told { told_unix_ms }| told_unix_ms);
                break;
            }
        }
        Ok(Some(Self { header, records, told_unix_ms }))
    }

    /// How it ended, if the file is stored. Nobody may have been told, unless [`told_unix_ms`](Self::told_unix_ms) says
    /// so.
    pub fn done(&self) -> Option<&Completed> {
        self.records.iter().fold(None, |done, record| match record {
            Record::Done(done) => Some(done),
            // What was stored then is another source.
            Record::Restarted => None,
            _ => done,
        })
    }

    /// Whether its result was told so long ago that what has become of the file since is anybody's guess. Such a log is
    /// not gone on with.
    pub fn is_stale(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let age = |told: i64| now.abs_diff(u128::try_from(told).unwrap_or_default());
        self.told_unix_ms.is_some_and(|told| age(told) > BELIEVED_FOR.as_millis())
    }

    /// How many slices are acknowledged, of how many. `None` before `create` was answered.
    pub fn slices(&self) -> Option<(u32, u32)> {
        let mut slices = None;
        for record in &self.records {
            match record {
                Record::Created { slice_size, .. } => {
                    let count = self.header.spec.size.div_ceil((*slice_size).max(1)).max(1);
                    slices = Some((0, u32::try_from(count).unwrap_or(u32::MAX)));
                }
                Record::Slice { .. } => {
                    slices = slices.map(|(done, count): (u32, u32)| ((done + 1).min(count), count));
                }
                Record::Restarted => slices = None,
                Record::Hashed(_) | Record::Asked | Record::Completing | Record::Done(_) => {}
            }
        }
        slices
    }
}

/// The header as a line.
pub fn encode_header(header: &Header) -> Vec<u8> {
    encode(header)
}

/// A record as a line.
pub fn encode_record(record: &Record) -> Vec<u8> {
    encode(record)
}

/// The last line of a log that is kept although its result was told, at this time.
pub fn encode_told(unix_ms: i64) -> Vec<u8> {
    encode(&Told { told_unix_ms: unix_ms })
}

/// How many bytes of a log, from its start, are whole lines. A store cuts off the rest before it appends,
/// because nothing after a damaged line is ever read.
pub fn sound_len(bytes: &[u8]) -> usize {
    let mut lines = Lines(bytes);
    while lines.next().is_some() {}
    bytes.len() - lines.0.len()
}

/// The key of an upload's log: the same for the same source, service and target. 32 hex digits.
///
/// `source` is the source's [`resume_name`](crate::SourceRead::resume_name).
pub fn key(source: &str, base_url: &str, spec: &UploadSpec) -> String {
    let target = serde_json::json!([source, base_url, spec.parent_id, spec.filename, spec.contain_dir]);
    Md5::digest(target.to_string()).iter().map(|byte| format!("{byte:02x}")).collect()
}

const START: &[u8] = br#"{"crc":""#;
const MIDDLE: &[u8] = br#"","line":"#;
const END: &[u8] = b"}";

fn encode(value: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_vec(value).expect("header and records hold nothing that JSON cannot");
    let crc = format!("{:08x}", crc32fast::hash(&json));
    [START, crc.as_bytes(), MIDDLE, &json, END, b"\n"].concat()
}

/// The JSON texts of the lines that are whole; what is left holds the rest.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|&byte| byte == b'\n')?;
        let json = unwrap(&self.0[..end])?;
        self.0 = &self.0[end + 1..];
        Some(json)
    }
}

fn unwrap(line: &[u8]) -> Option<&[u8]> {
    let (crc, rest) = line.strip_prefix(START)?.split_at_checked(8)?;
    let json = rest.strip_prefix(MIDDLE)?.strip_suffix(END)?;
    (crc == format!("{:08x}", crc32fast::hash(json)).as_bytes()).then_some(json)
}
