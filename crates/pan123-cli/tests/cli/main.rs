//! Runs the built program in temporary folders, against an emulator of the service, and judges it by what
//! it prints, how it exits, and what the server saw.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod again;
mod calls;
mod directory;
mod inputs;
mod serve;
mod settings;
mod support;
mod upload;

#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod terminal;
