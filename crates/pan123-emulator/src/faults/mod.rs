//! Bad days on order: scripted faults and standing behaviour.
//!
//! `docs/emulator.md` is the reference for the JSON form.

mod action;
mod behaviour;
mod decide;
mod script;

pub use action::{Action, At, Garbage};
pub use behaviour::{Behaviour, DuplicateSlices, Qps, SliceAnswer};
pub(crate) use decide::{Attempts, Occasion, Plan};
pub use script::{Fault, Faults, Span};
