//! An upload that stops, and goes on from its journal.

use super::*;

#[test]
fn a_resumed_upload_sends_only_what_is_missing_and_creates_nothing() {
    let mut bench = Bench::new(10);
    bench.create();
    for _ in 0..3 {
        let (id, _) = bench.in_flight.pop_first().unwrap();
        bench.tell(Input::Replied { id, reply: Reply::SliceTaken });
        bench.drain();
    }
    let upload = Upload::resume(spec(10), Policy::default(), 2, Duration::ZERO, &bench.records);
    let mut resumed = Bench::with(upload);
    resumed.drain();
    assert_eq!(resumed.send_all(), [4, 5, 6, 7, 8, 9, 10]);
    resumed.reply(STORED);
    resumed.completed();

    let mut records = bench.records.clone();
    records.extend(resumed.records);
    let upload = Upload::resume(spec(10), Policy::default(), 4, Duration::ZERO, &records);
    let mut told_again = Bench::with(upload);
    told_again.drain();
    assert_eq!(told_again.in_flight, BTreeMap::new(), "it is stored, and on record");
    assert_eq!((told_again.completed().file_id, told_again.completed().slices), (7, 10));

    assert!(matches!(records.pop(), Some(Record::Done(_))));
    let upload = Upload::resume(spec(10), Policy::default(), 3, Duration::ZERO, &records);
    let mut asked_again = Bench::with(upload);
    assert!(matches!(asked_again.reply(STORED), Call::Complete { .. }), "only the answer was missing");
}

#[test]
fn digests_on_record_that_do_not_fit_the_file_are_made_anew() {
    for slices in [0, 2, 4] {
        let mut bench = Bench::new(3);
        bench.create();
        let wrong = Digests { slices: vec![Md5([0; 16]); slices].into(), ..digests(&spec(3), SLICE) };
        bench.records[0] = Record::Hashed(wrong);
        let upload = Upload::resume(spec(3), Policy::default(), 1, Duration::ZERO, &bench.records);
        assert!(!upload.digests_known());
        let mut resumed = Bench::with(upload);
        resumed.drain();
        assert_eq!(resumed.send_all(), [1, 2, 3]);
        resumed.reply(STORED);
        resumed.completed();
    }
}

#[test]
fn every_prefix_of_a_journal_can_be_resumed() {
    let mut bench = Bench::new(3);
    bench.create();
    bench.send_all();
    bench.fail(Class::NotFound);
    bench.create();
    bench.send_all();
    bench.reply(STORED);
    for len in 0..=bench.records.len() {
        let upload = Upload::resume(spec(3), Policy::default(), 1, Duration::ZERO, &bench.records[..len]);
        let mut again = Bench::with(upload);
        again.drain();
        while again.outcome.is_none() {
            match again.in_flight.values().next() {
                Some(Call::Slice { .. }) => drop(again.send_all()),
                Some(Call::Create { .. }) => again.create(),
                _ => drop(again.reply(STORED)),
            }
        }
        again.completed();
    }
}

#[test]
fn stopping_drops_what_is_under_way_and_keeps_the_journal() {
    let mut bench = Bench::new(10);
    bench.create();
    assert_eq!(bench.in_flight.len(), 4);
    bench.tell(Input::Stop(Stop::Pause));
    bench.drain();
    assert_eq!(bench.outcome, Some(Outcome::Stopped(Stop::Pause)));
    assert!(bench.in_flight.is_empty());
    assert_eq!(bench.link.slices_in_flight(), 0);
    assert!(!bench.records.contains(&Record::Restarted));
}

