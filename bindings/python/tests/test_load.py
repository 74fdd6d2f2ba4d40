"""Many uploads at once: nothing leaks, and everything that is cancelled ends."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

from conftest import Numbers, some_bytes, until
from emulator import MIB, Emulator

import pan123

Start = Callable[..., Emulator]


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    ctypes.CDLL(None).malloc_trim(0)  # what the C library keeps for later is no leak
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def one_round(emulator: Emulator, number: int, path: Path) -> None:
    """20 uploads: of files, bytes, and Python objects; finished, cancelled, failed and forgotten."""
    with pan123.Client(**emulator.options(vip_rates=True)) as client:
        sources: list[pan123.AnySource] = [path, bytes(3 * MIB), bytearray(2 * MIB), Numbers(MIB // 4)]
        uploads = [client.start_upload(sources[i % 4], name=f"{number}-{i}") for i in range(20)]
        for upload in uploads[::3]:
            upload.cancel()
        for upload in uploads[:-2]:
            try:
                upload.wait()
            except pan123.Cancelled:
                pass
        del upload, uploads
        try:
            client.upload("not-there")
        except pan123.SourceError:
            pass
        pan123.hash_many([path, b"x" * MIB])


def test_nothing_leaks(emulate: Start, tmp_path: Path) -> None:
    emulator = emulate(keep=False)
    path = tmp_path / "a"
    path.write_bytes(some_bytes(2 * MIB))
    for number in range(4):
        one_round(emulator, number, path)
    gc.collect()
    until(lambda: not host_threads(), "the threads for host objects end")
    before = threads(), descriptors(), resident()
    for number in range(4, 16):
        one_round(emulator, number, path)
    gc.collect()
    until(lambda: not host_threads(), "the threads for host objects end")
    until(lambda: threads() <= before[0], f"no more threads than {before[0]}; there are {threads()}")
    assert descriptors() <= before[1]
    # A single forgotten buffer of 3 MiB a round would be 36 MiB; the allocator's own unrest is less than half of that.
    assert resident() - before[2] < 25 * MIB, f"{(resident() - before[2]) / MIB:.1f} MiB more"


def host_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("pan123")]


def test_cancel_storm(emulate: Start) -> None:
    emulator = emulate(faults={"behaviour": {"latency_ms": 3}}, keep=False)
    chance = random.Random(5)
    longest = 0.0
    with pan123.Client(**emulator.options(vip_rates=True)) as client:
        uploads = [
            client.start_upload(Numbers(MIB // 8) if i % 4 == 0 else bytes(MIB + i), name=str(i)) for i in range(200)
        ]
        chance.shuffle(uploads)
        gate = threading.Barrier(4)

        def storm(mine: list[pan123.Upload]) -> None:
            gate.wait()
            for upload in mine:
                for _ in range(3):
                    upload.cancel()

        stormers = [threading.Thread(target=storm, args=(uploads[i::3],)) for i in range(3)]
        for thread in stormers:
            thread.start()
        gate.wait()
        began = time.monotonic()
        ends = {"stored": 0, "cancelled": 0}
        for upload in uploads:
            try:
                upload.wait(timeout=30)
                ends["stored"] += 1
            except pan123.Cancelled:
                ends["cancelled"] += 1
        longest = time.monotonic() - began
        for thread in stormers:
            thread.join()
        for upload in uploads:
            events = [event for event in upload.events()]
            assert [event.last for event in events].count(True) == 1 and events[-1].last
    assert sum(ends.values()) == 200 and ends["cancelled"] > 150, ends
    assert longest < 5, ends


def test_cancel_storm_of_tasks(emulate: Start) -> None:
    emulator = emulate(faults={"faults": [{"on": "slice", "do": "hang"}]})

    async def main() -> None:
        chance = random.Random(6)
        async with pan123.AsyncClient(**emulator.options(vip_rates=True)) as client:
            tasks = [asyncio.create_task(client.upload(bytes(MIB), name=str(i))) for i in range(100)]
            for task in chance.sample(tasks, len(tasks)):
                task.cancel()
                if chance.random() < 0.3:
                    await asyncio.sleep(0)  # lets the others run
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ends)
            # A task that was cancelled before its upload began leaves that to its thread.
            await asyncio.to_thread(until, lambda: client._client._pump.running() == 0, "all uploads end")

    asyncio.run(main())
    assert emulator.stored_names() == []


def test_many_threads_use_one_client(emulator: Emulator) -> None:
    failures: list[BaseException] = []
    with pan123.Client(**emulator.options(vip_rates=True)) as client:

        def work(number: int) -> None:
            try:
                data = some_bytes(MIB + number, number)
                done = client.upload(Numbers(100 + number) if number % 2 else data, name=str(number))
                assert done.file_id and pan123.hash(data).size == len(data)
            except BaseException as error:
                failures.append(error)

        workers = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert failures == [] and len(emulator.stored_names()) == 16
