"""One upload under way."""

from __future__ import annotations

import copy
import os
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _errors, _waiting
from ._events import Event, Inbox, Progress, Stage
from ._handle import Handle
from ._host import refuse_at_the_end, refuse_inside_callback
from ._library import ffi, lib
from ._results import Result, Uploaded
from ._source import Source

if TYPE_CHECKING:
    from ._client import Client


class Upload:
    """An upload that was started by `Client.start_upload` or `Client.resume`.

    It may be used by all threads at once. Letting go of it does not end it; closing its client does. Once it is over it
    holds neither its source nor an open file.
    """

    def __init__(self, client: Client, handle: Any, number: int, inbox: Inbox, source: Source) -> None:
        self._client = client
        # Let go of when the upload is over; what may be asked then is in `_end_state`.
        self._native = Handle(handle, lib.pan123_upload_free)
        self._end_state: _EndState | None = None
        self._was_cancelled = False
        self._number = number
        self._inbox = inbox
        self._failures = source.failures
        self._memory = source.memory
        inbox.at_end = weakref.WeakMethod(self._ended)

    def __repr__(self) -> str:
        if self._client._pid != os.getpid():
            return f"<pan123.Upload {self._number} made before fork>"
        return f"<pan123.Upload {self._number} {'over' if self._inbox.over() else 'running'}>"

    def __copy__(self) -> Upload:
        raise TypeError("a pan123.Upload cannot be copied; use the same one, which all threads may")

    def start(self) -> None:
        """Goes on after a pause."""
        self._client._alive()
        refuse_at_the_end()
        _waiting.whole(self._start)

    def _start(self) -> None:
        pump, inbox, slot = self._client._pump, self._inbox, _errors.error_slot()
        with self._native.use() as handle:
            if handle is None:
                raise self._over_for_good()
            with inbox.lock:
                inbox.starts += 1
            pump.started(self._number)
            status = lib.pan123_upload_start(handle, slot)
        if status != lib.PAN123_OK:
            with inbox.lock:
                inbox.starts -= 1
                inbox.ring()
                if inbox.over():
                    pump.not_started(self._number)
            raise _errors.exception(status, slot[0])

    def cancel(self) -> None:
        """Ends it within 250 ms; returns at once. May be called at any time, and any number of times."""
        self._client._alive()
        self._was_cancelled = True
        with self._native.use() as handle:
            if handle is not None:
                lib.pan123_upload_cancel(handle)

    def pause(self) -> None:
        """Ends it as `cancel` does, and `start` goes on where it was."""
        self._client._alive()
        with self._native.use() as handle:
            if handle is not None:
                lib.pan123_upload_pause(handle)

    @property
    def done(self) -> bool:
        """It is over, in whatever way; `wait` returns at once."""
        self._client._alive()
        with self._inbox.lock:
            return self._inbox.over()

    def wait(self, timeout: float | None = None) -> Uploaded:
        """Waits for the end and returns what was stored, or raises why it was not.

        Raises `TimedOut` (a `TimeoutError`) after `timeout` seconds; the upload goes on. `KeyboardInterrupt` leaves the
        upload as it is, too.
        """
        self._client._alive()
        refuse_inside_callback()
        if not self._inbox.wait(self._inbox.over, timeout):
            raise _errors.TimedOut(f"the upload is not over after {timeout} s")
        return self._outcome()

    def events(self) -> Iterator[Event]:
        """What happens, up to the last event; each event comes once, to whoever asks first.

        A slow consumer misses some, but never the last one: progress that waits is brought up to date, and of others the
        oldest are left out when a thousand wait.
        """
        self._client._alive()
        refuse_inside_callback()
        inbox = self._inbox
        while True:
            inbox.wait(lambda: inbox.events or inbox.over())
            with inbox.lock:
                if not inbox.events:
                    if inbox.over():
                        return
                    continue  # somebody else was first
                event = inbox.events.popleft()
            yield event
            if event.last and self.done:
                return

    def progress(self) -> Progress:
        """How far it is at this moment."""
        self._client._alive()
        with self._native.use() as handle:
            if handle is not None:
                return _progress(handle)
        return self._left().progress

    def export(self) -> bytes:
        """Its state, for `Client.resume` in this process or another one. Holds no secrets.

        Raises `WrongState` if there is nothing yet to go on from, or nothing any more.
        """
        self._client._alive()
        with self._native.use() as handle:
            if handle is not None:
                return _export(handle)
        state = self._left().state
        if state is None:
            raise _errors.WrongState("there is nothing to go on from")
        return state

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
        # It takes 250 ms at most.
        self._inbox.wait(self._inbox.over, 1)

    def _let_go(self) -> Callable[[], object] | None:
        """Drops the upload for good. Returns what waits until a buffer that was its source is free again."""
        self._release()
        memory = self._memory
        return None if memory is None else lambda: memory.released.wait(0.25)

    def _outcome(self) -> Uploaded:
        with self._native.use() as handle:
            outcome = None if handle is None else self._ask(handle)
        if outcome is None:
            outcome = self._left().outcome
        if isinstance(outcome, Uploaded):
            return outcome
        # Another one each time: an exception that is raised again grows.
        error = copy.copy(outcome)
        error.__cause__ = outcome.__cause__
        try:
            raise error
        finally:
            # Or each would hold the other, through its traceback.
            del error

    def _ask(self, handle: Any) -> Uploaded | _errors.Pan123Error:
        out, slot = ffi.new("pan123_result **"), _errors.error_slot()
        status = lib.pan123_upload_wait(handle, 0, out, slot)
        if status == lib.PAN123_OK:
            return Result(out[0]).uploaded()
        error = _errors.exception(status, slot[0])
        if status == lib.PAN123_E_CANCELLED and self._client._closing and not self._was_cancelled:
            error = _errors.shutdown(error)
        return self._client._failures.explain(self._failures.explain(error))

    def _ended(self, event: Event) -> None:
        """Its last event has come."""
        if event.kind == "PAUSED":
            self._client._remember_paused(self)
        else:
            self._release()

    def _release(self) -> None:
        """Frees the library's upload, and with it the source, and keeps what may be asked for afterwards."""
        with self._native.use() as handle:
            if handle is None:
                return
            try:
                state = _export(handle)
            except _errors.WrongState:
                state = None
            self._end_state = _EndState(self._ask(handle), _progress(handle), state)
            self._native.let_go()

    def _left(self) -> _EndState:
        assert self._end_state is not None, "set before the handle goes"
        return self._end_state

    def _over_for_good(self) -> _errors.Pan123Error:
        outcome = self._left().outcome
        by_close = isinstance(outcome, _errors.Cancelled) and not self._was_cancelled
        if by_close or isinstance(outcome, (_errors.Paused, _errors.Shutdown)):
            return _errors.Shutdown("the client was closed")
        if isinstance(outcome, _errors.Cancelled):
            return _errors.Cancelled("the upload was cancelled; make a new one")
        return _errors.WrongState("the upload is over; make a new one")


@dataclass(frozen=True)
class _EndState:
    """What is left of an upload that is over."""

    outcome: Uploaded | _errors.Pan123Error
    progress: Progress
    state: bytes | None


def _progress(handle: Any) -> Progress:
    raw = ffi.new("pan123_progress *")
    raw.struct_size = ffi.sizeof("pan123_progress")
    _errors.check(lib.pan123_upload_progress(handle, raw))
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


def _export(handle: Any) -> bytes:
    out, slot = ffi.new("pan123_result **"), _errors.error_slot()
    _errors.check(lib.pan123_upload_export(handle, out, slot), slot)
    return Result(out[0]).blob(lib.PAN123_F_STATE)
