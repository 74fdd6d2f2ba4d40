//! Wire types, rules and decisions of the 123 Cloud Drive upload API v2.
//!
//! Nothing here does I/O, reads a clock or draws a random number of its own: time and seeds come
//! in as arguments, so that everything that makes an uploader good or bad is tested without a socket.

#![forbid(unsafe_code)]

mod classify;
pub mod decode;
mod digest;
mod endpoint;
mod failure;
pub mod machine;
pub mod multipart;
pub mod names;
mod plan;
pub mod wire;
pub mod words;

pub use classify::{advice, classify};
pub use decode::Answer;
pub use digest::{Md5, ParseMd5Error};
pub use endpoint::Endpoint;
pub use failure::{Class, Failure};
pub use plan::{SLICE_SIZE_ASSUMED, SLICES_MAX, Slice, SlicePlan};
