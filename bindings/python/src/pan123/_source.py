"""Sources: what can be uploaded or hashed, made into what the library reads."""

from __future__ import annotations

import errno
import io
import math
import mmap
import os
import stat
import tempfile
from collections.abc import Callable
from typing import Any, Protocol, Union, runtime_checkable

from . import _errors, _waiting
from ._host import Failures, Memory, host
from ._library import bridge, ffi, lib


@runtime_checkable
class ByteSource(Protocol):
    """A source of your own: bytes of a known size that can be read at any offset.

    `read_at` comes on several threads at once, threads of Python's. It may block, for at most the client's
    `source_timeout`. Fewer bytes than asked for mean that the source has become shorter, which fails the upload.
    """

    @property
    def size(self) -> int: ...

    def read_at(self, offset: int, size: int) -> bytes | bytearray | memoryview: ...


class ByteStream(Protocol):
    """Anything that gives bytes one after the other, until it gives none: a binary file object, in short."""

    def read(self, size: int, /) -> bytes: ...


Buffer = Union[bytes, bytearray, memoryview]
#: A path; bytes in memory; a binary file object, from where it stands to its end; or a `ByteSource`.
#:
#: A plain file that stands at its start is opened again by its path, and may be closed meanwhile; if it is unlinked or
#: replaced before it is read, that is `SourceNotFound` or `SourceChanged`. Such a file and an `io.BytesIO` stay where
#: they stand; any other file object is read to its end first, into a temporary file.
AnySource = Union[str, "os.PathLike[str]", "os.PathLike[bytes]", Buffer, ByteStream, ByteSource]


class Source:
    """A source of the library's. Uploads and calls that use it keep a reference of their own."""

    def __init__(self, handle: Any, name: str | None, failures: Failures, memory: Memory | None = None) -> None:
        self.handle = handle
        #: How many bytes there are, if they are at hand; else as many as there can be.
        self.quick_len: float = math.inf
        #: The buffer that the library reads, if there is one that may be wanted back.
        self.memory = memory
        #: What the file is called, if that is known.
        self.name = name
        #: What the object behind it raised.
        self.failures = failures


