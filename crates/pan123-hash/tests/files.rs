//! Files and other inputs: digests, and what happens to those that do not hold still.

mod common;

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::{fs::symlink, net::UnixListener},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, ThreadId},
    time::{Duration, SystemTime},
};

use common::{bytes, expected, many, random};
use pan123_hash::{
    Digests, Error, ErrorKind, FileInput, Input, Kernel, Options, hash_file, hash_input, hash_many,
};
use tempfile::TempDir;

const MIB: usize = 1 << 20;

struct Dir(TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, data: &[u8]) -> PathBuf {
        fs::write(self.path(name), data).expect("a temporary file");
        self.path(name)
    }
}

/// What both ways to hash a file say about it.
fn both(path: &Path, options: &Options) -> [Result<Digests, Error>; 3] {
    let alone = hash_file(path, options);
    // The first few are hashed in another way than those that come after them.
    let mut results = many(&vec![path.to_owned(); 12], options);
    let last = results.pop().expect("twelve results");
    for result in &results {
        assert_eq!(result.as_ref().ok(), last.as_ref().ok());
    }
    [alone, results.remove(0), last]
}

#[test]
fn a_file_has_the_digests_of_its_bytes() {
    let dir = Dir::new();
    for len in [0, 1, 4095, 4096, 65_535, 65_536, 65_537, MIB - 1, MIB, MIB + 1, 5 * MIB + 3] {
        let data = random(len);
        let path = dir.file("file", &data);
        for slice_size in [1 << 20, 100_001, 1 << 40] {
            for result in both(&path, &Options::new(bytes(slice_size))) {
                assert_eq!(result.unwrap(), expected(&data, slice_size), "{len} {slice_size}");
            }
        }
    }
}

#[test]
fn many_files_have_the_digests_of_their_bytes() {
    let dir = Dir::new();
    let mut lens: Vec<usize> = (0..200).map(|_| fastrand::usize(0..9000)).collect();
    lens.extend((0..40).map(|_| fastrand::usize(0..150_000)));
    lens.extend([0, 64, 65_536, 3 * MIB + 1]);
    fastrand::shuffle(&mut lens);
    let datas: Vec<_> = lens.iter().map(|&len| random(len)).collect();
    let paths: Vec<_> = datas.iter().enumerate().map(|(i, data)| dir.file(&i.to_string(), data)).collect();
    for slice_size in [1 << 24, 100_000, 65_536] {
        for kernel in Kernel::available() {
            let got = many(&paths, &Options::new(bytes(slice_size)).kernel(kernel).sha1(true));
            for (result, data) in got.into_iter().zip(&datas) {
                let mut digests = result.unwrap();
                let sha1: [u8; 20] = sha1::Digest::finalize(sha1::Digest::chain_update(
                    <sha1::Sha1 as sha1::Digest>::new(),
                    data,
                ))
                .into();
                assert_eq!(digests.sha1.take(), Some(sha1), "{kernel:?} {}", data.len());
                assert_eq!(digests, expected(data, slice_size), "{kernel:?} {}", data.len());
            }
        }
    }
}

#[test]
fn a_few_files_of_any_lengths_have_the_digests_of_their_bytes() {
    let dir = Dir::new();
    let data = random(200_000);
    for round in 0..60 {
        let paths: Vec<_> = (0..fastrand::usize(2..40))
            .map(|i| {
                dir.file(&i.to_string(), &data[..fastrand::usize(..1 << (8 + round % 10)).min(data.len())])
            })
            .collect();
        for (path, result) in paths.iter().zip(many(&paths, &Options::new(bytes(20_000)))) {
            assert_eq!(result.unwrap(), expected(&fs::read(path).unwrap(), 20_000));
        }
    }
}

