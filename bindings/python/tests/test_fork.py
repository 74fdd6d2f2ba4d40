"""fork, by hand and by multiprocessing, while an upload runs."""

from __future__ import annotations

from collections.abc import Callable

from emulator import MIB, Emulator
from script import run

#: Python 3.12 and later warn of every fork in a process with threads.
QUIET = "-Wignore::DeprecationWarning"


def test_fork_while_uploads_run(emulate: Callable[..., Emulator]) -> None:
    emulator = emulate(faults={"faults": [{"on": "slice", "do": {"delay": {"ms": 300}}}]})
    body = """
    from pan123 import _host
    data = bytes(range(256)) * (3 << 12)
    upload = client.start_upload(data, name="parent")
    own = client.start_upload(Slow(1 << 20), name="own")
    calls = {
        "wait": upload.wait, "events": lambda: next(upload.events()), "progress": upload.progress, "export": upload.export,
        "start": upload.start, "cancel": upload.cancel, "pause": upload.pause, "done": lambda: upload.done, "upload": lambda: client.upload(b"a", name="a"),
        "token": client.token, "create": lambda: client.create("a", etag="0" * 32, size=1),
        "slice": lambda: client.slice("http://127.0.0.1:1", "p", 1, b"a"), "complete": lambda: client.complete("p"),
        "resume": lambda: client.resume(b"a", b"b"),
    }
    for _ in range(10):
        child = os.fork()
        if child == 0:
            for name, call in calls.items():
                try:
                    call()
                    os._exit(1)
                except pan123.Forked as error:
                    assert "make a new pan123.Client" in str(error)
            client.close()
            del upload, own
            gc.collect()
            with pan123.Client(base_url=os.environ["URL"], access_token=os.environ["TOKEN"]) as new:
                assert new.upload(Slow(10), name="child", duplicate=pan123.Duplicate.KEEP_BOTH).size == 10
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    assert upload.wait().size == 3 << 20 and own.wait().size == 1 << 20
    client.close()
    """
    run(emulator, body, QUIET)
    assert emulator.stored("parent") == bytes(range(256)) * (3 << 12)
    assert emulator.stored("own") == bytes(MIB)


def test_child_that_ends_like_a_program(emulate: Callable[..., Emulator]) -> None:
    """`sys.exit` in the child runs the exit handlers of the parent's modules there."""
    emulator = emulate(faults={"faults": [{"on": "slice", "do": {"delay": {"ms": 200}}}]})
    body = """
    upload = client.start_upload(Slow(2 << 20), name="parent")
    child = os.fork()
    if child == 0:
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert upload.wait().size == 2 << 20
    """
    run(emulator, body, QUIET)
    assert emulator.stored_names() == ["parent"]


def test_multiprocessing(emulate: Callable[..., Emulator]) -> None:
    emulator = emulate(faults={"faults": [{"on": "slice", "do": {"delay": {"ms": 200}}}]})
    body = """
    import multiprocessing
    upload = client.start_upload(Slow(2 << 20), name="parent")
    def shared(number):
        try:
            client.upload(b"x", name="x")
        except pan123.Forked as error:
            return error
    def own(number):
        with pan123.Client(base_url=os.environ["URL"], access_token=os.environ["TOKEN"]) as mine:
            return mine.upload(bytes([number]) * 100, name=f"child-{number}")
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert all(isinstance(error, pan123.Forked) for error in pool.map(shared, range(3)))
        assert [done.size for done in pool.map(own, range(3))] == [100] * 3
    assert upload.wait().size == 2 << 20
    client.close()
    """
    run(emulator, body, QUIET)
    assert emulator.stored_names() == ["child-0", "child-1", "child-2", "parent"]
