//! What is tried again: where, how often, and after which wait.

use super::*;

#[test]
fn a_slice_is_tried_again_on_another_server_and_given_up_after_its_tries() {
    let mut bench = Bench::new(1);
    bench.create();
    let mut servers: Vec<Arc<str>> = vec![];
    while bench.outcome.is_none() {
        let Call::Slice { server, .. } = bench.fail(Class::Server) else { panic!() };
        servers.push(server);
    }
    assert_eq!(servers.len(), 6);
    assert_ne!(servers[0], servers[1]);
    let failed = bench.failed();
    assert_eq!((failed.kind, failed.attempts, failed.slice_no), (FailedKind::GaveUp, 6, Some(1)));
    assert!(failed.resumable);
    assert_eq!(bench.retries.len(), 5);
}

#[test]
fn an_outage_is_waited_out_for_as_long_as_asked() {
    let mut bench = Bench::new(1);
    bench.create();
    while bench.outcome.is_none() {
        bench.fail(Class::Connect);
    }
    assert_eq!(bench.failed().kind, FailedKind::GaveUp);
    // No wait is begun that would be over too late.
    assert!(bench.now >= Duration::from_secs(45) && bench.now <= Duration::from_secs(60), "{:?}", bench.now);
}

#[test]
fn no_try_begins_later_than_asked_whatever_the_failure() {
    let passing = [
        Class::Server,
        Class::Protocol,
        Class::QueueBusy,
        Class::Connect,
        Class::Interrupted,
        Class::Stalled,
        Class::NoAnswer,
        Class::RateLimited,
    ];
    for (limit, class) in [0, 1, 3, 10].into_iter().flat_map(|limit| passing.map(|class| (limit, class))) {
        let limit = Duration::from_secs(limit);
        for slices_go in [false, true] {
            let policy = Policy { retry_for: limit, throttled_for: limit, ..Policy::default() };
            let mut bench = Bench::with(Upload::new(spec(1), policy, 1));
            if slices_go {
                bench.create();
            }
            let (mut first, mut last, mut tries) = (None, Duration::ZERO, 0);
            while bench.outcome.is_none() {
                bench.fail(class);
                (last, tries) = (bench.now, tries + 1);
                first.get_or_insert(bench.now);
            }
            let failed_for = last - first.unwrap();
            assert!(failed_for <= limit, "{limit:?}, {class:?}: {failed_for:?}");
            assert_eq!(tries == 1, limit.is_zero(), "{limit:?}, {class:?}: {tries} tries");
        }
    }
}

#[test]
fn a_pause_that_a_failing_service_asks_for_is_kept_and_a_try_made_after_it() {
    let mut bench = Bench::new(1);
    let mut tries = 0;
    while bench.outcome.is_none() {
        let (id, _) = bench.call();
        let retry_after = Some(Duration::from_secs(100));
        let failure = Failure { retry_after, ..failure(Endpoint::Create, Class::Server) };
        bench.tell(Input::Failed { id, failure, sent: 0 });
        bench.drain();
        tries += 1;
    }
    assert_eq!((tries, bench.now), (2, Duration::from_secs(100)));
}

#[test]
fn an_upload_that_waited_long_for_its_turn_is_not_given_up_at_its_first_failure() {
    let mut bench = Bench::new(1);
    bench.link.take(Endpoint::Create, Duration::ZERO);
    bench.drain();
    bench.now = Duration::from_secs(3600);
    bench.fail(Class::Connect);
    assert_eq!(bench.outcome, None);
    bench.create();
}

#[test]
fn a_slice_that_breaks_again_and_again_is_tried_on_while_bytes_leave() {
    let mut bench = Bench::new(1);
    bench.create();
    let mut breaks = 0;
    while bench.outcome.is_none() {
        let (id, _) = bench.call();
        for second in 0..40u64 {
            bench.now += Duration::from_secs(1);
            bench.tell(Input::Moved { id, sent: 4_000_000 + 400_000 * second });
        }
        bench.tell(Input::Failed {
            id,
            failure: failure(Endpoint::Slice, Class::Interrupted),
            sent: 20_000_000,
        });
        bench.drain();
        breaks += 1;
    }
    assert_eq!(bench.failed().kind, FailedKind::GaveUp);
    assert_eq!(breaks, 20, "and not for ever");
}

#[test]
fn other_hosts_are_asked_for_once_and_not_having_them_ends_nothing() {
    let mut bench = Bench::new(1);
    bench.create();
    (0..3).for_each(|_| drop(bench.fail(Class::Connect)));
    assert_eq!(bench.fail(Class::Refused), Call::Domain);
    for _ in 0..4 {
        assert!(matches!(bench.fail(Class::Connect), Call::Slice { .. }));
    }
    bench.reply(Reply::SliceTaken);
    bench.reply(STORED);
    bench.completed();
}

#[test]
fn words_of_a_slow_body_about_one_that_was_fast_or_young_are_a_failure_of_the_server() {
    for (millis, sent) in [(1000, SLICE), (4000, SLICE), (1, 0), (500, 0), (2900, SLICE / 100)] {
        let mut bench = Bench::new(1);
        bench.create();
        for _ in 0..6 {
            let (id, call) = bench.call();
            assert!(matches!(call, Call::Slice { .. }));
            bench.now += Duration::from_millis(millis);
            bench.tell(Input::Failed { id, failure: failure(Endpoint::Slice, Class::BodyTimeout), sent });
            bench.drain();
        }
        let failed = bench.failed();
        assert_eq!(
            (failed.kind, failed.failure.class, failed.attempts),
            (FailedKind::GaveUp, Class::Server, 6)
        );
    }
}

#[test]
fn a_lost_create_is_looked_for_before_it_would_make_a_copy_and_not_for_ever() {
    let spec = UploadSpec { duplicate: Some(Duplicate::KeepBoth), ..spec(2) };
    let mut bench = Bench::with(Upload::new(spec.clone(), Policy::default(), 1));
    assert!(matches!(bench.fail(Class::NoAnswer), Call::Create { .. }));
    assert!(matches!(bench.reply(STORED), Call::Find { .. }));
    bench.completed();

    for (class, tries) in [(Class::Server, 6), (Class::NoAnswer, 20)] {
        let mut bench = Bench::with(Upload::new(spec.clone(), Policy::default(), 1));
        let mut creates = 0;
        while bench.outcome.is_none() {
            assert!(matches!(bench.fail(class), Call::Create { .. }));
            creates += 1;
            // A folder may list it late.
            for _ in 0..4 {
                if bench.outcome.is_none() {
                    assert!(matches!(bench.reply(Reply::NotYet), Call::Find { .. }), "{class:?}");
                }
            }
        }
        let failed = bench.failed();
        assert_eq!((failed.kind, failed.attempts, creates), (FailedKind::GaveUp, tries, tries), "{class:?}");
    }
}
