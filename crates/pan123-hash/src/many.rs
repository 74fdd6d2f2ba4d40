//! Many buffers at once.

use sha1::{Digest, Sha1};

use crate::{
    Digests, Error, Kernel, Options,
    chain::{START, digest, md5},
    schedule::{Arena, Feed, Job, run},
};

/// Buffers that are taken together at most.
const GROUP: usize = 512;

/// Jobs that are taken together at most, but for those of one buffer. Bounds the memory for them, about 0.3 KiB
/// each.
const GROUP_JOBS: u64 = 4096;

/// Buffers of less than this are one block, and fewer than [`FEW`] of them less work than to share it out.
const TINY: usize = 56;
const FEW: usize = 4;

/// Slices of less than this are not worth a job each.
pub(crate) const SLICE_MIN: u64 = 4 << 10;

/// Bytes between two calls of the progress callback, and between two looks at the cancel flag.
const STEP: usize = 1 << 20;

/// Hashes many buffers, each for itself; the digests come in the order of the buffers.
///
/// Buffers are spread over the lanes of the widest vectors that the CPU has, so that many of about the same
/// length take less than a tenth of the time of one after the other. Their lengths need not be alike.
///
/// The progress callback is called on the calling thread, about every MiB and at the end. Takes about 1 MiB of
/// memory besides the digests.
///
/// # Errors
///
/// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) when the caller wants no more, and
/// [`ErrorKind::Kernel`](crate::ErrorKind::Kernel) when the environment names a kernel that cannot be used.
pub fn hash_buffers<B: AsRef<[u8]>>(buffers: &[B], options: &Options) -> Result<Vec<Digests>, Error> {
    let kernel = options.chosen_kernel()?;
    let mut all = Vec::with_capacity(buffers.len());
    let mut meter = Meter { options, bytes_done: 0, bytes_now: 0, bytes_now_max: 0, bytes_reported: None };
    let mut arena = Arena::default();
    let mut rest = buffers;
    while !rest.is_empty() {
        let (group, later) = rest.split_at(group_len(rest, options));
        rest = later;
        meter.begin(group.iter().map(|buffer| buffer.as_ref().len() as u64).sum());
        if group.len() < FEW && group.iter().all(|buffer| buffer.as_ref().len() < TINY || group.len() == 1) {
            for buffer in group {
                all.push(hash_alone(buffer.as_ref(), kernel, &mut meter)?);
            }
        } else {
            hash_group(group, kernel, &mut arena, &mut meter, &mut all)?;
        }
        meter.end();
    }
    meter.report();
    Ok(all)
}

/// How many of the buffers to take together: at least one.
fn group_len<B: AsRef<[u8]>>(buffers: &[B], options: &Options) -> usize {
    let mut jobs_left = GROUP_JOBS;
    let fits = |buffer: &&B| {
        let jobs = job_count(buffer.as_ref(), options).unwrap_or(0);
        let left = jobs_left.checked_sub(jobs);
        jobs_left = left.unwrap_or(0);
        left.is_some()
    };
    buffers.iter().take(GROUP).take_while(fits).count().max(1)
}

/// How many jobs a buffer is, or `None` if it is better hashed by itself.
fn job_count(data: &[u8], options: &Options) -> Option<u64> {
    let slice_size = options.slice_size().get();
    if data.len() as u64 <= slice_size {
        return Some(1);
    }
    let slices = (data.len() as u64).div_ceil(slice_size);
    (slice_size >= SLICE_MIN && slices < GROUP_JOBS).then_some(slices + 1)
}

/// Hashes one buffer by itself.
fn hash_alone(data: &[u8], kernel: Kernel, meter: &mut Meter) -> Result<Digests, Error> {
    let slice_size = meter.options.slice_size();
    let size = data.len() as u64;
    if data.len() <= STEP && size <= slice_size.get() && !meter.options.wants_sha1() {
        let etag = md5(kernel, data);
        meter.add(size)?;
        return Ok(Digests { etag, slices: vec![etag], size, slice_size, sha1: None });
    }
    let mut pass = meter.options.one_pass_with(kernel);
    for piece in data.chunks(STEP) {
        pass.update(piece);
        meter.add(piece.len() as u64)?;
    }
    Ok(pass.finish())
}

