//! Frames of a body, their buffers, and the pool that the buffers go back to.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::flow::Flow;

/// Bytes in one frame. Measured on loopback: below 64 KiB the calls cost, above it nothing is won, and
/// a small frame lets the clocks see a slow connection move.
pub(crate) const FRAME_LEN: usize = 64 << 10;

/// Idle buffers that a pool keeps: what eight slices in flight use.
const IDLE_COUNT_MAX: usize = 64;

/// Buffers of [`FRAME_LEN`], shared by all requests of a transport.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<Box<[u8]>>>);

impl Pool {
    /// A buffer for `len` bytes, at most [`FRAME_LEN`]. What is in it is left over from earlier use.
    pub(crate) fn get(self: &Arc<Self>, len: usize) -> Buffer {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = idle.unwrap_or_else(|| vec![0; FRAME_LEN].into_boxed_slice());
        Buffer { bytes, len: len.min(FRAME_LEN), pool: self.clone() }
    }
}

/// A buffer of a [`Pool`]; goes back there on drop.
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    len: usize,
    pool: Arc<Pool>,
}

impl Buffer {
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut idle = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_COUNT_MAX {
            idle.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// The bytes of a frame: read into a buffer, or part of what was in memory anyway.
pub(crate) enum Piece {
    Read(Buffer),
    Memory(Bytes),
}

impl Piece {
    pub(crate) fn len(&self) -> usize {
        self.as_ref().len()
    }

    /// Makes the piece a frame of `flow`, which hears when the connection has written it out.
    pub(crate) fn into_frame(self, flow: Arc<Flow>) -> Bytes {
        Bytes::from_owner(Frame { piece: self, flow })
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Read(buffer) => &buffer.bytes[..buffer.len],
            Self::Memory(bytes) => bytes,
        }
    }
}

struct Frame {
    piece: Piece,
    flow: Arc<Flow>,
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.piece.as_ref()
    }
}

impl Drop for Frame {
    /// hyper lets go of a frame when its last byte is written, so this is where progress shows.
    fn drop(&mut self) {
        self.flow.taken(self.piece.len());
    }
}
