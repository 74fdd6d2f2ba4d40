//! Fault scripts: refused with words, or taken and written out the same.

#![no_main]
#![allow(dead_code, unused_imports, reason = "only the reading is used")]

#[path = "../../crates/pan123-emulator/src/error.rs"]
mod error;
#[path = "../../crates/pan123-emulator/src/faults/mod.rs"]
mod faults;

use faults::Faults;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Anything else is the name of a file.
    if !text.trim_start().starts_with('{') {
        return;
    }
    match Faults::load(text) {
        Ok(faults) => {
            let written = serde_json::to_string(&faults).expect("what was read can be written");
            assert_eq!(Faults::load(&written).expect("what was written can be read"), faults);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
