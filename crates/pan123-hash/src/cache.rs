//! Digests that were computed before, and passes that were interrupted, kept on disk.
//!
//! ```no_run
//! # use std::num::NonZeroU64;
//! use pan123_hash::{Options, cache::Cache};
//!
//! let cache = Cache::open("/home/me/.cache/hashes")?;
//! let digests = cache.hash_file("film.mkv", &Options::new(NonZeroU64::new(16 << 20).unwrap()))?;
//! # Ok::<(), pan123_hash::Error>(())
//! ```
//!
//! # When a file counts as the same
//!
//! Its absolute path, device, inode, size, the time of its last write and the time of its last change must
//! all be what they were, to the nanosecond, and the slice size must be the one asked for.
//!
//! That is not enough for a file that was written just before it was hashed. The clock that stamps files
//! moves in steps, so a second write within the same step leaves no trace. A result is therefore kept only
//! if, when hashing began, the file had been left alone for longer than a step: 0.1 s where the file system
//! keeps fractions of a second (the clock of Linux moves every 1 to 10 ms), and 2.1 s where it seems to keep
//! whole seconds (FAT keeps every other one). From then on any write gets another time. A file stamped in the
//! future is never kept, nor is one from before 1970.
//!
//! One write stamps the file when it begins, and may go on for long. So a result is kept only if the file had also been
//! left alone for as long as it takes to write it at 64 MiB/s, up to the 2 GiB that Linux writes at a time. Digests and
//! interrupted passes are alike in this: a pass that goes on trusts the bytes that it has seen before.
//!
//! What no rule can see: one write that is slower than that and is still going on; a program that writes through a memory map is stamped when it first touches a page,
//! not at each write, and whoever can set the clock back can make two writes look like one.
//!
//! # On disk
//!
//! One small file for each path and slice size, written under another name and renamed, so that a reader sees
//! all of it or nothing, however many processes there are. Each ends with a checksum; one that does not match
//! is as good as none. A process that is killed in the middle leaves the other name behind, which ends in `.new`; opening
//! the cache removes those that are an hour old, and the oldest entries beyond 10 000. Nothing in here can make a digest wrong or a call fail: a cache that cannot be written
//! to is not written to.

use std::{
    fs::{self, DirBuilder},
    io::{Read, Write},
    num::NonZeroU64,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use md5::{Digest, Md5};
use rustix::fs::{OFlags, Stat};

use crate::{
    Digests, Error, ErrorKind, FileInput, OnePass, Options,
    file::drive_file,
    hex,
    input::{Before, id, times},
    state::{Reader, Writer},
};

/// Smaller files are hashed in less time than it takes to look them up for good.
const SIZE_MIN: u64 = 1 << 20;

/// How far apart the saved states of a pass are, in bytes. Saving one takes less than a thousandth of the
/// time in between.
const SAVE_EVERY: NonZeroU64 = NonZeroU64::new(1 << 30).expect("more than nothing");

/// Entries that stay when a cache is opened.
const ENTRIES_MAX: usize = 10_000;

/// Nobody takes so long to write an entry.
const UNFINISHED_FOR: Duration = Duration::from_secs(3600);

/// The most that Linux writes in one call, in bytes.
const ONE_WRITE_MAX: u64 = 1 << 31;

/// How fast a call that writes is taken to be at least, in bytes per millisecond: 64 MiB/s.
const WRITTEN_PER_MS: u64 = (64 << 20) / 1000;

/// No entry is longer, in bytes: 16 for each of so many slices that a file of 1 TiB may have MiB by MiB, and the rest.
const ENTRY_LEN_MAX: u64 = 32 << 20;

/// What an entry begins with. The digit is the version of the format.
const MAGIC: &[u8; 8] = b"p123ha1\n";

/// A directory of digests and interrupted passes.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
    save_every: NonZeroU64,
}

impl Cache {
    /// Uses this directory, and creates it if need be, for its owner alone. Any number of processes may share
    /// it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Cache`] when it cannot be created or is no directory. What cannot be cleaned up is left.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, Error> {
        let dir = dir.into();
        if dir.as_os_str().is_empty() {
            return Err(Error::new(ErrorKind::Cache, "the directory of a cache has no name"));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(|error| {
            let message = format!("could not use {} as a cache", dir.display());
            Error::because_of(ErrorKind::Cache, &message, error)
        })?;
        clean_up(&dir, ENTRIES_MAX);
        Ok(Self { dir, save_every: SAVE_EVERY })
    }

