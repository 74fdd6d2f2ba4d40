//! Many files at once: a few threads, each of which reads a batch and takes it through the lanes.
//!
//! A thread hashes what it has read itself, because the bytes are in its core's cache; handing each batch to
//! another core costs more time than hashing it.

use std::{
    collections::HashMap,
    mem, panic,
    path::Path,
    sync::{OnceLock, atomic::AtomicUsize, mpsc},
    thread,
    time::{Duration, Instant},
};

use sha1::{Digest, Sha1};

use crate::{
    Digests, Error, Kernel, Options,
    chain::{Chain, digest},
    file::{drive_file, hash_file},
    reader::{Batch, Begun, Content, Open, Reader},
    schedule::{Arena, Feed, Job, Then, run},
    tiny::TINY_AMONG_FEW,
};

/// Threads at most. A disk answers that many at once, and more than two are faster than most can read.
const THREADS_MAX: usize = 4;

/// How long to go on with small batches on the calling thread before others are started, which takes about half as
/// long. Files that come from a disk take longer, and are better read by several threads early.
const ALONE: Duration = Duration::from_micros(150);

/// Files that come first and are hashed one by one if they are tiny.
const FEW: usize = 8;

/// Batches that a thread may have done before the results of the first were taken.
const DONE_MAX: usize = 8;

/// Hashes many regular files, each for itself.
///
/// Calls `each` once for each of `paths`, with its place in `paths`, as soon as it is done; that is not always in
/// order. What goes wrong with one file leaves the others alone. After a cancel, the files not done get
/// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled). `each` and the progress callback are called on the
/// calling thread.
///
/// Each file is opened to see whether it is a regular one, which may mean something to a device; see
/// [`FileInput::open`](crate::FileInput::open).
///
/// Small files are about as fast as they can be read: a few of them on the calling thread, many with up to three more,
/// each with up to 32 open files and 0.5 MiB of memory. A large file that is left by itself is read ahead as by
/// [`hash_file`](crate::hash_file). Where no thread can be started, the calling thread does it all. Where no more files
/// can be open, because this process or the system has reached its limit, some are finished first, and fewer are open
/// from then on; a file fails for that reason only when this call has no other one open.
///
/// # Errors
///
/// [`ErrorKind::Kernel`](crate::ErrorKind::Kernel) when the environment names a kernel that cannot be used;
/// `each` is not called then. The errors of files are those of [`hash_file`](crate::hash_file).
///
/// # Panics
///
/// When `each`, the progress callback or the conversion of one of `paths` does, with what that panicked with, and after
/// the threads have ended. The other threads then finish the files that are left, unless it was the calling thread
/// that panicked.
pub fn hash_many<P: AsRef<Path> + Sync>(
    paths: &[P],
    options: &Options,
    mut each: impl FnMut(usize, Result<Digests, Error>),
) -> Result<(), Error> {
    let kernel = options.chosen_kernel()?;
    // One file has nothing to share the lanes with.
    if let [path] = paths {
        each(0, hash_file(path, &options.kernel(kernel)));
        return Ok(());
    }
    let next = AtomicUsize::new(0);
    let threads = threads().min(paths.len()).max(1);
    let reader = || Reader::new(paths, &next, kernel, options, threads);
    let mut first_reader = reader();
    let (few, mut bytes_hashed) = take_few(&mut first_reader, options, &mut each);
    if few == paths.len() {
        return Ok(());
    }
    let mut is_done = vec![false; paths.len()];
    is_done[..few].fill(true);
    let mut deliver = |done: Done| {
        for (file, result) in done.files {
            is_done[file] = true;
            each(file, result.map_err(|error| error.at(paths[file].as_ref())));
        }
        bytes_hashed += done.bytes;
        options.report(bytes_hashed);
    };
    let worker = || Worker::new(reader(), kernel, options);
    let mut first = Worker::new(first_reader, kernel, options);
    first.batch = Batch::small();
    let mut here = |done| {
        deliver(done);
        true
    };
    let mut goes_on = true;
    let started = Instant::now();
    while goes_on && started.elapsed() < ALONE {
        goes_on = first.step(&mut here);
    }
    first.batch.enlarge();
    let helpers = if first.reader.waiting() > 0 { threads - 1 } else { 0 };
    if goes_on && helpers > 0 {
        work_with_helpers(&mut first, &worker, helpers, &mut deliver);
    } else {
        while goes_on {
            goes_on = first.step(&mut here);
        }
    }
    // Whoever put a file off and had no other one open has stopped, so others may not have been begun either.
    if !first.reader.put_off.is_empty() {
        first.reader.is_last = true;
        while first.step(&mut |done| {
            deliver(done);
            true
        }) {}
    }
    for file in (0..paths.len()).filter(|&file| !is_done[file]) {
        each(file, Err(Error::cancelled().at(paths[file].as_ref())));
    }
    Ok(())
}

