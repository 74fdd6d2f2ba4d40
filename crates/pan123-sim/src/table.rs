//! Goodput of clients over links, beside what the link could carry.

use std::time::Duration;

use pan123_proto::{
    SLICE_SIZE_ASSUMED,
    machine::{FailedKind, LinkPolicy, Parallel, Policy},
};

use crate::{
    Fixed, Limits, Machine, Scenario, Shape, run,
    story::{End, Story},
};

/// Who uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// The product, with slices in flight as the link has it.
    Auto,
    /// The product, with at most so many slices in flight.
    Exactly(u32),
    /// A client with a fixed number of slices in flight.
    Fixed(u32),
}

/// How a client did over a link.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// All files are there. The goodput as a part of what the link carries, from 0 to 1.
    Done(f64),
    /// Not all files made it; this is why one did not.
    Failed(FailedKind, String),
}

/// What is sent over a link for a measurement: what the link carries in `span`, at least 8 slices, in files of at most
/// 10 GB, the most that the service takes.
pub fn workload(shape: &Shape, span: Duration) -> Vec<u64> {
    let mut left = ((shape.uplink * span.as_secs_f64()) as u64).max(8 * SLICE_SIZE_ASSUMED);
    let mut sizes = vec![];
    while left > 0 {
        let size = left.min(10_000_000_000);
        sizes.push(size);
        left -= size;
    }
    sizes
}

/// Sizes of `count` files with `total` bytes together: half of them small, and most of the bytes in the large ones.
/// None is empty or above 10 GB. `seed` decides them.
pub fn mixed_sizes(count: usize, total: u64, seed: u64) -> Vec<u64> {
    let mut rng = fastrand::Rng::with_seed(seed);
    // From 1 to 10 000 parts, evenly over the orders of magnitude.
    let parts: Vec<f64> = (0..count).map(|_| 10f64.powf(4.0 * rng.f64())).collect();
    let part = total as f64 / parts.iter().sum::<f64>();
    parts.into_iter().map(|parts| ((parts * part) as u64).clamp(1, 10_000_000_000)).collect()
}

/// Lets a client upload files of these sizes, four at a time, with the request rates of a free account.
pub fn measure(shape: &Shape, sizes: &[u64], contender: Contender) -> (Cell, Story) {
    let mut scenario = Scenario::calm(shape.clone(), sizes);
    scenario.manners.limits = Limits::FREE;
    let story = match contender {
        Contender::Auto => run(&scenario, &mut machine(Parallel::Auto)),
        Contender::Exactly(slices) => run(&scenario, &mut machine(Parallel::Exactly(slices))),
        Contender::Fixed(slices) => run(&scenario, &mut Fixed::new(slices)),
    };
    let failed = story.others.iter().find_map(|(_, end)| match end {
        End::Failed(failed) => Some((failed.kind, failed.failure.message.clone())),
        _ => None,
    });
    let cell = match failed {
        Some((kind, words)) => Cell::Failed(kind, words),
        None => Cell::Done(scenario.ideal().as_secs_f64() / story.elapsed.as_secs_f64()),
    };
    (cell, story)
}

fn machine(parallel: Parallel) -> Machine {
    let link = LinkPolicy { parallel, ..LinkPolicy::default() };
    Machine::new(Policy::default(), link, 1)
}
