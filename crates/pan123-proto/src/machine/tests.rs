//! The machine against a service that these tests play, in virtual time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::*;
use crate::{Class, Endpoint, Failure, Md5};

const SLICE: u64 = 16 << 20;

/// An upload, its link, the time, and what was asked of the service.
struct Bench {
    upload: Upload,
    link: Link,
    now: Duration,
    in_flight: BTreeMap<TryId, Call>,
    records: Vec<Record>,
    /// Try and pause in milliseconds of each retry that was told of.
    retries: Vec<(u32, u64)>,
    outcome: Option<Outcome>,
}

fn spec(slices: u64) -> UploadSpec {
    UploadSpec {
        parent_id: 0,
        filename: "f".into(),
        contain_dir: false,
        duplicate: None,
        size: slices * SLICE,
    }
}

fn digests(spec: &UploadSpec, slice_size: u64) -> Digests {
    let count = spec.size.div_ceil(slice_size).max(1);
    let slices = (0..count).map(|index| Md5([index as u8; 16])).collect();
    Digests { etag: Md5([9; 16]), slice_size, slices }
}

fn failure(endpoint: Endpoint, class: Class) -> Failure {
    Failure::local(endpoint, class, "as the test wants it")
}

impl Bench {
    fn new(slices: u64) -> Self {
        let upload = Upload::new(spec(slices), Policy::default(), 1);
        Self::with(upload)
    }

    fn with(upload: Upload) -> Self {
        let link = Link::new(LinkPolicy::default());
        Self {
            upload,
            link,
            now: Duration::ZERO,
            in_flight: BTreeMap::new(),
            records: vec![],
            retries: vec![],
            outcome: None,
        }
    }

    /// Carries out everything that is to be done now; digests are made at once.
    fn drain(&mut self) {
        while let Some(action) = self.upload.poll(self.now, &mut self.link) {
            match action {
                Action::Hash { slice_size, .. } => {
                    let digests = digests(&self.upload.spec, slice_size);
                    self.tell(Input::Hashed(digests));
                }
                Action::Send { id, call } => assert_eq!(self.in_flight.insert(id, call), None),
                Action::Abort { id } => assert!(self.in_flight.remove(&id).is_some()),
                Action::Save { record, .. } => self.records.push(record),
                Action::Tell(Event::Retry { attempt, wait_ms, .. }) => self.retries.push((attempt, wait_ms)),
                Action::Tell(_) => {}
                Action::Finish(outcome) => assert_eq!(self.outcome.replace(outcome), None),
            }
        }
    }

    fn tell(&mut self, input: Input) {
        self.upload.handle(self.now, &mut self.link, input);
    }

    /// The only request under way; waits for it if the upload is pausing.
    fn call(&mut self) -> (TryId, Call) {
        self.drain();
        for _ in 0..100 {
            if self.in_flight.len() == 1 {
                return self.in_flight.pop_first().unwrap();
            }
            self.wait();
        }
        panic!("{} requests under way, outcome {:?}", self.in_flight.len(), self.outcome);
    }

    /// Lets time pass until the upload wants to be asked again.
    fn wait(&mut self) {
        let wake = self.upload.wake_at(&self.link).expect("the upload waits for a time");
        self.now = self.now.max(wake);
        self.drain();
    }

    fn reply(&mut self, reply: Reply) -> Call {
        let (id, call) = self.call();
        self.tell(Input::Replied { id, reply });
        self.drain();
        call
    }

    fn fail(&mut self, class: Class) -> Call {
        let (id, call) = self.call();
        let endpoint = match call {
            Call::Create { .. } => Endpoint::Create,
            Call::Complete { .. } => Endpoint::Complete,
            Call::Slice { .. } => Endpoint::Slice,
            Call::Single { .. } => Endpoint::Single,
            Call::Find { .. } => Endpoint::List,
            Call::Domain => Endpoint::Domain,
        };
        self.tell(Input::Failed { id, failure: failure(endpoint, class), sent: 0 });
        self.drain();
        call
    }

    fn create(&mut self) {
        let call = self.reply(created(SLICE));
        assert!(matches!(call, Call::Create { .. }), "{call:?}");
    }

    /// Acknowledges slices until none is left, one second each.
    fn send_all(&mut self) -> Vec<u32> {
        let mut numbers = vec![];
        while let Some((&id, Call::Slice { slice, .. })) = self.in_flight.iter().next() {
            numbers.push(slice.no);
            self.in_flight.remove(&id);
            self.now += Duration::from_secs(1);
            self.tell(Input::Replied { id, reply: Reply::SliceTaken });
            self.drain();
        }
        numbers
    }

