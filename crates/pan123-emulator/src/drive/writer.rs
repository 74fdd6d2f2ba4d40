//! Bytes on their way to disk.

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use md5::{Digest, Md5};

use super::{Drive, hex, positioned, state::Gate};
use crate::reply::Refusal;

/// Bytes that do not have their place yet: a file of `single/create`, or a slice that came before its number.
/// Removed when dropped, unless it was moved away.
#[derive(Debug)]
pub(crate) struct Scratch {
    file: File,
    path: PathBuf,
    name: String,
    len: u64,
}

impl Drive {
    /// A new scratch file, or none when no bytes are kept.
    pub(crate) fn scratch(&self) -> Result<Option<Scratch>, Refusal> {
        if !self.keep_bytes {
            return Ok(None);
        }
        let name = format!("scratch-{:032x}", fastrand::u128(..));
        let path = self.part_path(&name);
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(|error| Refusal::internal("make file", error))?;
        Ok(Some(Scratch { file, path, name, len: 0 }))
    }
}

impl Scratch {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        positioned::write_all_at(&self.file, bytes, self.len)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Its name under `parts/`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Hands the bytes to `sink` in pieces.
    pub(crate) fn replay(&self, mut sink: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 18];
        let mut at = 0;
        while at < self.len {
            let piece = buffer.len().min(usize::try_from(self.len - at).unwrap_or(usize::MAX));
            positioned::read_exact_at(&self.file, &mut buffer[..piece], at)?;
            sink(&buffer[..piece])?;
            at += piece as u64;
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may have been renamed into place.
        let _ = fs::remove_file(&self.path);
    }
}

/// Where the bytes of one slice go.
#[derive(Debug)]
pub(super) enum Sink {
    /// Nowhere: bytes are not kept, or the answer is known already.
    Nowhere,
    /// To their place in the part file.
    Place { part: Arc<File>, gate: Gate },
    /// Aside, because the slice is there already or is being written by another request.
    Aside(Scratch),
}

/// Takes the bytes of one slice as they come.
#[derive(Debug)]
pub(crate) struct SliceWriter {
    pub(super) upload: String,
    pub(super) no: u32,
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) written: u64,
    pub(super) md5: Option<Md5>,
    pub(super) sink: Sink,
    pub(super) drive: Arc<Drive>,
}

impl SliceWriter {
    /// Takes the next bytes. What is beyond the slice's length is counted and not stored.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(self.len.saturating_sub(self.written)).unwrap_or(usize::MAX);
        let kept = &bytes[..bytes.len().min(room)];
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        match &mut self.sink {
            Sink::Nowhere => {}
            Sink::Place { part, gate } => {
                let is_beaten = gate.lock().unwrap_or_else(PoisonError::into_inner);
                if !*is_beaten {
                    positioned::write_all_at(part, kept, self.offset + self.written)?;
                }
            }
            Sink::Aside(scratch) => scratch.write(kept)?,
        }
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Checks length and MD5 of what came. `None` for `declared` skips the digest.
    pub(super) fn check(&mut self, declared: &str) -> Result<String, Refusal> {
        if self.written != self.len {
            let message = format!("分片{}的大小应为{}字节，收到{}字节", self.no, self.len, self.written);
            return Err(Refusal::bad(message));
        }
        let Some(md5) = self.md5.take() else { return Ok(declared.to_ascii_lowercase()) };
        let received = hex(&md5.finalize());
        if !received.eq_ignore_ascii_case(declared) {
            return Err(Refusal::bad(format!(
                "分片{}的md5不一致: sliceMD5={declared}，收到{received}",
                self.no
            )));
        }
        Ok(received)
    }
}

impl Drop for SliceWriter {
    fn drop(&mut self) {
        if let Sink::Place { gate, .. } = &self.sink {
            self.drive.leave_slice(&self.upload, self.no, gate);
        }
    }
}