#[test]
fn only_regular_files_are_hashed_and_nothing_blocks() {
    let dir = Dir::new();
    rustix::fs::mknodat(rustix::fs::CWD, dir.path("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    let _socket = UnixListener::bind(dir.path("socket")).unwrap();
    symlink(dir.path("pipe"), dir.path("link")).unwrap();
    symlink(dir.path("nothing"), dir.path("dangling")).unwrap();
    for (path, kind, words) in [
        (dir.path("pipe"), ErrorKind::NotAFile, "pipe"),
        (dir.path("link"), ErrorKind::NotAFile, "pipe"),
        (dir.path("socket"), ErrorKind::NotAFile, "socket"),
        (dir.path(""), ErrorKind::NotAFile, "directory"),
        ("/dev/null".into(), ErrorKind::NotAFile, "device"),
        (dir.path("nothing"), ErrorKind::NotFound, "no such file"),
        (dir.path("dangling"), ErrorKind::NotFound, "no such file"),
        (dir.file("file", b"").join("below"), ErrorKind::NotFound, "no such file"),
        (dir.path("a\0b"), ErrorKind::Read, "open"),
    ] {
        for result in both(&path, &Options::new(bytes(1))) {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(error.path(), Some(&*path));
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}

#[test]
fn one_bad_file_leaves_the_others_alone() {
    let dir = Dir::new();
    let data = random(3 * MIB);
    let paths = vec![
        dir.file("a", &data),
        dir.path("missing"),
        dir.file("b", b"b"),
        dir.path(""),
        dir.file("c", &data[1..]),
    ];
    let got = many(&paths, &Options::new(bytes(MIB as u64)));
    assert_eq!(got[0].as_ref().unwrap(), &expected(&data, MIB as u64));
    assert_eq!(got[1].as_ref().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(got[2].as_ref().unwrap(), &expected(b"b", MIB as u64));
    assert_eq!(got[3].as_ref().unwrap_err().kind(), ErrorKind::NotAFile);
    assert_eq!(got[4].as_ref().unwrap(), &expected(&data[1..], MIB as u64));
}

/// Hashes a file of 16 MiB, more than is read ahead, and does something to it when its first bytes have been
/// hashed.
fn disturbed(disturb: impl Fn(&Path) + Sync) -> Vec<Error> {
    let data = random(16 * MIB);
    [false, true]
        .map(|as_many| {
            let dir = Dir::new();
            let path = dir.file("file", &data);
            // In the past, so that writing to it changes its time however coarse the clock of the file system
            // is.
            let file = File::options().write(true).open(&path).expect("it was just written");
            file.set_modified(SystemTime::now() - Duration::from_secs(1000)).expect("a time");
            let other = dir.file("other", b"other");
            let undisturbed = AtomicBool::new(true);
            let progress = |bytes| {
                // More than the other file has, so the one that matters is being read.
                if bytes > 5 && undisturbed.swap(false, Ordering::Relaxed) {
                    disturb(&path);
                }
            };
            let options = Options::new(bytes(1 << 24)).progress(&progress);
            let result = if as_many {
                many(&[path.clone(), other], &options).remove(0)
            } else {
                hash_file(&path, &options)
            };
            result.expect_err("it was disturbed")
        })
        .into()
}

fn open_to_write(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).expect("a file")
}

#[test]
fn a_file_that_shrinks_is_an_error() {
    for error in disturbed(|path| open_to_write(path).set_len(12 * MIB as u64).unwrap()) {
        assert_eq!(error.kind(), ErrorKind::Shrunk);
        assert!(error.to_string().contains("shrank from 16777216 to 12582912 bytes"), "{error}");
    }
}

#[test]
fn a_file_that_grows_is_an_error() {
    for error in disturbed(|path| open_to_write(path).set_len(17 * MIB as u64).unwrap()) {
        assert_eq!(error.kind(), ErrorKind::Grown, "{error}");
    }
}

#[test]
fn a_file_that_is_written_to_is_an_error() {
    use std::os::unix::fs::FileExt;
    for error in disturbed(|path| open_to_write(path).write_all_at(b"new", 5).unwrap()) {
        assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    }
}

#[test]
fn a_file_that_is_written_to_and_given_its_old_time_is_an_error() {
    use std::os::unix::fs::FileExt;
    for error in disturbed(|path| {
        let time = fs::metadata(path).unwrap().modified().unwrap();
        let file = open_to_write(path);
        file.write_all_at(b"new", 5).unwrap();
        file.set_modified(time).unwrap();
    }) {
        assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    }
}

/// Files of `/proc` have a size of 0 and are not empty. Others have a size that is not theirs.
#[cfg(target_os = "linux")]
#[test]
fn a_file_of_unknown_size_is_an_error() {
    for result in both(Path::new("/proc/version"), &Options::new(bytes(1))) {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Grown);
        assert!(error.to_string().contains("the system does not know its size"), "{error}");
        assert!(error.to_string().contains("as under /proc and /sys, has to be copied elsewhere"), "{error}");
    }
    // Those of `/sys` say that they are a page long.
    let path = Path::new("/sys/devices/system/cpu/online");
    let Ok(content) = fs::read(path) else { return };
    for result in both(path, &Options::new(bytes(1))) {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shrunk);
        assert!(error.to_string().contains(&format!("ended after {} bytes", content.len())), "{error}");
        assert!(error.to_string().contains("as under /proc and /sys, has to be copied elsewhere"), "{error}");
    }
}

#[test]
fn a_large_file_among_small_ones_has_the_digests_of_its_bytes() {
    let dir = Dir::new();
    let data = random(9 * MIB + 1);
    for slice_size in [1 << 24, 1_000_003, MIB as u64, 4097, 700] {
        let mut paths: Vec<_> = (0..200).map(|i| dir.file(&i.to_string(), &data[..i * 77])).collect();
        paths.insert(fastrand::usize(..200), dir.file("large", &data));
        let seen = Mutex::new(Vec::new());
        let note = |bytes| seen.lock().unwrap().push(bytes);
        let got = many(&paths, &Options::new(bytes(slice_size)).sha1(true).progress(&note));
        for (path, result) in paths.iter().zip(got) {
            let (data, mut digests) = (fs::read(path).unwrap(), result.unwrap());
            assert_eq!(
                digests.sha1.take(),
                hash_file(path, &Options::new(bytes(9)).sha1(true)).unwrap().sha1
            );
            assert_eq!(digests, expected(&data, slice_size), "{} {slice_size}", data.len());
        }
        let seen = seen.into_inner().unwrap();
        assert!(seen.is_sorted(), "{seen:?}");
        assert_eq!(*seen.last().unwrap(), paths.iter().map(|path| fs::metadata(path).unwrap().len()).sum());
    }
}

#[test]
fn a_file_that_vanishes_is_an_error() {
    for error in disturbed(|path| fs::remove_file(path).unwrap()) {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    for error in disturbed(|path| {
        fs::hard_link(path, path.with_extension("other")).unwrap();
        fs::remove_file(path).unwrap();
    }) {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    for error in disturbed(|path| {
        fs::rename(path, path.with_extension("moved")).unwrap();
        fs::write(path, b"new").unwrap();
    }) {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    for error in disturbed(|path| {
        fs::write(path.with_extension("new"), b"new").unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
    }) {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}

#[test]
fn progress_rises_to_the_size_and_cancelling_stops() {
    let dir = Dir::new();
    let data = random(16 * MIB);
    let paths = vec![dir.file("a", &data), dir.file("b", &data), dir.file("c", b"c")];
    let seen = Mutex::new(Vec::new());
    let note = |bytes| seen.lock().unwrap().push(bytes);
    for result in many(&paths, &Options::new(bytes(1 << 24)).progress(&note)) {
        result.unwrap();
    }
    let seen = seen.into_inner().unwrap();
    assert!(seen.is_sorted() && seen.len() > 10, "{seen:?}");
    assert_eq!(seen.last(), Some(&(32 * MIB as u64 + 1)));

    let (cancel, last) = (AtomicBool::new(false), Mutex::new(0));
    let progress = |bytes| {
        *last.lock().unwrap() = bytes;
        cancel.store(true, Ordering::Relaxed);
    };
    let options = Options::new(bytes(1 << 24)).progress(&progress).cancel(&cancel);
    let got = many(&paths[..2], &options);
    assert!(
        got.iter().all(|result| result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Cancelled)),
        "{got:?}"
    );
    assert!(*last.lock().unwrap() < 8 * MIB as u64);
    cancel.store(false, Ordering::Relaxed);
    assert_eq!(hash_file(&paths[0], &options).unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(*last.lock().unwrap() < 8 * MIB as u64);
}

/// Gives few bytes at a time and is cancelled at the fifth read.
struct Slow<'a> {
    calls: AtomicUsize,
    cancel: &'a AtomicBool,
}

impl Input for Slow<'_> {
    fn size(&self) -> io::Result<u64> {
        Ok(16 * MIB as u64)
    }

    fn read_at(&self, _offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if self.calls.fetch_add(1, Ordering::Relaxed) == 4 {
            self.cancel.store(true, Ordering::Relaxed);
        }
        Ok(buf.len().min(1000))
    }
}

#[test]
fn a_slow_input_is_not_read_any_further_after_a_cancel() {
    let cancel = AtomicBool::new(false);
    let slow = Slow { calls: AtomicUsize::new(0), cancel: &cancel };
    let error = hash_input(&slow, &Options::new(bytes(1 << 24)).cancel(&cancel)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(slow.calls.into_inner(), 5);
}

/// Bytes that come as a storage may give them.
struct Odd {
    data: Vec<u8>,
    size: u64,
    /// What to answer at each call, in turn: an error, or so many bytes at most.
    answers: Vec<Result<usize, io::ErrorKind>>,
    calls: AtomicUsize,
    version: AtomicUsize,
}

impl Odd {
    fn new(data: Vec<u8>, size: u64, answers: Vec<Result<usize, io::ErrorKind>>) -> Self {
        Self { data, size, answers, calls: AtomicUsize::new(0), version: AtomicUsize::new(0) }
    }
}

impl Input for Odd {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let most = self.answers[call % self.answers.len()]?;
        let len = buf.len().min(most);
        self.data.as_slice().read_at(offset, &mut buf[..len])
    }

    fn version(&self) -> io::Result<u128> {
        Ok(self.version.load(Ordering::Relaxed) as u128)
    }
}

#[test]
fn short_reads_and_interruptions_change_nothing() {
    for len in [0, 100_000, 3 * MIB + 5] {
        let data = random(len);
        let answers = vec![Ok(10_007), Err(io::ErrorKind::Interrupted), Ok(usize::MAX), Ok(64)];
        let got = hash_input(&Odd::new(data.clone(), len as u64, answers), &Options::new(bytes(70_000)));
        assert_eq!(got.unwrap(), expected(&data, 70_000));
    }
    let data = random(5);
    let shared: Arc<[u8]> = data.clone().into();
    assert_eq!(hash_input(&shared, &Options::new(bytes(2))).unwrap(), expected(&data, 2));
}

#[test]
fn an_input_that_breaks_its_word_is_an_error() {
    let options = Options::new(bytes(1 << 24));
    for size in [100, 5 * MIB] {
        let whole = || vec![Ok(usize::MAX)];
        let shrunk = Odd::new(random(size - 1), size as u64, whole());
        assert_eq!(hash_input(&shrunk, &options).unwrap_err().kind(), ErrorKind::Shrunk);
        let grown = Odd::new(random(size + 1), size as u64, whole());
        assert_eq!(hash_input(&grown, &options).unwrap_err().kind(), ErrorKind::Grown);
        let broken = Odd::new(random(size), size as u64, vec![Ok(50), Err(io::ErrorKind::TimedOut)]);
        let error = hash_input(&broken, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Read);
        let causes: Vec<_> =
            std::iter::successors(std::error::Error::source(&error), |&e| e.source()).collect();
        let chain = format!("{error} {causes:?}");
        assert!(chain.contains("byte 50") && chain.matches("timed out").count() == 1, "{chain}");
        let changed = Odd::new(random(size), size as u64, whole());
        let progress = |_| changed.version.store(1, Ordering::Relaxed);
        let error = hash_input(&changed, &options.progress(&progress)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed);
    }
}

/// A panic that says so.
#[derive(Debug, PartialEq)]
struct Panicked(&'static str);

/// What a call panicked with.
fn panicked(call: impl FnOnce()) -> Option<Panicked> {
    let payload = panic::catch_unwind(AssertUnwindSafe(call)).err()?;
    Some(*payload.downcast::<Panicked>().expect("what was panicked with"))
}

/// Panics at its fifth MiB.
struct Panics;

impl Input for Panics {
    fn size(&self) -> io::Result<u64> {
        Ok(16 * MIB as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if offset >= 5 * MIB as u64 {
            panic::panic_any(Panicked("input"));
        }
        Ok(buf.len())
    }
}

#[test]
fn a_panic_of_the_input_comes_through_whatever_thread_it_was_on() {
    let options = Options::new(bytes(1 << 24));
    assert_eq!(panicked(|| _ = hash_input(&Panics, &options)), Some(Panicked("input")));
    // Cancelled before it is noticed.
    let cancel = AtomicBool::new(false);
    let progress = |_| cancel.store(true, Ordering::Relaxed);
    let options = options.progress(&progress).cancel(&cancel);
    let result = panic::catch_unwind(AssertUnwindSafe(|| hash_input(&Panics, &options)));
    match result {
        Ok(result) => assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled),
        Err(payload) => assert_eq!(payload.downcast_ref(), Some(&Panicked("input"))),
    }
}

/// A path that panics when another thread than this one looks at it.
struct TouchyPath(PathBuf, ThreadId, AtomicBool);

impl AsRef<Path> for TouchyPath {
    fn as_ref(&self) -> &Path {
        if thread::current().id() != self.1 {
            self.2.store(true, Ordering::Relaxed);
            panic::panic_any(Panicked("path"));
        }
        &self.0
    }
}

#[test]
fn a_panic_of_the_host_comes_through_from_many_files() {
    let dir = Dir::new();
    let path = dir.file("file", &random(MIB));
    let paths: Vec<_> =
        (0..100).map(|_| TouchyPath(path.clone(), thread::current().id(), AtomicBool::new(false))).collect();
    let options = Options::new(bytes(1 << 24));
    let got = panicked(|| {
        hash_many(&paths, &options, |_, result| assert!(result.is_ok())).expect("no kernel is named");
    });
    // On one core there is no other thread.
    let others = paths.iter().any(|path| path.2.load(Ordering::Relaxed));
    assert_eq!(got, others.then_some(Panicked("path")));

    let paths = vec![path; 100];
    let each = |file, _| {
        if file == 50 {
            panic::panic_any(Panicked("each"));
        }
    };
    assert_eq!(panicked(|| _ = hash_many(&paths, &options, each)), Some(Panicked("each")));
    let progress = |bytes| {
        if bytes > 20 * MIB as u64 {
            panic::panic_any(Panicked("progress"));
        }
    };
    let options = options.progress(&progress);
    assert_eq!(panicked(|| _ = hash_many(&paths, &options, |_, _| {})), Some(Panicked("progress")));
    let large = dir.file("large", &random(32 * MIB));
    assert_eq!(panicked(|| _ = hash_file(&large, &options)), Some(Panicked("progress")));
}

#[test]
fn an_open_file_is_hashed_whatever_its_position() {
    let dir = Dir::new();
    let mut file = File::open(dir.file("file", b"0123456789")).unwrap();
    io::Read::read_exact(&mut file, &mut [0; 4]).unwrap();
    let input = FileInput::new(file).unwrap();
    assert_eq!(hash_input(&input, &Options::new(bytes(3))).unwrap(), expected(b"0123456789", 3));
    let directory = File::open(dir.path("")).unwrap();
    assert_eq!(FileInput::new(directory).unwrap_err().kind(), ErrorKind::NotAFile);
}
