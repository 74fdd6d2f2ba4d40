//! The body as the connection pulls it: frames of known total length, read no earlier than they fit.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{task::JoinHandle, time::Sleep};

use crate::{
    Body, Pace, ReadAt,
    body::{Segment, ended_early, overrun, read_exact_at},
    flow::Flow,
    frame::{Buffer, FRAME_LEN, Piece, Pool},
};

/// Frames that one trip to a blocking thread reads.
const JOB_FRAME_COUNT: usize = 4;

/// Frames read ahead below which the next such trip starts.
const READ_AHEAD_MIN: usize = 2;

/// Bytes after which the connection stands back once. While the socket takes all it is given, its task is
/// always ready, and tokio looks for news from sockets only at every 61st task it runs: an early answer
/// would be seen some 60 MiB late.
const TURN_LEN: usize = 1 << 20;

/// A [`Body`] on its way out.
pub(crate) struct Outgoing {
    flow: Arc<Flow>,
    pool: Arc<Pool>,
    pace: Option<Arc<dyn Pace>>,
    segments: VecDeque<Segment>,
    len_left: u64,
    /// Whether to say `Content-Length: 0`, which POST needs and GET goes without.
    says_empty: bool,
    ahead: Ahead,
    /// Bytes handed over since the connection stood back.
    turn_len: usize,
    standing_back: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
    next: Option<(Piece, Option<Pin<Box<Sleep>>>)>,
}

/// What has been read of the front segment before it was asked for.
#[derive(Default)]
struct Ahead {
    ready: VecDeque<Buffer>,
    job: Option<JoinHandle<io::Result<VecDeque<Buffer>>>>,
    /// The source has made us wait, so read ahead of need.
    blocks: bool,
}

impl Outgoing {
    pub(crate) fn new(
        body: &Body,
        says_empty: bool,
        flow: Arc<Flow>,
        pool: Arc<Pool>,
        pace: Option<Arc<dyn Pace>>,
    ) -> Self {
        let segments = body.segments().collect();
        let len_left = body.len();
        Self {
            flow,
            pool,
            pace,
            segments,
            len_left,
            says_empty,
            ahead: Ahead::default(),
            turn_len: 0,
            standing_back: None,
            next: None,
        }
    }

    /// The next piece of the front segment; `None` at the body's end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Piece>>> {
        let piece = match self.segments.front_mut() {
            None => return Poll::Ready(None),
            Some(Segment::Memory(bytes)) => Piece::Memory(bytes.split_to(bytes.len().min(FRAME_LEN))),
            Some(Segment::Source { data, offset, len }) => {
                match ready!(self.ahead.poll_read(cx, data, offset, len, &self.pool)) {
                    Ok(buffer) => Piece::Read(buffer),
                    Err(e) => return Poll::Ready(Some(Err(e))),
                }
            }
        };
        if self.segments.front().is_some_and(|front| front.len() == 0) && self.ahead.is_idle() {
            self.segments.pop_front();
        }
        Poll::Ready(Some(Ok(piece)))
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = SourceFailed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SourceFailed>>> {
        let this = &mut *self;
        if this.flow.asked(cx) {
            return Poll::Pending; // until the connection is dropped
        }
        if this.turn_len >= TURN_LEN {
            this.turn_len = 0;
            this.standing_back = Some(Box::pin(tokio::task::yield_now()));
        }
        if let Some(turn) = &mut this.standing_back {
            ready!(turn.as_mut().poll(cx));
            this.standing_back = None;
        }
        if this.next.is_none() {
            match ready!(this.poll_piece(cx)) {
                None => return Poll::Ready(None),
                Some(Err(e)) => {
                    this.flow.source_failed(e);
                    return Poll::Ready(Some(Err(SourceFailed)));
                }
                Some(Ok(piece)) => {
                    let wait = this.pace.as_ref().map(|pace| pace.take(piece.len()));
                    let sleep =
                        wait.filter(|wait| !wait.is_zero()).map(|wait| Box::pin(tokio::time::sleep(wait)));
                    this.next = Some((piece, sleep));
                }
            }
        }
        if let Some((_, Some(sleep))) = &mut this.next {
            ready!(sleep.as_mut().poll(cx));
        }
        let Some((piece, _)) = this.next.take() else { return Poll::Pending };
        let len = piece.len();
        if !this.flow.hand_over(len) {
            this.next = Some((piece, None));
            return Poll::Pending; // `Flow::taken` wakes
        }
        this.len_left -= len as u64;
        this.turn_len += len;
        Poll::Ready(Some(Ok(Frame::data(piece.into_frame(this.flow.clone())))))
    }

    fn is_end_stream(&self) -> bool {
        self.len_left == 0 && !self.says_empty
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len_left)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.flow.dropped();
    }
}

impl Ahead {
    fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.job.is_none()
    }

    /// The next frame of the source's range, which starts at `offset` and has `len` bytes that nobody
    /// has begun to read.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        data: &Arc<dyn ReadAt>,
        offset: &mut u64,
        len: &mut u64,
        pool: &Arc<Pool>,
    ) -> Poll<io::Result<Buffer>> {
        if !self.blocks {
            let mut buffer = pool.get(frame_len(*len));
            let asked_len = buffer.as_mut().len();
            match data.try_read_at(*offset, buffer.as_mut()) {
                Some(Ok(0)) => return Poll::Ready(Err(ended_early(*offset))),
                Some(Ok(n)) if n > asked_len => return Poll::Ready(Err(overrun(*offset))),
                Some(Ok(n)) => {
                    buffer.truncate(n);
                    *offset += n as u64;
                    *len -= n as u64;
                    return Poll::Ready(Ok(buffer));
                }
                Some(Err(e))
                    if !matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
                {
                    return Poll::Ready(Err(e));
                }
                Some(Err(_)) | None => self.blocks = true,
            }
        }
        loop {
            if self.job.is_none() && self.ready.len() < READ_AHEAD_MIN && *len > 0 {
                self.start(data, offset, len, pool);
            }
            if let Some(job) = &mut self.job
                && let Poll::Ready(done) = Pin::new(job).poll(cx)
            {
                self.job = None;
                self.ready.append(&mut done.map_err(io::Error::other)??);
                continue;
            }
            return match self.ready.pop_front() {
                Some(buffer) => Poll::Ready(Ok(buffer)),
                None => Poll::Pending,
            };
        }
    }

    fn start(&mut self, data: &Arc<dyn ReadAt>, offset: &mut u64, len: &mut u64, pool: &Arc<Pool>) {
        let mut buffers = VecDeque::with_capacity(JOB_FRAME_COUNT);
        let start = *offset;
        while *len > 0 && buffers.len() < JOB_FRAME_COUNT {
            let buffer = pool.get(frame_len(*len));
            let buffer_len = frame_len(*len) as u64;
            *offset += buffer_len;
            *len -= buffer_len;
            buffers.push_back(buffer);
        }
        let data = data.clone();
        self.job = Some(tokio::task::spawn_blocking(move || {
            let mut at = start;
            for buffer in &mut buffers {
                read_exact_at(&*data, at, buffer.as_mut())?;
                at += buffer.as_mut().len() as u64;
            }
            Ok(buffers)
        }));
    }
}

fn frame_len(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX).min(FRAME_LEN)
}

/// The source failed; [`Flow::take_source_error`] says how. The connection is dropped for it.
#[derive(Debug)]
pub(crate) struct SourceFailed;

impl fmt::Display for SourceFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body's source failed")
    }
}

impl std::error::Error for SourceFailed {}
