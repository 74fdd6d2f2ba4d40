"""One upload under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from . import _errors
from ._events import Event, Inbox, Progress, Stage
from ._host import refuse_at_the_end, refuse_inside_callback
from ._library import ffi, lib
from ._results import Result, Uploaded
from ._source import Source

if TYPE_CHECKING:
    from ._client import Client


class Upload:
    """An upload that was started by `Client.start_upload` or `Client.resume`.

    It may be used by all threads at once. Letting go of it does not end it; closing its client does.
    """

    def __init__(self, client: Client, handle: Any, number: int, inbox: Inbox, source: Source) -> None:
        self._client = client
        self._handle = ffi.gc(handle, lib.pan123_upload_free)
        self._number = number
        self._inbox = inbox
        self._failures = source.failures
        self._memory = source.memory

    def __repr__(self) -> str:
        return f"<pan123.Upload {self._number} {'over' if self._inbox.over() else 'running'}>"

    def start(self) -> None:
        """Goes on after a pause."""
        self._client._alive()
        refuse_at_the_end()
        pump, inbox, slot = self._client._pump, self._inbox, _errors.error_slot()
        with inbox.changed:
            inbox.starts += 1
        pump.started(self._number)
        status = lib.pan123_upload_start(self._handle, slot)
        if status != lib.PAN123_OK:
            with inbox.changed:
                inbox.starts -= 1
                inbox.changed.notify_all()
                if inbox.over():
                    pump.not_started(self._number)
            raise _errors.exception(status, slot[0])

    def cancel(self) -> None:
        """Ends it within 250 ms; returns at once. May be called at any time, and any number of times."""
        lib.pan123_upload_cancel(self._handle)

    def pause(self) -> None:
        """Ends it as `cancel` does, and `start` goes on where it was."""
        lib.pan123_upload_pause(self._handle)

    @property
    def done(self) -> bool:
        """It is over, in whatever way; `wait` returns at once."""
        self._client._alive()
        with self._inbox.changed:
            return self._inbox.over()

    def wait(self, timeout: float | None = None) -> Uploaded:
        """Waits for the end and returns what was stored, or raises why it was not.

        Raises `TimedOut` (a `TimeoutError`) after `timeout` seconds; the upload goes on. `KeyboardInterrupt` leaves the
        upload as it is, too.
        """
        self._client._alive()
        refuse_inside_callback()
        until = None if timeout is None else time.monotonic() + timeout
        with self._inbox.changed:
            while not self._inbox.over():
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    raise _errors.TimedOut(f"the upload is not over after {timeout} s")
                self._inbox.changed.wait(left)
        return self._outcome()

    def events(self) -> Iterator[Event]:
        """What happens, up to the last event; each event comes once, to whoever asks first.

        A slow consumer misses some, but never the last one: progress that waits is brought up to date, and of others the
        oldest are left out when a thousand wait.
        """
        self._client._alive()
        refuse_inside_callback()
        while True:
            with self._inbox.changed:
                while not self._inbox.events:
                    if self._inbox.over():
                        return
                    self._inbox.changed.wait()
                event = self._inbox.events.popleft()
            yield event
            if event.last and self.done:
                return

    def progress(self) -> Progress:
        """How far it is at this moment."""
        self._client._alive()
        raw = ffi.new("pan123_progress *")
        raw.struct_size = ffi.sizeof("pan123_progress")
        _errors.check(lib.pan123_upload_progress(self._handle, raw))
        return Progress(
            stage=Stage(raw.state),
            bytes_hashed=raw.bytes_hashed,
            bytes_sent=raw.bytes_sent,
            bytes_confirmed=raw.bytes_confirmed,
            bytes_total=raw.bytes_total,
            slices_done=raw.slices_done,
            slices_total=raw.slices_total,
            retries=raw.retries,
        )

    def export(self) -> bytes:
        """Its state, for `Client.resume` in this process or another one. Holds no secrets.

        Raises `WrongState` if there is nothing yet to go on from, or nothing any more.
        """
        self._client._alive()
        out, slot = ffi.new("pan123_result **"), _errors.error_slot()
        _errors.check(lib.pan123_upload_export(self._handle, out, slot), slot)
        return Result(out[0]).blob(lib.PAN123_F_STATE)

    def _follow(self, progress: Callable[[Progress], object] | None) -> Uploaded:
        """Waits, and cancels if anything interrupts that."""
        try:
            if progress is not None:
                for _ in self.events():
                    progress(self.progress())
            return self.wait()
        except _errors.Pan123Error:
            if not self.done:
                self._end()
            raise
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        self.cancel()
        with self._inbox.changed:
            while not self._inbox.over():
                self._inbox.changed.wait()

    def _let_go(self) -> Callable[[], object] | None:
        """Drops the upload for good. Returns what waits until a buffer that was its source is free again."""
        ffi.release(self._handle)
        memory = self._memory
        return None if memory is None else lambda: memory.released.wait(0.25)

    def _outcome(self) -> Uploaded:
        out, slot = ffi.new("pan123_result **"), _errors.error_slot()
        status = lib.pan123_upload_wait(self._handle, 0, out, slot)
        if status == lib.PAN123_OK:
            return Result(out[0]).uploaded()
        raise self._client._failures.explain(self._failures.explain(_errors.exception(status, slot[0])))
