//! The upload engine of pan123: drives the state machine with files, sockets and clocks.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use pan123_upload::{Client, Source, StaticToken, Target, Token};
//!
//! let token = Token::new(std::env::var("PAN123_ACCESS_TOKEN")?, None)?;
//! let client = Client::builder().tokens(Arc::new(StaticToken::new(token))).build()?;
//! let upload = client.upload(Source::file("holiday.mp4")?, Target::root("holiday.mp4"))?;
//! println!("file id {}", upload.wait().await?.file_id);
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod blocking;
mod client;
mod driver;
mod error;
mod hashing;
pub mod journal;
mod journal_dir;
pub mod layers;
mod private_dir;
mod progress;
mod renewals;
mod resume;
mod service;
mod source;
mod store;
mod token;
mod upload;

pub use client::{BASE_URL, Client, ClientBuilder, SliceUpload};
pub use error::{Error, ErrorKind};
pub use journal_dir::JournalDir;
pub use private_dir::state_dir;
pub use progress::Progress;
pub use source::{Identity, Source, SourceRead};
pub use store::{ResumeLog, ResumeStore, StoredLog};
pub use token::{ClientCredentials, RefreshToken, StaticToken, Token, TokenProvider};
pub use upload::{Target, Upload, Uploaded};

pub use pan123_proto as proto;
pub use pan123_transport as transport;
