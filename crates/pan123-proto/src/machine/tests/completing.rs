//! The end: what `upload_complete` answers, or does not.

use super::*;

#[test]
fn a_failed_whole_file_check_starts_over_once_with_fresh_digests() {
    let mut bench = Bench::new(1);
    bench.create();
    bench.send_all();
    bench.reply(Reply::NotYet);
    bench.fail(Class::VerifyFailed);
    bench.create();
    assert_eq!(bench.send_all(), [1]);
    bench.fail(Class::VerifyFailed);
    assert_eq!(bench.failed().kind, FailedKind::Verify);
    assert!(!bench.failed().resumable);
}

#[test]
fn polling_ends_with_a_reason_that_says_still_verifying() {
    let mut bench = Bench::new(1);
    bench.create();
    bench.send_all();
    let start = bench.now;
    while bench.outcome.is_none() {
        bench.reply(Reply::NotYet);
    }
    assert_eq!(bench.failed().kind, FailedKind::GaveUp);
    assert_eq!(bench.failed().failure.class, Class::Verifying);
    let waited = (bench.now - start).as_secs();
    assert!((60..65).contains(&waited), "{waited}");
}

#[test]
fn a_file_that_is_complete_but_has_no_id_is_looked_for_in_its_folder() {
    let mut bench = Bench::new(1);
    bench.create();
    bench.send_all();
    for _ in 0..3 {
        assert!(matches!(bench.reply(Reply::Nameless), Call::Complete { .. }));
    }
    assert!(matches!(bench.reply(STORED), Call::Find { .. }));
    let completed = bench.completed();
    assert_eq!((completed.file_id, completed.reused), (7, false));
}

#[test]
fn a_file_that_never_gets_an_id_ends_in_words_of_its_own() {
    for contain_dir in [false, true] {
        let spec = UploadSpec { contain_dir, ..spec(1) };
        let mut bench = Bench::with(Upload::new(spec, Policy::default(), 1));
        bench.create();
        bench.send_all();
        let mut looks = 0;
        while bench.outcome.is_none() {
            let (id, call) = bench.call();
            let is_look = matches!(call, Call::Find { .. });
            looks += u32::from(is_look);
            // The folder of the first look cannot be listed, the second does not have the file.
            let input = match (is_look, looks) {
                (true, 1) => Input::Failed { id, failure: failure(Endpoint::List, Class::Refused), sent: 0 },
                (true, _) => Input::Replied { id, reply: Reply::NotYet },
                _ => Input::Replied { id, reply: Reply::Nameless },
            };
            bench.tell(input);
            bench.drain();
        }
        assert_eq!(looks, if contain_dir { 0 } else { 2 }, "a folder of unknown id cannot be looked into");
        let failed = bench.failed();
        assert!(failed.failure.message.contains("named no file id"), "{failed:?}");
        assert!(failed.kind == FailedKind::GaveUp && failed.resumable);
        assert!(
            bench.now >= Duration::from_secs(60) && bench.now < Duration::from_secs(90),
            "{:?}",
            bench.now
        );
    }
}

#[test]
fn a_lost_answer_to_complete_is_looked_up_before_anything_is_sent_again() {
    let mut bench = Bench::new(1);
    bench.create();
    bench.send_all();
    bench.fail(Class::NoAnswer);
    assert!(matches!(bench.fail(Class::NotFound), Call::Complete { .. }));
    assert!(matches!(bench.reply(STORED), Call::Find { .. }));
    assert!(!bench.completed().reused);
}

#[test]
fn a_name_taken_by_our_own_lost_create_is_a_success() {
    let mut bench = Bench::new(1);
    bench.fail(Class::NoAnswer);
    assert!(matches!(bench.fail(Class::Exists), Call::Create { .. }));
    assert!(matches!(bench.reply(STORED), Call::Find { .. }));
    bench.completed();

    let mut bench = Bench::new(1);
    bench.fail(Class::Exists);
    assert_eq!(bench.failed().kind, FailedKind::Refused);
}

#[test]
fn an_answer_that_took_a_minute_does_not_end_the_polling() {
    let mut bench = Bench::new(1);
    bench.create();
    bench.send_all();
    let (id, _) = bench.call();
    bench.now += Duration::from_secs(70);
    bench.tell(Input::Replied { id, reply: Reply::NotYet });
    bench.drain();
    bench.reply(STORED);
    bench.completed();
}

#[test]
fn a_file_that_is_there_after_a_lost_answer_is_not_called_reused() {
    for (class, reused) in [
        (Class::Server, false),
        (Class::Protocol, false),
        (Class::NoAnswer, false),
        (Class::Interrupted, false),
        (Class::RateLimited, true),
        (Class::Connect, true),
    ] {
        let mut bench = Bench::new(1);
        bench.fail(class);
        bench.reply(STORED);
        assert_eq!(bench.completed().reused, reused, "{class:?}");
    }
}
