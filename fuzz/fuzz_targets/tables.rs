//! Tables of functions as plugins and hosts give them.

#![no_main]

#[path = "../shared/tables.rs"]
mod tables;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| tables::run(input));
