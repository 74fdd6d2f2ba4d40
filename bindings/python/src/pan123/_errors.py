"""The exceptions: one class for each code of the library, below one class for each band of codes."""

from __future__ import annotations

import errno
import os
import re
import secrets
from typing import Any

from ._library import constant_name, ffi, lib, take_text


class Pan123Error(Exception):
    """Something of the library's failed. `str()` of it is for people, and holds no secrets.

    Attributes, None where they do not apply:

    * `code`: the library's number for what happened, a `PAN123_E_` of `pan123.h`; `name`: the name that goes with it, for
      example `LOGIN`.
    * `step`: what failed, for example `create` or `open source`; `attempts`: how often it was tried, from 1.
    * `api_code`, `api_message`: the service's own code and words, or what happened instead of an answer.
    * `http_status`: of the answer; `trace_id`: names the request at the service, whose support asks for it.
    * `reason`: what the failed request means, finer than the class of the exception, for example `no_parent`.
    * `advice`: what to do about it, a sentence.
    * `slice_no`: slice number, from 1, if it was about one slice.
    * `retryable`: the same may well succeed later, with nothing changed; `retry_after`: how long the service asks to wait
      before, in seconds.
    * `resumable`: starting the same upload again goes on from here.
    """

    code: int
    name: str
    step: str | None = None
    attempts: int | None = None
    api_code: int | None = None
    api_message: str | None = None
    http_status: int | None = None
    trace_id: str | None = None
    advice: str | None = None
    reason: str | None = None
    slice_no: int | None = None
    retryable: bool = False
    resumable: bool = False
    retry_after: float | None = None

    #: The numbers of the failures of the program's that it came of.
    _failures: tuple[int, ...] = ()

    def __init__(self, message: str = "", *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code if code is not None else _CODES.get(type(self), lib.PAN123_E_CALLBACK)
        self.name = constant_name("PAN123_E_", self.code)

    def __reduce__(self) -> Any:
        of_os = {name: value for name in _OF_OS if (value := getattr(self, name, None)) is not None}
        return _unpickled, (type(self), self.args, self.__dict__, of_os)


#: What an OSError does not keep among its other attributes.
_OF_OS = ("errno", "strerror", "filename")


def _unpickled(
    kind: type[Pan123Error], args: tuple[Any, ...], state: dict[str, Any], of_os: dict[str, Any]
) -> Pan123Error:
    error = kind.__new__(kind)
    # An OSError does not take them from its constructor here.
    error.args = args
    error.__dict__.update(state)
    for name, value in of_os.items():
        setattr(error, name, value)
    return error


class UsageError(Pan123Error):
    """The call cannot work, and nothing was done. Correct the program."""


class InvalidArgument(UsageError, ValueError):
    """An argument is not acceptable; the message says which, and why."""


class WrongState(UsageError, RuntimeError):
    """Not now: for example an upload that is started while it runs."""


class WouldDeadlock(UsageError, RuntimeError):
    """A call that waits was made by a source, transport or token source, on which the library itself waits."""


class Forked(UsageError, RuntimeError):
    """The object was made before `fork`. Make a new `Client` in this process."""


class NotSupported(UsageError, NotImplementedError):
    """This build of the library, or this system, does not have it."""


class TimedOut(UsageError, TimeoutError):
    """The time given to a wait is over. Nothing else happened; wait again."""


class Stopped(Pan123Error):
    """Ended because somebody asked for it."""


class Cancelled(Stopped):
    """Cancelled as asked. The same upload, started again, goes on if the client has a `state_dir`."""


class Paused(Stopped):
    """Paused as asked. `Upload.start` goes on."""


class Shutdown(Cancelled):
    """The client was closed, which cancels what is under way; nothing can be begun with it any more."""


class HostError(Pan123Error):
    """Something brought by the program failed: a source, a transport, a token source, a plugin."""


class CallbackError(HostError):
    """A source, transport or token source raised; `__cause__` is what it raised."""


class PluginError(HostError):
    """A plugin cannot be loaded, or failed to open."""


class LocalError(Pan123Error):
    """Something on this machine: the file, or the disk."""


class SourceError(LocalError):
    """The source cannot be opened or read. The message names it."""


class SourceNotFound(SourceError, FileNotFoundError):
    """There is no such file. `errno`, `strerror` and `filename` are as of any FileNotFoundError."""

    __str__ = Pan123Error.__str__


class SourceChanged(SourceError):
    """The source is no longer what it was when the upload began."""


class SourceStalled(SourceError):
    """A read of the source did not return in time."""


class StoreError(LocalError):
    """Resume state or token cache cannot be read, written or locked."""


class NetworkError(Pan123Error):
    """No connection, or it kept breaking."""


class TlsError(NetworkError):
    """The server's certificate or the TLS handshake is not accepted."""


class NetworkTimeout(NetworkError):
    """Nothing moved, or no answer came, for too long."""


class SlowUplink(NetworkError):
    """The uplink cannot pass one slice before the gateway drops it."""


class ServerError(Pan123Error):
    """The service kept failing on its side."""


class ProtocolError(ServerError):
    """The answer is not what the service's protocol promises."""


class RefusedError(Pan123Error):
    """The service refuses for a reason of its own: folder, conflict, space, address. Read its message."""


class LoginError(RefusedError):
    """The service does not let us in: token, client id or secret."""


class RateLimited(RefusedError):
    """Too many requests, even after slowing down."""


class BadName(RefusedError):
    """The file's name breaks the service's rules."""


class VerifyFailed(RefusedError):
    """The service holds other bytes than were announced."""


class InternalError(Pan123Error):
    """A defect of the library. Please report it."""


_CLASSES: dict[str, type[Pan123Error]] = {
    "INVALID_ARGUMENT": InvalidArgument,
    "ABI": NotSupported,
    "UNKNOWN_NUMBER": NotSupported,
    "WRONG_STATE": WrongState,
    "WOULD_DEADLOCK": WouldDeadlock,
    "FORKED": Forked,
    "NOT_SUPPORTED": NotSupported,
    "TIMEOUT": TimedOut,
    "CANCELLED": Cancelled,
    "PAUSED": Paused,
    "SHUTDOWN": Shutdown,
    "CALLBACK": CallbackError,
    "PLUGIN": PluginError,
    "SOURCE_IO": SourceError,
    "SOURCE_CHANGED": SourceChanged,
    "SOURCE_STALLED": SourceStalled,
    "STORE": StoreError,
    "NETWORK": NetworkError,
    "TLS": TlsError,
    "NET_TIMEOUT": NetworkTimeout,
    "SLOW_UPLINK": SlowUplink,
    "SERVER": ServerError,
    "PROTOCOL": ProtocolError,
    "LOGIN": LoginError,
    "RATE_LIMITED": RateLimited,
    "NAME": BadName,
    "VERIFY_FAILED": VerifyFailed,
    "REFUSED": RefusedError,
    "INTERNAL": InternalError,
    "PANIC": InternalError,
}
_CODES: dict[type[Pan123Error], int] = {}
for _name, _class in _CLASSES.items():
    _CODES.setdefault(_class, getattr(lib, "PAN123_E_" + _name))

#: For codes that are newer than this package: the bands, by their first code. From the comment on `pan123_status`.
_BANDS: list[tuple[int, type[Pan123Error]]] = [
    (900, InternalError),
    (400, RefusedError),
    (300, ServerError),
    (200, NetworkError),
    (100, LocalError),
    (30, HostError),
    (20, Stopped),
    (1, UsageError),
]


def class_of(code: int) -> type[Pan123Error]:
    """The exception class of a code; that of its band if the code is not known."""
    known = _CLASSES.get(constant_name("PAN123_E_", code))
    return known or next((band for first, band in _BANDS if code >= first), Pan123Error)


#: Of a callback that fails no more than its words comes back out of the library, which cuts them, cleans them and hides
#: secrets in them. So the failure's number stands before them on the way, with something that nobody else writes.
_MARK = secrets.token_hex(4)
_MARKED = re.compile(rf"<{_MARK} (\d+)> ?")


#: The library takes spaces for these.
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " ")


