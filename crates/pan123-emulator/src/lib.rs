//! The 123 Cloud Drive upload service on loopback, with scripted faults.
//!
//! ```
//! use pan123_emulator::{Emulator, Options};
//!
//! let folder = tempfile::tempdir()?;
//! let emulator = Emulator::start(Options::new(folder.path()))?;
//! println!("base URL {}, token {}", emulator.base_url(), emulator.token());
//! emulator.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It is a real server: one port for the API and one for each upload host, real files in a real
//! folder tree under [`Options::dir`], an index beside them that survives a restart or a `kill -9`,
//! tokens that expire. What the service is known to do on a bad day is told to it as [`Faults`], and
//! what each client did to it is in [`Emulator::requests`].
//!
//! It never leaves loopback and never calls the clients of this workspace: what it knows of the protocol
//! comes from the official pages and from what other clients have seen, so that it can judge ours. Its digests are
//! those of the `md-5` crate rather than of `pan123-hash`, for the same reason.
//!
//! `docs/emulator.md` is the guide: the calls, the folder, and the fault scripts.

#![forbid(unsafe_code)]

mod emulator;
mod error;
mod options;

mod connection;
mod route;

mod exchange;
mod receive;

mod fields;
mod multipart;

mod answers;
mod reply;

mod api;
mod control;

mod drive;
mod tokens;

mod faults;
mod throttle;

mod log;
mod service;

pub use emulator::Emulator;
pub use error::{Error, ErrorKind};
pub use faults::{Action, At, Behaviour, DuplicateSlices, Fault, Faults, Garbage, Qps, SliceAnswer, Span};
pub use log::Request;
pub use options::Options;
