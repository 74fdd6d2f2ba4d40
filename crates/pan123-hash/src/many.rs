//! Many buffers at once.

use crate::{
    Digests, Error, Options,
    chain::{Chain, digest},
    schedule::{Feed, Job, Then, run},
};

/// Buffers that are taken together. Bounds the memory for their jobs, about 1 KiB each.
const GROUP: usize = 512;

/// Hashes many buffers, each for itself; the digests come in the order of the buffers.
///
/// Buffers are spread over the lanes of the widest vectors that the CPU has, so that many of about the same
/// length take less than a tenth of the time of one after the other. Their lengths need not be alike.
///
/// # Errors
///
/// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) when the caller wants no more, and
/// [`ErrorKind::Kernel`](crate::ErrorKind::Kernel) when the environment names a kernel that cannot be used.
pub fn hash_buffers<B: AsRef<[u8]>>(buffers: &[B], options: &Options) -> Result<Vec<Digests>, Error> {
    let kernel = options.chosen_kernel()?;
    let mut all = Vec::with_capacity(buffers.len());
    let (mut bytes_done, mut bytes_reported) = (0, 0);
    for group in buffers.chunks(GROUP) {
        let mut chains = Vec::with_capacity(group.len());
        let mut feeds = Vec::with_capacity(group.len());
        for (buffer, data) in group.iter().map(AsRef::as_ref).enumerate() {
            push(&mut chains, &mut feeds, Part { buffer, whole: true }, data);
            if data.len() as u64 > options.slice_size().get() {
                for slice in data.chunks(options.slice_size().get() as usize) {
                    push(&mut chains, &mut feeds, Part { buffer, whole: false }, slice);
                }
            }
        }
        let mut jobs: Vec<_> = chains
            .iter()
            .zip(&feeds)
            .map(|((part, words), feed)| Job::new(*words, feed, part.whole))
            .collect();
        let bytes_in_group: u64 = group.iter().map(|buffer| buffer.as_ref().len() as u64).sum();
        run(kernel, &mut jobs, &mut |bytes| {
            options.check_cancelled()?;
            // Padding counts as bytes here, so there may be too many.
            bytes_reported = (bytes_reported + bytes).min(bytes_done + bytes_in_group);
            options.report(bytes_reported);
            Ok(())
        })?;
        bytes_done += bytes_in_group;
        bytes_reported = bytes_done;
        options.report(bytes_done);

        let first = all.len();
        for ((part, _), job) in chains.iter().zip(&jobs) {
            if part.whole {
                let data = group[part.buffer].as_ref();
                all.push(Digests {
                    etag: digest(job.words),
                    slices: Vec::new(),
                    size: data.len() as u64,
                    slice_size: options.slice_size(),
                    sha1: options.wants_sha1().then(|| crate::one_pass::sha1_of(data)),
                });
            } else {
                all[first + part.buffer].slices.push(digest(job.words));
            }
        }
        for digests in &mut all[first..] {
            if digests.slices.is_empty() {
                digests.slices.push(digests.etag);
            }
        }
    }
    Ok(all)
}

/// What a chain is the digest of.
struct Part {
    buffer: usize,
    whole: bool,
}

fn push<'a>(chains: &mut Vec<(Part, [u32; 4])>, feeds: &mut Vec<Feed<'a>>, part: Part, data: &'a [u8]) {
    let mut chain = Chain::new();
    feeds.push(Feed::new(&mut chain, data, Then::End));
    chains.push((part, chain.words));
}