    /// After how many bytes to save the state of a pass, so that it can go on there; 1 GiB unless told
    /// otherwise.
    #[must_use]
    pub fn save_every(mut self, bytes: NonZeroU64) -> Self {
        self.save_every = bytes;
        self
    }

    /// Like [`hash_file`](crate::hash_file), but hashes only what was not hashed before.
    ///
    /// Progress starts where an interrupted pass had got to. Files of less than 1 MiB are always hashed.
    ///
    /// # Errors
    ///
    /// Those of [`hash_file`](crate::hash_file). The cache itself adds none.
    pub fn hash_file(&self, path: impl AsRef<Path>, options: &Options) -> Result<Digests, Error> {
        let path = path.as_ref();
        let hash = || {
            let kernel = options.chosen_kernel()?;
            let (input, _) = FileInput::open_with_stat(path)?;
            self.hash(&input, path, Some(path), &options.kernel(kernel))
        };
        hash().map_err(|error: Error| error.at(path))
    }

    /// Like [`hash_file`](Self::hash_file), for a file that is open already; `path` is the name that it was
    /// opened under, which may be another file's by now.
    ///
    /// # Errors
    ///
    /// As for [`hash_file`](Self::hash_file).
    pub fn hash_open_file(
        &self,
        input: &FileInput,
        path: &Path,
        options: &Options,
    ) -> Result<Digests, Error> {
        let hash = || self.hash(input, path, None, &options.kernel(options.chosen_kernel()?));
        hash().map_err(|error: Error| error.at(path))
    }

    fn hash(
        &self,
        input: &FileInput,
        path: &Path,
        path_at_end: Option<&Path>,
        options: &Options,
    ) -> Result<Digests, Error> {
        options.check_cancelled()?;
        let stat = input.stat()?;
        let before = Before::of_file(&stat);
        let began = SystemTime::now();
        let entry = (before.size >= SIZE_MIN && is_left_alone(times(&stat), before.size, began))
            .then(|| Entry::new(self, path, &stat, options));
        let kept = entry.as_ref().and_then(|entry| entry.digests(options));
        if let Some(digests) = kept {
            options.report(digests.size);
            return Ok(digests);
        }
        let mut pass = match entry.as_ref().and_then(|entry| entry.pass(before.size, options)) {
            Some(pass) => pass,
            None => options.one_pass()?,
        };
        let mut save_at = pass.bytes_hashed().saturating_add(self.save_every.get());
        drive_file(input, before, path_at_end, &mut pass, options, &mut |pass| {
            options.report(pass.bytes_hashed());
            if pass.bytes_hashed() >= save_at {
                save_at = pass.bytes_hashed().saturating_add(self.save_every.get());
                if let Some(entry) = &entry {
                    entry.write(Kind::Pass, &pass.save());
                }
            }
        })?;
        let digests = pass.finish();
        if let Some(entry) = &entry {
            entry.write(Kind::Digests, &digests_to_bytes(&digests));
            let _ = fs::remove_file(entry.path(Kind::Pass));
        }
        Ok(digests)
    }
}

/// Removes what nobody will miss: files that were never renamed, and the oldest entries beyond `entries_max`.
fn clean_up(dir: &Path, entries_max: usize) {
    let Ok(listing) = fs::read_dir(dir) else { return };
    let is = |path: &Path, kind: &str| path.extension().is_some_and(|extension| extension == kind);
    let paths = listing.flatten().map(|entry| entry.path()).filter(|path| is_ours(path));
    let (unfinished, mut paths): (Vec<PathBuf>, Vec<PathBuf>) = paths.partition(|path| is(path, "new"));
    let time = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    for path in unfinished {
        let age = time(&path).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > UNFINISHED_FOR) {
            let _ = fs::remove_file(path);
        }
    }
    paths.retain(|path| is(path, "digests") || is(path, "pass"));
    if paths.len() > entries_max {
        paths.sort_by_cached_key(|path| time(path).ok());
        for path in &paths[..paths.len() - entries_max] {
            let _ = fs::remove_file(path);
        }
    }
}

/// Whether a file has a name that entries have: others are somebody else's.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (stem, rest) = name.split_once('.').unwrap_or_default();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unfinished = rest.strip_suffix(".new").and_then(|unique| unique.split_once('-'));
    stem.len() == 32
        && stem.bytes().all(|byte| byte.is_ascii_hexdigit())
        && (["digests", "pass"].contains(&rest)
            || unfinished.is_some_and(|(process, count)| is_number(process) && is_number(count)))
}

