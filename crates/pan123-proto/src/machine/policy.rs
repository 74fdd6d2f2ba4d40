//! The numbers that decisions are made with.

use std::time::Duration;

/// How one upload behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How often one request is tried when the service answers with a failure that may pass, from 1.
    pub tries_max: u32,
    /// How long to keep trying when nothing at all gets through, counted from the first failure after the last thing that
    /// did. A wait that would be over later is not begun, unless the service asked for it. A wait for other uploads on the
    /// same link does not count as long as something of theirs gets through, or the service answers with failures, of which
    /// each request may meet [`tries_max`](Self::tries_max). What the service refuses for a
    /// reason of its own is tried three times, and once if this is zero.
    pub retry_for: Duration,
    /// How long to keep trying when the service refuses everything because there are too many requests. A pause that it
    /// asks for is waited for all the same if it ends within ten minutes of the first refusal, and the try after it is
    /// the last one then. One longer than `retry_for` may be passed by part of a wait that ends nearer to it than it began.
    pub throttled_for: Duration,
    /// The first pause before a repeated request; it doubles up to `backoff_max`. Half of each is random.
    pub backoff_first: Duration,
    /// The longest pause before a repeated request.
    pub backoff_max: Duration,
    /// Pause between two `upload_complete`. Source: the service's own message to 20103 names 1 s.
    pub poll_every: Duration,
    /// How long the service may verify an empty file; `poll_per_gib` comes on top.
    /// Source: other clients wait 60 s; no measured distribution is published.
    pub poll_for: Duration,
    /// How much longer the service may verify per GiB.
    pub poll_per_gib: Duration,
    /// When to send a small file in one request.
    pub single: SingleUse,
    /// Sends the last slices of a file a second time, to another server, when they take far longer than the
    /// others did; the first good answer counts. At most a twentieth of the file's bytes go out twice.
    pub hedge: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tries_max: 6,
            retry_for: Duration::from_secs(60),
            throttled_for: Duration::from_secs(120),
            backoff_first: Duration::from_millis(500),
            backoff_max: Duration::from_secs(15),
            poll_every: Duration::from_secs(1),
            poll_for: Duration::from_secs(60),
            poll_per_gib: Duration::from_secs(60),
            single: SingleUse::Auto,
            hedge: false,
        }
    }
}

/// When to use `single/create` instead of `create`, slices and `upload_complete`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SingleUse {
    /// When the file fits into one slice and its bytes go out in less time than `create` would have
    /// to wait for its turn.
    ///
    /// `create` is limited to one a second on a free account, so many small files are bound by it, while
    /// no limit is known for `single/create`. For a lone file `create` is the better choice: it finds out
    /// about instant upload before a byte is sent, and an unfinished upload can be polled and resumed.
    #[default]
    Auto,
    /// Never.
    Never,
    /// For every file that fits into one slice.
    Always,
}

/// How the uploads of one account share what they have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkPolicy {
    /// Slices in flight, over all uploads. A file that goes out whole counts as one where a number is asked for; else up to
    /// 32 of them go out at a time, beside the slices. Of requests without a body up to 32 are under way.
    pub parallel: Parallel,
    /// The gateway drops a body that is not complete after this long.
    /// Source: one client documents it from live use, several users' 500s fit it; see `docs/reliability.md`.
    pub body_line: Duration,
    /// Request rates of a paying account.
    pub vip_rates: bool,
}

impl Default for LinkPolicy {
    fn default() -> Self {
        Self { parallel: Parallel::Auto, body_line: Duration::from_secs(60), vip_rates: false }
    }
}

/// How many slices may be in flight at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parallel {
    /// Starts at 4 and follows what the link carries, between 1 and 64.
    #[default]
    Auto,
    /// This many, fewer only when the link cannot pass them in time. From 1 to 64; others are brought into it.
    Exactly(u32),
}
