//! The host's signals stay the host's: threads of the library take none.
//!
//! A thread starts with the mask of the one that makes it. So signals are blocked around the making of each thread that
//! is made on a thread of the host's; what those threads make in their turn inherits it. With `SIGPIPE` blocked, writing
//! to a connection that the peer has closed is an error and not the end of the process.

/// Signals are blocked on this thread, until it is dropped.
#[must_use]
pub(crate) struct Blocked {
    #[cfg(unix)]
    before: Option<libc::sigset_t>,
}

/// Blocks all signals on this thread but those that it raises itself, by a fault: blocked, they end the process anyway,
/// and without the handler that the host may have for them.
#[cfg(unix)]
pub(crate) fn blocked() -> Blocked {
    use std::mem::MaybeUninit;
    let (mut wanted, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: all that is asked of these functions is room for a set each, which is filled before it is looked at.
    let is_set = unsafe {
        libc::sigfillset(wanted.as_mut_ptr());
        for fault in [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGABRT,
            libc::SIGSYS,
        ] {
            libc::sigdelset(wanted.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, wanted.as_ptr(), before.as_mut_ptr()) == 0
    };
    // SAFETY: filled by the call that has succeeded.
    Blocked { before: is_set.then(|| unsafe { before.assume_init() }) }
}

#[cfg(unix)]
impl Drop for Blocked {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // SAFETY: `before` is a set, and nobody asks for the one that is replaced.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
        }
    }
}

/// There are no signals to block.
#[cfg(not(unix))]
pub(crate) fn blocked() -> Blocked {
    Blocked {}
}
