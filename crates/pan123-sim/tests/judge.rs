//! The judge has to be able to find against an uploader. Here it is given uploaders that lie.

use std::time::Duration;

use pan123_proto::{
    Class,
    machine::{
        Action, Call, Completed, Input, LinkPolicy, Outcome, Policy, Record, Reply, Stop, TryId, UploadSpec,
    },
};
use pan123_sim::{Fault, Faults, Kill, Machine, Scenario, Shape, Story, Uploader, run};

const MIB: u64 = 1 << 20;

/// The machine, with somebody in between who may change every action and every input.
struct Liar<F> {
    machine: Machine,
    lie: F,
}

/// What passes between machine and world.
enum Passing<'a> {
    Out(&'a mut Option<Action>),
    In(&'a mut Input),
    Records(&'a mut Vec<Record>),
}

impl<F: FnMut(Passing<'_>)> Uploader for Liar<F> {
    fn start(&mut self, now: Duration, upload: usize, spec: UploadSpec, records: &[Record]) {
        let mut records = records.to_vec();
        (self.lie)(Passing::Records(&mut records));
        self.machine.start(now, upload, spec, &records);
    }
    fn poll(&mut self, now: Duration, upload: usize) -> Option<Action> {
        let mut action = self.machine.poll(now, upload);
        (self.lie)(Passing::Out(&mut action));
        action
    }
    fn handle(&mut self, now: Duration, upload: usize, mut input: Input) {
        (self.lie)(Passing::In(&mut input));
        self.machine.handle(now, upload, input);
    }
    fn wake_at(&self, upload: usize) -> Option<Duration> {
        self.machine.wake_at(upload)
    }
    fn bytes_acknowledged(&self, upload: usize) -> u64 {
        self.machine.bytes_acknowledged(upload)
    }
    fn forget(&mut self, upload: usize) {
        self.machine.forget(upload);
    }
    fn die(&mut self) {
        self.machine.die();
    }
}

/// A file of ten slices over a good link; the service believes whatever it is told.
fn scenario() -> Scenario {
    let mut scenario = Scenario::calm(Shape::new(100e6, Duration::from_millis(20)), &[160 * MIB]);
    scenario.manners.verifies = false;
    scenario
}

fn lying(scenario: &Scenario, lie: impl FnMut(Passing<'_>)) -> Story {
    let machine = Machine::new(Policy::default(), LinkPolicy::default(), 1);
    run(scenario, &mut Liar { machine, lie })
}

#[track_caller]
fn check(story: &Story, words: &str) {
    assert!(
        story.violations.iter().any(|found| found.contains(words)),
        "{words:?} not in {:#?}",
        story.violations
    );
}

#[test]
fn an_honest_uploader_is_found_honest() {
    let story = lying(&scenario(), |_| {});
    assert_eq!(story.violations, Vec::<String>::new());
    assert_eq!((story.completed, story.slices), (1, 10));
}

#[test]
fn a_failed_slice_taken_for_a_good_one_is_a_wrong_success() {
    let mut scenario = scenario();
    scenario.faults = Faults { rate: 0.5, budget: 2, kinds: vec![Fault::Break, Fault::Fails], echoes: false };
    let story = lying(&scenario, |passing| {
        if let Passing::In(input) = passing
            && let Input::Failed { id, failure, .. } = input
            && matches!(failure.class, Class::Interrupted | Class::Server)
        {
            *input = Input::Replied { id: *id, reply: Reply::SliceTaken };
        }
    });
    check(&story, "wrong success");
    check(&story, "nobody acknowledged");
}

#[test]
fn a_file_that_the_service_has_not_got_yet_is_a_wrong_success() {
    let mut scenario = scenario();
    scenario.manners.verify = Duration::from_secs(5);
    let story = lying(&scenario, |passing| {
        if let Passing::In(input) = passing
            && let Input::Replied { id, reply: Reply::NotYet } = input
        {
            *input = Input::Replied { id: *id, reply: Reply::Stored { file_id: 77 } };
        }
    });
    check(&story, "wrong success: there is no file 77");
}

#[test]
fn the_wrong_bytes_are_found() {
    let story = lying(&scenario(), |passing| {
        if let Passing::Out(Some(Action::Send { call: Call::Slice { slice, .. }, .. })) = passing
            && slice.no == 3
        {
            slice.offset += 1;
        }
    });
    check(&story, "sends Slice");
    check(&story, "declares a wrong MD5");
}

#[test]
fn a_request_after_the_end_is_found() {
    let mut scenario = scenario();
    scenario.files[0].stop = Some((Duration::from_secs(3), Stop::Cancel));
    let mut stopped = false;
    let story = lying(&scenario, |passing| match passing {
        Passing::In(Input::Stop(_)) => stopped = true,
        Passing::Out(action @ Some(Action::Abort { .. })) if std::mem::take(&mut stopped) => {
            *action = Some(Action::Send { id: TryId(999), call: Call::Domain });
        }
        _ => {}
    });
    check(&story, "after its end");
}

#[test]
fn work_done_twice_after_a_kill_is_found() {
    let mut scenario = scenario();
    scenario.kills = [7, 13, 14].map(|second| Kill::At(Duration::from_secs(second))).to_vec();
    let story = lying(&scenario, |passing| {
        if let Passing::Records(records) = passing {
            records.retain(|record| !matches!(record, Record::Created { .. }));
        }
    });
    check(&story, "repeats create");
    let story = lying(&scenario, |passing| {
        if let Passing::Records(records) = passing {
            records.retain(|record| !matches!(record, Record::Slice { .. }));
        }
    });
    check(&story, "again: it is acknowledged, as the journal says");
    let story = lying(&scenario, |passing| {
        if let Passing::Records(records) = passing {
            records.retain(|record| !matches!(record, Record::Hashed(_)));
        }
    });
    check(&story, "hashes again");
}

#[test]
fn a_failure_without_a_cause_is_found() {
    let story = lying(&scenario(), |passing| {
        if let Passing::Out(action @ Some(Action::Finish(Outcome::Completed(Completed { .. })))) = passing {
            *action = Some(Action::Finish(Outcome::Stopped(Stop::Pause)));
        }
    });
    check(&story, "nobody asked");
}

#[test]
fn impatience_and_going_round_in_circles_are_found() {
    let mut scenario = scenario();
    scenario.faults = Faults { rate: 1.0, budget: 2, kinds: vec![Fault::Throttled], echoes: false };
    scenario.manners.retry_after = Some(Duration::from_secs(9));
    let story = lying(&scenario, |passing| {
        if let Passing::In(Input::Failed { failure, .. }) = passing {
            failure.retry_after = None;
        }
    });
    check(&story, "asked to wait");
    let story = lying(&scenario, |passing| {
        if let Passing::Out(action @ None) = passing {
            *action = Some(Action::Tell(pan123_proto::machine::Event::Parallel { slices: 1, reason: "" }));
        }
    });
    check(&story, "round in circles");
}
