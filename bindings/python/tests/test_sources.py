"""Everything that may be a source, and what bad ones get."""

from __future__ import annotations

import copy
import errno
import gzip
import io
import os
import pickle
import tarfile
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Numbers, some_bytes, until
from emulator import MIB, Emulator

import pan123

DATA = some_bytes(3 * MIB - 5)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: str(path),
        lambda path: path,
        lambda path: bytearray(DATA),
        lambda path: memoryview(DATA),
        lambda path: memoryview(b"xx" + DATA)[2:],
        lambda path: io.BytesIO(DATA),
        lambda path: open(path, "rb"),
        lambda path: open(path, "rb", buffering=0),
    ],
    ids=["str", "pathlib", "bytearray", "memoryview", "view", "BytesIO", "open", "raw"],
)
def test_kinds_of_sources(
    emulator: Emulator, client: pan123.Client, tmp_path: Path, make: Callable[[Path], Any]
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(DATA)
    source = make(path)
    client.upload(source, name="stored")
    assert emulator.stored("stored") == DATA
    if isinstance(source, io.IOBase):
        source.close()


def test_file_goes_by_its_own_name(emulator: Emulator, client: pan123.Client, tmp_path: Path) -> None:
    (tmp_path / "电影 1.mkv").write_bytes(DATA)
    with open(tmp_path / "电影 1.mkv", "rb") as file:
        client.upload(file)
    assert emulator.stored("电影 1.mkv") == DATA


def test_file_object_is_read_from_where_it_stands(emulator: Emulator, client: pan123.Client, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(DATA)
    with open(tmp_path / "a.bin", "rb") as file:
        file.seek(100)
        client.upload(file, name="rest-of-file")
    memory = io.BytesIO(DATA)
    memory.seek(7)
    client.upload(memory, name="rest-of-memory")
    assert emulator.stored("rest-of-file") == DATA[100:]
    assert emulator.stored("rest-of-memory") == DATA[7:]


def test_streams_are_copied_first_and_leave_nothing_behind(
    emulator: Emulator, client: pan123.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spool"))
    (tmp_path / "spool").mkdir()
    read_end, write_end = os.pipe()

    def write() -> None:
        with open(write_end, "wb") as out:
            out.write(DATA)

    writer = threading.Thread(target=write)
    writer.start()
    with open(read_end, "rb") as pipe:
        client.upload(pipe, name="pipe")
    writer.join()
    with gzip.open(tmp_path / "a.gz", "wb", compresslevel=0) as packed:
        packed.write(DATA)
    with gzip.open(tmp_path / "a.gz", "rb") as unpacked:
        client.upload(unpacked, name="unpacked")
    assert emulator.stored("pipe") == DATA and emulator.stored("unpacked") == DATA
    assert list((tmp_path / "spool").iterdir()) == []


class Flipped(io.BytesIO):
    """Gives other bytes than it holds, as one that decrypts does."""

    def read(self, size: int | None = -1, /) -> bytes:
        return bytes(byte ^ 1 for byte in super().read(size))


class FlippedFile(io.FileIO):
    def read(self, size: int | None = -1, /) -> bytes:
        return bytes(byte ^ 1 for byte in super().read(size) or b"")

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class Raw(io.RawIOBase):
    """A stream without a name."""

    def __init__(self) -> None:
        self._data = io.BytesIO(DATA)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return self._data.readinto(buffer)


def patched(path: Path) -> io.BytesIO:
    file = io.BytesIO(DATA)
    file.read = Flipped(DATA).read  # type: ignore[method-assign]
    return file


def member(path: Path) -> Any:
    with tarfile.open(path.with_suffix(".tar"), "w") as archive:
        archive.add(path, "a.bin")
    return tarfile.open(path.with_suffix(".tar")).extractfile("a.bin")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("make", "flipped"),
    [
        (lambda path: Flipped(DATA), True),
        (patched, True),
        (lambda path: FlippedFile(str(path)), True),
        (lambda path: io.BufferedReader(FlippedFile(str(path))), True),
        (lambda path: Raw(), False),
        (lambda path: io.BufferedReader(Raw()), False),
        (lambda path: io.BufferedReader(io.BytesIO(DATA)), False),
        (lambda path: io.BufferedRandom(io.BytesIO(DATA)), False),  # type: ignore[arg-type]
        (lambda path: tempfile.SpooledTemporaryFile(), None),
        (member, False),
    ],
    ids=[
        "BytesIO",
        "patched",
        "FileIO",
        "over FileIO",
        "raw",
        "over raw",
        "over BytesIO",
        "random",
        "spooled",
        "tar",
    ],
)
def test_file_object_is_what_it_reads(
    emulator: Emulator, client: pan123.Client, tmp_path: Path, make: Callable[[Path], Any], flipped: bool | None
) -> None:
    (tmp_path / "a.bin").write_bytes(DATA)
    file = make(tmp_path / "a.bin")
    if flipped is None:
        file.write(DATA)
        file.seek(0)
    client.upload(file, name="stored")
    assert emulator.stored("stored") == (bytes(byte ^ 1 for byte in DATA) if flipped else DATA)


def test_unwritten_buffer_of_a_file_is_part_of_it(emulator: Emulator, client: pan123.Client, tmp_path: Path) -> None:
    with open(tmp_path / "a.bin", "w+b") as file:
        file.write(b"not yet on disk")
        file.seek(0)
        client.upload(file, name="flushed")
    assert emulator.stored("flushed") == b"not yet on disk"


@pytest.mark.parametrize("bad", [None, 5, object(), io.StringIO("text")])
def test_no_source(client: pan123.Client, bad: Any) -> None:
    with pytest.raises(TypeError, match="source"):
        client.upload(bad, name="a")


def test_other_bad_sources(client: pan123.Client, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="name is needed"):
        client.upload(b"data")
    with pytest.raises(pan123.InvalidArgument, match="contiguous"):
        client.upload(memoryview(b"abcdef")[::2], name="a")
    with pytest.raises(pan123.SourceError, match=tmp_path.name):
        client.upload(tmp_path)
    with pytest.raises(pan123.Pan123Error, match="empty|0 bytes"):
        client.upload(b"", name="a")
    with pytest.raises(TypeError, match="parent_id|int"):
        client.upload(b"a", name="a", parent_id="0")  # type: ignore[arg-type]
    with open(tmp_path / "text", "w+") as text, pytest.raises(TypeError, match="binary"):
        client.upload(text, name="a")  # type: ignore[arg-type]


def test_source_that_raises_is_the_cause(emulator: Emulator, client: pan123.Client) -> None:
    class Broken(Numbers):
        def read_at(self, offset: int, size: int) -> bytes:
            raise ValueError("the tape is torn")

    with pytest.raises(pan123.HostError, match="the tape is torn") as caught:
        client.upload(Broken(MIB), name="a")
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(pan123.HostError, match="the tape is torn"):
        pan123.hash(Broken(MIB))
    assert emulator.stored_names() == []


def test_source_with_an_os_error(client: pan123.Client) -> None:
    class Gone(Numbers):
        def read_at(self, offset: int, size: int) -> bytes:
            raise PermissionError(13, "locked")

    with pytest.raises(pan123.SourceError, match="locked") as caught:
        client.upload(Gone(MIB), name="a")
    assert isinstance(caught.value.__cause__, PermissionError)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", pan123.SourceError),
        (b"x" * (9 * MIB), pan123.HostError),
        ("text", pan123.HostError),
        (None, pan123.HostError),
    ],
)
def test_source_that_answers_nonsense(client: pan123.Client, answer: Any, error: type[Exception]) -> None:
    class Nonsense(Numbers):
        def read_at(self, offset: int, size: int) -> bytes:
            return answer  # type: ignore[no-any-return]

    with pytest.raises(error):
        client.upload(Nonsense(MIB), name="a")


