"""Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from emulator import Emulator
from script import Script, run

FAULTS = {"faults": [{"on": "slice", "do": "hang"}, {"on": "domain", "do": "hang"}]}

UPLOAD = """
try:
    client.upload(bytes(1 << 20), name="a", progress=sent)
except KeyboardInterrupt:
    print("interrupted", client._pump.running(), flush=True)
"""

WAIT = """
upload = client.start_upload(bytes(1 << 20), name="a")
for _ in upload.events():
    if upload.progress().bytes_sent == 1 << 20:
        break
try:
    print("sent", flush=True)
    upload.wait()
except KeyboardInterrupt:
    upload.cancel()
    try:
        upload.wait()
    except pan123.Cancelled:
        print("interrupted", client._pump.running(), flush=True)
"""

CALL = """
try:
    print("sent", flush=True)
    client.domain()
except KeyboardInterrupt:
    print("interrupted 0", flush=True)
"""

HASH = """
class Endless:
    size = 1 << 40
    def read_at(self, offset, size):
        if offset == 0:
            print("sent", flush=True)
        return bytes(size)
try:
    pan123.hash(Endless())
except KeyboardInterrupt:
    print("interrupted 0", flush=True)
"""

CLOSE = """
upload = client.start_upload(bytes(1 << 20), name="a")
for _ in upload.events():
    if upload.progress().bytes_sent == 1 << 20:
        break
try:
    print("sent", flush=True)
    client.close(cancel=False)
except KeyboardInterrupt:
    client.close()
    print("interrupted 0", flush=True)
"""

ASYNC = """
async def main():
    # Making a client reads the system's certificates, of which asyncio's debug mode complains.
    asyncio.get_running_loop().slow_callback_duration = 10
    async with pan123.AsyncClient(base_url=os.environ["URL"], access_token=os.environ["TOKEN"], progress_interval=0.01) as client:
        try:
            await client.upload(bytes(1 << 20), name="a", progress=sent)
        finally:
            print("interrupted", client._client._pump.running(), flush=True)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
"""


@pytest.mark.parametrize(
    "body", [UPLOAD, WAIT, CALL, HASH, CLOSE, ASYNC], ids=["upload", "wait", "call", "hash", "close", "asyncio"]
)
def test_interrupt(emulate: Callable[..., Emulator], body: str) -> None:
    emulator = emulate(faults=FAULTS)
    script = Script(emulator, body)
    script.wait_for("sent")
    script.interrupt()
    began = time.monotonic()
    assert script.line() == "interrupted 0"
    took = time.monotonic() - began
    code, _, errors = script.end()
    assert (code, errors) == (0, "")
    assert took <= 1  # 250 ms, Python's own way from the signal to the line, and what else the machine has to do
    assert emulator.stored_names() == []


STORM = """
import random, signal
client.close()
signal.signal(signal.SIGALRM, signal.default_int_handler)
def threads():
    count = 0
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/comm") as name:
                count += name.read().strip() == "pan123-io"
        except OSError:
            pass
    return count
random.seed(1)
sources = [os.environ["FILE"], bytes(3 << 20), Slow(3 << 20)]
keep = pan123.Client(base_url=os.environ["URL"], access_token=os.environ["TOKEN"])
keep.domain()
before = threads()
interrupted = 0
for i in range(300):
    made = None
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00002, 0.003))
            if i % 3:
                keep.upload(sources[i % 3], name=f"a{i}", progress=(lambda p: None) if i % 2 else None)
            else:
                made = pan123.Client(base_url=os.environ["URL"], access_token=os.environ["TOKEN"])
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupted += 1
    if made is not None:
        made.close()
    if keep._pump.running():
        print("goes on unseen", i)
made = None
gc.collect()
end = time.monotonic() + 20
while (threads() > before or pan123._host.host().lent()) and time.monotonic() < end:
    threading.Event().wait(0.01)
print(interrupted > 50, threads() - before, pan123._host.host().lent())
keep.close()
"""


def test_interrupts_at_any_instant(
    emulate: Callable[..., Emulator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes on unseen, nothing is left, and nothing but KeyboardInterrupt comes out."""
    (tmp_path / "file").write_bytes(bytes(3 << 20))
    monkeypatch.setenv("FILE", str(tmp_path / "file"))
    emulator = emulate(faults={"faults": [{"on": "create", "do": "hang"}]})
    assert run(emulator, STORM) == "True 0 0"
