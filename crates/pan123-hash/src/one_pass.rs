//! Etag and slice MD5s of a stream, both while it passes once.

use std::num::NonZeroU64;

use sha1::{Digest, Sha1};

use crate::{
    Digests, Kernel,
    chain::{BLOCK, Chain, digest, md5},
    kernel::blocks,
};

/// Hashes a stream once and yields its etag and the MD5 of each slice.
///
/// Costs as much time as the etag alone. `update` may be called with pieces of any length; from 4 KiB on there is
/// little to gain.
#[derive(Clone, Debug)]
pub struct OnePass {
    pub(crate) kernel: Kernel,
    pub(crate) slice_size: NonZeroU64,
    pub(crate) whole: Chain,
    /// The current slice, from the second one on. Until the first slice ends, it is all that there is.
    pub(crate) slice: Chain,
    /// Those that have ended: one does when the byte after it comes.
    pub(crate) slices: Vec<[u8; 16]>,
    pub(crate) sha1: Option<Sha1>,
    /// Bytes of short pieces, not hashed yet.
    pending: [u8; PENDING_MAX],
    pending_len: usize,
}

/// Shorter pieces are gathered until there are so many bytes, because each piece that is hashed by itself costs as much
/// as a block, and up to two blocks of waiting.
const PENDING_MAX: usize = 256;

impl OnePass {
    /// A stream without a byte so far. `slice_size` is the length of a slice in bytes.
    ///
    /// Uses the kernel of [`Kernel::from_env`], or the best one if the environment names one that
    /// cannot be used.
    pub fn new(slice_size: NonZeroU64) -> Self {
        Self::with_kernel(slice_size, Kernel::from_env().unwrap_or_else(|_| Kernel::best()))
    }

    /// Like [`new`](Self::new), with a kernel of the caller's choice.
    pub fn with_kernel(slice_size: NonZeroU64, kernel: Kernel) -> Self {
        Self::going_on(kernel, slice_size, Chain::new(), Chain::new(), Vec::new(), None)
    }

    pub(crate) fn going_on(
        kernel: Kernel,
        slice_size: NonZeroU64,
        whole: Chain,
        slice: Chain,
        slices: Vec<[u8; 16]>,
        sha1: Option<Sha1>,
    ) -> Self {
        Self { kernel, slice_size, whole, slice, slices, sha1, pending: [0; PENDING_MAX], pending_len: 0 }
    }

    /// Computes the SHA-1 of the whole as well. To be called before the first [`update`](Self::update).
    ///
    /// # Panics
    ///
    /// When bytes have been hashed already.
    #[must_use]
    pub fn sha1(mut self) -> Self {
        assert!(self.bytes_hashed() == 0, "SHA-1 is asked for before the first byte");
        self.sha1 = Some(Sha1::new());
        self
    }

    /// Bytes hashed so far.
    pub fn bytes_hashed(&self) -> u64 {
        self.whole.len + self.pending_len as u64
    }

    /// Adds the next bytes of the stream.
    #[inline]
    pub fn update(&mut self, data: &[u8]) {
        if !self.keep(data) {
            self.flush();
            if !self.keep(data) {
                self.take(data);
            }
        }
    }

    /// Keeps a short piece for later, if there is room for it.
    #[inline]
    fn keep(&mut self, data: &[u8]) -> bool {
        let Some(room) = self.pending.get_mut(self.pending_len..self.pending_len + data.len()) else {
            return false;
        };
        match (room, data) {
            // Not worth the call of a function that copies any number of them.
            ([room], [byte]) => *room = *byte,
            (room, data) => room.copy_from_slice(data),
        }
        self.pending_len += data.len();
        true
    }

    /// Hashes what was kept.
    pub(crate) fn flush(&mut self) {
        if self.pending_len == 0 {
            return;
        }
        let pending = self.pending;
        let len = std::mem::take(&mut self.pending_len);
        self.take(&pending[..len]);
    }

