//! Etag and slice MD5s of a stream, both while it passes once.

use std::num::NonZeroU64;

use sha1::{Digest, Sha1};

use crate::{Digests, Kernel, chain::Chain, kernel::blocks};

/// Hashes a stream once and yields its etag and the MD5 of each slice.
///
/// Costs as much time as the etag alone. `update` may be called with pieces of any length; the
/// longer they are the better, from 4 KiB on there is little to gain.
#[derive(Clone, Debug)]
pub struct OnePass {
    pub(crate) kernel: Kernel,
    pub(crate) slice_size: NonZeroU64,
    pub(crate) whole: Chain,
    pub(crate) slice: Chain,
    pub(crate) slices: Vec<[u8; 16]>,
    pub(crate) sha1: Option<Sha1>,
}

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
        Self { kernel, slice_size, whole: Chain::new(), slice: Chain::new(), slices: Vec::new(), sha1: None }
    }

    /// Computes the SHA-1 of the whole as well. To be called before the first [`update`](Self::update).
    ///
    /// # Panics
    ///
    /// When bytes have been hashed already.
    #[must_use]
    pub fn sha1(mut self) -> Self {
        assert!(self.whole.len == 0, "SHA-1 is asked for before the first byte");
        self.sha1 = Some(Sha1::new());
        self
    }

    /// Bytes hashed so far.
    pub fn bytes_hashed(&self) -> u64 {
        self.whole.len
    }

    /// Adds the next bytes of the stream.
    pub fn update(&mut self, mut data: &[u8]) {
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(data);
        }
        while !data.is_empty() {
            if self.slice.len == self.slice_size.get() {
                self.end_slice();
            }
            let room = self.slice_size.get() - self.slice.len;
            let len = usize::try_from(room).map_or(data.len(), |room| room.min(data.len()));
            let (now, later) = data.split_at(len);
            feed_both(self.kernel, &mut self.whole, &mut self.slice, now);
            data = later;
        }
    }

    /// The digests of everything that was added.
    pub fn finish(mut self) -> Digests {
        self.end_slice();
        Digests {
            size: self.whole.len,
            etag: self.whole.finish(self.kernel),
            slices: self.slices,
            slice_size: self.slice_size,
            sha1: self.sha1.map(|sha1| sha1.finalize().into()),
        }
    }

    fn end_slice(&mut self) {
        let slice = std::mem::replace(&mut self.slice, Chain::new());
        self.slices.push(slice.finish(self.kernel));
    }
}

/// Feeds the same bytes to two chains, whatever each of them has waiting in its tail.
fn feed_both(kernel: Kernel, a: &mut Chain, b: &mut Chain, data: &[u8]) {
    let (mut data_a, mut data_b) = (data, data);
    match (a.top_up(&mut data_a), b.top_up(&mut data_b)) {
        (true, true) => kernel.pair(&mut a.words, &mut b.words, &[a.tail], &[b.tail]),
        (true, false) => kernel.single(&mut a.words, &[a.tail]),
        (false, true) => kernel.single(&mut b.words, &[b.tail]),
        (false, false) => {}
    }
    let ((blocks_a, rest_a), (blocks_b, rest_b)) = (blocks(data_a), blocks(data_b));
    let both = blocks_a.len().min(blocks_b.len());
    kernel.pair(&mut a.words, &mut b.words, &blocks_a[..both], &blocks_b[..both]);
    kernel.single(&mut a.words, &blocks_a[both..]);
    kernel.single(&mut b.words, &blocks_b[both..]);
    a.take(blocks_a.len(), rest_a);
    b.take(blocks_b.len(), rest_b);
}

pub(crate) fn sha1_of(data: &[u8]) -> [u8; 20] {
    Sha1::digest(data).into()
}
