"""Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from emulator import Emulator
from script import Script

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
