//! Journals: the codec against damage, the directory against crashes, other processes and full disks.

#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the failure")]

use std::{
    env,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use pan123_proto::{
    Md5,
    machine::{Completed, Digests, Duplicate, Record, UploadSpec},
};
use pan123_upload::{
    ErrorKind, Identity, JournalDir, ResumeStore,
    journal::{self, Header, Journal, Unreadable},
};
use tempfile::TempDir;

const KEY: &str = "0123456789abcdef";

fn header() -> Header {
    Header {
        version: journal::VERSION,
        source: "/data/测试 \"1\"\n.bin".into(),
        path: Some("/data/测试 \"1\"\n.bin".into()),
        identity: Identity { size: 40, mtime_ns: -5, ctime_ns: -4, inode: u64::MAX, device: 7 },
        base_url: "https://open-api.123pan.com".into(),
        spec: UploadSpec {
            parent_id: 0,
            filename: "测试.bin".into(),
            contain_dir: false,
            duplicate: Some(Duplicate::KeepBoth),
            size: 40,
        },
        started_unix_ms: 1_700_000_000_000,
    }
}

fn created() -> Record {
    Record::Created {
        preupload_id: "id-1".into(),
        slice_size: 16,
        servers: vec![Arc::from("http://u.example")],
    }
}

fn records() -> Vec<Record> {
    let md5 = Md5([7; 16]);
    let digests = Digests { etag: md5, slice_size: 16, slices: Arc::from([md5, md5, md5]) };
    let slice = |no| Record::Slice { no };
    vec![
        Record::Hashed(digests),
        created(),
        slice(2),
        slice(1),
        Record::Restarted,
        created(),
        slice(3),
        Record::Completing,
    ]
}

/// A whole log, and where each of its lines ends.
fn log() -> (Vec<u8>, Vec<usize>) {
    let mut bytes = journal::encode_header(&header());
    let mut ends = vec![bytes.len()];
    for record in records() {
        bytes.extend(journal::encode_record(&record));
        ends.push(bytes.len());
    }
    (bytes, ends)
}

#[test]
fn what_was_written_is_read() {
    let (bytes, _) = log();
    let read = Journal::decode(&bytes).unwrap().unwrap();
    assert_eq!(read, Journal { header: header(), records: records(), told_unix_ms: None });
    assert_eq!(journal::sound_len(&bytes), bytes.len());
    assert_eq!(Journal::decode(b"").unwrap(), None);
    for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let line: serde_json::Value = serde_json::from_slice(line).unwrap();
        assert!(line["crc"].is_string() && line["line"].is_object(), "{line}");
    }
}

#[test]
fn a_result_counts_until_the_upload_started_over() {
    let done = Completed { file_id: 777, etag: Md5([7; 16]), slices: 3, reused: false };
    let log = |records: &[Record]| {
        let mut bytes = journal::encode_header(&header());
        bytes.extend(records.iter().flat_map(journal::encode_record));
        Journal::decode(&bytes).unwrap().unwrap()
    };
    let mut all = vec![created(), Record::Done(done.clone())];
    assert_eq!(log(&all).done(), Some(&done));
    all.push(Record::Restarted);
    assert_eq!(log(&all).done(), None);
    all.push(created());
    assert_eq!((log(&all).done(), log(&all).slices()), (None, Some((0, 3))));
    let again = Completed { file_id: 778, ..done };
    all.push(Record::Done(again.clone()));
    assert_eq!(log(&all).done(), Some(&again));
}

#[test]
fn a_log_cut_anywhere_reads_as_the_whole_lines_before() {
    let (bytes, ends) = log();
    for len in 1..bytes.len() {
        let whole = ends.iter().filter(|&&end| end <= len).count();
        let read = Journal::decode(&bytes[..len]);
        match whole {
            0 => assert_eq!(read, Err(Unreadable::Header), "{len}"),
            _ => assert_eq!(read.unwrap().unwrap().records, records()[..whole - 1], "{len}"),
        }
        assert_eq!(journal::sound_len(&bytes[..len]), if whole == 0 { 0 } else { ends[whole - 1] });
    }
}

