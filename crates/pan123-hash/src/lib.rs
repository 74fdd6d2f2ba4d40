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

pub use digests::{Digests, hex};
pub use error::{Error, ErrorKind};
pub use file::{hash_file, hash_input};
pub use files::hash_many;
pub use input::{FileInput, Input};
pub use kernel::Kernel;
pub use many::hash_buffers;
pub use one_pass::OnePass;
pub use options::Options;
