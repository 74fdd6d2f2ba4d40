"""The client."""

from __future__ import annotations

import atexit
import itertools
import os
import time
import warnings
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _errors, _host, _waiting
from ._bring import TokenCallee, TransportCallee
from ._events import Inbox, Progress, Pump
from ._host import Failures, host, refuse_inside_callback
from ._library import bridge, ffi, lib
from ._options import CLIENT, UPLOAD, add_plugin, number_argument, options, text_argument
from ._results import Completed, Created, Duplicate, Result, Token, Uploaded
from ._source import AnySource, open_source
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
    * `retry_for` (60): how long to keep trying when nothing gets through.
    * `source_timeout` (30): how long one `read_at` may take. `progress_interval` (0.2): how often progress is told.
    * `transport`: a function that sends the requests. `plugins`: pairs of a plugin's absolute path and its
      configuration.
    """

    def __init__(self, **given: Unpack[ClientOptions]) -> None:
        _host.refuse_at_the_end()
        token_source, transport = given.pop("token_source", None), given.pop("transport", None)
        plugins = given.pop("plugins", ())
        chosen = options(CLIENT, given)
        for where, config in plugins:
            add_plugin(chosen, where, config)
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
        self._handle = ffi.gc(out[0], lib.pan123_client_free)
        self._numbers = itertools.count(1)
        self._pid = os.getpid()
        self._closed = False
        _clients.add(self)
        self._finalizer = weakref.finalize(self, _let_go, self._handle, self._pump, self._pid)
        self._finalizer.atexit = False

    def _brought(self, what: str, thing: Any, callee: Any) -> Any:
        if thing is None:
            return ffi.NULL
        if not callable(thing):
            raise TypeError(f"{what}: a function, not {type(thing).__name__}")
        ctx = host().lend(callee(thing, self._failures))
        out, slot = ffi.new(f"pan123_{what} **"), _errors.error_slot()
        if what == "tokens":
            status = lib.pan123_tokens_new(bridge.bridge_tokens(), ctx, out, slot)
        else:
            status = lib.pan123_transport_new(ffi.NULL, bridge.bridge_transport(), ctx, out, slot)
        _errors.check(status, slot)
        return ffi.gc(out[0], getattr(lib, f"pan123_{what}_free"))

    def __repr__(self) -> str:
        return f"<pan123.Client {'closed' if self._closed else f'{self._pump.running()} running'}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Waits for what is under way; after an exception, cancels it."""
        self.close(cancel=kind is not None)

    def close(self, *, cancel: bool = True, timeout: float | None = None) -> None:
        """Ends the client and its threads: cancels what is under way, or waits for it if `cancel` is false.

        Raises `TimedOut` after `timeout` seconds; call it again. Outcomes of uploads can still be asked for afterwards.
        """
        refuse_inside_callback()
        if self._pid != os.getpid():
            return
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            # Signals are handled between two turns.
            left_ms = 100 if until is None else max(0, min(100, round((until - time.monotonic()) * 1000)))
            slot = _errors.error_slot()
            status = lib.pan123_client_shutdown(self._handle, 1 if cancel else 0, left_ms, slot)
            if status != lib.PAN123_E_TIMEOUT or (until is not None and time.monotonic() >= until):
                break
            lib.pan123_error_free(slot[0])
        _errors.check(status, slot)
        self._finalizer.detach()
        self._closed = True
        self._pump.end(None if timeout == 0 else 5)

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

        * `source`: a path; bytes; a binary file object, from where it stands to its end; or an object with `size` and
          `read_at(offset, size)`.
        * `name`: what the file is called at the service. Default: the source's own name, if it has one.
        * `parent_id`: the folder; 0 is the root. With `contain_dir`, `name` is a path from there on, and the service
          makes missing folders.
        * `duplicate`: what happens when the name is taken. Default: the service refuses.
        * `resume_key`: names a source that is no file on disk, so that `state_dir` finds its upload in another run.
        * `progress`: called on this thread every now and then, and at the end.

        Anything that interrupts it, `KeyboardInterrupt` too, cancels the upload, and it returns when that is over.
        """
        upload = self.start_upload(
            source,
            name=name,
            parent_id=parent_id,
            duplicate=duplicate,
            contain_dir=contain_dir,
            resume_key=resume_key,
        )
        try:
            return upload._follow(progress)
        finally:
            if wait := upload._let_go():
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
        self._alive()
        chosen = options(UPLOAD, {"duplicate": duplicate, "contain_dir": contain_dir, "resume_key": resume_key})
        opened = open_source(source)
        named = name if name is not None else opened.name
        if named is None:
            raise TypeError("name is needed: this source has none of its own")
        words = text_argument("name", named)

        def new(number: int, out: Any, slot: Any) -> int:
            return int(
                lib.pan123_upload_new(
                    self._handle,
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

        return self._start(new, opened)

    def resume(self, source: AnySource, state: bytes, *, resume_key: str | None = None) -> Upload:
        """Starts an upload that goes on where another one stopped. `state` is from `Upload.export`, and says where the
        file goes. If the source is not the same any more the upload starts over."""
        self._alive()
        chosen = options(UPLOAD, {"resume_key": resume_key})
        opened = open_source(source)
        return self._start(
            lambda number, out, slot: int(
                lib.pan123_upload_import(self._handle, opened.handle, state, len(state), chosen, number, out, slot)
            ),
            opened,
        )

    def _start(self, new: Callable[[int, Any, Any], int], opened: Any) -> Upload:
        number, inbox = next(self._numbers), Inbox()
        self._pump.add(number, inbox)
        out, slot = ffi.new("pan123_upload **"), _errors.error_slot()
        _errors.check(new(number, out, slot), slot)
        upload = Upload(self, out[0], number, inbox, opened)
        upload.start()
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
        """Announces a file. `etag` is the MD5 of the whole in hex, from `hash`."""
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
        ).completed()

    def _ask(self, function: Any, *args: Any) -> Result:
        """Makes a call that has a result."""
        out = ffi.new("pan123_result **")
        self._do(function, *args, out=out)
        return Result(out[0])

    def _do(self, function: Any, *args: Any, out: Any = None) -> None:
        self._alive()
        tail = () if out is None else (out,)

        def made(stop: Stop) -> None:
            slot = _errors.error_slot()
            status = function(self._handle, *args, stop.handle, *tail, slot)
            if status != lib.PAN123_OK:
                raise self._failures.explain(_errors.exception(status, slot[0]))

        _waiting.call(made)

    def _alive(self) -> None:
        if self._pid != os.getpid():
            raise _errors.forked()


# ---- The end: of a client, of the process, and of the process in a fork's child. ----

_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _let_go(handle: Any, pump: Pump, pid: int) -> None:
    """A client and all its uploads were dropped without `close`. Waits for nothing: this may be any thread."""
    if pid != os.getpid():
        return
    running = pump.running()
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
    for client in clients:
        lib.pan123_client_shutdown(client._handle, 1, 0, ffi.NULL)
    _waiting.end_all(1)
    until = time.monotonic() + 1
    for client in clients:
        try:
            client.close(timeout=max(0.0, until - time.monotonic()))
        except _errors.Pan123Error:
            pass  # something of the program's does not return; it waits in C, and ends with the process
    _host.close(0.2)


def _after_fork() -> None:
    global _clients
    _clients = weakref.WeakSet()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
