//! Waiting without a runtime, and being told to stop.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use tokio::sync::watch;

/// Runs a future on this thread until it is done or the time has come; `None` if the time came first.
///
/// The future may use what of tokio needs no runtime: its channels, but not its clocks and sockets.
pub(crate) fn until<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        match deadline {
            None => thread::park(),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                thread::park_timeout(left);
            }
        }
    }
}

/// When a wait of this many milliseconds ends: never for a negative number, now for 0.
pub(crate) fn deadline(timeout_ms: i64) -> Option<Instant> {
    let millis = u64::try_from(timeout_ms).ok()?;
    // A time that cannot be told is as good as never.
    Instant::now().checked_add(Duration::from_millis(millis))
}

/// Something to be stopped, by anybody and at any time. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Cancel(Arc<watch::Sender<bool>>);

impl Cancel {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn fire(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn is_fired(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once it was fired.
    pub(crate) async fn fired(&self) {
        let mut receiver = self.0.subscribe();
        // The sender lives as long as `self`, so this ends with `true` or not at all.
        let _ = receiver.wait_for(|fired| *fired).await;
    }
}

/// Makes both happen at once, and returns what the first that is done says: `Ok` for `work`, `Err` for `end`.
pub(crate) async fn unless<T>(end: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    let (mut end, mut work) = (pin!(end), pin!(work));
    std::future::poll_fn(|context| {
        if let Poll::Ready(output) = work.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        end.as_mut().poll(context).map(|()| None)
    })
    .await
}
