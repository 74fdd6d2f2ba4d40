"""Calls of the library that wait, made so that Ctrl-C, asyncio and the end of the process can end them."""

from __future__ import annotations

import os
import queue
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from . import _errors
from ._host import refuse_at_the_end, refuse_inside_callback
from ._library import ffi, lib

T = TypeVar("T")


class Stop:
    """A stop object of the library's: ends the call that was given it, within 250 ms."""

    def __init__(self) -> None:
        out, slot = ffi.new("pan123_stop **"), _errors.error_slot()
        _errors.check(lib.pan123_stop_new(out, slot), slot)
        self.handle = ffi.gc(out[0], lib.pan123_stop_free)

    def fire(self) -> None:
        lib.pan123_stop_fire(self.handle)


class _Worker:
    """A thread that makes one call after another: to start one for each costs more than many a call."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="pan123-call", daemon=True)
        self._thread.start()

    def do(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_IDLE_S)
            except queue.Empty:
                try:
                    _idle.remove(self)
                except ValueError:
                    continue  # it has just been taken, and a job is on its way
                return
            job()
            # Not kept while waiting for the next one.
            del job
            _idle.append(self)


#: How long a thread waits for another call.
_IDLE_S = 5
_idle: list[_Worker] = []


def _on_a_thread(job: Callable[[], None]) -> None:
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    worker.do(job)


class Call(Generic[T]):
    """One call, on a thread of its own."""

    def __init__(self, call: Callable[[Stop], T]) -> None:
        self.stop = Stop()
        self._call = call
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._undo: Callable[[T], object] | None = None
        self._value: T
        self._error: BaseException | None = None
        self._then: Callable[[], None] | None = None

    def start(self, then: Callable[[], None] | None = None) -> None:
        """`then` is called at the end, on the call's thread."""
        self._then = then
        _under_way.add(self)
        _on_a_thread(self._run)

    def join(self, timeout: float | None = None) -> None:
        """Waits; signals interrupt it."""
        self._done.wait(timeout)

    def when_done(self, then: Callable[[T], object]) -> None:
        """Has `then` called with the result, now or as soon as there is one."""
        with self._lock:
            if not self._done.is_set():
                self._undo = then
                return
        if self._error is None:
            then(self._value)

    def result(self) -> T:
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None
        return self._value

    def _run(self) -> None:
        _current.stop = self.stop
        try:
            self._value = self._call(self.stop)
        except BaseException as error:
            self._error = error
        _current.stop = None
        with self._lock:
            self._done.set()
            undo = self._undo
        _under_way.discard(self)
        if undo is not None and self._error is None:
            undo(self._value)
        if self._then is not None:
            self._then()


_under_way: weakref.WeakSet[Call[Any]] = weakref.WeakSet()
_current = threading.local()


def call(function: Callable[[Stop], T], *, quick: bool = False) -> T:
    """Makes a call that waits. Python handles signals on the main thread only, and only between its own instructions, so
    that one waits in Python while another thread makes the call; unless it is `quick`."""
    refuse_inside_callback()
    refuse_at_the_end()
    if quick or threading.current_thread() is not threading.main_thread():
        return function(getattr(_current, "stop", None) or Stop())
    made = Call(function)
    made.start()
    try:
        made.join()
    except BaseException:
        made.stop.fire()
        made.join()
        raise
    return made.result()


def end_all(until: float) -> None:
    """For the end of the process: waits for calls, but for none of them longer than until that time."""
    calls = list(_under_way)
    for one in calls:
        one.stop.fire()
    for one in calls:
        one.join(max(0, until - time.monotonic()))


def _after_fork() -> None:
    global _under_way, _idle
    _under_way, _idle = weakref.WeakSet(), []


os.register_at_fork(after_in_child=_after_fork)