/// How many threads to use at most.
fn threads() -> usize {
    // The system is slow to say.
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX))
}

/// Takes the first few files one by one, as long as they are tiny: to set up what all the others need takes about as
/// long as such a file.
///
/// Returns how many it took, and how many bytes they have.
fn take_few<P: AsRef<Path>>(
    reader: &mut Reader<P>,
    options: &Options,
    each: &mut dyn FnMut(usize, Result<Digests, Error>),
) -> (usize, u64) {
    let mut bytes = 0;
    for count in 0..FEW {
        if options.check_cancelled().is_err() {
            return (count, bytes);
        }
        match reader.begin_next(TINY_AMONG_FEW) {
            Some((file, Begun::Done(result))) => {
                bytes += result.as_ref().map_or(0, |digests| digests.size);
                each(file, result.map_err(|error| error.at(reader.paths[file].as_ref())));
                options.report(bytes);
            }
            Some((_, Begun::Open(open))) => {
                reader.open.push_back(open);
                return (count, bytes);
            }
            Some((_, Begun::Alone(open))) => {
                reader.alone.push(open);
                return (count, bytes);
            }
            None | Some((_, Begun::PutOff)) => return (count, bytes),
        }
    }
    (FEW, bytes)
}

/// Lets `first` go on here next to so many threads, and delivers here what all of them do. What they put off is put off
/// by `first` in the end.
fn work_with_helpers<'a, P: AsRef<Path> + Sync>(
    first: &mut Worker<'a, P>,
    worker: &(dyn Fn() -> Worker<'a, P> + Sync),
    helpers: usize,
    deliver: &mut dyn FnMut(Done),
) {
    let (sender, receiver) = mpsc::sync_channel::<Done>(helpers * DONE_MAX);
    thread::scope(|scope| {
        // It belongs to this closure, so that it is gone before the scope waits for the threads.
        let receiver = receiver;
        let start = |_| {
            let sender = sender.clone();
            let work = move || {
                let mut worker = worker();
                // Nobody wants the results when the receiver is gone.
                while worker.step(&mut |done| sender.send(done).is_ok()) {}
                worker.reader.put_off
            };
            thread::Builder::new().name("pan123-hash".into()).spawn_scoped(scope, work).ok()
        };
        // Those that there are do the work of all.
        let helpers: Vec<_> = (0..helpers).map_while(start).collect();
        drop(sender);
        let mut deliver_all = |done| {
            deliver(done);
            receiver.try_iter().for_each(&mut *deliver);
            true
        };
        while first.step(&mut deliver_all) {}
        receiver.iter().for_each(deliver);
        for helper in helpers {
            let put_off = helper.join().unwrap_or_else(|payload| panic::resume_unwind(payload));
            first.reader.put_off.extend(put_off);
        }
    });
}

/// What came out of one batch.
struct Done {
    bytes: u64,
    files: Vec<(usize, Result<Digests, Error>)>,
}

/// Reads and hashes files until none is left.
struct Worker<'a, P> {
    reader: Reader<'a, P>,
    hasher: Hasher<'a>,
    batch: Batch,
}

impl<'a, P: AsRef<Path>> Worker<'a, P> {
    fn new(reader: Reader<'a, P>, kernel: Kernel, options: &'a Options<'a>) -> Self {
        let hasher = Hasher { kernel, options, started: HashMap::new() };
        Self { reader, hasher, batch: Batch::new() }
    }

    /// Hashes one batch; false when no file is left, or `tell` says that nobody wants the results.
    fn step(&mut self, tell: &mut dyn FnMut(Done) -> bool) -> bool {
        if self.hasher.options.check_cancelled().is_err() || !self.reader.fill(&mut self.batch) {
            return false;
        }
        if !self.batch.is_empty() && !tell(self.hasher.take(&mut self.batch)) {
            return false;
        }
        while let Some(open) = self.reader.alone.pop() {
            let path = self.reader.paths[open.file].as_ref();
            if !self.hasher.take_rest(&open, path, tell) {
                return false;
            }
        }
        true
    }
}

struct Hasher<'a> {
    kernel: Kernel,
    options: &'a Options<'a>,
    /// Files of which some pieces have come, by their place in the list.
    started: HashMap<usize, Started>,
}

/// A file of which some pieces have come.
struct Started {
    size: u64,
    whole: Chain,
    /// The current slice; not used by a file of one slice, whose slice MD5 is its etag. Unlike in a
    /// [`OnePass`](crate::OnePass), a slice ends with its last byte.
    slice: Chain,
    slices: Vec<[u8; 16]>,
    sha1: Option<Sha1>,
}

/// Where the result of a job goes; the number is a place in the list of files of the batch.
enum Target {
    Whole(usize),
    Slice(usize),
    EndedSlice(usize, usize),
}

