"""The client."""

from __future__ import annotations

import atexit
import itertools
import math
import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _errors, _host, _waiting
from ._bring import TokenCallee, TransportCallee
from ._events import Inbox, Progress, Pump
from ._handle import Handle
from ._host import Failures, host, refuse_inside_callback
from ._library import bridge, ffi, lib
from ._options import CLIENT, UPLOAD, add_plugin, number_argument, options, plain_function, progress_argument, text_argument
from ._results import Completed, Created, Duplicate, Result, Token, Uploaded
from ._source import AnySource, Source, open_source
from ._upload import Upload
from ._waiting import Stop

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import ClientOptions


class Client:
    """One account of the service, with its limits, connections and threads. Make one and use it for all uploads.

    It may be used by all threads at once, and asyncio programs use `AsyncClient`. Use it in a `with` statement or call
    `close`; a client that is let go of cancels what it has under way.

    The token comes from one of: `access_token`; `client_id` with `client_secret`, and then set `token_cache`, a
    directory, since the service allows only three tokens at a time; `token_source`, a function. An app that a user has
    authorised (OAuth2) adds that user's `refresh_token`; the token cache is then a must, since it keeps the next one.

    Other arguments, all optional. Times are in seconds.

    * `base_url`, `user_agent`, `proxy`, `ca_file`: where requests go, and how. `plain_http` lets the token go over `http://`
      to any host.
    * `state_dir`: a directory for what a resume after a crash needs.
    * `slices_in_flight` (0: as many as the link carries), `bytes_per_sec`, `vip_rates` (of a paying account): limits.
    * `retry_for` (60): how long to keep trying when nothing gets through; 0 is one try.
    * `source_timeout` (30): how long one `read_at` may take. `progress_interval` (0.2): how often progress is told.
    * `transport`: a function that sends the requests. `plugins`: pairs of a plugin's absolute path and its
      configuration.
    """

    def __init__(self, **given: Unpack[ClientOptions]) -> None:
        _host.refuse_at_the_end()
        _waiting.whole(lambda: self._make(given))

    def _make(self, given: Any) -> None:
        token_source, transport = given.pop("token_source", None), given.pop("transport", None)
        plugins = given.pop("plugins", ())
        chosen = options(CLIENT, given)
        for plugin in plugins:
            if isinstance(plugin, str) or len(plugin) != 2:
                raise TypeError(f"plugins: pairs of a path and a configuration, not {plugin!r}")
            add_plugin(chosen, *plugin)
        self._failures = Failures()
        tokens = self._brought("tokens", token_source, TokenCallee)
        layers = self._brought("transport", transport, TransportCallee)
        out, slot = ffi.new("pan123_client **"), _errors.error_slot()
        self._pump = Pump()
        try:
            status = lib.pan123_client_new(chosen, tokens, layers, ffi.NULL, self._pump.queue, out, slot)
            _errors.check(status, slot)
        except BaseException:
            self._pump.end(None)
            raise
        self._native = Handle(out[0], lib.pan123_client_free)
        self._numbers = itertools.count(1)
        self._pid = os.getpid()
        self._closed = False
        self._closing = False
        self._paused: weakref.WeakSet[Upload] = weakref.WeakSet()
        self._paused_lock = threading.RLock()
        _clients.add(self)
        self._finalizer = weakref.finalize(self, _let_go, self._native, self._pump, self._pid)
        self._finalizer.atexit = False

    def _brought(self, what: str, thing: Any, callee: Any) -> Any:
        if thing is None:
            return ffi.NULL
        plain_function("token_source" if what == "tokens" else what, thing)
        ctx = host().lend(callee(thing, self._failures))
        out, slot = ffi.new(f"pan123_{what} **"), _errors.error_slot()
        if what == "tokens":
            status = lib.pan123_tokens_new(bridge.bridge_tokens(), ctx, out, slot)
        else:
            status = lib.pan123_transport_new(ffi.NULL, bridge.bridge_transport(), ctx, out, slot)
        _errors.check(status, slot)
        return ffi.gc(out[0], getattr(lib, f"pan123_{what}_free"))

    def __repr__(self) -> str:
        if self._pid != os.getpid():
            return "<pan123.Client made before fork>"
        return f"<pan123.Client {'closed' if self._closed else f'{self._pump.running()} running'}>"

    def __copy__(self) -> Client:
        raise TypeError("a pan123.Client cannot be copied; use the same one, which all threads may")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Waits for what is under way; after an exception cancels it, and leaves after 250 ms even if something of the
        program's, a `read_at` for example, has not returned by then."""
        if kind is None:
            self.close(cancel=False)
            return
        try:
            self.close(timeout=_LEAVE_S)
        except _errors.TimedOut:
            pass  # the exception is what matters, and all is cancelled

    def close(self, *, cancel: bool = True, timeout: float | None = None) -> None:
        """Ends the client, its threads and its connections: cancels what is under way, or waits for it if `cancel` is
        false. Uploads and calls that it cancels raise `Shutdown`, as does all that is begun afterwards; what became of
        uploads can still be asked for.

        Raises `TimedOut` after `timeout` seconds, when a source, transport or token source does not return; what was
        under way is over all the same, and it may be called again. Without a `timeout` that is 5 seconds, or, if `cancel`
        is false, when all uploads are over, however long that takes.
        """
        refuse_inside_callback()
        if self._pid != os.getpid():
            return
        until = time.monotonic() + (timeout if timeout is not None else _CLOSE_S if cancel else math.inf)
        self._closing = self._closing or cancel
        with self._native.use() as handle:
            if handle is None:
                return
            while True:
                # Signals are handled between two turns.
                left_ms = round(max(0, min(100, (until - time.monotonic()) * 1000)))
                slot = _errors.error_slot()
                status = lib.pan123_client_shutdown(handle, 1 if cancel else 0, left_ms, slot)
                if status != lib.PAN123_E_TIMEOUT or time.monotonic() >= until:
                    break
                lib.pan123_error_free(slot[0])
            _errors.check(status, slot)
        self._finalizer.detach()
        self._closed = True
        self._pump.end(None if timeout == 0 else 5)
        with self._paused_lock:
            paused = list(self._paused)
        for upload in paused:
            upload._release()
        self._native.let_go()

    def _remember_paused(self, upload: Upload) -> None:
        """It holds the library's client as long as it can go on."""
        with self._paused_lock:
            self._paused.add(upload)

    def upload(
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
        """Uploads a source and waits for the end.

        * `source`: what is not empty, since the service takes no files of 0 bytes: a path; bytes; a binary file object, from where it stands to its end; or an object with `size` and
          `read_at(offset, size)`.
        * `name`: what the file is called at the service. Default: the source's own name, if it has one.
        * `parent_id`: the folder; 0 is the root. With `contain_dir`, `name` is a path from there on, and the service
          makes missing folders.
        * `duplicate`: what happens when the name is taken. Default: the service refuses.
        * `resume_key`: names a source that is no file on disk, so that `state_dir` finds its upload in another run.
        * `progress`: called on this thread every now and then, and at the end.

        Anything that interrupts it, `KeyboardInterrupt` too, cancels the upload, and it returns when that is over.
        """
        progress_argument(progress)
        begun = _Begun(self._beginning(source, name, parent_id, duplicate, contain_dir, resume_key))
        try:
            return begun.now()._follow(progress)
        except BaseException:
            begun.end()
            raise
        finally:
            if begun.upload is not None and (wait := begun.upload._let_go()):
                wait()

    def start_upload(
        self,
        source: AnySource,
        *,
        name: str | None = None,
        parent_id: int = 0,
        duplicate: Duplicate | None = None,
        contain_dir: bool | None = None,
        resume_key: str | None = None,
    ) -> Upload:
        """Starts an upload and returns it. Arguments as of `upload`."""
        return _Begun(self._beginning(source, name, parent_id, duplicate, contain_dir, resume_key)).or_end()

    def _beginning(
        self,
        source: AnySource,
        name: str | None,
        parent_id: int,
        duplicate: Duplicate | None,
        contain_dir: bool | None,
        resume_key: str | None,
    ) -> Callable[[], Upload]:
        """Makes all ready. What is returned begins the upload."""
        self._alive()
        chosen = options(UPLOAD, {"duplicate": duplicate, "contain_dir": contain_dir, "resume_key": resume_key})
        opened = open_source(source)
        named = name if name is not None else opened.name
        if named is None:
            raise TypeError("name is needed: this source has none of its own")
        words = text_argument("name", named)

        def new(client: Any, number: int, out: Any, slot: Any) -> int:
            return int(
                lib.pan123_upload_new(
                    client,
                    opened.handle,
                    number_argument("parent_id", parent_id, -(2**63), 2**63),
                    words,
                    len(words),
                    chosen,
                    number,
                    out,
                    slot,
                )
            )

        return lambda: self._start(new, opened)

    def resume(self, source: AnySource, state: bytes, *, resume_key: str | None = None) -> Upload:
        """Starts an upload that goes on where another one stopped. `state` is from `Upload.export`, and says where the
        file goes. If the source is not the same any more the upload starts over."""
        self._alive()
        chosen = options(UPLOAD, {"resume_key": resume_key})
        opened = open_source(source)

        def new(client: Any, number: int, out: Any, slot: Any) -> int:
            return int(lib.pan123_upload_import(client, opened.handle, state, len(state), chosen, number, out, slot))

        return _Begun(lambda: self._start(new, opened)).or_end()

    def _start(self, new: Callable[[Any, int, Any, Any], int], opened: Any) -> Upload:
        number, inbox = next(self._numbers), Inbox()
        self._pump.add(number, inbox)
        out, slot = ffi.new("pan123_upload **"), _errors.error_slot()
        with self._native.use() as client:
            if client is None:
                raise _errors.Shutdown("the client was closed")
            _errors.check(new(client, number, out, slot), slot)
        upload = Upload(self, out[0], number, inbox, opened)
        upload._start()
        return upload

    # The service's own calls: one request each, not repeated. `retryable` and `retry_after` of what they raise say
    # whether to make them again.

    def token(self) -> Token:
        """The access token that requests are made with."""
        return self._ask(lib.pan123_api_token).token()

    def domain(self) -> tuple[str, ...]:
        """Upload hosts, for `single`."""
        return self._ask(lib.pan123_api_domain).texts(lib.PAN123_F_SERVER, lib.PAN123_F_SERVER_COUNT)

    def create(
        self,
        name: str,
        *,
        etag: str,
        size: int,
        parent_id: int = 0,
        duplicate: Duplicate | None = None,
        contain_dir: bool | None = None,
    ) -> Created:
        """Announces a file. `etag` is the MD5 of the whole in hex, from `hash`. Of what comes back `preupload_id` is a
        str exactly if `reused` is false; ask `if created.preupload_id is not None`, and type checkers know it, too."""
        chosen = options(UPLOAD, {"duplicate": duplicate, "contain_dir": contain_dir})
        words, digest = text_argument("name", name), text_argument("etag", etag)
        return self._ask(
            lib.pan123_api_create,
            number_argument("parent_id", parent_id, -(2**63), 2**63),
            words,
            len(words),
            digest,
            len(digest),
            number_argument("size", size),
            chosen,
        ).created()

    def slice(
        self,
        server: str,
        preupload_id: str,
        slice_no: int,
        source: AnySource,
        *,
        offset: int = 0,
        size: int | None = None,
        md5: str | None = None,
    ) -> None:
        """Sends one slice: `size` bytes from `offset` on, by default all of `source`, which for a path or a `read_at`
        object has to be said. `slice_no` counts from 1; `md5` is that of these bytes, and is computed if it is not
        given. A slice that the service has already is no error."""
        where, which = text_argument("server", server), text_argument("preupload_id", preupload_id)
        digest = ffi.NULL if md5 is None else text_argument("md5", md5)
        head = (
            where,
            len(where),
            which,
            len(which),
            number_argument("slice_no", slice_no, 0, 2**32),
            digest,
            0 if md5 is None else len(digest),
        )
        if isinstance(source, (bytes, bytearray, memoryview)):
            view = memoryview(source).cast("B")
            end = len(view) if size is None else offset + size
            if not 0 <= offset <= end <= len(view):
                raise _errors.InvalidArgument(f"bytes {offset} to {end} do not lie within {len(view)} bytes")
            data = ffi.from_buffer(view[offset:end])
            self._do(lib.pan123_api_slice, *head, data, len(data))
            return
        if size is None:
            raise TypeError("size is needed: only of bytes it is known")
        opened = open_source(source)
        self._do(
            lib.pan123_api_slice_from,
            *head,
            opened.handle,
            number_argument("offset", offset),
            number_argument("size", size),
            source=opened,
        )

    def complete(self, preupload_id: str) -> Completed:
        """Asks the service to put the slices together and to check them."""
        which = text_argument("preupload_id", preupload_id)
        return self._ask(lib.pan123_api_complete, which, len(which)).completed()

    def single(
        self,
        server: str,
        name: str,
        source: AnySource,
        *,
        etag: str,
        parent_id: int = 0,
        duplicate: Duplicate | None = None,
        contain_dir: bool | None = None,
    ) -> Completed:
        """Sends a whole file of up to 1 GiB in one request. `server` is from `domain`, `etag` from `hash`."""
        chosen = options(UPLOAD, {"duplicate": duplicate, "contain_dir": contain_dir})
        opened = open_source(source)
        where, words, digest = text_argument("server", server), text_argument("name", name), text_argument("etag", etag)
        return self._ask(
            lib.pan123_api_single,
            where,
            len(where),
            number_argument("parent_id", parent_id, -(2**63), 2**63),
            words,
            len(words),
            digest,
            len(digest),
            opened.handle,
            chosen,
            source=opened,
        ).completed()

    def _ask(self, function: Any, *args: Any, source: Source | None = None) -> Result:
        """Makes a call that has a result."""
        out = ffi.new("pan123_result **")
        self._do(function, *args, out=out, source=source)
        return Result(out[0])

    def _do(self, function: Any, *args: Any, out: Any = None, source: Source | None = None) -> None:
        self._alive()
        tail = () if out is None else (out,)

        def made(stop: Stop) -> None:
            slot = _errors.error_slot()
            with self._native.use() as client:
                if client is None:
                    raise _errors.Shutdown("the client was closed")
                status = function(client, *args, stop.handle, *tail, slot)
            if status != lib.PAN123_OK:
                raise self._explained(_errors.exception(status, slot[0]), source)

        _waiting.call(made)

    def _explained(self, error: _errors.Pan123Error, source: Source | None) -> _errors.Pan123Error:
        return self._failures.explain(error if source is None else source.failures.explain(error))

    def _alive(self) -> None:
        if self._pid != os.getpid():
            raise _errors.forked()


class _Begun:
    """An upload that is being begun. It is known here before anybody else can know it, so that it can be ended."""

    def __init__(self, begin: Callable[[], Upload]) -> None:
        self._begin: Callable[[], Upload] | None = begin
        self.upload: Upload | None = None

    def now(self) -> Upload:
        _waiting.whole(self._make)
        assert self.upload is not None
        return self.upload

    def _make(self) -> None:
        # Not kept, since it holds the source.
        begin, self._begin = self._begin, None
        assert begin is not None
        self.upload = begin()

    def or_end(self) -> Upload:
        try:
            return self.now()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        if self.upload is not None and not self.upload.done:
            self.upload._end()


# ---- The end: of a client, of the process, and of the process in a fork's child. ----

_clients: weakref.WeakSet[Client] = weakref.WeakSet()


#: How long `close` waits for callbacks.
_CLOSE_S = 5.0
#: How long a `with` block waits for them when an exception leaves it.
_LEAVE_S = 0.25


def _let_go(native: Handle, pump: Pump, pid: int) -> None:
    """A client and all its uploads were dropped without `close`. Waits for nothing: this may be any thread."""
    if pid != os.getpid():
        return
    running = pump.running()
    with native.use() as handle:
        if handle is not None:
            lib.pan123_client_shutdown(handle, 1, 0, ffi.NULL)
    pump.end(None)
    if running:
        warnings.warn(
            f"a pan123.Client was dropped with {running} uploads running, which are cancelled; close it, or use `with`",
            ResourceWarning,
            stacklevel=2,
        )


def _at_exit() -> None:
    """While Python is still whole: ends everything that could look at its memory or call its functions."""
    _host.python_ends()
    clients = [client for client in list(_clients) if not client._closed]
    until = time.monotonic() + 1
    for client in clients:
        with client._native.use() as handle:
            if handle is not None:
                lib.pan123_client_shutdown(handle, 1, 0, ffi.NULL)
    _waiting.end_all(until)
    for client in clients:
        try:
            client.close(timeout=max(0.0, until - time.monotonic()))
        except _errors.Pan123Error:
            pass  # something of the program's does not return; it waits in C, and ends with the process
    _host.close(until)


def _after_fork() -> None:
    global _clients
    _clients = weakref.WeakSet()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
