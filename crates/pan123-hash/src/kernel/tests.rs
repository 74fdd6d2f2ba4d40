//! Every kernel that this CPU can run against `md-5`.

use super::*;

fn random_blocks(count: usize) -> Vec<[u8; BLOCK]> {
    (0..count).map(|_| std::array::from_fn(|_| fastrand::u8(..))).collect()
}

fn random_state() -> [u32; 4] {
    std::array::from_fn(|_| fastrand::u32(..))
}

fn expected(mut state: [u32; 4], blocks: &[[u8; BLOCK]]) -> [u32; 4] {
    portable::single(&mut state, blocks);
    state
}

#[test]
fn one_chain_and_two_chains_match_the_portable_kernel() {
    for kernel in Kernel::available() {
        for count in [0, 1, 2, 3, 17] {
            let (start_a, start_b) = (random_state(), random_state());
            let (blocks_a, blocks_b) = (random_blocks(count), random_blocks(count));
            let (mut a, mut b) = (start_a, start_b);
            kernel.pair(&mut a, &mut b, &blocks_a, &blocks_b);
            assert_eq!(
                (a, b),
                (expected(start_a, &blocks_a), expected(start_b, &blocks_b)),
                "{kernel:?} {count}"
            );
            (a, b) = (start_a, start_b);
            kernel.pair(&mut a, &mut b, &blocks_a, &blocks_a);
            assert_eq!(
                (a, b),
                (expected(start_a, &blocks_a), expected(start_b, &blocks_a)),
                "{kernel:?} {count}"
            );
            a = start_a;
            kernel.single(&mut a, &blocks_a);
            assert_eq!(a, expected(start_a, &blocks_a), "{kernel:?} {count}");
        }
    }
}

#[test]
fn every_lane_of_every_width_matches_the_portable_kernel() {
    for kernel in Kernel::available() {
        for &width in kernel.widths() {
            for count in [0, 1, 2, 5] {
                // One block more than asked for, which must not count, and an odd address.
                let bytes: Vec<Vec<u8>> = (0..width)
                    .map(|_| (0..(count + 1) * BLOCK + 1).map(|_| fastrand::u8(..)).collect())
                    .collect();
                let data: Vec<_> = bytes.iter().map(|bytes| blocks(&bytes[1..]).0).collect();
                let starts: Vec<_> = (0..width).map(|_| random_state()).collect();
                let mut states: Vec<u32> =
                    (0..4).flat_map(|word| starts.iter().map(move |s| s[word])).collect();
                kernel.lanes(&mut states, &data, count);
                for lane in 0..width {
                    let state = std::array::from_fn(|word| states[word * width + lane]);
                    assert_eq!(
                        state,
                        expected(starts[lane], &data[lane][..count]),
                        "{kernel:?} {width} {lane}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_name_that_is_not_there_is_refused_with_those_that_are() {
    let error = Kernel::by_name("sse9").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Kernel);
    assert!(error.to_string().contains("portable"), "{error}");
    for kernel in Kernel::available() {
        assert_eq!(Kernel::by_name(kernel.name()).unwrap(), kernel);
    }
}
