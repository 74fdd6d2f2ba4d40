//! The upload engine of pan123: drives the state machine with files, sockets and clocks.

mod error;
pub mod journal;
mod journal_dir;
mod private_dir;
mod source;
mod store;
mod token;

pub use error::{Error, ErrorKind};
pub use journal_dir::JournalDir;
pub use private_dir::state_dir;
pub use source::{Identity, Source, SourceRead};
pub use store::{ResumeLog, ResumeStore, StoredLog};
pub use token::{ClientCredentials, RefreshToken, StaticToken, Token, TokenProvider};