def test_source_that_stalls_fails_its_own_upload_only(emulator: Emulator) -> None:
    let_go = threading.Event()

    class Stuck(Numbers):
        def read_at(self, offset: int, size: int) -> bytes:
            let_go.wait()
            return super().read_at(offset, size)

    with pan123.Client(**emulator.options(source_timeout=0.1)) as client:
        stuck = client.start_upload(Stuck(MIB), name="stuck")
        client.upload(DATA, name="good")
        with pytest.raises(pan123.SourceStalled):
            stuck.wait()
        let_go.set()
    assert emulator.stored_names() == ["good"]


def test_call_that_waits_inside_a_source_is_refused(client: pan123.Client) -> None:
    class Reentrant(Numbers):
        def read_at(self, offset: int, size: int) -> bytes:
            client.token()
            return b""

    with pytest.raises(pan123.CallbackError, match="thread of your own") as caught:
        client.upload(Reentrant(MIB), name="a")
    assert isinstance(caught.value.__cause__, pan123.WouldDeadlock)


def test_buffer_is_let_go_of(client: pan123.Client) -> None:
    data = bytearray(DATA)
    client.upload(data, name="a")
    data.clear()  # a BufferError while the library could still read it


def test_buffer_cannot_shrink_under_an_upload(emulate: Callable[..., Emulator]) -> None:
    emulator = emulate(faults={"faults": [{"on": "slice", "do": "hang"}]})
    data = bytearray(DATA)
    with pan123.Client(**emulator.options()) as client:
        upload = client.start_upload(data, name="a")
        with pytest.raises(BufferError):
            data.clear()
        upload.cancel()
    del upload
    until(lambda: can_clear(data), "the library lets go of the bytes")


