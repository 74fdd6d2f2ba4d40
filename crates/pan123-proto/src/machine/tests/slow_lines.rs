//! Uplinks that are slow or shared, and the last slice.

use super::*;

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
