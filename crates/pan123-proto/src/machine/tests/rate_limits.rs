//! Refusals for too many requests.

use super::*;

#[test]
fn a_rate_limit_slows_down_and_does_not_use_up_tries() {
    let mut bench = Bench::new(1);
    bench.create();
    for _ in 0..8 {
        bench.fail(Class::RateLimited);
        assert_eq!(bench.outcome, None);
    }
    bench.reply(Reply::SliceTaken);
    bench.reply(STORED);
    bench.completed();
    assert!(bench.now >= Duration::from_secs(8));
}

#[test]
fn a_long_pause_takes_nothing_from_the_time_for_other_failures() {
    let mut bench = Bench::new(1);
    for sliced in [false, true] {
        let (id, call) = bench.call();
        assert_eq!(matches!(call, Call::Slice { .. }), sliced);
        let endpoint = if sliced { Endpoint::Slice } else { Endpoint::Create };
        let pause = Some(Duration::from_secs(100));
        let failure = Failure { retry_after: pause, ..failure(endpoint, Class::RateLimited) };
        bench.tell(Input::Failed { id, failure, sent: 0 });
        assert!(matches!(bench.fail(Class::Interrupted), Call::Create { .. } | Call::Slice { .. }));
        assert!(matches!(bench.fail(Class::Server), Call::Create { .. } | Call::Slice { .. }));
        bench.reply(if sliced { Reply::SliceTaken } else { created(SLICE) });
    }
    bench.reply(STORED);
    bench.completed();
}

#[test]
fn a_rate_limit_is_told_with_its_try_and_its_pause() {
    let mut bench = Bench::new(1);
    (0..3).for_each(|_| drop(bench.fail(Class::RateLimited)));
    bench.create();
    (0..3).for_each(|_| drop(bench.fail(Class::RateLimited)));
    let (tries, waits): (Vec<u32>, Vec<u64>) = bench.retries.iter().copied().unzip();
    assert_eq!(tries, [1, 2, 3, 1, 2, 3]);
    assert!(waits.iter().all(|&wait| wait >= 1000), "{waits:?}");
    while bench.outcome.is_none() {
        bench.fail(Class::RateLimited);
    }
    assert_eq!(bench.failed().attempts as usize, bench.retries.len() - 3 + 1);
}

#[test]
fn a_rate_limit_without_end_is_given_up_after_two_minutes() {
    for sliced in [false, true] {
        let mut bench = Bench::new(1);
        if sliced {
            bench.create();
        }
        while bench.outcome.is_none() {
            bench.fail(Class::RateLimited);
        }
        let failed = bench.failed();
        let secs = bench.now.as_secs();
        assert!((105..=135).contains(&secs), "{secs} s");
        assert!(failed.resumable && failed.kind == FailedKind::GaveUp, "{failed:?}");
        assert!((5..=20).contains(&failed.attempts), "{} tries", failed.attempts);
        let figure = format!("refused for {secs} s on end");
        assert!(failed.failure.message.contains(&figure), "{}", failed.failure.message);
    }
}

#[test]
fn pauses_that_the_service_asks_for_are_kept_and_are_no_reason_to_go_on_for_ever() {
    for (pause, ends, tries, words) in [
        (5, 120..=150, 6..=20, "refused for "),
        (50, 150..=150, 4..=4, "refused for 150 s on end"),
        (119, 238..=238, 3..=3, "refused for 238 s on end"),
        (300, 300..=300, 2..=2, "refused for 300 s on end"),
        (600, 600..=600, 2..=2, "refused for 600 s on end"),
        (601, 0..=0, 1..=1, "the service asks for a pause of 601 s"),
        (7200, 0..=0, 1..=1, "the service asks for a pause of 7200 s"),
    ] {
        for sliced in [false, true] {
            let mut bench = Bench::new(1);
            let endpoint = if sliced { Endpoint::Slice } else { Endpoint::Create };
            if sliced {
                bench.create();
            }
            let mut last: Option<Duration> = None;
            while bench.outcome.is_none() {
                let (id, _) = bench.call();
                assert!(last.is_none_or(|last| bench.now >= last + Duration::from_secs(pause)), "too early");
                last = Some(bench.now);
                let retry_after = Some(Duration::from_secs(pause));
                let failure = Failure { retry_after, ..failure(endpoint, Class::RateLimited) };
                bench.tell(Input::Failed { id, failure, sent: 0 });
                bench.drain();
            }
            let (failed, secs) = (bench.failed(), bench.now.as_secs());
            assert_eq!(failed.kind, FailedKind::GaveUp);
            assert!(
                ends.contains(&secs) && tries.contains(&failed.attempts),
                "{pause}: {secs} s, {failed:?}"
            );
            assert!(failed.failure.message.starts_with(words), "{pause}: {}", failed.failure.message);
        }
    }
}

#[test]
fn a_pause_that_grows_too_long_ends_it() {
    let mut bench = Bench::new(1);
    for (pause, is_over) in [(100, false), (501, true)] {
        let (id, _) = bench.call();
        let retry_after = Some(Duration::from_secs(pause));
        let failure = Failure { retry_after, ..failure(Endpoint::Create, Class::RateLimited) };
        bench.tell(Input::Failed { id, failure, sent: 0 });
        bench.drain();
        assert_eq!(bench.outcome.is_some(), is_over);
    }
    let words =
        "refused for 100 s on end, as too many requests, and the service asks for a pause of 501 s more";
    assert!(bench.failed().failure.message.starts_with(words), "{:?}", bench.failed());
}

