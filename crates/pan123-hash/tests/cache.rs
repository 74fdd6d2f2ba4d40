//! The cache: what is hashed again and what is not, judged by the progress that a call reports.

mod common;

use std::{
    fs::{self, File, FileTimes},
    io::Write,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use common::{bytes, expected, random, settle};
use pan123_hash::{Digests, Error, ErrorKind, OnePass, Options, cache::Cache};
use tempfile::TempDir;

const MIB: usize = 1 << 20;
const SLICE: u64 = 700_001;

struct Place {
    dir: TempDir,
    data: Vec<u8>,
}

impl Place {
    /// A cache and a file of 8 MiB that has been left alone for long enough.
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().expect("a temporary directory"), data: random(8 * MIB) };
        fs::write(place.file(), &place.data).expect("a temporary file");
        settle(&place.file());
        place
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("file")
    }

    fn cache_dir(&self) -> PathBuf {
        self.dir.path().join("cache/below")
    }

    fn cache(&self) -> Cache {
        Cache::open(self.cache_dir()).expect("a directory").save_every(bytes(MIB as u64))
    }

    fn expected(&self) -> Digests {
        expected(&self.data, SLICE)
    }

    fn entries(&self) -> Vec<PathBuf> {
        fs::read_dir(self.cache_dir())
            .expect("a directory")
            .map(|entry| entry.expect("an entry").path())
            .collect()
    }
}

/// The result, and what the progress callback was told.
fn hash(cache: &Cache, path: &Path, options: Options) -> (Result<Digests, Error>, Vec<u64>) {
    let seen = Mutex::new(Vec::new());
    let note = |bytes| seen.lock().expect("no panic").push(bytes);
    let result = cache.hash_file(path, &options.progress(&note));
    (result, seen.into_inner().expect("no panic"))
}

/// True if the call had to read the file.
fn hashed(cache: &Cache, path: &Path, options: Options, expected: &Digests) -> bool {
    let (result, seen) = hash(cache, path, options);
    assert_eq!(&result.expect("a file that holds still"), expected);
    seen.len() > 1
}

fn options() -> Options<'static> {
    Options::new(bytes(SLICE))
}

