//! The state machine under any order of answers: bounded, and complete only when the service said so.

#![no_main]

use std::{sync::Arc, time::Duration};

use libfuzzer_sys::fuzz_target;
use pan123_proto::{
    Class, Endpoint, Failure, Md5, SlicePlan,
    machine::{
        Action, Call, Digests, Input, Link, LinkPolicy, Outcome, Policy, Reply, Stop, TryId, Upload, UploadSpec,
    },
};

const SIZE: u64 = 100;

fuzz_target!(|choices: &[u8]| {
    let spec = UploadSpec { parent_id: 0, filename: "f".into(), contain_dir: false, duplicate: None, size: SIZE };
    let mut link = Link::new(LinkPolicy::default());
    let mut now = Duration::ZERO;
    let mut upload = Upload::new(spec, Policy::default(), 1);
    let mut open: Vec<(TryId, Call)> = Vec::new();
    let mut stored = false;
    for &choice in choices {
        for polls in 0.. {
            assert!(polls < 1000, "it asks for ever more without an answer");
            match upload.poll(now, &mut link) {
                None => break,
                Some(Action::Send { id, call }) => open.push((id, call)),
                Some(Action::Abort { id }) => open.retain(|(other, _)| *other != id),
                Some(Action::Hash { slice_size, .. }) => {
                    let digests = digests(slice_size);
                    upload.handle(now, &mut link, Input::Hashed(digests));
                }
                Some(Action::Finish(outcome)) => {
                    assert!(!matches!(outcome, Outcome::Completed(_)) || stored, "nothing is stored");
                    assert!(upload.is_over() && upload.poll(now, &mut link).is_none());
                    assert_eq!(link.slices_in_flight(), 0, "its places are given back");
                    return;
                }
                Some(_) => {}
            }
        }
        let wake = upload.wake_at(&link);
        assert!(wake.is_some() || !open.is_empty(), "nothing will ever happen again");
        now = match wake {
            Some(at) if open.is_empty() || choice & 0x80 != 0 => at.max(now),
            _ => now + Duration::from_millis(u64::from(choice)),
        };
        if open.is_empty() {
            continue;
        }
        let at = usize::from(choice) % open.len();
        let input = match choice % 16 {
            0 => Input::Moved { id: open[at].0, sent: u64::from(choice) },
            1 if choice == 0x91 => Input::Stop(Stop::Pause),
            2..=8 => {
                let (id, call) = open.swap_remove(at);
                let reply = reply(&call, choice);
                stored |= matches!(reply, Reply::Stored { .. });
                Input::Replied { id, reply }
            }
            _ => {
                let (id, call) = open.swap_remove(at);
                let class = Class::ALL[usize::from(choice) % Class::ALL.len()];
                let failure = Failure::local(endpoint(&call), class, "it failed");
                Input::Failed { id, failure, sent: u64::from(choice) % SIZE }
            }
        };
        upload.handle(now, &mut link, input);
    }
});

fn digests(slice_size: u64) -> Digests {
    let plan = SlicePlan::new(SIZE, slice_size.try_into().expect("never 0")).expect("a few slices");
    Digests { etag: Md5([1; 16]), slice_size, slices: plan.iter().map(|_| Md5([2; 16])).collect() }
}

fn reply(call: &Call, choice: u8) -> Reply {
    match call {
        Call::Create { .. } if choice & 0x40 == 0 => Reply::Created {
            preupload_id: "id".into(),
            slice_size: u64::from(choice) + 1,
            servers: (0..choice % 3).map(|n| Arc::from(format!("http://{n}"))).collect(),
        },
        Call::Slice { .. } => Reply::SliceTaken,
        Call::Domain => Reply::Hosts((0..choice % 4).map(|n| Arc::from(format!("http://{n}"))).collect()),
        _ if choice & 0x20 == 0 => Reply::Stored { file_id: 1 },
        _ => Reply::NotYet,
    }
}

fn endpoint(call: &Call) -> Endpoint {
    match call {
        Call::Create { .. } => Endpoint::Create,
        Call::Slice { .. } => Endpoint::Slice,
        Call::Complete { .. } => Endpoint::Complete,
        Call::Domain => Endpoint::Domain,
        Call::Single { .. } => Endpoint::Single,
        Call::Find { .. } => Endpoint::List,
    }
}