#[test]
fn a_changed_byte_ends_the_log_at_its_line() {
    let (bytes, ends) = log();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            let whole = ends.iter().filter(|&&end| end <= at).count();
            match Journal::decode(&damaged) {
                Err(_) => assert_eq!(whole, 0, "byte {at}"),
                Ok(read) => assert_eq!(read.unwrap().records, records()[..whole - 1], "byte {at}"),
            }
        }
    }
}

#[test]
fn another_version_is_told_from_damage() {
    let bytes = journal::encode_header(&Header { version: 99, ..header() });
    let error = Journal::decode(&bytes).unwrap_err();
    assert_eq!(error, Unreadable::Version(99));
    assert_eq!(error.to_string(), "it has format version 99, and this program reads version 1");
}

#[test]
fn acknowledged_slices_are_counted_since_the_last_restart() {
    let count = |n: usize| {
        let records = records()[..n].to_vec();
        Journal { header: header(), records, told_unix_ms: None }.slices()
    };
    let counts: Vec<_> = (0..=8).map(count).collect();
    let some = |done| Some((done, 3));
    assert_eq!(counts, [None, None, some(0), some(1), some(2), None, some(0), some(1), some(1)]);
}

#[test]
fn the_key_tells_sources_services_and_targets_apart() {
    let spec = header().spec;
    let key = |source: &str, url: &str, spec: &UploadSpec| journal::key(source, url, spec);
    let one = key("file:a", "https://x", &spec);
    assert_eq!(one, key("file:a", "https://x", &UploadSpec { size: 1, duplicate: None, ..spec.clone() }));
    assert_eq!(one.len(), 32);
    for other in [
        key("file:b", "https://x", &spec),
        key("file:a", "https://y", &spec),
        key("file:a\",\"https://x", "", &spec),
        key("file:a", "https://x", &UploadSpec { parent_id: 1, ..spec.clone() }),
        key("file:a", "https://x", &UploadSpec { filename: "b".into(), ..spec.clone() }),
        key("file:a", "https://x", &UploadSpec { contain_dir: true, ..spec.clone() }),
    ] {
        assert_ne!(one, other);
    }
}

fn store(dir: &TempDir) -> JournalDir {
    JournalDir::new(dir.path().join("state/journals"))
}

fn path(store: &JournalDir) -> PathBuf {
    store.path().join(format!("{KEY}.journal"))
}

#[test]
fn a_log_outlives_its_handle_and_is_private() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir);
    assert!(store.list().unwrap().is_empty());
    let mut log = store.open(KEY).unwrap();
    assert_eq!(log.read().unwrap(), b"");
    let (bytes, ends) = self::log();
    log.append(&bytes[..ends[0]], true).unwrap();
    log.append(&bytes[ends[0]..ends[3]], false).unwrap();
    drop(log);
    let mut log = store.open(KEY).unwrap();
    // Without a read in between: an append finds its place by itself.
    log.append(&bytes[ends[3]..], true).unwrap();
    assert_eq!(log.read().unwrap(), bytes);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path(&store)), 0o600);
    assert_eq!(mode(store.path()), 0o700);
    assert_eq!(mode(store.path().parent().unwrap()), 0o700);
}

#[test]
fn a_torn_tail_is_cut_off_before_more_is_written() {
    let (bytes, ends) = log();
    let garbage: [&[u8]; 5] =
        [b"{\"crc\":\"0", b"\n", &[0; 4096], b"{\"crc\":\"00000000\",\"line\":{}}\n", b"\xff\n\n"];
    for torn in garbage {
        for read_first in [true, false] {
            let dir = TempDir::new().unwrap();
            let store = store(&dir);
            store.open(KEY).unwrap().append(&bytes[..ends[2]], true).unwrap();
            File::options().append(true).open(path(&store)).unwrap().write_all(torn).unwrap();
            let mut log = store.open(KEY).unwrap();
            if read_first {
                assert_eq!(log.read().unwrap(), bytes[..ends[2]]);
            }
            log.append(&bytes[ends[2]..], false).unwrap();
            assert_eq!(log.read().unwrap(), bytes);
        }
    }
}

