//! Journals of any bytes: read as far as they are sound, and an upload that goes on from them makes sense.

#![no_main]
#![allow(dead_code, reason = "not everything in the file is for reading")]

#[path = "../../crates/pan123-upload/src/journal.rs"]
mod journal;
#[path = "../../crates/pan123-upload/src/source/identity.rs"]
mod source;

use std::time::Duration;

use journal::Journal;
use libfuzzer_sys::fuzz_target;
use pan123_proto::machine::{Action, Link, LinkPolicy, Policy, Upload, UploadSpec};

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    // Checksums keep most damage out; what is behind them is to be tried too.
    let lines = bytes.split(|&byte| byte == b'\n');
    let sealed: Vec<u8> = lines.flat_map(seal).collect();
    check(&sealed);
});

fn seal(line: &[u8]) -> Vec<u8> {
    let crc = format!("{{\"crc\":\"{:08x}\",\"line\":", crc32fast::hash(line));
    [crc.as_bytes(), line, b"}\n"].concat()
}

fn check(bytes: &[u8]) {
    let sound = journal::sound_len(bytes);
    assert!(sound <= bytes.len());
    let read = Journal::decode(bytes);
    if sound > 0 {
        assert_eq!(Journal::decode(&bytes[..sound]), read, "only what is sound counts");
    }
    let Ok(Some(journal)) = read else { return };
    if let Some((done, count)) = journal.slices() {
        assert!(done <= count);
    }
    let written: Vec<u8> = std::iter::once(journal::encode_header(&journal.header))
        .chain(journal.records.iter().map(journal::encode_record))
        .flatten()
        .collect();
    assert_eq!(Journal::decode(&written), Ok(Some(journal.clone())));

    // The target is never taken from the journal without a look; the file's size is the file's.
    let spec = UploadSpec { size: journal.header.spec.size % (64 << 20) + 1, ..journal.header.spec };
    let now = Duration::ZERO;
    let mut link = Link::new(LinkPolicy::default());
    let mut upload = Upload::resume(spec, Policy::default(), 1, now, &journal.records);
    for _ in 0..100 {
        match upload.poll(now, &mut link) {
            Some(Action::Finish(_)) | None => break,
            Some(_) => {}
        }
    }
}
