//! Etag and slice MD5s of files in one pass, and many files in lanes.
//!
//! The 123 Cloud Drive wants the MD5 of a whole file (its *etag*) and the MD5 of each slice of it.
//! This crate computes both while reading the file once, in the time of the etag alone:
//!
//! ```
//! use std::num::NonZeroU64;
//!
//! let mut pass = pan123_hash::OnePass::new(NonZeroU64::new(4).unwrap());
//! pass.update(b"abcdab");
//! let digests = pass.finish();
//! assert_eq!(pan123_hash::hex(&digests.etag), "b4619b762ca648e55788412670e52f94");
//! assert_eq!(digests.slices.len(), 2);
//! ```
//!
//! # What to call
//!
//! | for | call |
//! |---|---|
//! | a stream | [`OnePass`] |
//! | a file | [`hash_file`] |
//! | anything else that can be read at an offset | [`hash_input`] with an [`Input`] |
//! | many files | [`hash_many`] |
//! | many buffers | [`hash_buffers`] |
//! | files that were hashed before, and huge ones that may be interrupted | [`cache::Cache`] |
//!
//! All of them take [`Options`]: the slice size, whether a SHA-1 is wanted too, a progress callback and a
//! cancel flag. Files are read ahead on a thread, never mapped. One that is written to, replaced or removed
//! while it is read is an [`Error`], as far as its size, its times and its links tell, and its name if it has more
//! than 256 KiB; a write through a memory map, one that was under way before, or two within one step of the file system's
//! clock, may not show. Only
//! regular files are hashed; pipes and devices are opened without waiting, and closed without reading, which a
//! few devices notice all the same, as does a program that waits to write into the pipe ([`FileInput::open`]). For Unix systems.
//!
//! # How it is fast
//!
//! MD5 is a chain of steps that wait for each other, so one stream leaves most of a CPU idle. A second chain
//! over the same bytes fits into the gaps: that is the one for the slices. Many streams fill the lanes of
//! vectors, and a scheduler gives each lane a new stream when the old one runs out. [`Kernel`] lists the
//! kernels. The best one is found once per process; the environment variable `PAN123_HASH_KERNEL` names
//! another, for tests and comparisons.
//!
//! The kernels for x86-64 were run and measured on CPUs that have them. Those for AArch64 were run under qemu
//! alone: their digests are right, their speed is not known. On all other architectures the `md-5` crate does
//! the work.
//!
//! MD5 and SHA-1 are broken. They are here because the service asks for them; they protect against accidents,
//! not against people.

#[cfg(not(unix))]
compile_error!("pan123-hash reads files as Unix does");
#[cfg(any(
    all(target_arch = "x86_64", not(target_pointer_width = "64")),
    all(target_arch = "aarch64", not(target_endian = "little"))
))]
compile_error!("the kernels of this architecture are for 64-bit pointers and little-endian numbers");

pub mod cache;
mod chain;
mod digests;
mod error;
mod file;
mod files;
mod input;
mod kernel;
mod many;
mod one_pass;
mod options;
mod reader;
mod schedule;
mod state;
mod tiny;

pub use digests::{Digests, hex};
pub use error::{Error, ErrorKind};
pub use file::{hash_file, hash_input};
pub use files::hash_many;
pub use input::{FileInput, Input};
pub use kernel::Kernel;
pub use many::hash_buffers;
pub use one_pass::OnePass;
pub use options::Options;