fn hash_group<B: AsRef<[u8]>>(
    group: &[B],
    kernel: Kernel,
    arena: &mut Arena,
    meter: &mut Meter,
    all: &mut Vec<Digests>,
) -> Result<(), Error> {
    let slice_size = meter.options.slice_size();
    let wants_sha1 = meter.options.wants_sha1();
    let mut feeds = Vec::with_capacity(group.len());
    arena.clear();
    arena.reserve(group.len());
    for data in group.iter().map(AsRef::as_ref) {
        if job_count(data, meter.options).is_none() {
            all.push(hash_alone(data, kernel, meter)?);
            continue;
        }
        let part = Part { digests: all.len(), whole: true };
        feeds.push((part, Feed::message(data, arena)));
        if data.len() as u64 > slice_size.get() {
            for slice in data.chunks(slice_size.get() as usize) {
                feeds.push((Part { whole: false, ..part }, Feed::message(slice, arena)));
            }
        }
        let sha1 = if wants_sha1 { Some(sha1_of(data, meter)?) } else { None };
        all.push(Digests { etag: [0; 16], slices: Vec::new(), size: data.len() as u64, slice_size, sha1 });
    }
    let mut jobs: Vec<_> =
        feeds.iter().map(|(part, feed)| Job::new(START, feed, arena, part.whole)).collect();
    run(kernel, &mut jobs, &mut |bytes| meter.add(if wants_sha1 { bytes / 2 } else { bytes }))?;
    for ((part, _), job) in feeds.iter().zip(&jobs) {
        let digests = &mut all[part.digests];
        let md5 = digest(job.words);
        if part.whole {
            digests.etag = md5;
        }
        if digests.size <= slice_size.get() {
            // Room for one is got in half the time that it takes to let the list grow.
            digests.slices = vec![md5];
        } else if !part.whole {
            digests.slices.push(md5);
        }
    }
    Ok(())
}

/// What a chain is the digest of.
#[derive(Clone, Copy)]
struct Part {
    digests: usize,
    whole: bool,
}

/// The SHA-1 of a buffer that is also hashed with MD5, so each counts for half of the progress.
fn sha1_of(data: &[u8], meter: &mut Meter) -> Result<[u8; 20], Error> {
    let mut sha1 = Sha1::new();
    for piece in data.chunks(STEP) {
        sha1.update(piece);
        meter.add(piece.len() as u64 / 2)?;
    }
    Ok(sha1.finalize().into())
}

/// Counts bytes, tells of them, and sees whether anybody wants to go on.
struct Meter<'o> {
    options: &'o Options<'o>,
    /// Of groups that are done.
    bytes_done: u64,
    /// Of this group.
    bytes_now: u64,
    /// Padding counts as bytes, so there may be too many.
    bytes_now_max: u64,
    bytes_reported: Option<u64>,
}

impl Meter<'_> {
    fn begin(&mut self, bytes: u64) {
        self.bytes_now_max = bytes;
    }

    fn add(&mut self, bytes: u64) -> Result<(), Error> {
        self.options.check_cancelled()?;
        self.bytes_now = (self.bytes_now + bytes).min(self.bytes_now_max);
        if self.bytes_done + self.bytes_now >= self.bytes_reported.unwrap_or(0) + STEP as u64 {
            self.report();
        }
        Ok(())
    }

    fn end(&mut self) {
        self.bytes_done += self.bytes_now_max;
        self.bytes_now = 0;
    }

    fn report(&mut self) {
        let bytes = self.bytes_done + self.bytes_now;
        if self.bytes_reported.replace(bytes) != Some(bytes) {
            self.options.report(bytes);
        }
    }
}
