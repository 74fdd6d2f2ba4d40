//! How the shared library of a development build is linked. The released one is linked by `cargo xtask dist`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        // Nothing of the crates below is exported, the name is that of the release, the library stays loaded because
        // its threads have destructors that are code in it, and whatever it needs it names.
        for argument in ["--exclude-libs,ALL", "-soname,libpan123.so.0.1", "-z,nodelete", "-z,defs"] {
            println!("cargo::rustc-cdylib-link-arg=-Wl,{argument}");
        }
    }
}
