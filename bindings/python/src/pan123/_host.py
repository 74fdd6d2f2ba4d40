"""What the program brings: its calls are taken from the bridge by threads of Python's own.

A thread of the library never enters the interpreter, since the interpreter may be ending at that moment. It waits in C
instead; see `native/bridge.h`. The threads here come when something is lent to the library, become more while calls
block, and end when nothing is lent any more.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from typing import Any, Protocol

from . import _errors
from ._library import bridge, ffi, lib

_IDLE_MS = 1000

_inside = threading.local()

_python_ends = False


def python_ends() -> None:
    """From now on no thread is started: one that is started while the interpreter ends may never run."""
    global _python_ends
    _python_ends = True


def python_is_ending() -> bool:
    return _python_ends


def refuse_at_the_end() -> None:
    if _python_ends:
        raise _errors.Shutdown("Python is ending, and nothing new can be begun")


class Failures:
    """Keeps what an object of the program raised, so that the exception that comes of it can name it as its cause."""

    def __init__(self) -> None:
        self._kept: dict[int, BaseException] = {}
        self._lock = threading.RLock()

    def keep(self, raised: BaseException) -> int:
        """Returns the number by which it is found again."""
        number = next(_failure_numbers)
        with self._lock:
            self._kept[number] = raised
            numbers = list(self._kept)
            if len(numbers) > _KEPT_MAX:
                del self._kept[numbers[0]]
            if len(numbers) > _WHOLE_MAX:
                _forget_frames(self._kept[numbers[-_WHOLE_MAX - 1]])
        return number

    def explain(self, error: _errors.Pan123Error) -> _errors.Pan123Error:
        """The same error with its cause; a `CallbackError` if that was none of the failures that objects may have."""
        with self._lock:
            raised = next((self._kept[number] for number in error._failures if number in self._kept), None)
        if raised is None or error.__cause__ is not None:
            return error
        if not isinstance(raised, _errors.Pan123Error) or isinstance(raised, _errors.UsageError):
            made = _errors.CallbackError(str(error))
            made.__dict__.update(vars(error), code=made.code, name=made.name, retryable=False)
            error = made
        error.__cause__ = raised.__cause__ if isinstance(raised.__cause__, OSError) else raised
        return error


#: More than can come between a failure and the end of what it fails.
_KEPT_MAX = 256
#: How many keep their traceback: the functions that failed may have had a whole slice in their hands.
_WHOLE_MAX = 8

_failure_numbers = itertools.count(1)


def _forget_frames(raised: BaseException) -> None:
    seen: set[int] = set()
    link: BaseException | None = raised
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = None
        link = link.__cause__ or link.__context__


class Callee(Protocol):
    """Does the calls for one object. `answer` may block and raise; it returns how many bytes it read."""

    @property
    def failures(self) -> Failures: ...

    def answer(self, op: Any) -> int: ...


class Memory:
    """A buffer that the library reads by itself. Stays in the table until the library has let go of it."""

    def __init__(self, buffer: Any) -> None:
        self._buffer = buffer
        self.failures = Failures()
        self.released = threading.Event()

    def release(self) -> None:
        ffi.release(self._buffer)
        self.released.set()

    def answer(self, op: Any) -> int:
        raise AssertionError("memory is never asked")


class Host:
    """The bridge, and everything that is lent to the library at the moment."""

    def __init__(self) -> None:
        self._bridge = bridge.bridge_new()
        if self._bridge == ffi.NULL:
            raise MemoryError("no memory for the bridge")
        self._lent: dict[int, Callee] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._idle = 0
        self._threads: set[threading.Thread] = set()

    def lend(self, thing: Callee) -> int:
        """Registers an object and returns the `ctx` to give to the library, which keeps it until its `release`."""
        refuse_at_the_end()
        with self._lock:
            number = next(self._numbers)
            ctx: int = bridge.bridge_object(self._bridge, number)
            if not ctx:
                raise MemoryError("no memory for an object")
            self._lent[number] = thing
            if self._idle == 0:
                self._add_thread()
        return ctx

    def lent(self) -> int:
        """How many objects the library holds."""
        with self._lock:
            return len(self._lent)

    def close(self, until: float) -> None:
        """For the end of the process: nothing is called any more, and the threads end if what they do ends. Gives them until
        that time for it, and a moment in any case."""
        bridge.bridge_close(self._bridge)
        with self._lock:
            threads = list(self._threads)
        until = max(until, time.monotonic() + 0.2)
        for thread in threads:
            thread.join(max(0, until - time.monotonic()))

    def _add_thread(self) -> None:
        if _python_ends:
            return  # the threads that are there have to do
        thread = threading.Thread(target=self._work, name="pan123-host", daemon=True)
        self._threads.add(thread)
        self._idle += 1
        try:
            thread.start()
        except RuntimeError:  # no more threads are to be had
            self._threads.discard(thread)
            self._idle -= 1

    def _work(self) -> None:
        op = ffi.new("bridge_op *")
        while True:
            got = bridge.bridge_next(self._bridge, _IDLE_MS, op)
            with self._lock:
                if got != bridge.BRIDGE_TAKEN:
                    if got == bridge.BRIDGE_CLOSED or self._idle > 1 or not self._lent:
                        self._idle -= 1
                        self._threads.discard(threading.current_thread())
                        return
                    continue
                if op.kind == bridge.BRIDGE_RELEASE:
                    released = self._lent.pop(op.object, None)
                    if isinstance(released, Memory):
                        released.release()
                    del released
                    if not self._lent:
                        self._idle -= 1
                        self._threads.discard(threading.current_thread())
                        return
                    continue
                self._idle -= 1
                if self._idle == 0:
                    self._add_thread()
                callee = self._lent[op.object]
            _do(callee, op)
            # Not kept while waiting for the next call.
            del callee
            with self._lock:
                self._idle += 1


def _do(callee: Callee, op: Any) -> None:
    """One call, from the request to the answer, which comes whatever happens."""
    status, read, error = lib.PAN123_OK, 0, ffi.NULL
    _inside.callback = True
    try:
        read = callee.answer(op)
    except BaseException as raised:
        status, error = _failure(raised, callee.failures)
    finally:
        _inside.callback = False
        bridge.bridge_answer(op.call, status, read, error)


def _failure(raised: BaseException, failures: Failures) -> tuple[int, Any]:
    status = lib.PAN123_E_CALLBACK
    try:
        words = str(raised)
    except Exception:
        words = "it cannot say why"
    if isinstance(raised, _errors.Pan123Error):
        status = raised.code
    else:
        words = f"{type(raised).__name__}: {words}"
    # Of one that passes on what another object raised, both are known.
    numbers = (failures.keep(raised), *getattr(raised, "_failures", ()))
    message = _errors.marked(numbers, words)
    encoded = message.encode("utf-8", "replace")
    return status, lib.pan123_error_new(status, encoded, len(encoded))


def refuse_inside_callback() -> None:
    """For calls that wait: the library may be waiting for this very thread."""
    if getattr(_inside, "callback", False):
        raise _errors.WouldDeadlock(
            "this call waits, and was made by a source, transport or token source; make it from a thread of your own"
        )


_host: Host | None = None
_host_lock = threading.Lock()


def host() -> Host:
    """The one of this process."""
    global _host
    with _host_lock:
        if _host is None:
            _host = Host()
        return _host


def close(until: float) -> None:
    if _host is not None:
        _host.close(until)


def _after_fork() -> None:
    # The threads of the parent are not here, and its locks may be held for ever.
    global _host, _host_lock
    _host = None
    _host_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