    fn completed(&self) -> &Completed {
        match &self.outcome {
            Some(Outcome::Completed(completed)) => completed,
            other => panic!("{other:?}"),
        }
    }

    fn failed(&self) -> &Failed {
        match &self.outcome {
            Some(Outcome::Failed(failed)) => failed,
            other => panic!("{other:?}"),
        }
    }
}

fn created(slice_size: u64) -> Reply {
    Reply::Created { preupload_id: "p".into(), slice_size, servers: vec!["s1".into(), "s2".into()] }
}

const STORED: Reply = Reply::Stored { file_id: 7 };

#[test]
fn a_file_goes_through_all_stages() {
    let mut bench = Bench::new(10);
    bench.create();
    assert_eq!(bench.in_flight.len(), 4, "starts with four slices");
    assert_eq!(bench.send_all().len(), 10);
    bench.reply(Reply::NotYet);
    bench.reply(STORED);
    let completed = bench.completed();
    assert_eq!((completed.file_id, completed.slices, completed.reused), (7, 10, false));
    assert_eq!(bench.link.slices_in_flight(), 0);
    assert_eq!(bench.upload.poll(bench.now, &mut bench.link), None, "nothing comes after the end");
}

#[test]
fn bytes_that_the_service_has_are_not_sent() {
    let mut bench = Bench::new(10);
    bench.reply(STORED);
    assert!(bench.completed().reused);
}

#[test]
fn another_slice_size_makes_new_slice_digests() {
    let mut bench = Bench::new(4);
    bench.reply(created(SLICE / 2));
    assert_eq!(bench.send_all().len(), 8);
    let hashed = bench.records.iter().filter(|record| matches!(record, Record::Hashed(_))).count();
    assert_eq!(hashed, 2);
}

