//! One MD5 in progress: the four words, the length, and the bytes short of a block.

use crate::kernel::{Kernel, blocks};

/// Bytes that MD5 takes at a time.
pub(crate) const BLOCK: usize = 64;

/// The state before the first block. RFC 1321, section 3.3.
pub(crate) const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// One MD5 in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// After every whole block so far.
    pub(crate) words: [u32; 4],
    /// All bytes so far, those in `tail` included.
    pub(crate) len: u64,
    /// The last `len % 64` bytes; what follows them means nothing.
    pub(crate) tail: [u8; BLOCK],
}

impl Chain {
    pub(crate) const fn new() -> Self {
        Self { words: START, len: 0, tail: [0; BLOCK] }
    }

    /// Bytes waiting in `tail`.
    pub(crate) fn tail_len(&self) -> usize {
        (self.len % BLOCK as u64) as usize
    }

    /// True if `data` does not fill the tail.
    pub(crate) fn fits_tail(&self, data: &[u8]) -> bool {
        data.len() < BLOCK - self.tail_len()
    }

    /// Keeps `data` in the tail, where it [fits](Self::fits_tail).
    pub(crate) fn keep(&mut self, data: &[u8]) {
        let start = self.tail_len();
        if let [byte] = data {
            self.tail[start] = *byte;
        } else {
            self.tail[start..start + data.len()].copy_from_slice(data);
        }
        self.len += data.len() as u64;
    }

    /// Moves bytes from the front of `data` into `tail` until it is full; true when it is, and then
    /// the caller compresses `tail`. Does nothing when `tail` is empty.
    pub(crate) fn top_up(&mut self, data: &mut &[u8]) -> bool {
        let start = self.tail_len();
        if start == 0 {
            return false;
        }
        let (head, rest) = data.split_at(data.len().min(BLOCK - start));
        self.tail[start..start + head.len()].copy_from_slice(head);
        self.len += head.len() as u64;
        *data = rest;
        start + head.len() == BLOCK
    }

    /// Counts `blocks` that a kernel compressed straight from the data, and keeps the `rest` that is shorter
    /// than a block. A tail that is still waiting comes with neither.
    pub(crate) fn take(&mut self, blocks: usize, rest: &[u8]) {
        debug_assert!(rest.len() < BLOCK && (self.tail_len() == 0 || (blocks == 0 && rest.is_empty())));
        self.len += (blocks * BLOCK + rest.len()) as u64;
        self.tail[..rest.len()].copy_from_slice(rest);
    }

    /// The one or two blocks that end the message: the tail, a one bit, zeros, the length in bits.
    pub(crate) fn padding(&self) -> ([[u8; BLOCK]; 2], usize) {
        let mut blocks = [[0; BLOCK]; 2];
        let tail_len = self.tail_len();
        let count = if tail_len < 56 { 1 } else { 2 };
        blocks[0][..tail_len].copy_from_slice(&self.tail[..tail_len]);
        blocks[0][tail_len] = 0x80;
        blocks[count - 1][56..].copy_from_slice(&self.len.wrapping_mul(8).to_le_bytes());
        (blocks, count)
    }

    pub(crate) fn finish(mut self, kernel: Kernel) -> [u8; 16] {
        let (blocks, count) = self.padding();
        kernel.single(&mut self.words, &blocks[..count]);
        digest(self.words)
    }
}

/// The MD5 of a message by itself, without the copies that a message in parts needs.
pub(crate) fn md5(kernel: Kernel, data: &[u8]) -> [u8; 16] {
    let (body, rest) = blocks(data);
    let mut words = START;
    if !body.is_empty() {
        kernel.single(&mut words, body);
    }
    let mut end = [0; 2 * BLOCK];
    let len = if rest.len() < 56 { BLOCK } else { 2 * BLOCK };
    end[..rest.len()].copy_from_slice(rest);
    end[rest.len()] = 0x80;
    end[len - 8..len].copy_from_slice(&(data.len() as u64).wrapping_mul(8).to_le_bytes());
    kernel.single(&mut words, blocks(&end[..len]).0);
    digest(words)
}

/// The final state as the bytes of a digest.
pub(crate) fn digest(words: [u32; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}
