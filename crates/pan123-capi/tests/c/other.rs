//! Another library made by Rust, in the same program as ours.

use std::panic::catch_unwind;

/// Panics and catches it; returns how long the message was.
#[unsafe(no_mangle)]
pub extern "C" fn other_catches() -> i32 {
    let caught = catch_unwind(|| {
        let numbers: Vec<i32> = "1 2 x".split(' ').map(|word| word.parse().unwrap()).collect();
        numbers.len()
    });
    let text = caught.unwrap_err().downcast::<String>().unwrap();
    i32::try_from(text.len()).unwrap()
}
