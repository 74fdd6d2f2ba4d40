//! A handle of the operating system that is readable while something waits.

use crate::{
    guard::{Fault, fault},
    numbers::{PAN123_E_INTERNAL, PAN123_E_NOT_SUPPORTED},
};

/// Readable or not, for `poll` and its like.
pub(crate) struct Pollable {
    #[cfg(target_os = "linux")]
    eventfd: Option<std::os::fd::OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Pollable {
    pub(crate) fn new() -> Result<Self, Fault> {
        use rustix::{
            event::{EventfdFlags, eventfd},
            io::Errno,
        };
        let made = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let fd = made.map_err(|error| match error {
            Errno::NOSYS | Errno::INVAL => fault(PAN123_E_NOT_SUPPORTED, format!("no eventfd: {error}")),
            Errno::MFILE | Errno::NFILE => fault(PAN123_E_INTERNAL, "too many open files"),
            error => fault(PAN123_E_INTERNAL, format!("no handle for a queue: {error}")),
        })?;
        Ok(Self { eventfd: Some(fd) })
    }

    pub(crate) fn none() -> Self {
        Self { eventfd: None }
    }

    /// Makes it readable, or not.
    pub(crate) fn set(&self, readable: bool) {
        let Some(fd) = &self.eventfd else { return };
        // Neither can fail in a way that matters: what it is set to already it stays.
        let _ = if readable {
            rustix::io::write(fd, &1_u64.to_ne_bytes())
        } else {
            rustix::io::read(fd, &mut [0_u8; 8])
        };
    }

    pub(crate) fn handle(&self) -> Result<i64, Fault> {
        use std::os::fd::AsRawFd;
        let fd = self.eventfd.as_ref().map(AsRawFd::as_raw_fd);
        fd.map(i64::from).ok_or_else(|| fault(PAN123_E_NOT_SUPPORTED, "this queue has no handle"))
    }
}

#[cfg(not(target_os = "linux"))]
impl Pollable {
    pub(crate) fn new() -> Result<Self, Fault> {
        Ok(Self {})
    }

    pub(crate) fn none() -> Self {
        Self {}
    }

    pub(crate) fn set(&self, _readable: bool) {}

    pub(crate) fn handle(&self) -> Result<i64, Fault> {
        Err(fault(PAN123_E_NOT_SUPPORTED, "there is no handle to poll on this system; use a thread or push"))
    }
}
