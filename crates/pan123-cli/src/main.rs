//! The `pan123` program.

fn main() {}
