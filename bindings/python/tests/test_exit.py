"""Programs that end in the middle of something, and handles that are dropped in any order."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from emulator import Emulator
from script import Script, run

HANG = {"faults": [{"on": "slice", "do": "hang"}]}

RUNNING = """
uploads = [client.start_upload(source, name=str(i)) for i, source in enumerate(
    [bytes(1 << 20), bytearray(3 << 20), Slow(2 << 20), os.environ["PAN123_PROGRAM"]])]
"""
THREAD = """
def work():
    client.upload(bytes(1 << 20), name="thread", progress=lambda p: started.set())
started = threading.Event()
threading.Thread(target=work, daemon=True).start()
started.wait()
"""
STUCK = """
started = threading.Event()
class Stuck:
    size = 1 << 20
    def read_at(self, offset, size):
        started.set()
        threading.Event().wait()
upload = client.start_upload(Stuck(), name="stuck")
started.wait()
"""
BROUGHT = """
inside = threading.Event()
def send(request):
    if "slice" in request.url:
        inside.set()
    return request.forward()
own = pan123.Client(base_url=os.environ["URL"], token_source=lambda refused: os.environ["TOKEN"], transport=send)
upload = own.start_upload(Slow(2 << 20), name="own")
inside.wait()
"""
HASHING = """
started = threading.Event()
class Endless:
    size = 1 << 40
    def read_at(self, offset, size):
        started.set()
        return bytes(size)
threading.Thread(target=lambda: pan123.hash(Endless()), daemon=True).start()
started.wait()
"""
BODIES = {"running": RUNNING, "thread": THREAD, "stuck": STUCK, "brought": BROUGHT, "hashing": HASHING}


ENDINGS = {
    "end": ("", 0),
    "exit": ("sys.exit(3)", 3),
    "_exit": ("os._exit(5)", 5),
    "kill": ("import signal; os.kill(os.getpid(), 15)", -15),
}
CASES = [(what, ending) for what in BODIES for ending in ENDINGS if what == "running" or ending in ("end", "exit")]


@pytest.mark.parametrize(("what", "ending"), CASES, ids=[f"{what}-{ending}" for what, ending in CASES])
def test_exit_in_the_middle(emulate: Callable[..., Emulator], what: str, ending: str) -> None:
    emulator = emulate(faults=HANG)
    words, code = ENDINGS[ending]
    returned, out, errors = Script(emulator, BODIES[what] + words).end(timeout=20)
    assert (returned, out) == (code, "")
    # A thread of the program's own may tell what ended its call.
    if what not in ("thread", "hashing"):
        assert errors == ""
    assert "Fatal" not in errors and "Segmentation" not in errors


def test_exit_again_and_again(emulate: Callable[..., Emulator]) -> None:
    emulator = emulate(faults=HANG)
    for _ in range(2):
        scripts = [Script(emulator, RUNNING + BROUGHT) for _ in range(4)]
        for script in scripts:
            assert script.end() == (0, "", "")


def test_finalizers_at_exit(emulator: Emulator) -> None:
    """Objects that live to the very end, in a cycle, with a finalizer that still uses the library."""
    body = """
    class Keeper:
        def __init__(self):
            self.me, self.client = self, client
            self.upload = client.start_upload(bytes(1 << 20), name="a")
        def __del__(self):
            try:
                self.client.upload(b"data", name="late")
            except pan123.Shutdown:
                print("shutdown")
    keeper = Keeper()
    keeper.upload.wait()
    """
    assert run(emulator, body) == "shutdown"


def test_dropped_in_any_order(emulate: Callable[..., Emulator]) -> None:
    emulator = emulate(faults={"behaviour": {"latency_ms": 5}})
    body = """
    import random
    client.close()
    options = dict(base_url=os.environ["URL"], access_token=os.environ["TOKEN"], vip_rates=True)
    chance = random.Random(7)
    import warnings
    warnings.simplefilter("ignore", ResourceWarning)
    for turn in range(60):
        things = [pan123.Client(**options)]
        for i in range(4):
            source = chance.choice([bytes(1 << 20), bytearray(1 << 20), Slow(1 << 20)])
            upload = things[0].start_upload(source, name=f"{turn}-{i}")
            things += [upload, upload.events(), source]
            del upload, source
        if chance.random() < 0.5:
            things.append(things)  # only the cycle collector finds these
        chance.shuffle(things)
        while things and chance.random() < 0.95:
            things.pop()
        del things
        if chance.random() < 0.2:
            gc.collect()
    gc.collect()
    print("alive")
    """
    assert run(emulator, body) == "alive"


def test_dropped_client_warns_and_cancels(emulate: Callable[..., Emulator]) -> None:
    emulator = emulate(faults=HANG)
    body = """
    upload = client.start_upload(bytes(1 << 20), name="a")
    import warnings
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del upload, client
        gc.collect()
    print([one.category.__name__ for one in caught], threading.active_count() <= 3)
    """
    assert run(emulator, body) == "['ResourceWarning'] True"
