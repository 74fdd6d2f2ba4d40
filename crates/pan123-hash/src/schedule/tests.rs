//! Chains that are already under way, at lengths that no test could reach by hashing.

use md5::{
    Md5,
    digest::{
        Update,
        common::hazmat::{SerializableState, SerializedState},
    },
};

use super::*;
use crate::{OnePass, chain::digest};

/// The same message to `md-5` and to us: one of which so many blocks have been hashed, with any result.
fn under_way(blocks: u64) -> (Md5, Chain) {
    let words: [u32; 4] = std::array::from_fn(|_| fastrand::u32(..));
    // `md-5` keeps the words, the number of blocks, and its tail, which is empty.
    let mut state: SerializedState<Md5> = Md5::default().serialize();
    for (bytes, word) in state.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    state[16..24].copy_from_slice(&blocks.to_le_bytes());
    let theirs = Md5::deserialize(&state).expect("a state of its own");
    (theirs, Chain { words, len: blocks * BLOCK as u64, ..Chain::new() })
}

fn random(len: usize) -> Vec<u8> {
    std::iter::repeat_with(|| fastrand::u8(..)).take(len).collect()
}

/// Numbers of blocks around which the length in bytes or in bits needs another word: 2^29 and 2^32 bytes, and
/// the length in bits that does not fit any more, of which the standard keeps the low 64 bits.
const FAR: [u64; 6] = [(1 << 23) - 1, 1 << 23, (1 << 26) - 1, 1 << 26, (1 << 55) - 1, (1 << 58) - 100];

#[test]
fn one_pass_counts_beyond_4_gib() {
    for kernel in Kernel::available() {
        for blocks in FAR {
            for len in [0, 1, 55, 56, 63, 64, 65, 128, 250] {
                let data = random(len);
                let (theirs, chain) = under_way(blocks);
                let mut pass = OnePass::with_kernel(std::num::NonZeroU64::MAX, kernel);
                (pass.whole, pass.slice) = (chain.clone(), chain);
                pass.update(&data);
                let digests = pass.finish();
                let expected: [u8; 16] = md5::Digest::finalize(theirs.chain(&data)).into();
                assert_eq!(digests.etag, expected, "{kernel:?} {blocks} {len}");
                assert_eq!(digests.slices, [expected], "{kernel:?} {blocks} {len}");
            }
        }
    }
}

#[test]
fn lanes_count_beyond_4_gib_and_go_on_from_any_tail() {
    for kernel in Kernel::available() {
        for count in [1, 2, 3, 5, 7, 16, 33, 40] {
            let chains: Vec<_> =
                (0..count).map(|_| under_way(*fastrand::choice(&FAR).expect("not empty"))).collect();
            let (mut theirs, mut ours): (Vec<_>, Vec<_>) = chains.into_iter().unzip();
            for then in [Then::More, Then::More, Then::End] {
                let datas: Vec<_> = (0..count).map(|_| random(fastrand::usize(0..300))).collect();
                let words: Vec<_> = ours.iter().map(|chain| chain.words).collect();
                let mut arena = Arena::default();
                let feeds: Vec<_> = ours
                    .iter_mut()
                    .zip(&datas)
                    .map(|(chain, data)| Feed::new(chain, data, then, &mut arena))
                    .collect();
                let mut jobs: Vec<_> = words
                    .into_iter()
                    .zip(&feeds)
                    .map(|(words, feed)| Job::new(words, feed, &arena, true))
                    .collect();
                run(kernel, &mut jobs, &mut |_| Ok(())).unwrap();
                for ((chain, job), (theirs, data)) in
                    ours.iter_mut().zip(&jobs).zip(theirs.iter_mut().zip(&datas))
                {
                    chain.words = job.words;
                    theirs.update(data);
                }
            }
            for (theirs, ours) in theirs.into_iter().zip(ours) {
                let expected: [u8; 16] = md5::Digest::finalize(theirs).into();
                assert_eq!(digest(ours.words), expected, "{kernel:?} {count}");
            }
        }
    }
}
