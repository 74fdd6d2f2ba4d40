//! Scenarios drawn at random.

use std::time::Duration;

use fastrand::Rng;
use pan123_proto::{
    Class,
    machine::{LinkPolicy, Parallel, Policy, SingleUse, Stop},
};

use crate::{
    network::Shape,
    scenario::{Deed, Fault, Faults, File, Kill, LineAnswer, Scenario},
    service::{Content, Limits, Manners},
};

const MIB: u64 = 1 << 20;

/// The scenario of this seed: any link, any service, any faults, all of them small enough to run in a moment.
pub fn random(seed: u64) -> Scenario {
    let mut rng = Rng::with_seed(seed);
    let rng = &mut rng;
    let slice_size = one_of(rng, &[MIB, 4 * MIB, 16 * MIB, 16 * MIB, 16 * MIB, 32 * MIB]);
    let shape = shape(rng);
    let uploads = one_of(rng, &[1, 1, 1, 2, 3, 5]);
    let files = (0..uploads).map(|_| file(rng, slice_size)).collect::<Vec<_>>();
    let vip = rng.bool();
    let hosts = one_of(rng, &[1, 1, 2, 3]);
    let faults = faults(rng);
    let manners = Manners {
        slice_size,
        servers: hosts,
        names_no_server: chance(rng, 0.1),
        verify: Duration::from_millis(rng.u64(0..20_000)),
        verify_failures: if chance(rng, 0.1) { rng.u32(1..3) } else { 0 },
        verifies: chance(rng, 0.5),
        limits: limits(rng, vip),
        retry_after: chance(rng, 0.3).then(|| Duration::from_secs(rng.u64(1..20))),
    };
    let kills = match rng.u32(0..10) {
        0..7 => vec![],
        7 => (0..rng.usize(1..4)).map(|_| Kill::At(moment(rng))).collect(),
        _ => (0..rng.usize(1..4)).map(|_| Kill::BeforeAction(rng.u64(1..150))).collect(),
    };
    let parallel = if chance(rng, 0.7) { Parallel::Auto } else { Parallel::Exactly(rng.u32(1..20)) };
    let single = one_of(rng, &[SingleUse::Auto, SingleUse::Auto, SingleUse::Never, SingleUse::Always]);
    Scenario {
        seed,
        servers: (0..hosts).map(|_| server(rng, shape.uplink)).collect(),
        deeds: deeds(rng, hosts, uploads, shape.uplink),
        shape,
        manners,
        line: Duration::from_secs(60),
        line_answer: one_of(rng, &[LineAnswer::Words, LineAnswer::Empty, LineAnswer::Reset]),
        faults,
        kills,
        files,
        at_once: rng.usize(1..5),
        look_every: Duration::from_millis(rng.u64(100..500)),
        policy: Policy { single, hedge: rng.bool(), ..Policy::default() },
        link: LinkPolicy { parallel, vip_rates: vip, ..LinkPolicy::default() },
    }
}

fn shape(rng: &mut Rng) -> Shape {
    // From 1 Mbit/s to 10 Gbit/s, as many slow ones as fast ones.
    let bits_per_sec = 10f64.powf(6.0 + 4.0 * rng.f64());
    let mut shape = Shape::new(bits_per_sec, Duration::from_millis(rng.u64(1..300)));
    if chance(rng, 0.3) {
        shape.per_connection = shape.uplink * (0.05 + 0.95 * rng.f64());
    }
    shape.buffer = rng.u64(0..6 * MIB);
    shape.buffer_grows = Duration::from_millis(rng.u64(0..8000));
    shape
}

fn file(rng: &mut Rng, slice_size: u64) -> File {
    let slices = if chance(rng, 0.8) { rng.u64(0..12) } else { rng.u64(0..40) };
    let size = slices * slice_size + if chance(rng, 0.3) { 0 } else { rng.u64(0..slice_size) };
    let refusals = [Class::BadName, Class::NoSpace, Class::NoParent, Class::Exists, Class::Blocked];
    File {
        content: Content(rng.u64(..)),
        size: size.max(1),
        known: chance(rng, 0.05),
        stop: chance(rng, 0.08).then(|| (moment(rng), one_of(rng, &[Stop::Cancel, Stop::Pause]))),
        refused: chance(rng, 0.03).then(|| one_of(rng, &refusals)),
    }
}

fn server(rng: &mut Rng, uplink: f64) -> f64 {
    match rng.u32(0..20) {
        0 => 0.0,
        1 | 2 => uplink * rng.f64().powi(2),
        _ => 1e12,
    }
}

fn limits(rng: &mut Rng, vip: bool) -> Limits {
    let published = if vip { Limits::VIP } else { Limits::FREE };
    match rng.u32(0..4) {
        0 => Limits::NONE,
        1 | 2 => published,
        _ => {
            let stricter = 0.3 + 0.7 * rng.f64();
            Limits {
                create: published.create * stricter,
                complete: published.complete * stricter,
                slice: 0.5 + 20.0 * rng.f64(),
            }
        }
    }
}

fn faults(rng: &mut Rng) -> Faults {
    let mut kinds = Fault::ALL.to_vec();
    rng.shuffle(&mut kinds);
    kinds.truncate(rng.usize(1..=kinds.len()));
    let (rate, budget) = match rng.u32(0..4) {
        0 => (0.0, 0),
        1 => (0.05, 10),
        2 => (0.3, 30),
        _ => (rng.f64(), rng.u32(1..60)),
    };
    Faults { rate, budget, kinds, echoes: rng.bool() }
}

fn deeds(rng: &mut Rng, hosts: usize, uploads: usize, uplink: f64) -> Vec<(Duration, Deed)> {
    let mut deeds = vec![];
    let mut at = Duration::ZERO;
    while chance(rng, 0.4) && deeds.len() < 12 {
        at += moment(rng);
        let host = rng.usize(..hosts);
        let later = at + moment(rng);
        match rng.u32(0..11) {
            0 | 1 => deeds.extend([(at, Deed::Down(true)), (later, Deed::Down(false))]),
            2 | 3 => deeds.push((at, Deed::Uplink(uplink * (0.1 + 2.0 * rng.f64())))),
            4 => deeds.push((at, Deed::Server(host, 0.0))),
            5 => deeds.extend([(at, Deed::Server(host, 0.0)), (later, Deed::Server(host, 1e12))]),
            6 => deeds.push((at, Deed::Server(host, uplink * 0.1))),
            7 | 8 => deeds.push((at, Deed::TokenExpires)),
            9 => deeds.push((at, Deed::Forget)),
            _ if chance(rng, 0.3) => deeds.push((at, Deed::LockedOut)),
            _ if chance(rng, 0.3) => deeds.push((at, Deed::SourceFails(rng.usize(..uploads)))),
            _ => {}
        }
        at = later;
    }
    deeds
}

/// A time within a run: often early, sometimes late.
fn moment(rng: &mut Rng) -> Duration {
    Duration::from_secs_f64(10f64.powf(-2.0 + 4.5 * rng.f64()))
}

fn chance(rng: &mut Rng, probability: f64) -> bool {
    rng.f64() < probability
}

fn one_of<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}