#[test]
fn a_second_call_hashes_nothing() {
    let place = Place::new();
    assert!(hashed(&place.cache(), &place.file(), options(), &place.expected()));
    let (result, seen) = hash(&place.cache(), &place.file(), options());
    assert_eq!((result.unwrap(), seen), (place.expected(), vec![8 * MIB as u64]));
    assert_eq!(fs::metadata(place.cache_dir()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn another_slice_size_or_a_sha1_is_another_matter() {
    let place = Place::new();
    let cache = place.cache();
    assert!(hashed(&cache, &place.file(), options(), &place.expected()));
    assert!(hashed(&cache, &place.file(), Options::new(bytes(1 << 24)), &expected(&place.data, 1 << 24)));
    let (result, seen) = hash(&cache, &place.file(), options().sha1(true));
    assert!(result.unwrap().sha1.is_some() && seen.len() > 1);
    let (result, seen) = hash(&cache, &place.file(), options().sha1(true));
    assert!(result.unwrap().sha1.is_some() && seen.len() == 1);
    assert!(!hashed(&cache, &place.file(), options(), &place.expected()));
    assert!(!hashed(&cache, &place.file(), Options::new(bytes(1 << 24)), &expected(&place.data, 1 << 24)));
}

#[test]
fn a_file_that_was_written_to_is_hashed_again() {
    let mut place = Place::new();
    let cache = place.cache();
    assert!(hashed(&cache, &place.file(), options(), &place.expected()));
    // Same size, same inode, and the time of the last write set back: the time of the last change tells.
    let times = fs::metadata(place.file()).unwrap().modified().unwrap();
    let file = File::options().write(true).open(place.file()).unwrap();
    file.write_all_at(b"x", 5_000_000).unwrap();
    file.set_times(FileTimes::new().set_modified(times)).unwrap();
    place.data[5_000_000] = b'x';
    assert!(hashed(&cache, &place.file(), options(), &place.expected()));
}

#[test]
fn another_file_under_the_same_name_is_hashed() {
    let mut place = Place::new();
    let cache = place.cache();
    assert!(hashed(&cache, &place.file(), options(), &place.expected()));
    place.data = random(8 * MIB);
    fs::write(place.dir.path().join("new"), &place.data).unwrap();
    fs::rename(place.dir.path().join("new"), place.file()).unwrap();
    settle(&place.file());
    assert!(hashed(&cache, &place.file(), options(), &place.expected()));
    assert!(!hashed(&cache, &place.file(), options(), &place.expected()));
}

/// Whatever the clock of the file system, two writes in a row never pass for one. Linux from 6.13 on stamps a
/// write finely if the time before it was looked at, and passes this without the cache's help; the rule
/// itself is tested beside its code.
#[test]
fn a_file_that_was_written_a_moment_ago_is_not_trusted() {
    let place = Place::new();
    let cache = place.cache();
    let path = place.dir.path().join("fresh");
    let mut data = random(MIB);
    for round in 0..30 {
        data[0] = round;
        let mut file = File::create(&path).unwrap();
        file.write_all(&data).unwrap();
        assert_eq!(cache.hash_file(&path, &options()).unwrap(), expected(&data, SLICE), "{round}");
        // Same size and, with luck, same times.
        data[0] = 255 - round;
        file.write_all_at(&data[..1], 0).unwrap();
        assert_eq!(cache.hash_file(&path, &options()).unwrap(), expected(&data, SLICE), "{round}");
    }
}

#[test]
fn small_files_are_not_kept() {
    let place = Place::new();
    let path = place.dir.path().join("small");
    fs::write(&path, b"small").unwrap();
    settle(&path);
    assert_eq!(place.cache().hash_file(&path, &options()).unwrap(), expected(b"small", SLICE));
    assert_eq!(place.entries(), [] as [PathBuf; 0]);
}

/// Interrupts a pass after 5 MiB or more.
fn interrupt(place: &Place, options: Options) {
    let cancel = AtomicBool::new(false);
    let progress = |bytes| {
        if bytes >= 5 * MIB as u64 {
            cancel.store(true, Ordering::Relaxed);
        }
    };
    let error = place
        .cache()
        .hash_file(place.file(), &options.progress(&progress).cancel(&cancel))
        .expect_err("it was cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn an_interrupted_pass_goes_on_where_it_was() {
    for sha1 in [false, true] {
        let place = Place::new();
        interrupt(&place, options().sha1(sha1));
        let (result, seen) = hash(&place.cache(), &place.file(), options().sha1(sha1));
        let mut digests = result.unwrap();
        assert!(seen[0] > 5 * MIB as u64, "{seen:?}");
        assert_eq!(digests.sha1.take().is_some(), sha1);
        assert_eq!(digests, place.expected());
        assert!(
            place.entries().iter().all(|path| path.extension().unwrap() == "digests"),
            "{:?}",
            place.entries()
        );
    }
}

/// A file of 2 GiB takes half a minute to write, so a write that began a moment ago may have stamped it and go on behind
/// the place that a pass has got to.
#[test]
fn an_interrupted_pass_over_a_file_that_may_still_be_written_is_not_kept() {
    let place = Place::new();
    File::options().write(true).open(place.file()).unwrap().set_len(2 << 30).unwrap();
    settle(&place.file());
    interrupt(&place, options());
    assert_eq!(place.entries(), [] as [PathBuf; 0]);
}

#[test]
fn an_interrupted_pass_over_a_file_that_changed_is_forgotten() {
    let mut place = Place::new();
    interrupt(&place, options());
    place.data[0] ^= 1;
    fs::write(place.file(), &place.data).unwrap();
    settle(&place.file());
    let (result, seen) = hash(&place.cache(), &place.file(), options());
    assert_eq!(result.unwrap(), place.expected());
    assert!(seen[0] <= MIB as u64, "{seen:?}");
}

#[test]
fn a_torn_or_damaged_entry_is_as_good_as_none() {
    let place = Place::new();
    let cache = place.cache();
    interrupt(&place, options());
    let pass = place.entries().remove(0);
    let whole_pass = fs::read(&pass).unwrap();
    assert!(hashed(&cache, &place.file(), options(), &place.expected()));
    let digests = place.entries().remove(0);
    let whole = fs::read(&digests).unwrap();
    for (path, whole) in [(&digests, whole), (&pass, whole_pass)] {
        for at in (0..whole.len()).step_by(1.max(whole.len() / 12)) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            for content in [&whole[..at], &damaged] {
                fs::remove_file(&digests).unwrap();
                fs::write(path, content).unwrap();
                let (result, seen) = hash(&cache, &place.file(), options());
                assert_eq!(result.unwrap(), place.expected(), "{at}");
                assert!(seen[0] <= MIB as u64 && seen.len() > 1, "{at} {seen:?}");
            }
        }
    }
}

#[test]
fn many_at_once_do_not_disturb_each_other() {
    let place = Place::new();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(place.cache().hash_file(place.file(), &options()).unwrap(), place.expected());
                }
            });
        }
    });
    assert_eq!(place.entries().len(), 1, "{:?}", place.entries());
}