def marked(numbers: tuple[int, ...], words: str) -> str:
    return "".join(f"<{_MARK} {number}> " for number in numbers) + words.translate(_CONTROLS)


def unmarked(words: str) -> str:
    return _MARKED.sub("", words)


def exception(status: int, error: Any, where: str = "") -> Pan123Error:
    """Makes the exception for a status and its error object, which may be NULL, and frees that."""
    if error == ffi.NULL:
        name = constant_name("PAN123_E_", status).lower().replace("_", " ")
        return class_of(status)(f"{where}: {name}" if where else name, code=status)
    try:
        text, number = _readers(error)
        message = take_text(lib.pan123_error_str, error, lib.PAN123_F_MESSAGE) or ""
        made = class_of(status)(unmarked(message), code=status)
        if numbers := _MARKED.findall(message):
            made._failures = tuple(map(int, numbers))
        made.step = text(lib.PAN123_F_STEP)
        made.attempts = number(lib.PAN123_F_ATTEMPTS)
        made.api_code = number(lib.PAN123_F_API_CODE)
        made.api_message = text(lib.PAN123_F_API_MESSAGE)
        made.http_status = number(lib.PAN123_F_HTTP_STATUS)
        made.trace_id = text(lib.PAN123_F_TRACE_ID)
        made.advice = text(lib.PAN123_F_ADVICE)
        made.reason = text(lib.PAN123_F_CLASS)
        made.slice_no = number(lib.PAN123_F_SLICE_NO)
        made.retryable = bool(number(lib.PAN123_F_RETRYABLE))
        made.resumable = bool(number(lib.PAN123_F_RESUMABLE))
        wait_ms = number(lib.PAN123_F_RETRY_AFTER_MS)
        made.retry_after = None if wait_ms is None else wait_ms / 1000
        return made
    finally:
        lib.pan123_error_free(error)


