"""The client for asyncio. It has the same calls as `Client`, and cancelling a task cancels what it waits for."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from . import _client, _digests
from ._errors import TimedOut
from ._events import Event, Progress
from ._options import progress_argument
from ._results import Digests, Duplicate, Uploaded
from ._source import AnySource
from ._upload import Upload
from ._waiting import Call

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import ClientOptions

T = TypeVar("T")
P = ParamSpec("P")

#: How long a cancelled call may take to return; it goes on by itself after that.
_CANCEL_WAIT = 0.25


def _waker() -> tuple[asyncio.Event, Callable[[], None]]:
    """An event of the running loop, and what sets it from another thread."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(event.set)
        except RuntimeError:
            pass  # the loop is closed, and nobody waits any more

    return event, wake


async def _in_thread(call: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
    """Makes a call that waits. If the task is cancelled the call is stopped, and its result, should there be one, undone."""
    done, wake = _waker()
    made: Call[T] = Call(lambda stop: call())
    made.start(wake)
    try:
        await done.wait()
    except asyncio.CancelledError:
        made.fire()
        if undo is not None:
            made.when_done(undo)
        try:
            await asyncio.wait_for(done.wait(), _CANCEL_WAIT)
        except (asyncio.TimeoutError, asyncio.CancelledError):
            pass
        raise
    return made.result()


def _end(upload: Upload) -> None:
    """Cancels an upload that nobody gets, and waits for its end, which comes soon."""
    upload.cancel()
    upload._inbox.wait(upload._inbox.over, _CANCEL_WAIT)


class AsyncUpload:
    """An upload that was started by `AsyncClient.start_upload` or `AsyncClient.resume`."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def __repr__(self) -> str:
        return repr(self._upload).replace("Upload", "AsyncUpload", 1)

    def start(self) -> None:
        """Goes on after a pause."""
        self._upload.start()

    def cancel(self) -> None:
        """Ends it within 250 ms; returns at once."""
        self._upload.cancel()

    def pause(self) -> None:
        """Ends it as `cancel` does, and `start` goes on where it was."""
        self._upload.pause()

    @property
    def done(self) -> bool:
        """It is over, in whatever way; `wait` returns at once."""
        return self._upload.done

    def progress(self) -> Progress:
        """How far it is at this moment."""
        return self._upload.progress()

    def export(self) -> bytes:
        """Its state, for `AsyncClient.resume` in this process or another one."""
        return self._upload.export()

    async def wait(self) -> Uploaded:
        """Waits for the end and returns what was stored, or raises why it was not. Cancelling this wait, for example by
        `asyncio.wait_for`, leaves the upload as it is."""
        self._upload._client._alive()
        await self._until(self._upload._inbox.over)
        return self._upload._outcome()

    async def events(self) -> AsyncIterator[Event]:
        """What happens, up to the last event. As `Upload.events`."""
        self._upload._client._alive()
        inbox = self._upload._inbox
        while True:
            await self._until(lambda: inbox.events or inbox.over())
            with inbox.lock:
                if not inbox.events:
                    return
                event = inbox.events.popleft()
            yield event
            if event.last and self.done:
                return

    async def _until(self, condition: Callable[[], object]) -> None:
        inbox = self._upload._inbox
        changed, wake = _waker()
        with inbox.lock:
            inbox.listeners.append(wake)
        try:
            while not condition():
                await changed.wait()
                changed.clear()
        finally:
            with inbox.lock:
                inbox.listeners.remove(wake)

    async def _follow(self, progress: Callable[[Progress], object] | None) -> Uploaded:
        try:
            if progress is not None:
                async for _ in self.events():
                    progress(self.progress())
            return await self.wait()
        except GeneratorExit:
            self.cancel()
            raise
        except BaseException:
            self.cancel()
            await self._settle()
            raise

    async def _settle(self) -> None:
        """Waits for the last event, which comes soon after a cancel, whatever else happens to the task."""
        over = asyncio.ensure_future(self._until(self._upload._inbox.over))
        while not over.done():
            try:
                await asyncio.shield(over)
            except asyncio.CancelledError:
                continue


def _call(
    call: Callable[Concatenate[_client.Client, P], T],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """A call of `Client` as one of `AsyncClient`."""

    @functools.wraps(call)
    async def awaited(self: AsyncClient, /, *args: P.args, **given: P.kwargs) -> T:
        return await _in_thread(lambda: call(self._client, *args, **given))

    return awaited


class AsyncClient:
    """`Client` for asyncio: the same arguments and calls, of which those that wait are coroutines.

    Cancelling the task cancels the upload or request that it waits for, and the task ends when that has ended, within
    250 ms. One client may serve several event loops. Use it in `async with`, or await `close`. Making one reads the
    system's certificates, which takes some milliseconds.
    """

    def __init__(self, **options: Unpack[ClientOptions]) -> None:
        self._client = _client.Client(**options)

    def __repr__(self) -> str:
        return repr(self._client).replace("Client", "AsyncClient", 1)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        """Waits for what is under way; after an exception cancels it, and leaves after 250 ms."""
        if kind is None:
            await self.close(cancel=False)
            return
        try:
            await self.close(timeout=_CANCEL_WAIT)
        except TimedOut:
            pass  # the exception is what matters, and all is cancelled

    async def close(self, *, cancel: bool = True, timeout: float | None = None) -> None:
        """Ends the client and its threads: cancels what is under way, or waits for it if `cancel` is false. As
        `Client.close`."""
        try:
            await _in_thread(lambda: self._client.close(cancel=cancel, timeout=timeout))
        except asyncio.CancelledError:
            try:
                await _in_thread(lambda: self._client.close(timeout=_CANCEL_WAIT))
            except TimedOut:
                pass
            raise

    async def upload(
        self,
        source: AnySource,
        *,
        name: str | None = None,
        parent_id: int = 0,
        duplicate: Duplicate | None = None,
        contain_dir: bool | None = None,
        resume_key: str | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Uploaded:
        """Uploads a source and waits for the end. As `Client.upload`; `progress` is a plain function, called in the loop."""
        progress_argument(progress)
        upload = await self.start_upload(
            source,
            name=name,
            parent_id=parent_id,
            duplicate=duplicate,
            contain_dir=contain_dir,
            resume_key=resume_key,
        )
        try:
            return await upload._follow(progress)
        finally:
            if wait := upload._upload._let_go():
                await _in_thread(wait)

    async def start_upload(
        self,
        source: AnySource,
        *,
        name: str | None = None,
        parent_id: int = 0,
        duplicate: Duplicate | None = None,
        contain_dir: bool | None = None,
        resume_key: str | None = None,
    ) -> AsyncUpload:
        """Starts an upload and returns it. A stream is read to its end first, in a thread."""
        started = await _in_thread(
            lambda: self._client.start_upload(
                source,
                name=name,
                parent_id=parent_id,
                duplicate=duplicate,
                contain_dir=contain_dir,
                resume_key=resume_key,
            ),
            undo=_end,
        )
        return AsyncUpload(started)

    async def resume(self, source: AnySource, state: bytes, *, resume_key: str | None = None) -> AsyncUpload:
        """Starts an upload that goes on where another one stopped. As `Client.resume`."""
        started = await _in_thread(
            lambda: self._client.resume(source, state, resume_key=resume_key),
            undo=_end,
        )
        return AsyncUpload(started)

    token = _call(_client.Client.token)
    domain = _call(_client.Client.domain)
    create = _call(_client.Client.create)
    slice = _call(_client.Client.slice)
    complete = _call(_client.Client.complete)
    single = _call(_client.Client.single)


async def hash(source: AnySource, *, slice_size: int = 0, sha1: bool = False) -> Digests:
    """Digests of a source. As `pan123.hash`."""
    return await _in_thread(lambda: _digests.hash(source, slice_size=slice_size, sha1=sha1))


async def hash_many(sources: Iterable[AnySource], *, slice_size: int = 0, sha1: bool = False) -> list[Digests]:
    """Digests of several sources, computed side by side. As `pan123.hash_many`."""
    return await _in_thread(lambda: _digests.hash_many(sources, slice_size=slice_size, sha1=sha1))
