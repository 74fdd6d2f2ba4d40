//! Layers around the transport.
//!
//! Each wraps the transport below it, handles one thing and forwards the rest; none of them repeats a
//! request, because that is the state machine's to decide. From the outside in, a sensible order is
//! [`Trace`], [`Record`], [`RateLimit`], [`Bandwidth`], [`Faults`]: what is traced and recorded is then what the
//! engine sees, and a fault happens where the network would make it.

mod bandwidth;
mod faults;
mod rate_limit;
mod record;
mod trace;

pub use bandwidth::Bandwidth;
pub use faults::{Fault, Faults};
pub use rate_limit::RateLimit;
pub use record::{Record, Recording, Replay};
pub use trace::Trace;