def open_source(source: AnySource) -> Source:
    """Makes a source of anything that can be one. May read a whole stream."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_memory(source)
    if isinstance(source, (str, os.PathLike)):
        return _from_path(os.fsencode(source), _base_name(source))
    if isinstance(source, ByteSource):
        return _from_object(source)
    if callable(getattr(source, "read", None)):
        return _from_file(source)
    raise TypeError(
        "a source is a path, bytes, a binary file object, or an object with size and read_at(offset, size), "
        f"not {type(source).__name__}"
    )


def _base_name(path: Any) -> str:
    return os.path.basename(os.fsdecode(path))


def _from_path(path: bytes, name: str | None) -> Source:
    try:
        made = _waiting.whole(lambda: _make(lambda out, err: lib.pan123_source_from_path(path, len(path), out, err)))
    except _errors.SourceError as error:
        raise _errors.of_path(error, path) from error.__cause__
    return Source(made, name, Failures())


def _from_memory(data: Any) -> Source:
    view = memoryview(data)
    if not view.c_contiguous:
        raise _errors.InvalidArgument("a memoryview has to be contiguous to be a source")
    # from_buffer holds the object's buffer: a bytearray cannot be resized meanwhile.
    buffer = ffi.from_buffer(view)
    memory = Memory(buffer)

    def make() -> Any:
        ctx = host().lend(memory)
        release = ffi.addressof(bridge, "bridge_release")
        return _make(lambda out, err: lib.pan123_source_from_memory(buffer, len(buffer), release, ctx, out, err))

    made = _waiting.whole(make)
    source = Source(made, None, Failures(), None if isinstance(data, bytes) else memory)
    source.quick_len = len(buffer)
    return source


def _from_object(thing: ByteSource) -> Source:
    size = thing.size
    if not isinstance(size, int) or size < 0:
        raise _errors.InvalidArgument(f"the size of a source is a number from 0 on, not {size!r}")
    failures = Failures()
    reader = _Reader(thing.read_at, failures)

    def make() -> Any:
        ctx = host().lend(reader)
        return _make(lambda out, err: lib.pan123_source_new(bridge.bridge_source(), ctx, size, out, err))

    made = _waiting.whole(make)
    name = getattr(thing, "name", None)
    return Source(made, name if isinstance(name, str) else None, failures)


class _Reader:
    """Answers `read_at`."""

    def __init__(self, read_at: Callable[[int, int], Any], failures: Failures) -> None:
        self._read_at = read_at
        self.failures = failures

    def answer(self, op: Any) -> int:
        try:
            data = memoryview(self._read_at(op.offset, op.len)).cast("B")
        except OSError as error:
            raise _errors.SourceError(f"{type(error).__name__}: {error}") from error
        if len(data) > op.len:
            raise ValueError(f"read_at returned {len(data)} bytes where {op.len} were asked for")
        ffi.memmove(op.buf, data, len(data))
        return len(data)


def _from_file(file: Any) -> Source:
    name = _name_of(file)
    if isinstance(file, io.TextIOBase):
        raise TypeError("a source gives bytes: open the file in binary mode")
    if _is_just(file, io.BytesIO):
        # Not getbuffer(): while that is held the file cannot even be closed.
        source = _from_memory(memoryview(file.getvalue())[file.tell() :])
        source.name = name
        return source
    path = _whole_file_on_disk(file)
    if path is not None:
        return _from_path(path, name)
    return _spooled(file, name)


def _name_of(file: Any) -> str | None:
    name = getattr(file, "name", None)
    return _base_name(name) if isinstance(name, (str, bytes)) and name else None


def _is_just(file: Any, *types: type) -> bool:
    """It is one of these and nothing more: what it holds is what its `read` gives."""
    return type(file) in types and "read" not in vars(file) and "readinto" not in vars(file)


def _whole_file_on_disk(file: Any) -> bytes | None:
    """The path of a file object that stands at the start of a regular file which still has that path."""
    raw = file.raw if _is_just(file, io.BufferedReader, io.BufferedRandom) else file
    if not _is_just(raw, io.FileIO) or not raw.readable():
        return None
    if not isinstance(file.name, (str, bytes)) or not file.seekable() or file.tell() != 0:
        return None
    file.flush()
    path = os.fsencode(file.name)
    try:
        at_path, opened = os.stat(path), os.fstat(file.fileno())
    except OSError:
        return None
    # Files under /proc have no size, and yet content.
    is_file = stat.S_ISREG(opened.st_mode) and opened.st_size > 0
    return path if is_file and os.path.samestat(at_path, opened) else None


def _spooled(file: Any, name: str | None) -> Source:
    """Copies what is left of a stream into a file without a name: its MD5 has to be known before the first byte goes."""
    with tempfile.TemporaryFile(prefix="pan123-") as copy:
        while True:
            block = file.read(1 << 20)
            if block is None:
                raise BlockingIOError(
                    errno.EAGAIN,
                    "the source is a non-blocking stream and has no bytes yet; "
                    "make it blocking (os.set_blocking), or read it to its end and give the bytes",
                )
            if not isinstance(block, (bytes, bytearray, memoryview)):
                raise TypeError(f"a source gives bytes, and read() of this one gives {type(block).__name__}")
            if not block:
                break
            copy.write(block)
        copy.flush()
        if copy.tell() == 0:
            source = _from_memory(b"")
        else:
            source = _from_memory(mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ))
    source.name = name
    return source


def _make(call: Callable[[Any, Any], int]) -> Any:
    out, slot = ffi.new("pan123_source **"), _errors.error_slot()
    _errors.check(call(out, slot), slot)
    return ffi.gc(out[0], lib.pan123_source_free)
