//! One state of a source.

use serde::{Deserialize, Serialize};

/// What tells one state of a source from another. Any difference means that the source changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Size in bytes.
    pub size: u64,
    /// Last change of the content, in nanoseconds since 1970 UTC; 0 if the source has none.
    pub mtime_ns: i64,
    /// Last change of the content or of what is known about it, on the same scale; 0 if the source has none.
    /// A program can set `mtime_ns` back after it wrote, and not this.
    #[serde(default)]
    pub ctime_ns: i64,
    /// Inode number, or another number that stays with the source; 0 if it has none.
    pub inode: u64,
    /// Number of the device that the inode is on; 0 if there is none.
    pub device: u64,
}

impl Identity {
    /// Whether it tells more than the size, so that two sources with the same one are the same.
    pub(crate) fn tells(&self) -> bool {
        (self.mtime_ns, self.ctime_ns, self.inode) != (0, 0, 0)
    }
}
