//! What makes an upload start over, and what ends it at once.

use super::*;

#[test]
fn a_refusal_in_unknown_words_restarts_once_and_then_ends_in_those_words() {
    let mut bench = Bench::new(1);
    bench.create();
    for _ in 0..3 {
        bench.fail(Class::Refused);
    }
    bench.create();
    for _ in 0..3 {
        bench.fail(Class::Refused);
    }
    assert_eq!(bench.failed().kind, FailedKind::Refused);
    assert_eq!(bench.failed().failure.message, "as the test wants it");
}

#[test]
fn a_certificate_that_is_not_trusted_is_no_passing_fault() {
    let mut bench = Bench::new(1);
    bench.fail(Class::Tls);
    let failed = bench.failed();
    assert_eq!((failed.kind, failed.failure.class, failed.attempts), (FailedKind::GaveUp, Class::Tls, 1));
    assert_eq!(bench.now, Duration::ZERO);

    // Another upload host may have a better one.
    let mut bench = Bench::new(1);
    bench.create();
    let Call::Slice { server: first, .. } = bench.fail(Class::Tls) else { panic!("a slice goes out") };
    let Call::Slice { server: second, .. } = bench.fail(Class::Tls) else { panic!("a slice goes out") };
    assert_ne!(first, second);
    let failed = bench.failed();
    assert_eq!((failed.failure.class, failed.attempts, failed.slice_no), (Class::Tls, 2, Some(1)));
    assert!(failed.resumable);
}

#[test]
fn code_of_the_programs_own_that_fails_is_not_tried_again() {
    let mut bench = Bench::new(1);
    bench.create();
    bench.fail(Class::HostCode);
    let failed = bench.failed();
    assert_eq!((failed.failure.class, failed.attempts, failed.slice_no), (Class::HostCode, 1, Some(1)));
    assert!(failed.resumable);
}

#[test]
fn a_refused_login_ends_the_upload_at_once() {
    for class in [Class::Auth, Class::LoginRefused] {
        let mut bench = Bench::new(1);
        bench.fail(class);
        assert_eq!(bench.failed().kind, FailedKind::Login);
    }
}

#[test]
fn a_file_that_changed_before_it_was_hashed_again_is_a_local_failure() {
    let mut bench = Bench::new(1);
    bench.reply(created(SLICE));
    bench.send_all();
    let (id, _) = bench.call();
    bench.tell(Input::Failed { id, failure: failure(Endpoint::Complete, Class::VerifyFailed), sent: 0 });
    while let Some(action) = bench.upload.poll(bench.now, &mut bench.link) {
        if let Action::Hash { slice_size, again } = action {
            assert!(again);
            let changed = Digests { etag: Md5([1; 16]), ..digests(&spec(1), slice_size) };
            bench.upload.handle(bench.now, &mut bench.link, Input::Hashed(changed));
        } else if let Action::Finish(outcome) = action {
            bench.outcome = Some(outcome);
        }
    }
    assert_eq!(bench.failed().kind, FailedKind::Source);
}

#[test]
fn a_restart_for_one_reason_does_not_use_up_that_for_another() {
    let mut bench = Bench::new(1);
    bench.create();
    bench.fail(Class::NotFound);
    bench.create();
    bench.send_all();
    bench.fail(Class::VerifyFailed);
    bench.create();
    bench.fail(Class::NotFound);
    assert_eq!(bench.failed().kind, FailedKind::Refused);
}

#[test]
fn an_upload_that_is_forgotten_each_time_its_answer_is_lost_does_not_start_over_for_ever() {
    let mut bench = Bench::new(1);
    for round in 0..3 {
        if bench.outcome.is_some() {
            assert_eq!(round, 2);
            break;
        }
        bench.create();
        bench.send_all();
        bench.fail(Class::NoAnswer);
        bench.fail(Class::NotFound);
        bench.reply(Reply::NotYet);
    }
    assert_eq!(bench.failed().kind, FailedKind::Refused);
}

#[test]
fn a_login_page_in_place_of_an_answer_restarts_nothing() {
    let mut bench = Bench::new(1);
    bench.create();
    bench.send_all();
    bench.fail(Class::NoAnswer);
    for _ in 0..3 {
        assert!(matches!(bench.fail(Class::Protocol), Call::Complete { .. }));
    }
    bench.reply(STORED);
    assert!(!bench.records.contains(&Record::Restarted));
}

#[test]
fn a_stranger_in_place_of_the_service_is_asked_three_times() {
    let mut bench = Bench::new(1);
    (0..3).for_each(|_| drop(bench.fail(Class::Protocol)));
    assert_eq!((bench.failed().kind, bench.failed().attempts), (FailedKind::Protocol, 3));
    assert!(bench.now < Duration::from_secs(3), "{:?}", bench.now);

    // A resumed upload has met nobody yet either.
    let mut bench = Bench::new(1);
    bench.create();
    let upload = Upload::resume(spec(1), Policy::default(), 2, Duration::ZERO, &bench.records);
    let mut resumed = Bench::with(upload);
    (0..3).for_each(|_| drop(resumed.fail(Class::Protocol)));
    assert_eq!((resumed.failed().kind, resumed.failed().attempts), (FailedKind::Protocol, 3));
    assert!(resumed.failed().resumable);

    // In the middle of an upload a page may go away again.
    (0..5).for_each(|_| drop(bench.fail(Class::Protocol)));
    bench.reply(Reply::SliceTaken);
    bench.reply(STORED);
    bench.completed();
}
