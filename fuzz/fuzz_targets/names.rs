//! File names and drive paths: what is taken is what the service takes, and its parts are names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pan123_proto::{
    Md5,
    multipart::{self, Boundary},
    names::{DrivePath, FORBIDDEN, NAME_CHARS_MAX, check_filename, check_path},
    wire::{CreateRequest, SingleFields},
};

fuzz_target!(|text: &str| {
    let named = check_filename(text);
    if named.is_ok() {
        assert!(!text.contains(FORBIDDEN) && !text.trim().is_empty());
        assert!(text.chars().count() <= NAME_CHARS_MAX);
    } else {
        let _ = named.map_err(|error| assert!(!error.to_string().contains('\n')));
    }
    if check_path(text).is_ok() {
        let parts = text.split('/').filter(|part| !part.is_empty());
        parts.for_each(|part| check_filename(part).expect("a part of a good path"));
    }
    if let Ok(path) = DrivePath::parse(text) {
        path.folders().iter().for_each(|folder| check_filename(folder).expect("a part of a good path"));
        assert_eq!(DrivePath::parse(&path.to_string()), Ok(path));
    }
    // Whatever the name is, what goes out is JSON and a form.
    let request = CreateRequest {
        parent_id: 0,
        filename: text,
        etag: Md5([0; 16]),
        size: 1,
        duplicate: None,
        contain_dir: false,
    };
    let json: serde_json::Value = serde_json::from_slice(&request.body()).expect("JSON");
    assert_eq!(json["filename"], text);
    let fields = SingleFields {
        parent_id: 0,
        filename: text,
        etag: Md5([0; 16]),
        size: 1,
        duplicate: None,
        contain_dir: false,
    };
    if let Ok(frame) = multipart::single(&fields, &Boundary::new(7)) {
        assert_eq!(frame.content_length(1), Some((frame.prologue.len() + 1 + frame.epilogue.len()) as u64));
    }
});
