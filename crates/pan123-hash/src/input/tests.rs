//! A file that does not hold still in the moment between two looks at it, which no caller could hit.

use std::fs;

use super::*;

/// What the second look says after `disturb`, for a file of five bytes.
fn disturbed(disturb: impl Fn(&Path)) -> Result<(), Error> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("file");
    fs::write(&path, b"bytes").expect("a temporary file");
    let (input, stat) = FileInput::open_with_stat(&path).expect("it was just written");
    // Until the clock of the file system has moved on: a change within one step of it may not show.
    for _ in 0..1_000_000 {
        fs::write(dir.path().join("clock"), b"").expect("a temporary file");
        let clock = rustix::fs::stat(dir.path().join("clock")).expect("it was just written");
        if times(&clock)[1] > times(&stat)[1] {
            break;
        }
    }
    disturb(&path);
    input.check_small(Before::of_file(&stat), &path)
}

#[test]
fn a_small_file_that_does_not_hold_still_is_an_error() {
    let open = |path: &Path| fs::OpenOptions::new().write(true).open(path).expect("a file");
    let kind = |result: Result<(), Error>| result.expect_err("it was disturbed").kind();
    assert!(disturbed(|_| ()).is_ok());
    assert!(disturbed(|path| _ = fs::read(path).expect("a file")).is_ok());
    assert_eq!(kind(disturbed(|path| open(path).set_len(4).unwrap())), ErrorKind::Shrunk);
    assert_eq!(kind(disturbed(|path| open(path).set_len(6).unwrap())), ErrorKind::Grown);
    assert_eq!(kind(disturbed(|path| fs::write(path, b"other").unwrap())), ErrorKind::Changed);
    assert_eq!(kind(disturbed(|path| fs::remove_file(path).unwrap())), ErrorKind::NotFound);
    let kept = disturbed(|path| {
        fs::hard_link(path, path.with_extension("other")).unwrap();
        fs::remove_file(path).unwrap();
    });
    assert_eq!(kind(kept), ErrorKind::NotFound);
    let replaced = disturbed(|path| {
        fs::write(path.with_extension("new"), b"bytes").unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    });
    assert_eq!(kind(replaced), ErrorKind::NotFound);
    let moved = disturbed(|path| {
        fs::rename(path, path.with_extension("moved")).unwrap();
        fs::write(path, b"bytes").unwrap();
    });
    assert_eq!(kind(moved), ErrorKind::NotFound);
}
