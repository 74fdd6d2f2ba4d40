"""Events of uploads: taken from the library's queue by one thread for each client, and given to the upload they are
of."""

from __future__ import annotations

import collections
import enum
import os
import select
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import _errors
from ._library import constant_name, ffi, lib


class Stage(enum.IntEnum):
    """The furthest that an upload has come."""

    NEW = lib.PAN123_STAGE_NEW
    HASHING = lib.PAN123_STAGE_HASHING
    CREATING = lib.PAN123_STAGE_CREATING
    SENDING = lib.PAN123_STAGE_SENDING
    COMPLETING = lib.PAN123_STAGE_COMPLETING
    DONE = lib.PAN123_STAGE_DONE

    @classmethod
    def _missing_(cls, value: object) -> Stage:
        """For stages that are newer than this package."""
        return cls.SENDING


@dataclass(frozen=True)
class Progress:
    """How far an upload is. No figure falls while it runs."""

    stage: Stage
    #: Bytes whose digests are known.
    bytes_hashed: int
    #: Bytes that connections have taken; those sent again count once.
    bytes_sent: int
    #: Bytes of slices that the service has acknowledged.
    bytes_confirmed: int
    #: Size in bytes.
    bytes_total: int
    #: Slices that the service has acknowledged.
    slices_done: int
    #: Slices in all; 0 before the service has named a slice size.
    slices_total: int
    #: Requests that were sent again.
    retries: int


@dataclass(frozen=True)
class Event:
    """News of an upload."""

    #: `STATE`, `PROGRESS`, `SLICE`, `RETRY`, `LOG`, or one of the last ones: `COMPLETED`, `FAILED`, `CANCELLED`,
    #: `PAUSED`. There may be others in time.
    kind: str
    #: Counts up per upload, from 1. A gap means that events were left out.
    seq: int
    #: `PROGRESS`: bytes that the connections have taken, or while digests are computed, bytes hashed.
    bytes_done: int
    bytes_total: int
    #: `STATE`: a `Stage`. `RETRY`: the try that failed. `COMPLETED`: the file id.
    value: int
    #: Slice number, from 1, or 0.
    slice_no: int
    #: `RETRY`, `LOG`, `FAILED`: what happened.
    text: str

    @property
    def last(self) -> bool:
        """Nothing comes after it until the upload is started again."""
        return self.kind in ("COMPLETED", "FAILED", "CANCELLED", "PAUSED")


def _event(raw: Any) -> Event:
    text = b"" if raw.text == ffi.NULL else ffi.buffer(raw.text, raw.text_len)[:]
    return Event(
        kind=constant_name("PAN123_EV_", raw.kind),
        seq=raw.seq,
        bytes_done=raw.bytes_done,
        bytes_total=raw.bytes_total,
        value=raw.value,
        slice_no=raw.slice_no,
        text=_errors.unmarked(text.decode("utf-8", "replace")),
    )


#: How many events wait for a program that does not ask for them. Progress is brought up to date rather than added.
_WAITING_MAX = 1000


class Inbox:
    """What has come of one upload, and who waits for it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.events: collections.deque[Event] = collections.deque(maxlen=_WAITING_MAX)
        #: Each start has one last event.
        self.starts = 0
        self.ends = 0
        self.listeners: list[Any] = []
        #: Told of a last event before anybody is who waits for it.
        self.at_end: Callable[[], Callable[[Event], None] | None] = lambda: None
        self._bells: list[threading.Lock] = []

    def put(self, event: Event) -> None:
        if event.last and (told := self.at_end()):
            told(event)
        with self.lock:
            if event.kind == "PROGRESS" and self.events and self.events[-1].kind == "PROGRESS":
                self.events.pop()
            self.events.append(event)
            if event.last:
                self.ends += 1
            listeners = list(self.listeners)
            self.ring()
        for listener in listeners:
            listener()

    def ring(self) -> None:
        """Has those look again who wait."""
        with self.lock:
            bells, self._bells = self._bells, []
        for bell in bells:
            bell.release()

    def wait(self, condition: Callable[[], object], timeout: float | None = None) -> bool:
        """False if the time is over. A signal may interrupt it at any instant, which a `Condition` does not survive."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            bell = threading.Lock()
            bell.acquire()
            with self.lock:
                if condition():
                    return True
                left = -1 if until is None else until - time.monotonic()
                if until is not None and left <= 0:
                    return False
                self._bells.append(bell)
            bell.acquire(timeout=min(left, threading.TIMEOUT_MAX))

    def over(self) -> bool:
        return self.ends >= self.starts


class Pump:
    """The queue of a client, and the thread that empties it. The thread starts with the first upload."""

    def __init__(self) -> None:
        out, slot = ffi.new("pan123_queue **"), _errors.error_slot()
        _errors.check(lib.pan123_queue_new(ffi.NULL, 0, out, slot), slot)
        self.queue = ffi.gc(out[0], lib.pan123_queue_free)
        handle = ffi.new("int64_t *")
        _errors.check(lib.pan123_queue_handle(self.queue, handle))
        self._handle: int = handle[0]
        self._wake_read, self._wake_write = os.pipe()
        # Taken again by the same thread when a garbage collection under it lets go of the client.
        self._lock = threading.RLock()
        self._inboxes: weakref.WeakValueDictionary[int, Inbox] = weakref.WeakValueDictionary()
        self._running: set[int] = set()
        self._thread: threading.Thread | None = None
        self._ended = False

    def add(self, number: int, inbox: Inbox) -> None:
        with self._lock:
            self._inboxes[number] = inbox

    def started(self, number: int) -> None:
        """Before an upload is started: its events are asked for from now on."""
        with self._lock:
            self._running.add(number)
            if self._thread is None and not self._ended:
                self._thread = threading.Thread(target=self._work, name="pan123-events", daemon=True)
                self._thread.start()

    def not_started(self, number: int) -> None:
        with self._lock:
            self._running.discard(number)

    def running(self) -> int:
        with self._lock:
            return len(self._running)

    def end(self, timeout: float | None) -> None:
        """Ends the thread when it has taken what is there, and waits for that if there is a timeout."""
        with self._lock:
            thread, first = self._thread, not self._ended
            self._ended = True
            if first and thread is None:
                self._close()
            elif first:
                os.write(self._wake_write, b"x")
        if thread is not None and timeout is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _work(self) -> None:
        raw = ffi.new("pan123_event *")
        raw.struct_size = ffi.sizeof("pan123_event")
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        ending = False
        while not ending:
            ending = any(fd == self._wake_read for fd, _ in poll.poll())
            while lib.pan123_queue_next(self.queue, 0, raw) == lib.PAN123_OK:
                self._give(raw.user, _event(raw))
        with self._lock:
            self._close()

    def _give(self, number: int, event: Event) -> None:
        with self._lock:
            inbox = self._inboxes.get(number)
            if event.last:
                self._running.discard(number)
        if inbox is not None:
            inbox.put(event)

    def _close(self) -> None:
        os.close(self._wake_read)
        os.close(self._wake_write)
        ffi.release(self.queue)
