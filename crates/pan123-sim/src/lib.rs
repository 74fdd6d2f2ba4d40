//! The upload state machine against a made-up service and a made-up network, in virtual time.
//!
//! A [`Scenario`] says what the link, the service and the faults are like, and a seed decides everything that is
//! random about it. A [`World`] runs an [`Uploader`] in it: [`Machine`], which is what the product runs, or
//! [`Fixed`], which stands for clients with a fixed number of slices in flight. The [`Story`] that comes back is
//! told by the service's side and lists every property that did not hold.
//!
//! Nothing here is part of the product. The tests of this crate and `cargo xtask simulate` run it.
//!
//! ```
//! use pan123_proto::machine::{LinkPolicy, Policy};
//! use pan123_sim::{Machine, random, run};
//!
//! let scenario = random(7);
//! let mut machine = Machine::new(scenario.policy.clone(), scenario.link.clone(), scenario.seed);
//! let story = run(&scenario, &mut machine);
//! assert_eq!(story.violations, Vec::<String>::new());
//! ```

#![forbid(unsafe_code)]

mod fixed;
mod machine;
mod network;
mod scenario;
mod schedule;
mod service;
mod story;
mod table;
mod world;

pub use fixed::Fixed;
pub use machine::{Machine, Uploader};
pub use network::Shape;
pub use scenario::{Deed, Fault, Faults, File, Kill, LineAnswer, Scenario};
pub use schedule::random;
pub use service::{Content, Limits, Manners};
pub use story::{End, Story};
pub use table::{Cell, Contender, measure, mixed_sizes, workload};
pub use world::{World, run};
