//! Sources: what opens, what does not, and whether a change is noticed.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the failure")]

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, PermissionsExt, symlink},
        net::UnixListener,
        process::CommandExt,
    },
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime},
};

use pan123_transport::ReadAt;
use pan123_upload::{Error, ErrorKind, Identity, Source, SourceRead};
use tempfile::TempDir;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

fn file(dir: &TempDir, content: &[u8]) -> (Source, std::path::PathBuf) {
    let path = dir.path().join("file");
    fs::write(&path, content).unwrap();
    (Source::file(&path).unwrap(), path)
}

fn refusal(path: &Path) -> Error {
    let error = Source::file(path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source, "{error}");
    assert_eq!(error.step(), "open source");
    assert!(!error.advice().is_empty(), "{error}");
    error
}

#[test]
fn what_is_no_file_is_refused_by_name_and_never_waited_for() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("dir")).unwrap();
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let _socket = UnixListener::bind(at("socket")).unwrap();
    symlink("nowhere", at("dangling")).unwrap();
    symlink("dangling-too", at("dangling-too")).unwrap();
    fs::write(at("plain"), "x").unwrap();
    for (path, says) in [
        (at("missing"), "missing: no such file"),
        (at("dangling"), "dangling: no such file"),
        (at("dangling-too"), "symbolic links"),
        (at("plain/below"), "not a directory"),
        (at("dir"), "dir is a directory, not a file"),
        (at("pipe"), "pipe is a named pipe, not a file"),
        (at("socket"), "socket is a socket, not a file"),
        ("/dev/zero".into(), "/dev/zero is a device, not a file"),
        ("".into(), "no such file"),
    ] {
        let error = refusal(&path);
        assert!(error.to_string().contains(says), "{error}");
        assert!(!error.to_string().contains("os error"), "{error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_hides_its_size_is_refused() {
    let error = refusal(Path::new("/proc/self/status"));
    assert!(error.to_string().contains("says that it is empty, but is not"), "{error}");
}

/// Root may read everything, so the check runs in a process of another user.
#[test]
fn a_file_of_somebody_else_is_refused() {
    if let Ok(path) = std::env::var("PAN123_TEST_UNREADABLE") {
        let error = refusal(Path::new(&path));
        assert!(error.to_string().ends_with("unreadable: permission denied"), "{error}");
        return;
    }
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = dir.path().join("unreadable");
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
    // A copy, because the other user may have no way to where the build is.
    let program = dir.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut child = Command::new(&program);
    child.args(["--exact", "a_file_of_somebody_else_is_refused"]).env("PAN123_TEST_UNREADABLE", &path);
    child.current_dir(dir.path());
    if File::open(&path).is_ok() {
        child.uid(65534).gid(65534);
    }
    // A child of another test may for a moment hold the copy open for writing, between its fork and its exec.
    let output = loop {
        match child.output() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            output => break output.unwrap(),
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn every_range_reads_as_written() {
    let dir = TempDir::new().unwrap();
    let content = pattern(300_000);
    let (from_file, _) = file(&dir, &content);
    for source in [from_file.clone(), Source::bytes(content.clone()), Source::custom(Arc::new(from_file))] {
        assert_eq!(source.size(), 300_000);
        for (offset, len) in [(0, 300_000), (0, 1), (1, 4096), (4095, 2), (299_999, 1), (131_072, 131_072)] {
            let mut buf = vec![0; len];
            assert_eq!(source.read_at(offset, &mut buf).unwrap(), len);
            assert_eq!(buf, content[offset as usize..offset as usize + len]);
            let mut buf = vec![0; len];
            if let Some(got) = source.try_read_at(offset, &mut buf) {
                let got = got.unwrap();
                assert!((1..=len).contains(&got), "{got} of {len}");
                assert_eq!(buf[..got], content[offset as usize..offset as usize + got]);
            }
        }
        for (offset, asked, got) in [(299_990, 100, 10), (300_000, 1, 0), (u64::MAX, 1, 0), (5, 0, 0)] {
            assert_eq!(source.read_at(offset, &mut vec![0; asked]).unwrap(), got, "{offset}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn cached_bytes_come_without_blocking() {
    let dir = TempDir::new().unwrap();
    let content = pattern(70_000);
    let (source, path) = file(&dir, &content);
    // tmpfs and some network file systems cannot tell; the ones that builds live on can.
    let mut buf = vec![0; 65_536];
    match source.try_read_at(1, &mut buf) {
        Some(got) => {
            assert_eq!(got.unwrap(), 65_536);
            assert_eq!(buf, content[1..65_537]);
        }
        None => eprintln!("skipped: {} is on a file system without RWF_NOWAIT", path.display()),
    }
}

#[test]
fn a_sparse_file_beyond_4_gib_is_read_at_its_end() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sparse");
    let sparse = File::create(&path).unwrap();
    let end = 10_u64 << 30;
    sparse.write_all_at(b"end", end - 3).unwrap();
    let source = Source::file(&path).unwrap();
    let mut buf = [1; 8];
    assert_eq!(source.read_at(end - 5, &mut buf).unwrap(), 5);
    assert_eq!(&buf[..5], b"\0\0end");
}

#[test]
fn a_file_cut_short_under_way_is_an_error_not_an_end() {
    let dir = TempDir::new().unwrap();
    let (source, path) = file(&dir, &pattern(10_000));
    File::options().write(true).open(&path).unwrap().set_len(4_000).unwrap();
    let mut buf = [0; 100];
    assert_eq!(source.read_at(3_900, &mut buf).unwrap(), 100);
    for offset in [3_901, 4_000, 9_999] {
        let error = source.read_at(offset, &mut buf).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{offset}");
        let error = source.error("slice", &error).with_slice_no(1);
        assert_eq!(error.kind(), ErrorKind::SourceChanged);
        assert!(error.to_string().starts_with("slice 1: "), "{error}");
        assert!(error.to_string().contains("but had 10000 when it was opened"), "{error}");
    }
    for offset in [4_000, 9_999] {
        assert!(source.try_read_at(offset, &mut buf).is_none(), "the end is for read_at to report");
    }
}

#[test]
fn what_is_added_behind_the_end_is_not_read() {
    let dir = TempDir::new().unwrap();
    let (source, path) = file(&dir, b"begin");
    File::options().append(true).open(&path).unwrap().write_all(b" and more").unwrap();
    let mut buf = [0; 20];
    assert_eq!(source.read_at(0, &mut buf).unwrap(), 5);
    assert_eq!(source.size(), 5);
}

#[test]
fn every_kind_of_change_is_noticed_and_named() {
    let replace = |path: &Path| {
        let other = path.with_extension("other");
        fs::write(&other, "contents").unwrap();
        fs::rename(other, path).unwrap();
    };
    let rewrite = |path: &Path| {
        let file = File::options().write(true).open(path).unwrap();
        file.write_all_at(b"CONTENTS", 0).unwrap();
        // A clock tick may be coarser than this test is long.
        file.set_modified(SystemTime::now() + Duration::from_secs(1)).unwrap();
    };
    type Change<'a> = &'a dyn Fn(&Path);
    let cases: [(Change, &str); 5] = [
        (&|path| fs::write(path, "contents, longer").unwrap(), "changed its size from 8 to 16 bytes"),
        (&|path| fs::write(path, "").unwrap(), "changed its size from 8 to 0 bytes"),
        (&rewrite, "was written to during the upload"),
        (&replace, "was replaced by another file during the upload"),
        (&|path| fs::remove_file(path).unwrap(), "was removed or renamed during the upload"),
    ];
    for (change, says) in cases {
        let dir = TempDir::new().unwrap();
        let (source, path) = file(&dir, b"contents");
        let before = source.identity().unwrap();
        assert_eq!(before.size, 8);
        source.check(&before).unwrap();
        change(&path);
        let error = source.check(&before).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SourceChanged);
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn the_name_for_the_drive_is_the_last_part_of_the_path_if_it_is_utf_8() {
    let dir = TempDir::new().unwrap();
    let named = |name: &OsStr| {
        let path = dir.path().join(name);
        fs::write(&path, "x").unwrap();
        Source::file(&path).unwrap()
    };
    assert_eq!(named(OsStr::new("测试 1.txt")).file_name().unwrap(), "测试 1.txt");
    let odd = named(OsStr::from_bytes(b"odd\xff.txt"));
    let other = named(OsStr::from_bytes(b"odd\xfe.txt"));
    assert_eq!(odd.read_at(0, &mut [0]).unwrap(), 1);
    let error = odd.file_name().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Name);
    assert!(error.to_string().contains("is not UTF-8"), "{error}");
    assert_ne!(odd.resume_name(), other.resume_name());
    assert_eq!(Source::bytes("x").file_name().unwrap_err().kind(), ErrorKind::Name);
}

#[test]
fn a_file_has_one_resume_name_and_memory_has_none() {
    let dir = TempDir::new().unwrap();
    let (source, path) = file(&dir, b"x");
    let link = dir.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(source.resume_name().is_some());
    assert_eq!(source.resume_name(), Source::file(&link).unwrap().resume_name());
    assert_eq!(Source::bytes("x").resume_name(), None);
}

/// Says that it has 10 bytes, and has 6.
struct Liar;

impl ReadAt for Liar {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        bytes::Bytes::from_static(b"sixsix").read_at(offset, buf)
    }
}

impl SourceRead for Liar {
    fn size(&self) -> u64 {
        10
    }

    fn identity(&self) -> io::Result<Identity> {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "the vault is shut"))
    }

    fn describe(&self) -> String {
        "a liar".into()
    }
}

#[test]
fn a_custom_source_that_is_short_or_fails_is_found_out() {
    let source = Source::custom(Arc::new(Liar));
    assert_eq!(source.read_at(0, &mut [0; 6]).unwrap(), 6);
    let error = source.read_at(0, &mut [0; 7]).unwrap_err();
    assert_eq!(error.to_string(), "ends after 6 bytes, but had 10 when it was opened");
    let identity = Identity { size: 10, mtime_ns: 0, ctime_ns: 0, inode: 0, device: 0 };
    let error = source.check(&identity).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source);
    assert_eq!(error.to_string(), "check source: a liar: the vault is shut");
}

/// A program may start as many uploads as it has files: descriptors are for those that are read.
#[cfg(target_os = "linux")]
#[test]
fn of_many_files_few_are_open() {
    let dir = TempDir::new().unwrap();
    let sources: Vec<_> = (0..300)
        .map(|i| {
            let path = dir.path().join(i.to_string());
            fs::write(&path, format!("file {i}")).unwrap();
            Source::file(path).unwrap()
        })
        .collect();
    let open = || {
        let links =
            fs::read_dir("/proc/self/fd").unwrap().filter_map(|link| fs::read_link(link.ok()?.path()).ok());
        links.filter(|file| file.starts_with(dir.path())).count()
    };
    assert!((1..=128).contains(&open()), "{} files are open", open());
    for round in 0..2 {
        for (i, source) in sources.iter().enumerate() {
            let mut content = vec![0; source.size() as usize];
            assert_eq!(source.read_at(0, &mut content).unwrap(), content.len());
            assert_eq!(content, format!("file {i}").into_bytes(), "round {round}");
        }
        assert!((1..=128).contains(&open()), "{} files are open", open());
    }
    // One that is closed has to be the same when it is opened again, and what it was is remembered.
    let before = sources[0].identity().unwrap();
    assert!(sources[0].check(&before).is_ok());
    fs::write(dir.path().join("other"), "another").unwrap();
    fs::rename(dir.path().join("other"), dir.path().join("0")).unwrap();
    let error = sources[0].read_at(0, &mut [0; 6]).unwrap_err();
    assert_eq!(sources[0].error("read", &error).kind(), ErrorKind::SourceChanged, "{error}");
    assert_eq!(sources[0].check(&before).unwrap_err().kind(), ErrorKind::SourceChanged);
    drop(sources);
    assert_eq!(open(), 0);
}
