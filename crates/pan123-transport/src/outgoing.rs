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
use tokio::time::Sleep;

use crate::{
    Body, Pace, ReadAt, ReadStarted,
    body::{Segment, ended_early, overrun, read_exact_at},
    flow::Flow,
    frame::{FRAME_LEN, Piece, Pools},
};

/// Bytes read ahead below which the next chunk is read.
const READ_AHEAD_MIN: usize = 2 * FRAME_LEN;

/// Bytes after which the connection stands back once. While the socket takes all it is given, its task is
/// always ready, and tokio looks for news from sockets only at every 61st task it runs: an early answer
/// would be seen some 60 MiB late.
const TURN_LEN: usize = 1 << 20;

/// A [`Body`] on its way out.
pub(crate) struct Outgoing {
    flow: Arc<Flow>,
    pools: Pools,
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
    ready: VecDeque<Bytes>,
    job: Option<ReadStarted>,
    /// The source has made us wait, so read ahead of need.
    blocks: bool,
}

impl Outgoing {
    pub(crate) fn new(
        body: &Body,
        says_empty: bool,
        flow: Arc<Flow>,
        pools: Pools,
        pace: Option<Arc<dyn Pace>>,
    ) -> Self {
        let segments = body.segments().collect();
        let len_left = body.len();
        Self {
            flow,
            pools,
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
                match ready!(self.ahead.poll_read(cx, data, offset, len, &self.pools)) {
                    Ok(piece) => piece,
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
        pools: &Pools,
    ) -> Poll<io::Result<Piece>> {
        if !self.blocks {
            let mut buffer = pools.frames.get(*len);
            let asked_len = buffer.as_mut().len();
            match data.try_read_at(*offset, buffer.as_mut()) {
                Some(Ok(0)) => return Poll::Ready(Err(ended_early(*offset))),
                Some(Ok(n)) if n > asked_len => return Poll::Ready(Err(overrun(*offset))),
                Some(Ok(n)) => {
                    buffer.truncate(n);
                    *offset += n as u64;
                    *len -= n as u64;
                    return Poll::Ready(Ok(Piece::Read(buffer)));
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
            if self.job.is_none() && self.ready_len() < READ_AHEAD_MIN && *len > 0 {
                let bytes = pools.chunks.get(*len).into_bytes();
                let (start, chunk_len) = (*offset, bytes.len() as u64);
                *offset += chunk_len;
                *len -= chunk_len;
                self.job = Some(start_read(data, start, bytes));
            }
            if let Some(job) = &mut self.job
                && let Poll::Ready(done) = job.as_mut().poll(cx)
            {
                self.job = None;
                let (mut bytes, len) = done?;
                bytes.truncate(len);
                self.ready.push_back(Bytes::from_owner(pools.chunks.own(bytes)));
                continue;
            }
            let Some(chunk) = self.ready.front_mut() else { return Poll::Pending };
            let frame = chunk.split_to(chunk.len().min(FRAME_LEN));
            if chunk.is_empty() {
                self.ready.pop_front();
            }
            return Poll::Ready(Ok(Piece::Memory(frame)));
        }
    }

    fn ready_len(&self) -> usize {
        self.ready.iter().map(Bytes::len).sum()
    }
}

/// Fills `bytes` from `offset` on, in the source's own way or on a thread that may block.
fn start_read(data: &Arc<dyn ReadAt>, offset: u64, bytes: Vec<u8>) -> ReadStarted {
    let want = bytes.len();
    match data.start_read(offset, bytes) {
        Ok(started) => Box::pin(async move {
            match started.await? {
                (_, got) if got < want => Err(ended_early(offset + got as u64)),
                (_, got) if got > want => Err(overrun(offset)),
                read => Ok(read),
            }
        }),
        Err(mut bytes) => {
            let data = data.clone();
            let job = tokio::task::spawn_blocking(move || {
                read_exact_at(&*data, offset, &mut bytes)?;
                Ok((bytes, want))
            });
            Box::pin(async move { job.await.map_err(io::Error::other)? })
        }
    }
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
