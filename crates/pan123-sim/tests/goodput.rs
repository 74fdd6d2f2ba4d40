//! What the product makes of slow links, long links, slow servers and the gateway's minute.

use std::time::Duration;

use pan123_proto::machine::{FailedKind, LinkPolicy, Policy};
use pan123_sim::{Cell, Contender, Deed, End, Machine, Scenario, Shape, Story, measure, run, workload};

const TEN_MINUTES: Duration = Duration::from_secs(600);

fn shape(mbit: f64, rtt_ms: u64) -> Shape {
    Shape::new(mbit * 1e6, Duration::from_millis(rtt_ms))
}

#[track_caller]
fn check_goodput(shape: &Shape, span: Duration, least: f64) -> Story {
    let (cell, story) = measure(shape, &workload(shape, span), Contender::Auto);
    assert!(matches!(cell, Cell::Done(part) if part >= least), "{cell:?} of {shape:?}: {:?}", story.parallel);
    assert_eq!(story.violations, Vec::<String>::new());
    story
}

#[test]
fn links_from_just_enough_for_one_slice_to_1_gbit_are_used_to_95_percent() {
    for rtt_ms in [5, 50, 150, 300] {
        for mbit in [2.5, 3.0, 4.0, 5.0, 8.0, 10.0, 20.0, 50.0, 100.0] {
            check_goodput(&shape(mbit, rtt_ms), TEN_MINUTES, 0.95);
        }
        check_goodput(&shape(1000.0, rtt_ms), TEN_MINUTES / 2, 0.95);
    }
}

#[test]
fn connections_with_limits_of_their_own_are_added_up_to_95_percent() {
    for (mbit, each) in [(20.0, 2.5), (20.0, 3.0), (20.0, 5.0), (50.0, 4.0), (100.0, 5.0), (100.0, 2.5)] {
        for rtt_ms in [20, 150] {
            let shape = Shape { per_connection: each * 1e6 / 8.0, ..shape(mbit, rtt_ms) };
            check_goodput(&shape, Duration::from_secs(3600), 0.95);
        }
    }
}

#[test]
fn a_fast_long_link_is_filled_as_far_as_64_windows_go() {
    let two_minutes = Duration::from_secs(120);
    check_goodput(&shape(10_000.0, 50), two_minutes, 0.95);
    check_goodput(&shape(10_000.0, 150), two_minutes, 0.90);
    // 64 connections with 4 MiB of window each carry 0.72 of it, less the round trip for each answer.
    check_goodput(&shape(10_000.0, 300), two_minutes, 0.48);
}

#[test]
fn buffers_of_any_size_and_age_hide_nothing() {
    for buffer_mib in [0, 1, 4, 6] {
        for grows_s in [0, 2, 8] {
            for mbit in [2.5, 3.0, 5.0, 8.0, 10.0] {
                let (buffer, buffer_grows) = (buffer_mib << 20, Duration::from_secs(grows_s));
                check_goodput(&Shape { buffer, buffer_grows, ..shape(mbit, 50) }, TEN_MINUTES, 0.88);
            }
        }
    }
}

#[test]
fn below_one_slice_a_minute_it_says_so_with_the_figure() {
    for (mbit, figure) in [(0.5, "0.5"), (1.0, "1.0"), (2.0, "2.0"), (2.15, "2.1")] {
        let shape = shape(mbit, 50);
        let (cell, story) = measure(&shape, &workload(&shape, TEN_MINUTES), Contender::Auto);
        let Cell::Failed(FailedKind::SlowUplink, words) = &cell else { panic!("{mbit} Mbit/s: {cell:?}") };
        assert!(words.contains(&format!("the uplink made {figure}")), "{mbit} Mbit/s: {words}");
        assert!(words.contains("2.24 Mbit/s"), "{words}");
        assert_eq!(story.violations, Vec::<String>::new());
    }
}