#[test]
fn upload_hosts_come_from_domain_when_create_names_none() {
    let mut bench = Bench::new(1);
    bench.reply(Reply::Created { preupload_id: "p".into(), slice_size: SLICE, servers: vec![] });
    assert_eq!(bench.reply(Reply::Hosts(vec!["h".into()])), Call::Domain);
    let (_, call) = bench.call();
    assert!(matches!(call, Call::Slice { server, .. } if &*server == "h"));
}

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
    assert!(bench.now >= Duration::from_secs(60) && bench.now < Duration::from_secs(90), "{:?}", bench.now);
}

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
fn pauses_that_the_service_asks_for_are_kept_for_ten_minutes() {
    let mut bench = Bench::new(1);
    bench.create();
    while bench.outcome.is_none() {
        let (id, _) = bench.call();
        let retry_after = Some(Duration::from_secs(50));
        let failure = Failure { retry_after, ..failure(Endpoint::Slice, Class::RateLimited) };
        bench.tell(Input::Failed { id, failure, sent: 0 });
        bench.drain();
    }
    assert_eq!((bench.now.as_secs(), bench.failed().attempts), (600, 13));
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
fn a_slow_uplink_keeps_only_slices_that_can_make_the_line() {
    let mut bench = Bench::new(4);
    bench.create();
    let ids: Vec<TryId> = bench.in_flight.keys().copied().collect();
    // 3 Mbit/s shared by four slices: each would take 179 s.
    for quarter in 1..=20u64 {
        bench.now = Duration::from_millis(250 * quarter);
        for &id in &ids {
            bench.tell(Input::Moved { id, sent: 100_000 + 23_437 * quarter });
        }
        bench.drain();
    }
    assert_eq!(bench.in_flight.len(), 1, "one slice has the uplink to itself");
    assert_eq!(bench.link.slices_max(), 1);
    assert_eq!(bench.link.slices_in_flight(), 1);
}

#[test]
fn an_uplink_too_slow_for_one_slice_is_named_with_its_figure() {
    let mut bench = Bench::new(1);
    bench.create();
    while bench.outcome.is_none() {
        let (id, _) = bench.call();
        bench.now += Duration::from_secs(60);
        let failure = failure(Endpoint::Slice, Class::Server);
        bench.tell(Input::Failed { id, failure, sent: 12_000_000 });
        bench.drain();
    }
    let failed = bench.failed();
    assert_eq!((failed.kind, failed.resumable), (FailedKind::SlowUplink, true));
    assert!(failed.failure.message.contains("1.60 Mbit/s"), "{}", failed.failure.message);
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
fn a_single_request_is_used_while_create_waits_and_falls_back_to_slices() {
    let mut bench = Bench::new(1);
    bench.upload.spec.size = 1000;
    bench.link.take(Endpoint::Create, Duration::ZERO);
    assert_eq!(bench.reply(Reply::Hosts(vec!["h".into()])), Call::Domain);
    assert!(matches!(bench.fail(Class::Refused), Call::Single { .. }));
    bench.create();
    bench.send_all();
    bench.reply(STORED);
    assert_eq!(bench.completed().slices, 1);
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
fn words_of_a_slow_body_about_one_that_was_fast_are_a_failure_of_the_server() {
    let mut bench = Bench::new(1);
    bench.create();
    for _ in 0..6 {
        let (id, call) = bench.call();
        assert!(matches!(call, Call::Slice { .. }));
        bench.now += Duration::from_secs(1);
        bench.tell(Input::Failed { id, failure: failure(Endpoint::Slice, Class::BodyTimeout), sent: SLICE });
        bench.drain();
    }
    let failed = bench.failed();
    assert_eq!((failed.kind, failed.failure.class, failed.attempts), (FailedKind::GaveUp, Class::Server, 6));
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

#[test]
fn a_wait_of_hours_is_not_waited_silently() {
    let mut bench = Bench::new(1);
    let (id, _) = bench.call();
    let retry_after = Some(Duration::from_secs(7200));
    let failure = Failure { retry_after, ..failure(Endpoint::Create, Class::RateLimited) };
    bench.tell(Input::Failed { id, failure, sent: 0 });
    bench.drain();
    assert_eq!(bench.failed().kind, FailedKind::GaveUp);
}

#[test]
fn uploads_that_share_a_slow_link_drop_slices_of_each_other() {
    let mut link = Link::new(LinkPolicy::default());
    let mut uploads: Vec<Upload> = (0..4).map(|seed| Upload::new(spec(1), Policy::default(), seed)).collect();
    let mut slices = vec![];
    let mut now = Duration::ZERO;
    for (number, upload) in uploads.iter_mut().enumerate() {
        now = Duration::from_secs(number as u64);
        while let Some(action) = upload.poll(now, &mut link) {
            match action {
                Action::Hash { slice_size, .. } => {
                    upload.handle(now, &mut link, Input::Hashed(digests(&spec(1), slice_size)));
                }
                Action::Send { id, call: Call::Create { .. } } => {
                    upload.handle(now, &mut link, Input::Replied { id, reply: created(SLICE) });
                }
                Action::Send { id, .. } => slices.push(id),
                _ => {}
            }
        }
    }
    assert_eq!((slices.len(), link.slices_in_flight()), (4, 4));
    for quarter in 0..40u64 {
        now += Duration::from_millis(250);
        for (upload, id) in uploads.iter_mut().zip(&slices) {
            upload.handle(now, &mut link, Input::Moved { id: *id, sent: 50_000 * quarter });
        }
    }
    let mut aborted = 0;
    for upload in &mut uploads {
        while let Some(action) = upload.poll(now, &mut link) {
            aborted += u32::from(matches!(action, Action::Abort { .. }));
        }
    }
    assert_eq!(aborted, 2, "0.8 MB/s carry two slices in a minute");
    assert_eq!((link.slices_max(), link.slices_in_flight()), (2, 2));
}

#[test]
fn the_last_slice_gets_a_second_copy_on_another_server_if_asked_to() {
    for hedge in [false, true] {
        let mut bench = Bench::with(Upload::new(spec(20), Policy { hedge, ..Policy::default() }, 1));
        bench.create();
        let (&slow, call) = bench.in_flight.first_key_value().unwrap();
        let Call::Slice { server, slice: slow_slice, .. } = call.clone() else { panic!("{call:?}") };
        let mut copies = 0;
        loop {
            let others = bench.in_flight.iter().filter(|(id, _)| **id != slow);
            let Some((&id, Call::Slice { server: other, slice, .. })) = others.into_iter().next() else {
                break;
            };
            if *slice == slow_slice {
                assert_ne!(*other, server);
                copies += 1;
            }
            bench.in_flight.remove(&id);
            bench.now += Duration::from_secs(1);
            bench.tell(Input::Replied { id, reply: Reply::SliceTaken });
            bench.drain();
        }
        assert_eq!(copies, u32::from(hedge));
        if !hedge {
            assert_eq!(bench.in_flight.len(), 1, "the slow one");
            continue;
        }
        bench.reply(STORED);
        assert!(bench.in_flight.is_empty(), "the slow copy was dropped");
        bench.completed();
    }
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
