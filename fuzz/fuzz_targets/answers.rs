//! Every call's answer from any bytes: an answer or a failure that can be shown, never a panic.
//!
//! The first byte of the input chooses the status, and whether the headers repeat the body's beginning.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pan123_proto::{Answer, Failure, decode, machine::Reply};

const STATUSES: [u16; 16] = [200, 200, 200, 200, 201, 204, 302, 307, 400, 401, 404, 408, 429, 500, 502, 507];

fuzz_target!(|input: &[u8]| {
    let Some((&choice, body)) = input.split_first() else { return };
    let status = STATUSES[usize::from(choice) % STATUSES.len()];
    let text = std::str::from_utf8(body).ok().filter(|_| choice >= 0x80);
    let received = std::time::UNIX_EPOCH;
    let answer = Answer { status, body, trace_id: text, retry_after: text, date: text, received };
    let success = (200..300).contains(&status);
    let check = |result: Result<Reply, Failure>, may_be_empty: bool| match result {
        Ok(Reply::Stored { file_id }) => assert!(success && file_id > 0),
        Ok(Reply::Created { preupload_id, slice_size, .. }) => {
            assert!(success && !preupload_id.is_empty() && slice_size > 0);
        }
        Ok(Reply::Hosts(hosts)) => assert!(success && !hosts.is_empty()),
        Ok(_) => assert!(may_be_empty || success),
        Err(failure) => presentable(&failure),
    };
    check(decode::create(&answer), false);
    // That the slice is there already may come with any status, and that the file is being checked too.
    check(decode::slice(&answer), true);
    check(decode::complete(&answer), true);
    check(decode::single(&answer), true);
    check(decode::domain(&answer), false);
    if let Ok(token) = decode::access_token(&answer) {
        assert!(success && token.access_token.expose().bytes().all(|byte| byte.is_ascii_graphic()));
    }
    if let Ok(token) = decode::oauth_token(&answer) {
        assert!(success && token.access_token.expose().bytes().all(|byte| byte.is_ascii_graphic()));
    }
    for failure in [
        decode::access_token(&answer).err(),
        decode::oauth_token(&answer).err(),
        decode::sha1_reuse(&answer).err(),
        decode::mkdir(&answer).err(),
        decode::list(&answer).err(),
        decode::detail(&answer).err(),
        decode::user_info(&answer).err(),
    ] {
        failure.iter().for_each(presentable);
    }
});

/// One line of reasonable length without what would play with a terminal.
fn presentable(failure: &Failure) {
    let text = failure.to_string();
    assert!(!failure.message.is_empty() && failure.message.chars().count() <= decode::MESSAGE_CHARS_MAX);
    assert!(!text.chars().any(|c| c.is_control() || c == '\u{202E}'), "{text:?}");
    assert!(failure.trace_id.as_ref().is_none_or(|id| id.chars().count() <= 128));
    assert!(failure.retry_after.is_none_or(|wait| wait <= decode::RETRY_AFTER_MAX));
}
