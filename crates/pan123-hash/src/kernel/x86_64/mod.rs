//! Kernels for x86-64.

pub(super) mod avx2;
pub(super) mod avx512;
pub(super) mod avx512vl;
pub(super) mod scalar;
pub(super) mod sse2;
