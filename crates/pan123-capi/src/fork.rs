//! Which process this is: told apart from one that it was forked off.

use std::process;

/// One process, until it forks: the child is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    life: u64,
}

/// The process that this is.
///
/// Its number alone does not tell: in a namespace of its own a child can have that of its parent.
pub(crate) fn process() -> Process {
    Process { pid: process::id(), life: life() }
}

/// Counts forks between a process and the first that loaded the library. It stands in memory that the kernel clears in
/// each child, however that is made, so that nothing has to be called at a fork.
#[cfg(target_os = "linux")]
fn life() -> u64 {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };
    /// The last number that was given out; a child inherits it.
    static LAST: AtomicU64 = AtomicU64::new(0);
    static CLEARED: OnceLock<Option<&'static AtomicU64>> = OnceLock::new();
    let Some(number) = CLEARED.get_or_init(cleared_in_children) else { return 0 };
    match number.load(Ordering::Acquire) {
        0 => {
            let next = LAST.fetch_add(1, Ordering::Relaxed) + 1;
            number
                .compare_exchange(0, next, Ordering::AcqRel, Ordering::Acquire)
                .map_or_else(|other| other, |_| next)
        }
        number => number,
    }
}

/// A number that is 0 here and becomes 0 in each child. `None` where the kernel cannot: then the process id has to do.
#[cfg(target_os = "linux")]
fn cleared_in_children() -> Option<&'static std::sync::atomic::AtomicU64> {
    // Less than a page becomes a page.
    let len = size_of::<u64>();
    // SAFETY: asks for new memory at no place in particular.
    let page = unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    if page == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: changes what a fork does with memory that was just made and that nobody else knows.
    if unsafe { libc::madvise(page, len, libc::MADV_WIPEONFORK) } != 0 {
        // SAFETY: made above, and nobody has seen it.
        unsafe { libc::munmap(page, len) };
        return None;
    }
    // SAFETY: at the start of a page, which is all zero and is never given back.
    Some(unsafe { &*page.cast() })
}

/// There is no such memory.
#[cfg(not(target_os = "linux"))]
fn life() -> u64 {
    0
}