#[test]
fn a_fixed_number_in_flight_fails_where_the_product_does_not() {
    let shape = shape(5.0, 50);
    let sizes = workload(&shape, TEN_MINUTES);
    assert!(matches!(measure(&shape, &sizes, Contender::Fixed(8)).0, Cell::Failed(..)));
    assert!(matches!(measure(&shape, &sizes, Contender::Exactly(8)).0, Cell::Done(part) if part > 0.9));
}

/// A gigabyte over 100 Mbit/s to these servers, in bytes per second each.
fn to_servers(servers: &[f64], deeds: Vec<(Duration, Deed)>) -> (Scenario, Story) {
    let mut scenario = Scenario::calm(shape(100.0, 30), &[1 << 30]);
    scenario.servers = servers.to_vec();
    scenario.manners.servers = servers.len();
    scenario.deeds = deeds;
    let story = run(&scenario, &mut Machine::new(Policy::default(), LinkPolicy::default(), 1));
    assert_eq!(story.violations, Vec::<String>::new());
    assert_eq!(story.completed, 1, "{:?}", story.others);
    (scenario, story)
}

#[track_caller]
fn check_servers(servers: &[f64], deeds: Vec<(Duration, Deed)>, least: f64) {
    let (scenario, story) = to_servers(servers, deeds);
    let part = scenario.ideal().as_secs_f64() / story.elapsed.as_secs_f64();
    assert!(part >= least, "{part} {:?}", story.parallel);
}

#[test]
fn slow_and_dead_servers_cost_little_while_one_is_good() {
    check_servers(&[1e12, 0.0], vec![], 0.85);
    check_servers(&[0.0, 0.0, 1e12], vec![], 0.85);
    check_servers(&[1e12, 40e3, 0.0], vec![], 0.75);
    check_servers(&[40e3, 40e3, 1e12], vec![], 0.6);
}

#[test]
fn servers_that_die_in_the_middle_are_left_and_found_again() {
    let at = |second, server, rate| (Duration::from_secs(second), Deed::Server(server, rate));
    check_servers(&[1e12, 1e12], vec![at(10, 0, 0.0)], 0.8);
    check_servers(&[1e12, 1e12], vec![at(10, 0, 0.0), at(30, 0, 1e12), at(40, 1, 0.0)], 0.7);
    check_servers(&[1e12], vec![at(20, 0, 0.0), at(50, 0, 1e12)], 0.4);
}

#[test]
fn an_outage_is_waited_out_and_the_way_back_up_is_short() {
    let mut scenario = Scenario::calm(shape(1000.0, 100), &[10_000_000_000]);
    let second = Duration::from_secs(1);
    scenario.deeds = vec![(second * 20, Deed::Down(true)), (second * 50, Deed::Down(false))];
    let story = run(&scenario, &mut Machine::new(Policy::default(), LinkPolicy::default(), 1));
    assert_eq!(story.violations, Vec::<String>::new());
    assert_eq!(story.completed, 1, "{:?}", story.others);
    let beyond = story.elapsed.as_secs_f64() - scenario.ideal().as_secs_f64() - 30.0;
    assert!(beyond < 30.0, "{beyond} s past the ideal and the outage: {:?}", story.parallel);
}

#[test]
fn second_copies_of_the_last_slices_save_the_wait_for_a_slow_server() {
    let elapsed = |hedge| {
        let mut scenario = Scenario::calm(shape(200.0, 30), &[1 << 30]);
        // Just before the end, one server becomes as slow as it may be without missing the gateway's minute.
        scenario.deeds = vec![(Duration::from_secs(41), Deed::Server(1, 1e6))];
        scenario.policy.hedge = hedge;
        let story = run(&scenario, &mut Machine::new(scenario.policy.clone(), LinkPolicy::default(), 1));
        assert_eq!(story.violations, Vec::<String>::new());
        assert!(story.others.iter().all(|(_, end)| *end != End::Stopped));
        assert!(story.bytes_on_wire <= 1.06 * f64::from(1 << 30), "{}", story.bytes_on_wire);
        story.elapsed
    };
    let (with, without) = (elapsed(true), elapsed(false));
    assert!(with + Duration::from_secs(5) < without, "{with:?} {without:?}");
}