def can_clear(data: bytearray) -> bool:
    try:
        data.clear()
    except BufferError:
        return False
    return True


def test_hash() -> None:
    both = pan123.hash_many([b"abc", Numbers(MIB)], slice_size=1 << 19, sha1=True)
    assert [one.size for one in both] == [3, MIB]
    assert both[0].etag == "900150983cd24fb0d6963f7d28e17f72" and both[0].slices == (both[0].etag,)
    assert both[0].sha1 == "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert len(both[1].slices) == 2 and pan123.hash(Numbers(MIB)).sha1 is None
    assert pan123.hash_many([]) == []
    with pytest.raises(pan123.SourceError, match="not-there"):
        pan123.hash_many([b"abc", "not-there"])


def test_missing_file_is_what_python_calls_it(client: pan123.Client) -> None:
    for call in (lambda: client.upload("/no/such"), lambda: pan123.hash("/no/such")):
        with pytest.raises(FileNotFoundError, match="no such file") as caught:
            call()
        error = caught.value
        assert isinstance(error, pan123.SourceNotFound) and isinstance(error, pan123.SourceError)
        assert (error.errno, error.filename) == (errno.ENOENT, "/no/such") and error.strerror
        for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert (type(copied), str(copied), copied.errno) == (type(error), str(error), errno.ENOENT)
            assert vars(copied) == vars(error)
    with pytest.raises(pan123.SourceError) as other:
        client.upload("/etc/passwd/none", name="a")
    assert isinstance(other.value.__cause__, NotADirectoryError)


def test_what_is_pickled_keeps_its_text() -> None:
    error = pan123.TimedOut("not yet")
    for copied in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert (type(copied), str(copied), vars(copied)) == (pan123.TimedOut, "not yet", vars(error))


def test_paths_that_are_no_text(emulator: Emulator, client: pan123.Client, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9"
    with open(path, "wb") as file:
        file.write(b"coffee")
    client.upload(os.fsdecode(path), name="str")
    client.upload(Path(os.fsdecode(path)), name="path")
    names: list[str | bytes] = [path, os.fsdecode(path)]
    for i, name in enumerate(names):
        with open(name, "rb") as file:
            client.upload(file, name=f"file{i}")
        assert emulator.stored(f"file{i}") == b"coffee"
    assert emulator.stored("str") == emulator.stored("path") == b"coffee"
    with pytest.raises(pan123.InvalidArgument, match="name is not UTF-8"):
        client.upload(os.fsdecode(path))


def test_file_that_hides_its_size(emulator: Emulator, client: pan123.Client) -> None:
    with open("/proc/cpuinfo", "rb") as file:
        assert client.upload(file, name="cpu").size > 0
    assert emulator.stored("cpu").startswith(b"processor")


@pytest.mark.parametrize("buffering", [0, -1])
def test_stream_that_has_nothing_yet_is_not_at_its_end(
    emulator: Emulator, client: pan123.Client, buffering: int
) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.write(write_end, b"the first half")
    with open(read_end, "rb", buffering=buffering) as pipe, open(write_end, "wb"):
        with pytest.raises(BlockingIOError, match="non-blocking"):
            client.upload(pipe, name="a")
    assert emulator.stored_names() == []