#[test]
fn a_cache_that_cannot_be_used_says_so_and_one_that_goes_away_does_no_harm() {
    let place = Place::new();
    let error = Cache::open(place.file()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cache);
    assert!(error.to_string().contains("as a cache"), "{error}");
    let cache = place.cache();
    fs::remove_dir_all(place.cache_dir()).unwrap();
    assert!(hashed(&cache, &place.file(), options(), &place.expected()));
}

#[test]
fn a_pass_goes_on_from_its_saved_state_at_any_byte() {
    let data = random(500);
    for slice_size in [1, 64, 100, 1000] {
        for at in 0..=data.len() {
            let mut pass = OnePass::new(bytes(slice_size));
            pass.update(&data[..at]);
            let mut pass = OnePass::restore(&pass.save()).unwrap();
            assert_eq!(pass.bytes_hashed(), at as u64);
            pass.update(&data[at..]);
            assert_eq!(pass.finish(), expected(&data, slice_size), "{at} {slice_size}");
        }
    }
}

#[test]
fn what_is_no_saved_state_is_refused() {
    let mut pass = OnePass::new(bytes(64)).sha1();
    pass.update(&random(200));
    let saved = pass.save();
    for len in 0..saved.len() {
        assert_eq!(OnePass::restore(&saved[..len]).unwrap_err().kind(), ErrorKind::State, "{len}");
    }
    let mut longer = saved.clone();
    longer.push(0);
    assert_eq!(OnePass::restore(&longer).unwrap_err().kind(), ErrorKind::State);
}

/// The bytes of a saved pass without SHA-1: slice size, both chains without a tail, and empty slice MD5s.
fn saved(slice_size: u64, whole_len: u64, slice_len: u64, count: u64) -> Vec<u8> {
    let chain = |len: u64| [&[7; 16][..], &len.to_le_bytes(), &[0; 64]].concat();
    let slices = vec![0; 16 * count as usize];
    [&slice_size.to_le_bytes()[..], &chain(whole_len), &chain(slice_len), &count.to_le_bytes(), &slices, &[0]]
        .concat()
}

#[test]
fn a_saved_state_that_no_pass_can_be_in_is_refused() {
    for good in [saved(64, 64, 64, 0), saved(64, 192, 64, 2), saved(u64::MAX, 1 << 50, 1 << 50, 0)] {
        let mut pass = OnePass::restore(&good).unwrap();
        pass.update(&[7; 200]);
        pass.finish();
    }
    for bad in [
        // A slice ends when the byte after it comes, so the last one is never empty.
        saved(64, 64, 0, 1),
        saved(64, 192, 128, 1),
        saved(128, 128, 64, 1),
        saved(64, 64, 0, 0),
        // Longer than MD5 can tell.
        saved(u64::MAX, u64::MAX - 63, u64::MAX - 63, 0),
        saved(u64::MAX, 1 << 61, 1 << 61, 0),
    ] {
        assert_eq!(OnePass::restore(&bad).unwrap_err().kind(), ErrorKind::State, "{bad:?}");
    }
    // A SHA-1 of other bytes than the MD5s.
    let mut pass = OnePass::new(bytes(64)).sha1();
    pass.update(&random(200));
    let (long, short) = (pass.save(), OnePass::new(bytes(64)).sha1().save());
    let mixed = [&long[..long.len() - 92], &short[short.len() - 92..]].concat();
    assert_eq!(OnePass::restore(&mixed).unwrap_err().kind(), ErrorKind::State);
}
