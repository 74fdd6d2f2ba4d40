"""What an upload from the program's own byte source, and small calls, cost in Python:
cost.py upload BYTES | slices COUNT | hash COUNT. `cargo xtask bench bindings` runs it.
"""

from __future__ import annotations

import os
import random
import sys
import time

import pan123

BLOCK_BYTES = 64 << 20
SLICE_BYTES = 4096
HASH_BYTES = 1024


class Block:
    """As many bytes as are wanted, from a block of them over and over."""

    def __init__(self, block: bytes, size: int) -> None:
        self.block = memoryview(block)
        self.size = size

    def read_at(self, offset: int, size: int) -> bytes | memoryview:
        start = offset % len(self.block)
        if start + size <= len(self.block):
            return self.block[start : start + size]
        return bytes(self.block[start:]) + bytes(self.block[: start + size - len(self.block)])


class Watch:
    """Takes the time, and what of it the CPU spent on this process."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        print(f'{{"wall_s":{wall:.9f},"cpu_s":{cpu:.9f}}}')


def client() -> pan123.Client:
    return pan123.Client(
        base_url=os.environ["PAN123_BASE_URL"], access_token=os.environ["PAN123_ACCESS_TOKEN"], slices_in_flight=8
    )


def upload(block: bytes, size: int) -> None:
    with client() as made:
        watch = Watch()
        made.upload(Block(block, size), name="cost")
        watch.stop()


def slices(block: bytes, count: int) -> None:
    with client() as made:
        created = made.create("cost", etag="0123456789abcdef0123456789abcdef", size=count * SLICE_BYTES)
        assert created.preupload_id is not None
        view = memoryview(block)
        watch = Watch()
        for i in range(count):
            data = view[i * SLICE_BYTES : (i + 1) * SLICE_BYTES]
            made.slice(created.servers[0], created.preupload_id, i + 1, data)
        watch.stop()


def hashes(block: bytes, count: int) -> None:
    view = memoryview(block)
    watch = Watch()
    for i in range(count):
        start = i * HASH_BYTES % (BLOCK_BYTES - HASH_BYTES)
        assert len(pan123.hash(view[start : start + HASH_BYTES]).etag) == 32
    watch.stop()


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("upload", "slices", "hash"):
        sys.exit(f"usage: {__doc__}")
    case = {"upload": upload, "slices": slices, "hash": hashes}[sys.argv[1]]
    case(random.Random(1).randbytes(BLOCK_BYTES), int(sys.argv[2]))