#[test]
fn a_file_too_large_to_be_a_log_is_begun_anew() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir);
    let (bytes, _) = log();
    store.open(KEY).unwrap().append(&bytes, true).unwrap();
    File::options().write(true).open(path(&store)).unwrap().set_len(65 << 20).unwrap();
    let mut log = store.open(KEY).unwrap();
    assert_eq!(log.read().unwrap(), b"");
    log.append(&bytes, true).unwrap();
    assert_eq!(fs::read(path(&store)).unwrap(), bytes);
}

#[test]
fn a_cleared_log_is_gone_and_can_be_begun_again() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir);
    let (bytes, _) = log();
    let mut log = store.open(KEY).unwrap();
    log.append(&bytes, true).unwrap();
    log.clear().unwrap();
    assert_eq!(log.read().unwrap(), b"");
    assert!(store.list().unwrap().is_empty());
    log.append(&bytes, false).unwrap();
    assert_eq!(log.read().unwrap(), bytes);
    log.clear().unwrap();
    drop(log);
    assert_eq!(fs::read_dir(store.path()).unwrap().count(), 0, "no empty file stays behind");
}

#[test]
fn the_list_names_what_is_unfinished_and_what_is_running() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir);
    let (bytes, _) = log();
    store.open("done").unwrap().append(&bytes, true).unwrap();
    let mut running = store.open("running").unwrap();
    running.append(&bytes, false).unwrap();
    let _empty = store.open("empty").unwrap();
    fs::write(store.path().join("notes.txt"), "not ours").unwrap();
    fs::create_dir(store.path().join("dir.journal")).unwrap();
    let mut list: Vec<_> =
        store.list().unwrap().into_iter().map(|log| (log.key, log.bytes == bytes, log.busy)).collect();
    list.sort();
    assert_eq!(list, [("done".into(), true, false), ("running".into(), true, true)]);

    let error = store.remove("running").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    store.remove("done").unwrap();
    store.remove("done").unwrap();
    drop(running);
    store.remove("running").unwrap();
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn a_log_that_was_removed_while_somebody_waited_for_it_is_made_anew() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir);
    let line = journal::encode_header(&header());
    let upload = || {
        for _ in 0..50 {
            let mut log = loop {
                match store.open(KEY) {
                    Ok(log) => break log,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Store),
                }
            };
            log.append(&line, false).unwrap();
            assert_eq!(fs::read(path(&store)).unwrap(), line);
            log.clear().unwrap();
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(upload))));
}

#[test]
fn a_key_is_no_path() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir);
    for key in ["", "../x", "a/b", "A", "a.b", "ä", &"a".repeat(65)] {
        assert_eq!(store.open(key).err().unwrap().kind(), ErrorKind::Usage, "{key}");
        assert_eq!(store.remove(key).unwrap_err().kind(), ErrorKind::Usage, "{key}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("state"), "a file is in the way").unwrap();
    let store = store(&dir);
    let error = store.open(KEY).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.to_string().starts_with("make state directory: /"), "{error}");
    assert!(error.to_string().ends_with("journals: not a directory"), "{error}");
    assert!(!error.advice().is_empty());
}

