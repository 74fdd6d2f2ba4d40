//! The emulator's multipart reader: however the body is cut into buffers, it finds the same parts.
//!
//! The first byte of the input is the length of a buffer; then comes the content type, as a line; then the body.

#![no_main]
// The reader has tests of its own, and a few things that only they and the emulator use.
#![allow(dead_code, unused_qualifications)]

#[path = "../../crates/pan123-emulator/src/multipart.rs"]
mod multipart;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use multipart::{Event, Reader};

fuzz_target!(|input: &[u8]| {
    let Some((&cut, input)) = input.split_first() else { return };
    let Some(end) = input.iter().position(|&byte| byte == b'\n') else { return };
    let Ok(content_type) = std::str::from_utf8(&input[..end]) else { return };
    let body = &input[end + 1..];
    let whole = read(content_type, body, body.len().max(1));
    let pieces = read(content_type, body, usize::from(cut) + 1);
    assert_eq!(whole, pieces);
});

/// Names, file names and contents; and how it ended.
type Parts = (Vec<(String, Option<String>, Vec<u8>)>, Result<bool, String>);

fn read(content_type: &str, body: &[u8], piece: usize) -> Parts {
    let mut parts: Vec<(String, Option<String>, Vec<u8>)> = Vec::new();
    let mut reader = match Reader::new(content_type) {
        Ok(reader) => reader,
        Err(error) => return (parts, Err(error.to_string())),
    };
    for buffer in body.chunks(piece) {
        reader.push(Bytes::copy_from_slice(buffer));
        loop {
            match reader.next() {
                Ok(None) => break,
                Ok(Some(Event::Part(head))) => parts.push((head.name, head.filename, Vec::new())),
                Ok(Some(Event::Data(data))) => {
                    assert!(!data.is_empty());
                    parts.last_mut().expect("data is in a part").2.extend_from_slice(&data);
                }
                Ok(Some(Event::PartEnd)) => {}
                Ok(Some(Event::End)) => return (parts, Ok(true)),
                Err(error) => return (parts, Err(error.to_string())),
            }
        }
    }
    // A last part that is cut off shows its bytes only as far as they cannot begin a delimiter.
    (parts, Ok(false))
}
