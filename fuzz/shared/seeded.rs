//! Inputs for a target without a fuzzer: the seeds, and changes of them that a number repeats.

use std::{fs, path::Path};

/// The seeds of a target, then `count` inputs made of them.
pub(crate) fn inputs(target: &str, count: u32) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let read = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = read.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("readable")).collect();
    let mut state = 1;
    let made = (0..count).map(|_| changed(&seeds, &mut state)).collect::<Vec<_>>();
    [seeds.clone(), made].concat()
}

/// One seed with one to eight changes.
fn changed(seeds: &[Vec<u8>], state: &mut u64) -> Vec<u8> {
    let mut below = |limit: usize| (next(state) % limit.max(1) as u64) as usize;
    let mut input = seeds[below(seeds.len())].clone();
    for _ in 0..=below(8) {
        let at = below(input.len() + 1);
        match below(6) {
            0 if at < input.len() => input[at] ^= 1 << below(8),
            1 if at < input.len() => input[at] = below(256) as u8,
            2 => input.insert(at, below(256) as u8),
            3 if at < input.len() => _ = input.remove(at),
            // The end of another one, or a piece of this one again.
            4 => {
                let other = &seeds[below(seeds.len())];
                let from = below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let piece = input[..at][below(at)..].to_vec();
                input.splice(at..at, piece);
            }
        }
    }
    input
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
