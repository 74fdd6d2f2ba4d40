//! The C interface of pan123: `libpan123` and `include/pan123.h`.
//!
//! The header is made from this crate by `cargo xtask header`; the comments here are its comments. Each exported function
//! is a shell: it checks what it is given, calls Rust inside a guard that turns a panic into a status, and writes its
//! outputs only when it has succeeded. `docs/abi.md` says what of it may change.
//!
//! Rust programs use `pan123-upload` itself; of this crate they need [`plugin::Plugin`], which loads plugins.

#![allow(non_camel_case_types, reason = "the names are those of C")]
#![allow(clippy::too_many_arguments, reason = "C has no other way to give as many")]
#![allow(clippy::missing_errors_doc, reason = "the codes stand under \"Returns\", as the header has them")]

// The order of these is the order of the header; the blank lines keep rustfmt from sorting them.

pub mod numbers;

pub mod error;

pub mod info;

pub mod result;

pub mod stop;

pub mod sink;

pub mod vtable;

pub mod source;

pub mod http;

pub mod transport;

pub mod tokens;

pub mod store;

pub mod event;

pub mod queue;

pub mod options;

pub mod client;

pub mod hash;

pub mod service;

pub mod upload;

pub mod plugin;

mod calls;
#[cfg(all(unix, not(target_vendor = "apple")))]
mod elf;
mod entry;
mod fields;
mod fork;
mod guard;
mod handle;
mod memory;
mod pollable;
mod run;
mod signals;
mod text;
mod threads;
mod wait;

#[cfg(feature = "test-panic")]
pub use guard::test_panics;