/// True when a write from `now` on cannot leave a file of this size with these times, in seconds and nanoseconds, and
/// the write that gave it these times is not likely to be still under way. See the module's page.
fn is_left_alone(times: [(i64, i64); 2], size: u64, now: SystemTime) -> bool {
    let whole_seconds = times.iter().any(|&(_, nanos)| nanos == 0);
    let settled_ms = if whole_seconds { 2100 } else { 100 };
    let least = Duration::from_millis(settled_ms.max(size.min(ONE_WRITE_MAX) / WRITTEN_PER_MS));
    times.iter().all(|&(seconds, nanos)| {
        let since_epoch = u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok());
        let time =
            since_epoch.and_then(|(seconds, nanos)| UNIX_EPOCH.checked_add(Duration::new(seconds, nanos)));
        time.and_then(|time| now.duration_since(time).ok()).is_some_and(|age| age > least)
    })
}

/// What is kept for one path and slice size.
struct Entry {
    /// Path without the extension.
    stem: PathBuf,
    /// Everything that must be the same, as bytes.
    key: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Kind {
    Digests,
    Pass,
}

impl Entry {
    fn new(cache: &Cache, path: &Path, stat: &Stat, options: &Options) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut name = Md5::new();
        name.update(options.slice_size().get().to_le_bytes());
        name.update(absolute.as_os_str().as_bytes());
        let mut key = Writer(Vec::new());
        let (device, inode) = id(stat);
        for number in [device, inode, stat.st_size as u64, options.slice_size().get()] {
            key.u64(number);
        }
        for time in times(stat).into_iter().flat_map(|(seconds, nanos)| [seconds, nanos]) {
            key.u64(time as u64);
        }
        key.bytes(absolute.as_os_str().as_bytes());
        Self { stem: cache.dir.join(hex(&name.finalize())), key: key.0 }
    }

    fn path(&self, kind: Kind) -> PathBuf {
        self.stem.with_extension(match kind {
            Kind::Digests => "digests",
            Kind::Pass => "pass",
        })
    }

    fn digests(&self, options: &Options) -> Option<Digests> {
        let digests = digests_from_bytes(&self.read(Kind::Digests)?, options.slice_size())?;
        match digests.sha1 {
            None if options.wants_sha1() => None,
            sha1 => Some(Digests { sha1: sha1.filter(|_| options.wants_sha1()), ..digests }),
        }
    }

    fn pass(&self, size: u64, options: &Options) -> Option<OnePass> {
        let mut pass =
            OnePass::restore_with_kernel(&self.read(Kind::Pass)?, options.chosen_kernel().ok()?).ok()?;
        let fits = pass.bytes_hashed() <= size && pass.slice_size == options.slice_size();
        // One with a SHA-1 that nobody wants now goes on without.
        let has_all = pass.sha1.is_some() || !options.wants_sha1();
        (fits && has_all).then(|| {
            pass.sha1 = pass.sha1.take().filter(|_| options.wants_sha1());
            pass
        })
    }

    /// The content, if it is whole and its key is this entry's.
    fn read(&self, kind: Kind) -> Option<Vec<u8>> {
        // What is no file of ours may be a pipe, or without an end.
        let open = fs::OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32)
            .open(self.path(kind))
            .ok()?;
        let of = open.metadata().ok().filter(|of| of.is_file() && of.len() <= ENTRY_LEN_MAX)?;
        let mut file = Vec::with_capacity(usize::try_from(of.len()).ok()?);
        open.take(ENTRY_LEN_MAX).read_to_end(&mut file).ok()?;
        let (content, checksum) = file.split_at_checked(file.len().checked_sub(16)?)?;
        if <[u8; 16]>::from(Md5::digest(content)) != checksum {
            return None;
        }
        let mut fields = Reader(content.strip_prefix(MAGIC)?);
        let key_len = usize::try_from(fields.u64()?).ok()?;
        (fields.bytes(key_len)? == self.key).then(|| fields.0.to_vec())
    }

    /// Replaces the content, if that can be done.
    fn write(&self, kind: Kind, content: &[u8]) {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut out = Writer(MAGIC.to_vec());
        out.u64(self.key.len() as u64);
        out.bytes(&self.key);
        out.bytes(content);
        let checksum = Md5::digest(&out.0);
        out.bytes(&checksum);
        let unique = format!("{}-{}.new", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let new = self.stem.with_extension(unique);
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(&out.0))
            .and_then(|()| fs::rename(&new, self.path(kind)));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
    }
}

