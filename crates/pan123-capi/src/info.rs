//! What the library says of itself.

use std::{
    ffi::{CStr, c_char},
    sync::OnceLock,
};

use crate::{
    guard::{fault, guard, quiet},
    numbers::{PAN123_ABI_VERSION, PAN123_E_ABI, pan123_status},
    text::Text,
};

/// Checks that the library fits the header that the program was compiled with, whose version is `header_abi`. Make it
/// the first call:
///
/// ```c
/// if (pan123_abi_check(PAN123_ABI_VERSION) != PAN123_OK) return 1;
/// ```
///
/// Returns `PAN123_OK`; `PAN123_E_ABI` if the library is too old or too new for the header.
///
/// Thread: any. Blocking: no. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn pan123_abi_check(header_abi: u32) -> pan123_status {
    guard(std::ptr::null_mut(), || {
        if fits(header_abi) { Ok(()) } else { Err(fault(PAN123_E_ABI, "another version of the interface")) }
    })
}

/// A version of the interface for people: `0.1`, and `0.1+3` with three additions.
pub(crate) fn interface(abi: u32) -> String {
    let (major, minor, additions) = (abi >> 24, (abi >> 16) & 0xff, abi & 0xffff);
    let more = if additions == 0 { String::new() } else { format!("+{additions}") };
    format!("{major}.{minor}{more}")
}

/// Whether somebody compiled for `abi` can be served by this library.
pub(crate) fn fits(abi: u32) -> bool {
    let halves = |abi: u32| (abi >> 16, abi & 0xffff);
    let ((theirs, additions), (ours, known)) = (halves(abi), halves(PAN123_ABI_VERSION));
    theirs == ours && additions <= known
}

/// Returns the library's version, for example `0.1.0`.
///
/// Ownership: static. Thread: any. Blocking: no. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn pan123_version() -> *const c_char {
    quiet(c"".as_ptr(), || version().as_ptr())
}

fn version() -> &'static CStr {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    CStr::from_bytes_with_nul(VERSION.as_bytes()).unwrap_or(c"")
}

/// Returns how the library was built, as one JSON object: `version`, `abi` (for example `0.1`), `target`, and `features`,
/// a list of names.
///
/// Ownership: static. Thread: any. Blocking: no. Since 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn pan123_build_info() -> *const c_char {
    // A text that is made once and never changes is no state.
    static INFO: OnceLock<Text> = OnceLock::new();
    quiet(c"{}".as_ptr(), || {
        let info = INFO.get_or_init(|| {
            let mut features = vec!["plugins"];
            if cfg!(target_os = "linux") {
                features.push("queue-handle");
            }
            let info = serde_json::json!({
                "version": env!("CARGO_PKG_VERSION"),
                "abi": interface(PAN123_ABI_VERSION),
                "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
                "hash_kernel": pan123_hash::Kernel::best().name(),
                "features": features,
            });
            Text::new(info.to_string())
        });
        // SAFETY: no length is wanted.
        unsafe { info.lend(std::ptr::null_mut()) }
    })
}