impl Hasher<'_> {
    fn take(&mut self, batch: &mut Batch) -> Done {
        let mut done = Done { bytes: 0, files: mem::take(&mut batch.done) };
        done.bytes = done.files.iter().flat_map(|(_, result)| result).map(|digests| digests.size).sum();
        if batch.pieces.is_empty() {
            return done;
        }
        done.files.reserve(batch.pieces.len());
        let mut files = Vec::with_capacity(batch.pieces.len());
        let mut contents = Vec::with_capacity(batch.pieces.len());
        for piece in batch.pieces.drain(..) {
            match piece.content {
                Ok(content) => {
                    files.push((piece.file, self.start(piece.file, &content)));
                    contents.push(content);
                }
                Err(error) => {
                    self.started.remove(&piece.file);
                    done.files.push((piece.file, Err(error)));
                }
            }
        }
        self.hash(batch, &contents, &mut files);
        for ((file, started), content) in files.into_iter().zip(&contents) {
            done.bytes += batch.bytes(content).len() as u64;
            if content.last {
                done.files.push((file, Ok(started.finish(self.options))));
            } else {
                self.started.insert(file, started);
            }
        }
        done
    }

    /// Hashes what is left of a file, from wherever it is.
    fn take_rest(&mut self, open: &Open, path: &Path, tell: &mut dyn FnMut(Done) -> bool) -> bool {
        let mut pass = self.options.one_pass_with(self.kernel);
        if let Some(started) = self.started.remove(&open.file) {
            Started { whole: pass.whole, slice: pass.slice, slices: pass.slices, sha1: pass.sha1, .. } =
                started;
        }
        let mut bytes_told = pass.bytes_hashed();
        let driven = drive_file(&open.input, open.before, Some(path), &mut pass, self.options, &mut |pass| {
            let bytes = pass.bytes_hashed() - bytes_told;
            bytes_told += bytes;
            tell(Done { bytes, files: Vec::new() });
        });
        let result = driven.map(|()| pass.finish());
        tell(Done { bytes: 0, files: vec![(open.file, result)] })
    }

    fn start(&mut self, file: usize, content: &Content) -> Started {
        self.started.remove(&file).unwrap_or_else(|| Started {
            size: content.size,
            whole: Chain::new(),
            slice: Chain::new(),
            slices: Vec::new(),
            sha1: self.options.wants_sha1().then(Sha1::new),
        })
    }

    fn hash(&self, batch: &Batch, contents: &[Content], files: &mut [(usize, Started)]) {
        let mut feeds = Vec::with_capacity(files.len());
        let mut arena = Arena::default();
        for (place, ((_, started), content)) in files.iter_mut().zip(contents).enumerate() {
            let data = batch.bytes(content);
            if let Some(sha1) = &mut started.sha1 {
                sha1.update(data);
            }
            started.feed(place, data, content.last, self.options.slice_size().get(), &mut feeds, &mut arena);
        }
        let mut jobs: Vec<_> =
            feeds.iter().map(|(_, words, feed)| Job::new(*words, feed, &arena, false)).collect();
        let done = run(self.kernel, &mut jobs, &mut |_| Ok(()));
        debug_assert!(done.is_ok(), "only the tick can fail");
        for ((target, ..), job) in feeds.iter().zip(&jobs) {
            match *target {
                Target::Whole(place) => files[place].1.whole.words = job.words,
                Target::Slice(place) => files[place].1.slice.words = job.words,
                Target::EndedSlice(place, slice) => files[place].1.slices[slice] = digest(job.words),
            }
        }
    }
}

impl Started {
    fn feed<'a>(
        &mut self,
        place: usize,
        mut data: &'a [u8],
        last: bool,
        slice_size: u64,
        feeds: &mut Vec<(Target, [u32; 4], Feed<'a>)>,
        arena: &mut Arena,
    ) {
        let then = if last { Then::End } else { Then::More };
        feeds.push((Target::Whole(place), self.whole.words, Feed::new(&mut self.whole, data, then, arena)));
        if self.size <= slice_size {
            return;
        }
        while !data.is_empty() {
            let room = slice_size - self.slice.len;
            let (now, later) = data.split_at(data.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            data = later;
            let words = self.slice.words;
            if self.slice.len + now.len() as u64 == slice_size || (last && data.is_empty()) {
                let mut slice = mem::replace(&mut self.slice, Chain::new());
                let target = Target::EndedSlice(place, self.slices.len());
                self.slices.push([0; 16]);
                feeds.push((target, words, Feed::new(&mut slice, now, Then::End, arena)));
            } else {
                feeds.push((Target::Slice(place), words, Feed::new(&mut self.slice, now, Then::More, arena)));
            }
        }
    }

    fn finish(self, options: &Options) -> Digests {
        let etag = digest(self.whole.words);
        Digests {
            etag,
            slices: if self.slices.is_empty() { vec![etag] } else { self.slices },
            size: self.size,
            slice_size: options.slice_size(),
            sha1: self.sha1.map(|sha1| sha1.finalize().into()),
        }
    }
}
