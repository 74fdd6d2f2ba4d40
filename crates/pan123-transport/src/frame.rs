//! Frames of a body, their buffers, and the pool that the buffers go back to.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::flow::Flow;

/// Bytes in one frame. Measured on loopback: below 64 KiB the calls cost, above it nothing is won, and
/// a small frame lets the clocks see a slow connection move.
pub(crate) const FRAME_LEN: usize = 64 << 10;

/// Bytes that one trip to a source that blocks brings: some frames at once, because each trip costs.
pub(crate) const CHUNK_LEN: usize = 8 * FRAME_LEN;

/// Bytes in idle buffers that a pool keeps: what eight slices in flight use.
const IDLE_LEN_MAX: usize = 8 << 20;

/// Buffers of one length, shared by all requests of a transport.
#[derive(Debug)]
pub(crate) struct Pool {
    len: usize,
    idle: Mutex<Vec<Vec<u8>>>,
}

/// The pools of a transport.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    pub(crate) frames: Arc<Pool>,
    pub(crate) chunks: Arc<Pool>,
}

impl Default for Pools {
    fn default() -> Self {
        let pool = |len| Arc::new(Pool { len, idle: Mutex::default() });
        Self { frames: pool(FRAME_LEN), chunks: pool(CHUNK_LEN) }
    }
}

impl Pool {
    /// A buffer for `len` bytes, or fewer if that is more than its buffers have. What is in it is left over from
    /// earlier use.
    pub(crate) fn get(self: &Arc<Self>, len: u64) -> Buffer {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = idle.unwrap_or_else(|| vec![0; self.len]);
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(self.len);
        Buffer { bytes, len, pool: self.clone() }
    }

    /// Makes bytes a buffer that goes back to the pool.
    pub(crate) fn own(self: &Arc<Self>, bytes: Vec<u8>) -> Buffer {
        Buffer { len: bytes.len(), bytes, pool: self.clone() }
    }
}

/// A buffer of a [`Pool`]; goes back there on drop.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
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

    /// Its bytes, for somebody else to fill. [`Pool::own`] makes a buffer of them again.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.truncate(self.len);
        bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() < self.pool.len {
            return; // given away
        }
        bytes.resize(self.pool.len, 0);
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_LEN_MAX / self.pool.len {
            idle.push(bytes);
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The bytes of a frame: read into a buffer of its own, or part of a chunk or of what was in memory anyway.
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
            Self::Read(buffer) => buffer.as_ref(),
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
