"""asyncio: the same calls, and cancelled tasks."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from conftest import Numbers, md5, some_bytes
from emulator import MIB, Emulator

import pan123

DATA = some_bytes(3 * MIB - 5)
Start = Callable[..., Emulator]
HANG: dict[str, Any] = {"faults": [{"on": "slice", "do": "hang"}]}


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine, debug=True)


def test_uploads_side_by_side(emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "from-disk").write_bytes(DATA)
    seen: list[pan123.Progress] = []

    async def main() -> None:
        async with pan123.AsyncClient(**emulator.options()) as client:
            done = await asyncio.gather(
                client.upload(tmp_path / "from-disk", progress=seen.append),
                *(client.upload(some_bytes(MIB, seed), name=f"memory-{seed}") for seed in range(4)),
            )
            assert [one.size for one in done] == [len(DATA)] + 4 * [MIB]

    run(main())
    assert emulator.stored("from-disk") == DATA and len(emulator.stored_names()) == 5
    assert seen[-1].bytes_confirmed == len(DATA)


def test_buffer_is_let_go_of(emulator: Emulator) -> None:
    async def main() -> None:
        async with pan123.AsyncClient(**emulator.options()) as client:
            data = bytearray(DATA)
            await client.upload(data, name="a")
            data.clear()  # a BufferError while the library could still read it

    run(main())


def test_events_and_pause(emulate: Start) -> None:
    emulator = emulate(faults={"faults": [{"on": "slice", "slice_no": "2..", "do": "hang"}]})

    async def main() -> None:
        async with pan123.AsyncClient(**emulator.options()) as client:
            upload = await client.start_upload(DATA, name="a")
            kinds = []
            async for event in upload.events():
                kinds.append(event.kind)
                if event.kind == "SLICE":
                    upload.pause()
            assert kinds[-1] == "PAUSED"
            with pytest.raises(pan123.Paused):
                await upload.wait()
            state = upload.export()
            emulator.set_faults({})
            resumed = await client.resume(DATA, state)
            assert (await resumed.wait()).size == len(DATA)

    run(main())
    assert emulator.stored("a") == DATA and emulator.slices() == [1, 2, 3]


def test_slice_by_slice(emulator: Emulator) -> None:
    async def main() -> None:
        async with pan123.AsyncClient(**emulator.options()) as client:
            digests = await pan123.aio.hash(DATA, slice_size=MIB)
            created = await client.create("a", etag=digests.etag, size=digests.size)
            assert created.preupload_id is not None
            await asyncio.gather(
                *(
                    client.slice(created.servers[0], created.preupload_id, i + 1, DATA[i * MIB :][:MIB], md5=digest)
                    for i, digest in enumerate(digests.slices)
                )
            )
            assert (await client.complete(created.preupload_id)).completed
            server = (await client.domain())[0]
            assert (await client.single(server, "b", b"small", etag=md5(b"small"))).completed
            assert (await client.token()).value
            assert [one.size for one in await pan123.aio.hash_many([b"a", b"bc"])] == [1, 2]

    run(main())
    assert emulator.stored("a") == DATA and emulator.stored("b") == b"small"


def test_errors_come_out(emulator: Emulator) -> None:
    async def main() -> None:
        async with pan123.AsyncClient(**emulator.options()) as client:
            with pytest.raises(pan123.SourceError, match="not-there"):
                await client.upload("not-there")
            with pytest.raises(pan123.BadName):
                await client.upload(b"data", name="a:b")
        with pytest.raises(pan123.Shutdown):
            await client.upload(b"data", name="a")

    run(main())


@pytest.mark.parametrize("phase", ["sending", "hashing"])
def test_cancelled_task_cancels_its_upload(emulate: Start, phase: str) -> None:
    emulator = emulate(faults=HANG)

    async def main() -> None:
        async with pan123.AsyncClient(**emulator.options(progress_interval=0.01)) as client:
            reached = asyncio.Event()
            loop = asyncio.get_running_loop()

            class Slow(Numbers):
                def read_at(self, offset: int, size: int) -> bytes:
                    if phase == "hashing" and offset > 0:
                        loop.call_soon_threadsafe(reached.set)
                    return super().read_at(offset, size)

            def progress(now: pan123.Progress) -> None:
                if phase == "sending" and now.bytes_sent == now.bytes_total:
                    reached.set()

            task = asyncio.create_task(client.upload(Slow(3 * MIB), name="never", progress=progress))
            await reached.wait()
            began = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            took = time.monotonic() - began
            # Over, and not only given up: nothing runs any more.
            assert client._client._pump.running() == 0
            assert took <= 0.25

    run(main())
    assert emulator.stored_names() == []


def test_timeout_around_an_upload(emulate: Start) -> None:
    emulator = emulate(faults=HANG)

    async def main() -> None:
        async with pan123.AsyncClient(**emulator.options()) as client:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.upload(DATA, name="a"), 0.2)
            assert client._client._pump.running() == 0
            upload = await client.start_upload(DATA, name="b")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(upload.wait(), 0.01)
            assert not upload.done
            upload.cancel()
            with pytest.raises(pan123.Cancelled):
                await upload.wait()

    run(main())


def test_cancelled_request_ends(emulate: Start) -> None:
    emulator = emulate(faults={"faults": [{"on": "create", "do": "hang"}]})

    async def main() -> None:
        async with pan123.AsyncClient(**emulator.options()) as client:
            task = asyncio.create_task(client.create("a", etag=md5(b"a"), size=1))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.shield(task), 0.2)
            began = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - began <= 0.25

    run(main())


def test_task_group_cancels_the_others(emulate: Start) -> None:
    emulator = emulate(faults=HANG)

    async def main() -> None:
        async with pan123.AsyncClient(**emulator.options()) as client:
            uploads = [asyncio.create_task(client.upload(some_bytes(MIB, i), name=f"{i}")) for i in range(5)]
            uploads.append(asyncio.create_task(client.upload("not-there")))
            with pytest.raises(pan123.SourceError):
                await asyncio.gather(*uploads)
            for task in uploads:
                task.cancel()
            results = await asyncio.gather(*uploads, return_exceptions=True)
            assert all(isinstance(one, (asyncio.CancelledError, pan123.SourceError)) for one in results)
            assert client._client._pump.running() == 0

    run(main())


def test_upload_of_a_task_that_was_cancelled_while_it_began_is_over(emulate: Start) -> None:
    emulator = emulate(faults=HANG)
    reading, go_on = threading.Event(), threading.Event()

    class Slow(io.RawIOBase):
        left = DATA

        def read(self, size: int = -1) -> bytes:
            reading.set()
            go_on.wait(10)
            block, self.left = self.left[:size], self.left[size:]
            return block

    async def main() -> None:
        async with pan123.AsyncClient(**emulator.options()) as client:
            task = asyncio.create_task(client.upload(Slow(), name="a"))
            assert await asyncio.to_thread(reading.wait, 10)
            task.cancel()
            await asyncio.sleep(0)
            go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert client._client._pump.running() == 0

    run(main())


def test_one_client_in_two_loops(emulator: Emulator) -> None:
    client = pan123.AsyncClient(**emulator.options())

    async def once(name: str) -> None:
        await client.upload(DATA, name=name)

    run(once("first"))
    run(once("second"))
    run(client.close())
    assert emulator.stored_names() == ["first", "second"]


def test_cancelled_close(emulate: Start) -> None:
    emulator = emulate(faults=HANG)

    async def main() -> None:
        client = pan123.AsyncClient(**emulator.options())
        upload = await client.start_upload(DATA, name="a")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.close(cancel=False), 0.1)
        with pytest.raises(pan123.Stopped):
            await upload.wait()
        await client.close()

    run(main())
