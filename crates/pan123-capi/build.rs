//! How the shared library of a development build is linked. The released one is linked by `cargo xtask capi`.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // Nothing of the crates below is exported, the name is that of the release, and the library stays loaded,
        // because its threads have destructors that are code in it.
        for argument in ["--exclude-libs,ALL", "-soname,libpan123.so.0.1", "-z,nodelete"] {
            println!("cargo::rustc-cdylib-link-arg=-Wl,{argument}");
        }
        // Whatever it needs it names; but a sanitizer's functions come with the program.
        if !env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("sanitizer")) {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-z,defs");
        }
    }
}
