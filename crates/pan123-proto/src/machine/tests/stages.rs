//! An upload that meets nothing odd: its stages, and what it is spared.

use super::*;

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