#[test]
fn dead_hosts_of_a_journal_lead_to_new_ones_after_three_tries() {
    let mut before = Bench::new(1);
    before.create();
    let mut bench =
        Bench::with(Upload::resume(spec(1), Policy::default(), 2, Duration::ZERO, &before.records));
    for _ in 0..3 {
        let Call::Slice { server, .. } = bench.fail(Class::Connect) else { panic!("a slice goes out") };
        assert!(["s1", "s2"].contains(&&*server), "{server}");
    }
    assert_eq!(bench.reply(Reply::Hosts(vec!["new".into(), "s2".into()])), Call::Domain);
    assert!(bench.now < Duration::from_secs(10), "{:?}", bench.now);
    let call = bench.reply(Reply::SliceTaken);
    assert!(matches!(&call, Call::Slice { server, .. } if &**server == "new"), "{call:?}");
    bench.reply(STORED);
    bench.completed();
}

#[test]
fn what_a_failure_leaves_behind_decides_what_it_advises() {
    // Nothing was created, so there is no slice to go on from.
    let mut bench = Bench::new(2);
    while bench.outcome.is_none() {
        bench.fail(Class::Server);
    }
    assert!(!bench.failed().advice.contains("slice"), "{}", bench.failed().advice);

    let mut bench = Bench::new(1);
    bench.create();
    while bench.outcome.is_none() {
        bench.fail(Class::Server);
    }
    assert!(bench.failed().advice.contains("last acknowledged slice"), "{}", bench.failed().advice);

    // The service took a slice and does not have it, twice: a third time may go well.
    let mut bench = Bench::new(1);
    for _ in 0..2 {
        bench.create();
        bench.reply(Reply::SliceTaken);
        (0..3).for_each(|_| drop(bench.fail(Class::Refused)));
    }
    assert_eq!((bench.failed().kind, bench.failed().resumable), (FailedKind::Refused, true));
    let upload = Upload::resume(spec(1), Policy::default(), 1, Duration::ZERO, &bench.records);
    let mut again = Bench::with(upload);
    (0..3).for_each(|_| drop(again.fail(Class::Refused)));
    // Its last request of the run before may have stored the file.
    assert!(matches!(again.reply(Reply::NotYet), Call::Find { .. }));
    again.create();
    again.reply(Reply::SliceTaken);
    again.reply(STORED);
    again.completed();

    // What was never begun is not gone on with.
    let mut bench = Bench::new(1);
    bench.fail(Class::Refused);
    assert_eq!((bench.failed().kind, bench.failed().resumable), (FailedKind::Refused, false));
}

#[test]
fn an_answer_lost_with_the_process_is_looked_for_where_asking_again_would_make_a_copy() {
    for (duplicate, looks_first) in
        [(None, false), (Some(Duplicate::KeepBoth), true), (Some(Duplicate::Overwrite), false)]
    {
        let spec = UploadSpec { duplicate, ..spec(2) };
        let mut killed = Bench::with(Upload::new(spec.clone(), Policy::default(), 1));
        killed.drain();
        assert!(matches!(killed.records[..], [Record::Hashed(_), Record::Asked]), "{:?}", killed.records);

        let resume = || {
            Bench::with(Upload::resume(spec.clone(), Policy::default(), 2, Duration::ZERO, &killed.records))
        };
        let mut resumed = resume();
        if looks_first {
            assert!(matches!(resumed.reply(STORED), Call::Find { .. }));
        } else {
            assert!(matches!(resumed.fail(Class::Exists), Call::Create { .. }));
            assert!(matches!(resumed.reply(STORED), Call::Find { .. }), "it may be its own");
        }
        assert!(!resumed.completed().reused);

        // Nothing was stored: it begins where it was.
        let mut resumed = resume();
        if looks_first {
            resumed.reply(Reply::NotYet);
        }
        resumed.create();
        assert_eq!(resumed.send_all(), [1, 2]);
    }
}

#[test]
fn a_create_that_was_answered_is_not_looked_for() {
    let spec = UploadSpec { duplicate: Some(Duplicate::KeepBoth), ..spec(2) };
    let mut killed = Bench::with(Upload::new(spec.clone(), Policy::default(), 1));
    killed.create();
    let mut resumed =
        Bench::with(Upload::resume(spec, Policy::default(), 2, Duration::ZERO, &killed.records));
    resumed.drain();
    assert_eq!(resumed.send_all(), [1, 2]);
}
