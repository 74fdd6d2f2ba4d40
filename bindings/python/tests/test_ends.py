"""What is left of an upload and of a client when they are over, and how long an end may take."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Numbers, some_bytes, until
from emulator import MIB, Emulator
from script import Script, run

import pan123

HANG = {"faults": [{"on": "slice", "slice_no": "2..", "do": "hang"}]}


def descriptors(prefix: str = "") -> int:
    """How many of this process lead to what begins so."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith(prefix)
        except OSError:
            pass  # the one of the listing itself
    return count


def test_upload_that_is_over_holds_no_file(emulate: Callable[..., Emulator], tmp_path: Path) -> None:
    emulator = emulate(faults=HANG)
    folder = tmp_path / "many"
    folder.mkdir()
    paths = [folder / str(i) for i in range(300)]
    for path in paths:
        path.write_bytes(path.name.encode())
    (folder / "large").write_bytes(some_bytes(3 * MIB))
    with pan123.Client(**emulator.options(vip_rates=True)) as client:
        uploads = []
        for path in paths:
            uploads.append(client.start_upload(path))
            # 128 stay open; a file that is just being read is opened before another one is closed for it.
            assert descriptors(str(folder)) <= 128 + 32
        assert [upload.wait().size for upload in uploads] == [len(path.name) for path in paths]
        until(lambda: descriptors(str(folder)) == 0, "the files are closed")
        assert uploads[0].progress().stage is pan123.Stage.DONE and uploads[0].progress().bytes_sent == 1
        with pytest.raises(pan123.WrongState):
            uploads[0].start()
        with pytest.raises(pan123.WrongState):
            uploads[0].export()
        uploads[0].cancel()
        uploads[0].pause()
        large = client.start_upload(folder / "large")
        for event in large.events():
            if event.kind == "SLICE":
                large.cancel()
        until(lambda: descriptors(str(folder)) == 0, "the file is closed")
        assert b"large" in large.export() and large.progress().slices_done == 1
        with pytest.raises(pan123.Cancelled, match="make a new one"):
            large.start()


def test_closed_clients_hold_nothing(emulate: Callable[..., Emulator], tmp_path: Path) -> None:
    emulator = emulate(faults=HANG)
    (tmp_path / "large").write_bytes(some_bytes(3 * MIB))
    before = descriptors()
    kept = []
    for i in range(5):
        client = pan123.Client(**emulator.options())
        client.upload(b"%d" % i, name=str(i))
        paused = client.start_upload(tmp_path / "large", name=f"paused {i}")
        for event in paused.events():
            if event.kind == "SLICE":
                paused.pause()
        client.close()
        kept.append((client, paused))
    until(lambda: descriptors() <= before, "all is closed")
    for client, paused in kept:
        assert b"paused" in paused.export()
        with pytest.raises(pan123.Shutdown):
            paused.start()
        with pytest.raises(pan123.Shutdown):
            client.token()


def test_close_ends_uploads_with_shutdown(emulate: Callable[..., Emulator]) -> None:
    client = pan123.Client(**emulate(faults=HANG).options())
    closed, own = (client.start_upload(some_bytes(3 * MIB, seed), name=str(seed)) for seed in (1, 2))
    own.cancel()
    with pytest.raises(pan123.Cancelled) as caught:
        own.wait()
    assert not isinstance(caught.value, pan123.Shutdown)
    client.close()
    with pytest.raises(pan123.Shutdown, match="client was closed") as caught:
        closed.wait()
    assert isinstance(caught.value, pan123.Cancelled) and caught.value.name == "SHUTDOWN"


class Stuck(Numbers):
    def __init__(self) -> None:
        super().__init__(MIB)
        self.entered, self.let_go = threading.Event(), threading.Event()

    def read_at(self, offset: int, size: int) -> bytes:
        self.entered.set()
        self.let_go.wait()
        return super().read_at(offset, size)


def test_close_gives_up_on_a_callback(emulator: Emulator) -> None:
    source = Stuck()
    client = pan123.Client(**emulator.options())
    client.start_upload(source, name="a")
    source.entered.wait()
    began = time.monotonic()
    with pytest.raises(pan123.TimedOut):
        client.close()
    assert 4 < time.monotonic() - began < 8
    source.let_go.set()
    client.close()
    with pytest.raises(ZeroDivisionError):
        with pan123.Client(**emulator.options()) as client:
            source = Stuck()
            client.start_upload(source, name="b")
            source.entered.wait()
            began = time.monotonic()
            raise ZeroDivisionError
    assert time.monotonic() - began < 1
    source.let_go.set()
    client.close()


def test_interrupt_gets_out_while_a_callback_blocks(emulator: Emulator) -> None:
    script = Script(
        emulator,
        """
        class Stuck:
            size = 3 << 20
            def read_at(self, offset, size):
                print("reading", flush=True)
                time.sleep(60)
        try:
            with client:
                client.upload(Stuck(), name="a")
        except KeyboardInterrupt:
            print("out", flush=True)
        """,
    )
    script.wait_for("reading")
    script.interrupt()
    began = time.monotonic()
    script.wait_for("out")
    assert time.monotonic() - began < 1.5
    code, _, errors = script.end()
    assert (code, errors) == (0, "") and time.monotonic() - began < 5


def test_exit_is_not_delayed_more_by_more_clients(emulator: Emulator) -> None:
    began = time.monotonic()
    run(
        emulator,
        """
        go = threading.Event()
        clients = [pan123.Client(base_url=os.environ["URL"], access_token=os.environ["TOKEN"]) for _ in range(40)]
        uploads = [one.start_upload(Slow(3 << 20, go), name="x") for one in clients]
        calls = [threading.Thread(target=lambda: pan123.hash(Slow(3 << 20, go)), daemon=True) for _ in range(3)]
        for call in calls:
            call.start()
        time.sleep(0.2)
        """,
    )
    assert time.monotonic() - began < 6


def test_child_of_a_fork(emulate: Callable[..., Emulator]) -> None:
    run(
        emulate(faults=HANG),
        """
        upload = client.start_upload(bytes(3 << 20), name="parent")
        child = os.fork()
        if child == 0:
            for call in (upload.cancel, upload.pause):
                try:
                    call()
                    os._exit(1)
                except pan123.Forked:
                    pass
            assert "before fork" in repr(upload) and "running" not in repr(upload)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert "running" in repr(upload)
        client.close()
        """,
        "-Wignore::DeprecationWarning",
    )