fn digests_to_bytes(digests: &Digests) -> Vec<u8> {
    let mut out = Writer(Vec::new());
    out.u64(digests.size);
    out.bytes(&digests.etag);
    out.bytes(&[u8::from(digests.sha1.is_some())]);
    out.bytes(&digests.sha1.unwrap_or_default());
    for slice in &digests.slices {
        out.bytes(slice);
    }
    out.0
}

fn digests_from_bytes(bytes: &[u8], slice_size: NonZeroU64) -> Option<Digests> {
    let mut fields = Reader(bytes);
    let (size, etag) = (fields.u64()?, fields.array()?);
    let ([has_sha1], sha1) = (fields.array()?, fields.array()?);
    let count = usize::try_from(size.div_ceil(slice_size.get()).max(1)).ok()?;
    let slices: Vec<[u8; 16]> = std::iter::from_fn(|| fields.array()).collect();
    let whole = slices.len() == count && fields.0.is_empty();
    whole.then(|| Digests { etag, slices, size, slice_size, sha1: (has_sha1 == 1).then_some(sha1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_unfinished_files_and_the_oldest_entries_are_removed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let put = |name: &str, age_secs: u64| {
            let file = fs::File::create(dir.path().join(name)).expect("a file");
            file.set_modified(SystemTime::now() - Duration::from_secs(age_secs)).expect("a time");
        };
        let ours = |first: char, rest: &str| format!("{first}{}.{rest}", "0123456789abcdef0123456789abcde");
        for (first, rest, age_secs) in [
            ('a', "1-0.new", 3700),
            ('b', "1-1.new", 10),
            ('c', "digests", 50),
            ('d', "pass", 70),
            ('e', "digests", 60),
        ] {
            put(&ours(first, rest), age_secs);
        }
        let of_others = ["a.digests", "mine.pass", "settings.new", "zip.1-0.new"];
        for name in of_others {
            put(name, 100_000);
        }
        clean_up(dir.path(), 2);
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .expect("a directory")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        names.sort();
        let mut left = [ours('b', "1-1.new"), ours('c', "digests"), ours('e', "digests")].to_vec();
        left.extend(of_others.map(str::to_owned));
        left.sort();
        assert_eq!(names, left.iter().map(|name| name.as_str().into()).collect::<Vec<std::ffi::OsString>>());
    }

    #[test]
    fn a_large_file_is_written_out_later() {
        let now = UNIX_EPOCH + Duration::new(1000, 0);
        for (age_ms, size, out) in [
            (101, 1 << 20, true),
            (100, 1 << 20, false),
            (1600, 100 << 20, true),
            (1500, 100 << 20, false),
            (33_000, 1 << 31, true),
            (31_000, 1 << 31, false),
            (33_000, 1 << 40, true),
        ] {
            let at = Duration::from_secs(1000) - Duration::from_millis(age_ms);
            let time = (at.as_secs() as i64, i64::from(at.subsec_nanos()));
            for times in [[time, (900, 1)], [(900, 1), time]] {
                assert_eq!(is_left_alone(times, size, now), out, "{age_ms} ms, {size} bytes");
            }
        }
    }

    #[test]
    fn a_file_settles_when_its_clock_has_moved_on() {
        let now = UNIX_EPOCH + Duration::new(1000, 500_000_000);
        for (written, changed, settled) in [
            ((900, 1), (900, 1), true),
            ((1000, 399_999_999), (900, 1), true),
            ((1000, 400_000_000), (900, 1), false),
            ((900, 1), (1000, 400_000_000), false),
            ((1000, 500_000_000), (1000, 500_000_000), false),
            // In whole seconds, as FAT keeps them.
            ((998, 0), (998, 0), true),
            ((999, 0), (999, 0), false),
            ((900, 0), (999, 1), false),
            // After now, and before 1970.
            ((1000, 500_000_001), (900, 1), false),
            ((900, 1), (2000, 1), false),
            ((-1, 1), (900, 1), false),
        ] {
            assert_eq!(is_left_alone([written, changed], 1 << 20, now), settled, "{written:?} {changed:?}");
        }
    }
}
