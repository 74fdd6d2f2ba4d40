//! The upload of one file as a state machine.
//!
//! [`Upload`] is told what happened ([`Input`]) and asked what to do next ([`Action`]); [`Link`] is
//! what all uploads of one account share: pacing per endpoint, slices in flight, servers, retries.
//! Neither owns a socket, file, task, clock or random source. Time is a [`Duration`](std::time::Duration)
//! since a start of the driver's choosing, and must never run backwards.

mod answers;
mod flights;
mod link;
mod pacer;
mod policy;
mod servers;
mod slices;
mod types;
mod upload;
mod window;

pub use link::Link;
pub use policy::{LinkPolicy, Parallel, Policy, SingleUse};
pub use types::{
    Action, Call, Completed, Digests, Duplicate, Event, Failed, FailedKind, Input, Outcome, Record, Reply,
    Stage, Stop, TryId, UploadSpec,
};
pub use upload::Upload;

#[cfg(test)]
mod tests;