/// The test program itself, running one of the `child_` tests below.
fn child(test: &str, dir: &TempDir) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env("PAN123_TEST_DIR", dir.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The store that a child is to use; `None` when the test runs as a test.
fn child_store() -> Option<JournalDir> {
    env::var_os("PAN123_TEST_DIR").map(|dir| JournalDir::new(Path::new(&dir).join("state/journals")))
}

/// Reads what a child says until a line begins with `word`; returns the rest of that line.
fn hear(lines: &mut impl Iterator<Item = std::io::Result<String>>, word: &str) -> Option<String> {
    lines.map(Result::unwrap).find_map(|line| line.strip_prefix(word).map(str::to_owned))
}

fn spawn(command: &mut Command) -> (Child, impl Iterator<Item = std::io::Result<String>> + use<>) {
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

#[test]
fn child_appends_for_ever() {
    let Some(store) = child_store() else { return };
    let mut log = store.open(KEY).unwrap();
    log.append(&journal::encode_header(&header()), true).unwrap();
    for no in 1.. {
        log.append(&journal::encode_record(&Record::Slice { no }), no % 8 == 0).unwrap();
        println!("appended {no}");
    }
}

#[test]
fn a_log_is_for_one_process_and_is_whole_when_that_is_killed() {
    for round in 1..=20 {
        let dir = TempDir::new().unwrap();
        let store = store(&dir);
        let (mut child, mut lines) = spawn(&mut child("child_appends_for_ever", &dir));
        let mut appended = 0;
        for _ in 0..round * 3 {
            appended = hear(&mut lines, "appended ").unwrap().parse().unwrap();
        }
        if round == 1 {
            let error = store.open(KEY).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Store);
            assert_eq!(
                error.to_string(),
                "open journal: the same file is being uploaded to the same place already, by this process or another one"
            );
        }
        child.kill().unwrap();
        // Not waited for: the next process may come before the killed one is quite gone.
        let mut log = store.open(KEY).unwrap();
        let read = Journal::decode(&log.read().unwrap()).unwrap().unwrap();
        let expected: Vec<_> =
            (1..=u32::try_from(read.records.len()).unwrap()).map(|no| Record::Slice { no }).collect();
        assert_eq!(read.records, expected);
        assert!(read.records.len() >= appended, "{} of {appended}", read.records.len());
        child.wait().unwrap();
    }
}

#[test]
fn child_fills_its_disk() {
    let Some(store) = child_store() else { return };
    let mut log = store.open(KEY).unwrap();
    log.append(&journal::encode_header(&header()), true).unwrap();
    let mut good = 0;
    let error = loop {
        match log.append(&journal::encode_record(&Record::Slice { no: good + 1 }), false) {
            Ok(()) => good += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Store);
    assert_eq!(error.step(), "write journal");
    let left = fs::read(path(&store)).unwrap();
    assert_eq!(journal::sound_len(&left), left.len(), "the half of a line is taken back");
    assert_eq!(Journal::decode(&left).unwrap().unwrap().records.len(), good as usize);
    println!("full {error}");
}

#[test]
fn a_write_that_does_not_fit_is_taken_back() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir);
    // The limit lets a write get in by half before it fails, as a full disk does.
    let program = child("child_fills_its_disk", &dir);
    let mut limited = Command::new("sh");
    limited.arg("-c").arg("trap '' XFSZ; ulimit -f 2; exec \"$0\" \"$@\"").arg(program.get_program());
    limited.args(program.get_args()).env("PAN123_TEST_DIR", dir.path());
    let output = limited.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let said = hear(&mut text.lines().map(|line| Ok(line.to_owned())), "full ").unwrap();
    assert!(said.ends_with("file too large"), "{said}");

    let mut log = store.open(KEY).unwrap();
    let before = log.read().unwrap();
    log.append(&journal::encode_record(&Record::Completing), true).unwrap();
    let after = log.read().unwrap();
    assert_eq!(after[..before.len()], before);
    assert_eq!(Journal::decode(&after).unwrap().unwrap().records.last(), Some(&Record::Completing));
}

#[test]
fn a_full_disk_is_an_error_with_advice() {
    let dir = TempDir::new().unwrap();
    let store = store(&dir);
    fs::create_dir_all(store.path()).unwrap();
    symlink("/dev/full", path(&store)).unwrap();
    let mut log = store.open(KEY).unwrap();
    let error = log.append(&journal::encode_header(&header()), true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    assert!(error.to_string().ends_with("no space left on device"), "{error}");
    assert!(error.advice().starts_with("Free some space"), "{}", error.advice());
}