#[test]
fn an_upload_that_begins_on_a_slowed_link_waits_or_says_how_long_it_would_have_to() {
    let now = Duration::from_secs(5);
    for (pause, is_over) in [(500, false), (700, true)] {
        let mut link = Link::new(LinkPolicy::default());
        let mut upload = Upload::new(spec(1), Policy::default(), 1);
        while upload.poll(now, &mut link).is_some() {}
        upload.handle(now, &mut link, Input::Hashed(digests(&spec(1), SLICE)));
        let id = sent(&mut upload, &mut link, now, |call| matches!(call, Call::Create { .. })).unwrap();
        // Another upload of the link is asked for a long pause while this one is refused without.
        link.rate_limited(Endpoint::Create, now, Some(Duration::from_secs(pause)));
        let failure = failure(Endpoint::Create, Class::RateLimited);
        upload.handle(now, &mut link, Input::Failed { id, failure, sent: 0 });
        let mut outcome = None;
        while let Some(action) = upload.poll(now, &mut link) {
            if let Action::Finish(end) = action {
                outcome = Some(end);
            }
        }
        if !is_over {
            assert_eq!((outcome, upload.wake_at(&link)), (None, Some(now + Duration::from_secs(pause))));
            continue;
        }
        let Some(Outcome::Failed(failed)) = outcome else { panic!("{outcome:?}") };
        let message = &failed.failure.message;
        assert!(
            message.starts_with("too many requests, and the next may go in 700 s; the service said: "),
            "{message}"
        );
    }
}

#[test]
fn a_pause_that_one_upload_is_asked_for_holds_that_call_of_all_and_no_other_call() {
    let mut link = Link::new(LinkPolicy::default());
    let now = Duration::from_secs(5);
    let hold = Duration::from_secs(40);
    let begin = |link: &mut Link, number: u64| {
        let mut upload = Upload::new(spec(1), Policy::default(), number);
        let (digests, now) = (digests(&spec(1), SLICE), now + Duration::from_secs(2 * number));
        assert!(std::iter::from_fn(|| upload.poll(now, link)).any(|it| matches!(it, Action::Hash { .. })));
        upload.handle(now, link, Input::Hashed(digests));
        let id = sent(&mut upload, link, now, |call| matches!(call, Call::Create { .. })).unwrap();
        upload.handle(now, link, Input::Replied { id, reply: created(SLICE) });
        upload
    };
    let is_slice = |call: &Call| matches!(call, Call::Slice { .. });
    let mut first = begin(&mut link, 0);
    let id = sent(&mut first, &mut link, now, is_slice).unwrap();
    let mut second = begin(&mut link, 1);
    let refused_at = now + Duration::from_secs(3);
    let failure = Failure { retry_after: Some(hold), ..failure(Endpoint::Slice, Class::RateLimited) };
    first.handle(refused_at, &mut link, Input::Failed { id, failure, sent: 0 });

    for upload in [&mut first, &mut second] {
        assert_eq!(sent(upload, &mut link, refused_at + hold / 2, is_slice), None);
        assert_eq!(upload.wake_at(&link), Some(refused_at + hold));
    }
    // A third one may still be created, as one that is sliced, and holds back with its slice.
    let mut third = begin(&mut link, 5);
    assert_eq!(sent(&mut third, &mut link, refused_at + hold - Duration::from_secs(1), is_slice), None);
    assert!(sent(&mut second, &mut link, refused_at + hold, is_slice).is_some());
}

/// Polls to the end and returns the request that went out, if any; it has to be of this kind.
fn sent(upload: &mut Upload, link: &mut Link, now: Duration, wanted: fn(&Call) -> bool) -> Option<TryId> {
    let mut sent = None;
    while let Some(action) = upload.poll(now, link) {
        if let Action::Send { id, call } = action {
            assert!(wanted(&call) && sent.is_none(), "{call:?}");
            sent = Some(id);
        }
    }
    sent
}

#[test]
fn a_pause_that_nobody_would_wait_for_is_told() {
    for class in [Class::RateLimited, Class::Server] {
        let mut bench = Bench::new(1);
        let (id, _) = bench.call();
        let pause = Some(Duration::from_secs(86_400));
        let failure = Failure { retry_after: pause, ..failure(Endpoint::Create, class) };
        bench.tell(Input::Failed { id, failure, sent: 0 });
        bench.drain();
        let words = &bench.failed().failure.message;
        assert!(words.contains("asks for a pause of 86400 s"), "{class:?}: {words}");
    }
}

#[test]
fn a_pause_that_is_over_is_none() {
    let policy = Policy {
        retry_for: Duration::from_secs(6),
        throttled_for: Duration::from_secs(6),
        ..Policy::default()
    };
    let mut bench = Bench::with(Upload::new(spec(1), policy, 1));
    while bench.outcome.is_none() {
        let (id, _) = bench.call();
        assert!(bench.now <= Duration::from_secs(6), "a try at {:?}", bench.now);
        let over = Some(Duration::ZERO);
        let failure = Failure { retry_after: over, ..failure(Endpoint::Create, Class::Server) };
        bench.tell(Input::Failed { id, failure, sent: 0 });
        bench.drain();
    }
}
