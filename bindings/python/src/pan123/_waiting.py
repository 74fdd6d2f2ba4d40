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
from ._host import python_is_ending, refuse_at_the_end, refuse_inside_callback
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


#: How long a thread waits for another call.
_IDLE_S = 5
_jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
_idle: set[object] = set()


def _work(jobs: queue.SimpleQueue[Callable[[], None]], idle: set[object]) -> None:
    """Makes one call after another: to start a thread for each costs more than many a call."""
    me = object()
    while True:
        idle.add(me)
        try:
            job = jobs.get(timeout=_IDLE_S)
        except queue.Empty:
            idle.discard(me)
            if jobs.qsize() > len(idle):
                continue
            return
        idle.discard(me)
        _enough_threads()
        job()
        # Not kept while waiting for the next one.
        del job


def _enough_threads() -> None:
    """Whoever puts or takes a job looks whether somebody is there for those that wait."""
    if _jobs.qsize() > len(_idle):
        threading.Thread(target=_work, args=(_jobs, _idle), name="pan123-call", daemon=True).start()


class Call(Generic[T]):
    """One call, on a thread of its own."""

    def __init__(self, call: Callable[[Stop], T]) -> None:
        self._call = call
        # Made by the call's thread, to which no signal comes.
        self._stop: Stop | None = None
        self._is_fired = False
        self._claim = threading.Lock()
        self._is_done = False
        self._running = threading.Lock()
        self._running.acquire()
        self._lock = threading.Lock()
        self._undo: Callable[[T], object] | None = None
        self._value: T
        self._error: BaseException | None = None
        self._then: Callable[[], None] | None = None

    def start(self, then: Callable[[], None] | None = None) -> None:
        """`then` is called at the end, on the call's thread."""
        self._then = then
        _under_way.add(self)
        _jobs.put(self._run)
        _enough_threads()

    def fire(self) -> None:
        """Ends it early."""
        self._is_fired = True
        if self._stop is not None:
            self._stop.fire()

    def join(self, timeout: float | None = None) -> None:
        """Waits; signals interrupt it, at any instant."""
        if not self._is_done and self._running.acquire(timeout=-1 if timeout is None else timeout):
            self._running.release()

    def give_up(self) -> None:
        """Has it not begin, or else ends it, and waits for that."""
        if not self._claim.acquire(blocking=False):
            self.fire()
            self.join()

    def when_done(self, then: Callable[[T], object]) -> None:
        """Has `then` called with the result, now or as soon as there is one."""
        with self._lock:
            if not self._is_done:
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
        if not self._claim.acquire(blocking=False):
            return
        try:
            _current.stop = self._stop = Stop()
            if self._is_fired:
                self._stop.fire()
            self._value = self._call(self._stop)
        except BaseException as error:
            self._error = error
        _current.stop = None
        with self._lock:
            self._is_done = True
            self._running.release()
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
    try:
        made.start()
        made.join()
    except BaseException:
        made.give_up()
        raise
    return made.result()


def whole(function: Callable[[], T]) -> T:
    """Makes calls that are short, and that a signal must not come between: what they made would have no owner yet. They
    are made to their end or not at all, and what comes of them is dropped if a signal has come."""
    if threading.current_thread() is not threading.main_thread() or python_is_ending():
        return function()
    made = Call(lambda stop: function())
    try:
        made.start()
        made.join()
    except BaseException:
        made.give_up()
        raise
    return made.result()


def end_all(until: float) -> None:
    """For the end of the process: waits for calls, but for none of them longer than until that time."""
    calls = list(_under_way)
    for one in calls:
        one.fire()
    for one in calls:
        one.join(max(0, until - time.monotonic()))


def _after_fork() -> None:
    global _under_way, _idle, _jobs
    _under_way, _idle, _jobs = weakref.WeakSet(), set(), queue.SimpleQueue()


os.register_at_fork(after_in_child=_after_fork)