def _readers(error: Any) -> tuple[Any, Any]:
    absent = -(2**63)

    def text(field: int) -> str | None:
        words = take_text(lib.pan123_error_str, error, field)
        return None if words is None else unmarked(words)

    def number(field: int) -> int | None:
        value: int = lib.pan123_error_i64(error, field, absent)
        return None if value == absent else value

    return text, number


def check(status: int, slot: Any = None) -> None:
    """Raises what a status and the error slot that the call was given say."""
    if status != lib.PAN123_OK:
        raise exception(status, ffi.NULL if slot is None else slot[0])


def of_path(error: Pan123Error, path: bytes) -> Pan123Error:
    """The error of a file that cannot be opened, with what Python says to that as its cause."""
    why = _os_error(os.fsdecode(path))
    if isinstance(why, FileNotFoundError):
        missing = SourceNotFound(str(error), code=error.code)
        missing.__dict__.update(vars(error))
        missing.errno, missing.strerror, missing.filename = why.errno, why.strerror, why.filename
        error = missing
    error.__cause__ = why
    return error


def _os_error(path: str) -> OSError | None:
    try:
        os.stat(path)
    except OSError as why:
        # Without the frames that lead here.
        return why.with_traceback(None)
    if not os.access(path, os.R_OK):
        return PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    return None


def shutdown(error: Pan123Error) -> Pan123Error:
    """The error of an upload that was cancelled because its client was closed."""
    made = Shutdown(f"{error}: the client was closed")
    made.__dict__.update(vars(error), code=made.code, name=made.name)
    return made


def error_slot() -> Any:
    return ffi.new("pan123_error **")


def forked() -> Forked:
    return Forked("this object was made before fork; make a new pan123.Client in this process")
