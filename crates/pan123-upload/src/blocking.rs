//! Work that may block for as long as a disk, a lock or somebody else's code likes.

use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind};

/// Runs `work` on a thread of its own and waits for what it returns.
///
/// Not on the runtime's pool for blocking work: that one has an end, and work that hangs would take
/// places from it which other uploads need. Dropping the future leaves the thread to itself.
///
/// # Errors
///
/// [`ErrorKind::Internal`] when no thread can be had, or `work` panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (sender, result) = oneshot::channel();
    let spawned = std::thread::Builder::new().name(format!("pan123-{name}")).spawn(move || {
        let _ = sender.send(work());
    });
    let internal = |message: String| Error::new(ErrorKind::Internal, name, message);
    spawned.map_err(|error| internal(format!("no thread to work on: {error}")))?;
    result.await.unwrap_or_else(|_| Err(internal("the thread that did it panicked; please report it".into())))
}
