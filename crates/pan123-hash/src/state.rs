//! A pass as bytes, so that it can go on in another process.
//!
//! Layout, all numbers little-endian: slice size, the whole's chain, the slice's chain, the number of slices
//! that are done and their MD5s, then one byte that says whether a SHA-1 follows, and its state. A chain is
//! its four words, its length and its tail of 64 bytes.

use std::num::NonZeroU64;

use sha1::{
    Sha1,
    digest::common::hazmat::{SerializableState, SerializedState},
};

use crate::{
    Error, ErrorKind, Kernel, OnePass,
    chain::{BLOCK, Chain},
};

/// The longest message whose length in bits MD5 and SHA-1 can tell, in bytes.
const LEN_MAX: u64 = u64::MAX / 8;

impl OnePass {
    /// Everything that [`restore`](Self::restore) needs to go on from here, in 0.2 KiB and 16 bytes for each
    /// slice.
    ///
    /// Holds no checksum, and nothing about where the bytes came from.
    pub fn save(&self) -> Vec<u8> {
        let mut pass = self.clone();
        pass.flush();
        let mut out = Writer(Vec::new());
        out.u64(pass.slice_size.get());
        pass.whole.save(&mut out);
        pass.slice().save(&mut out);
        out.u64(pass.slices.len() as u64);
        for slice in &pass.slices {
            out.bytes(slice);
        }
        match &pass.sha1 {
            Some(sha1) => {
                out.bytes(&[1]);
                out.bytes(&sha1.serialize());
            }
            None => out.bytes(&[0]),
        }
        out.0
    }

    /// A pass that goes on where [`save`](Self::save) was called.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::State`] when the bytes cannot be a saved pass, and [`ErrorKind::Kernel`] when the environment names
    /// a kernel that cannot be used.
    pub fn restore(saved: &[u8]) -> Result<Self, Error> {
        Self::restore_with_kernel(saved, Kernel::from_env()?)
    }

    /// Like [`restore`](Self::restore), with a kernel of the caller's choice. It need not be the one that the
    /// pass was begun with.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::State`] when the bytes cannot be a saved pass.
    pub fn restore_with_kernel(saved: &[u8], kernel: Kernel) -> Result<Self, Error> {
        let damaged = || Error::new(ErrorKind::State, "the saved state is damaged; hash from the start");
        Self::read(&mut Reader(saved), kernel).ok_or_else(damaged)
    }

    fn read(from: &mut Reader, kernel: Kernel) -> Option<Self> {
        let slice_size = NonZeroU64::new(from.u64()?)?;
        let (whole, slice) = (Chain::restore(from)?, Chain::restore(from)?);
        let count = usize::try_from(from.u64()?).ok()?;
        let slices: Vec<[u8; 16]> = (0..count).map_while(|_| from.array()).collect();
        let sha1 = match from.array()? {
            [0] => None,
            [1] => Some(restore_sha1(from, whole.len)?),
            _ => return None,
        };
        // Each full slice but the last one has ended: it ends when the byte after it comes. Until the first one
        // has, the slice is the whole.
        let covered = (count as u64).checked_mul(slice_size.get())?.checked_add(slice.len)?;
        let plausible = slices.len() == count
            && from.0.is_empty()
            && covered == whole.len
            && whole.len <= LEN_MAX
            && slice.len <= slice_size.get()
            && if count == 0 { slice == whole } else { slice.len > 0 };
        plausible.then(|| Self::going_on(kernel, slice_size, whole, slice, slices, sha1))
    }
}

/// A SHA-1 in progress, if it has taken `len` bytes.
///
/// The `sha1` crate keeps five words, the number of whole blocks, the number of bytes after them, and these.
fn restore_sha1(from: &mut Reader, len: u64) -> Option<Sha1> {
    let bytes = from.bytes(SerializedState::<Sha1>::default().len())?;
    let mut counts = Reader(bytes.get(20..)?);
    let (blocks, [rest]) = (counts.u64()?, counts.array()?);
    let sha1 = Sha1::deserialize(&SerializedState::<Sha1>::try_from(bytes).ok()?).ok()?;
    (blocks.checked_mul(BLOCK as u64)?.checked_add(rest.into())? == len).then_some(sha1)
}

impl Chain {
    fn save(&self, out: &mut Writer) {
        for word in self.words {
            out.bytes(&word.to_le_bytes());
        }
        out.u64(self.len);
        out.bytes(&self.tail);
    }

    fn restore(from: &mut Reader) -> Option<Self> {
        let mut words = [0; 4];
        for word in &mut words {
            *word = u32::from_le_bytes(from.array()?);
        }
        Some(Self { words, len: from.u64()?, tail: from.array::<BLOCK>()? })
    }
}

/// Appends fields to bytes.
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u64(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// Takes fields off the front of bytes; `None` when there are too few.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (now, later) = self.0.split_at_checked(len)?;
        self.0 = later;
        Some(now)
    }
}
