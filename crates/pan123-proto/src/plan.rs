//! How a file is cut into slices.

use std::num::NonZeroU64;

/// Slice size assumed before `create` has named one: 16 MiB.
/// Source: every sample of the open API v2; the answer of `create` always wins.
pub const SLICE_SIZE_ASSUMED: u64 = 16 << 20;

/// The most slices that a file is cut into. What is known of each takes memory, so a service that names a
/// slice size of one byte must not have its way. The largest file in the usual slices has 640.
pub const SLICES_MAX: u32 = 1 << 20;

/// One slice of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// `sliceNo`: counts from 1.
    pub no: u32,
    /// Where it starts in the file, in bytes.
    pub offset: u64,
    /// Its length in bytes; only the last one may be shorter than the slice size.
    pub len: u64,
}

/// The slices of one file: in file order, without gap or overlap.
///
/// An empty file has one empty slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlicePlan {
    size: u64,
    slice_size: NonZeroU64,
    count: u32,
}

impl SlicePlan {
    /// Cuts `size` bytes into slices of `slice_size`. `None` if there would be more than [`SLICES_MAX`].
    pub fn new(size: u64, slice_size: NonZeroU64) -> Option<Self> {
        let count =
            u32::try_from(size.div_ceil(slice_size.get()).max(1)).ok().filter(|&it| it <= SLICES_MAX)?;
        Some(Self { size, slice_size, count })
    }

    /// File size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Slice size in bytes.
    pub fn slice_size(&self) -> NonZeroU64 {
        self.slice_size
    }

    /// How many slices there are, at least 1.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The slice with this number, if there is one.
    pub fn slice(&self, no: u32) -> Option<Slice> {
        if no == 0 || no > self.count {
            return None;
        }
        let offset = u64::from(no - 1) * self.slice_size.get();
        Some(Slice { no, offset, len: self.slice_size.get().min(self.size - offset) })
    }

    /// All slices in order.
    pub fn iter(&self) -> impl Iterator<Item = Slice> {
        let plan = *self;
        (1..=plan.count).filter_map(move |no| plan.slice(no))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_the_file_once() {
        for (size, slice_size) in
            [(0, 4), (1, 4), (3, 4), (4, 4), (5, 4), (8, 4), (9, 4), (u64::from(SLICES_MAX), 1)]
        {
            let plan = SlicePlan::new(size, NonZeroU64::new(slice_size).unwrap()).unwrap();
            let checked = plan.iter().take(1000);
            let mut next = 0;
            for (index, slice) in checked.enumerate() {
                assert_eq!(slice.no as usize, index + 1);
                assert_eq!(slice.offset, next);
                next += slice.len;
            }
            let last = plan.slice(plan.count()).unwrap();
            assert_eq!(last.offset + last.len, size);
            assert_eq!(plan.slice(0), None);
            assert_eq!(plan.slice(plan.count().wrapping_add(1)), None);
        }
        assert_eq!(SlicePlan::new(u64::from(SLICES_MAX) + 1, NonZeroU64::MIN), None);
        assert_eq!(SlicePlan::new(u64::MAX, NonZeroU64::MIN), None);
    }
}