    fn take(&mut self, data: &[u8]) {
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(data);
        }
        let mut rest = data;
        while !rest.is_empty() {
            let room = self.slice_size.get() - self.slice().len;
            if room == 0 {
                self.end_slice();
                continue;
            }
            let len = usize::try_from(room).map_or(rest.len(), |room| room.min(rest.len()));
            let (now, later) = rest.split_at(len);
            if self.slices.is_empty() {
                feed_one(self.kernel, &mut self.whole, now);
            } else if !(self.whole.fits_tail(now) && self.slice.fits_tail(now)) {
                feed_both(self.kernel, &mut self.whole, &mut self.slice, now);
            } else {
                self.whole.keep(now);
                self.slice.keep(now);
            }
            rest = later;
        }
    }

    /// The digests of everything that was added.
    pub fn finish(mut self) -> Digests {
        let size = self.bytes_hashed();
        if size == self.pending_len as u64 && size <= self.slice_size.get() && self.sha1.is_none() {
            let etag = md5(self.kernel, &self.pending[..self.pending_len]);
            return Digests { size, etag, slices: vec![etag], slice_size: self.slice_size, sha1: None };
        }
        self.flush();
        let kernel = self.kernel;
        let etag = if self.slices.is_empty() {
            let etag = self.whole.finish(kernel);
            self.slices.push(etag);
            etag
        } else {
            let (etag, slice) = finish_both(kernel, self.whole, self.slice);
            self.slices.push(slice);
            etag
        };
        Digests {
            size,
            etag,
            slices: self.slices,
            slice_size: self.slice_size,
            sha1: self.sha1.map(|sha1| sha1.finalize().into()),
        }
    }

    /// The slice that the next byte to be hashed belongs to, unless this one is full.
    pub(crate) fn slice(&self) -> &Chain {
        if self.slices.is_empty() { &self.whole } else { &self.slice }
    }

    fn end_slice(&mut self) {
        let slice = self.slice().clone();
        self.slices.push(slice.finish(self.kernel));
        self.slice = Chain::new();
    }
}

fn feed_one(kernel: Kernel, chain: &mut Chain, mut data: &[u8]) {
    if chain.fits_tail(data) {
        chain.keep(data);
        return;
    }
    if chain.top_up(&mut data) {
        kernel.single(&mut chain.words, &[chain.tail]);
    }
    let (blocks, rest) = blocks(data);
    kernel.single(&mut chain.words, blocks);
    chain.take(blocks.len(), rest);
}

/// Feeds the same bytes to two chains, whatever each of them has waiting in its tail.
fn feed_both(kernel: Kernel, a: &mut Chain, b: &mut Chain, data: &[u8]) {
    let (mut data_a, mut data_b) = (data, data);
    let full = (a.top_up(&mut data_a), b.top_up(&mut data_b));
    let ((blocks_a, rest_a), (blocks_b, rest_b)) = (blocks(data_a), blocks(data_b));
    let (mut left_a, mut left_b) = (blocks_a, blocks_b);
    match full {
        (true, true) => kernel.pair(&mut a.words, &mut b.words, &[a.tail], &[b.tail]),
        (true, false) => left_b = feed_tail(kernel, a, &mut b.words, left_b),
        (false, true) => left_a = feed_tail(kernel, b, &mut a.words, left_a),
        (false, false) => {}
    }
    let both = left_a.len().min(left_b.len());
    kernel.pair(&mut a.words, &mut b.words, &left_a[..both], &left_b[..both]);
    kernel.single(&mut a.words, &left_a[both..]);
    kernel.single(&mut b.words, &left_b[both..]);
    a.take(blocks_a.len(), rest_a);
    b.take(blocks_b.len(), rest_b);
}

/// Feeds its full tail to a chain, and the first of these blocks, if there is one, to another chain; returns the others.
fn feed_tail<'b>(
    kernel: Kernel,
    full: &mut Chain,
    other: &mut [u32; 4],
    blocks: &'b [[u8; BLOCK]],
) -> &'b [[u8; BLOCK]] {
    let (first, later) = blocks.split_at(blocks.len().min(1));
    if first.is_empty() {
        kernel.single(&mut full.words, &[full.tail]);
    } else {
        kernel.pair(&mut full.words, other, &[full.tail], first);
    }
    later
}

/// Ends two messages in the time of one.
fn finish_both(kernel: Kernel, mut a: Chain, mut b: Chain) -> ([u8; 16], [u8; 16]) {
    let ((end_a, count_a), (end_b, count_b)) = (a.padding(), b.padding());
    let both = count_a.min(count_b);
    kernel.pair(&mut a.words, &mut b.words, &end_a[..both], &end_b[..both]);
    kernel.single(&mut a.words, &end_a[both..count_a]);
    kernel.single(&mut b.words, &end_b[both..count_b]);
    (digest(a.words), digest(b.words))
}
