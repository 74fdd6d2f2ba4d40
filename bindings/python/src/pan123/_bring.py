"""Token sources and transports of the program's own."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import timezone
from typing import Any

from . import _errors
from ._host import Failures
from ._library import ffi, lib, take_bytes, take_text
from ._results import Token

#: Called for every request, one call at a time per client, with the token that the service has just refused or None.
#: Keep the token that you have, and fetch another one when it is refused.
TokenSource = Callable[[str | None], str | Token]


class TokenCallee:
    """Answers for a token source."""

    def __init__(self, source: TokenSource, failures: Failures) -> None:
        self._source = source
        self.failures = failures

    def answer(self, op: Any) -> int:
        refused = None if op.refused == ffi.NULL else ffi.buffer(op.refused, op.len)[:].decode()
        try:
            token = self._source(refused)
        except OSError as error:
            raise _errors.NetworkError(f"{type(error).__name__}: {error}") from error
        if isinstance(token, str):
            token = Token(token)
        if not isinstance(token, Token):
            raise TypeError(f"a token source returns a str or a Token, not {type(token).__name__}")
        value = token.value.encode()
        _errors.check(lib.pan123_sink_put(op.token, value, len(value)))
        if token.expires is not None:
            op.expires_unix_ms[0] = int(token.expires.astimezone(timezone.utc).timestamp() * 1000)
        return 0


class Response:
    """An answer: the HTTP status, the body, and headers."""

    def __init__(self, status: int, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()) -> None:
        self.status = status
        self.body = body
        self.headers = tuple(headers)

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"


class Request:
    """A request to be sent once, without retries and without following redirects. Lent until the transport returns.

    It is a file object of the body, so it may be given to `http.client` and others as it is. Content-Length and Host
    are the transport's to make. One of the headers is the access token: write it to no log.
    """

    def __init__(self, x: Any) -> None:
        self._x = x
        # Held while the library is asked, so that nothing is asked of it after the end.
        self._lock = threading.Lock()
        self._at = 0
        self._method = take_text(lib.pan123_http_str, x, lib.PAN123_F_METHOD) or ""
        self._url = take_text(lib.pan123_http_str, x, lib.PAN123_F_URL) or ""
        self._body_size = int(lib.pan123_http_i64(x, lib.PAN123_F_BODY_LEN, 0))
        self._timeout: float = lib.pan123_http_i64(x, lib.PAN123_F_TIMEOUT_MS, 0) / 1000

    @property
    def method(self) -> str:
        """`GET` or `POST`."""
        return self._method

    @property
    def url(self) -> str:
        """The absolute URL."""
        return self._url

    @property
    def body_size(self) -> int:
        """Length of the body in bytes; 0 if there is none."""
        return self._body_size

    @property
    def timeout(self) -> float:
        """How long the exchange may stand still before it is given up, in seconds."""
        return self._timeout

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url}, {self.body_size} bytes)"

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Name and value of each."""
        with self._lock:
            return _headers(self._live(), 0)

    def set_header(self, name: str, value: str) -> None:
        """Sets a header, for `forward`; one of the same name is replaced."""
        names, values = name.encode(), value.encode()
        with self._lock:
            status = lib.pan123_http_set_header(self._live(), 0, names, len(names), values, len(values))
        _errors.check(status)

    def read_at(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes of the body; fewer only at its end. Raises `Cancelled` when the request was given up."""
        buffer, got, slot = ffi.new("uint8_t[]", max(size, 1)), ffi.new("size_t *"), _errors.error_slot()
        with self._lock:
            status = lib.pan123_http_read_body(self._live(), offset, buffer, size, got, slot)
        _errors.check(status, slot)
        return bytes(ffi.buffer(buffer, got[0]))

    def read(self, size: int = -1) -> bytes:
        """The next bytes of the body, as a file does."""
        left = self.body_size - self._at
        data = self.read_at(self._at, left if size is None or size < 0 else min(size, left))
        self._at += len(data)
        return data

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read(1 << 16):
            yield block

    def forward(self) -> Response:
        """Sends the request through the built-in transport."""
        slot = _errors.error_slot()
        with self._lock:
            x = self._live()
            _errors.check(lib.pan123_http_forward(x, slot), slot)
            status = int(lib.pan123_http_i64(x, lib.PAN123_F_HTTP_STATUS, 0))
            body = take_bytes(lib.pan123_http_str, x, lib.PAN123_F_ANSWER_BODY) or b""
            return Response(status, body, _headers(x, 1))

    def _answer(self, response: Response) -> None:
        with self._lock:
            x = self._live()
            _errors.check(lib.pan123_http_answer(x, response.status, response.body, len(response.body)))
            for name, value in response.headers:
                names, values = name.encode(), value.encode()
                # A header that cannot stand in an answer says nothing that the library needs.
                lib.pan123_http_set_header(x, 1, names, len(names), values, len(values))

    def _end(self) -> None:
        with self._lock:
            self._x = None

    def _live(self) -> Any:
        if self._x is None:
            raise _errors.WrongState("the request is over: it is lent to the transport until that returns")
        return self._x


def _headers(x: Any, of_answer: int) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    value = ffi.new("char **")
    while (name := lib.pan123_http_header(x, of_answer, len(found), value)) != ffi.NULL:
        found.append((ffi.string(name).decode(), ffi.string(value[0]).decode("utf-8", "replace")))
    return tuple(found)


#: Sends a request and returns its answer, of whatever HTTP status. Called on several threads at once. `OSError` and
#: `http.client.HTTPException` mean that there is no answer, and the request may be repeated; anything else that it
#: raises ends the upload.
Transport = Callable[[Request], Response]


class TransportCallee:
    """Answers for a transport."""

    def __init__(self, transport: Transport, failures: Failures) -> None:
        self._transport = transport
        self.failures = failures

    def answer(self, op: Any) -> int:
        request = Request(op.http)
        try:
            self._send(request)
        finally:
            request._end()
        return 0

    def _send(self, request: Request) -> None:
        try:
            response = self._transport(request)
        except _errors.Pan123Error:
            raise
        except ssl.SSLError as error:
            raise _errors.TlsError(f"{type(error).__name__}: {error}") from error
        except TimeoutError as error:
            raise _errors.NetworkTimeout(f"{type(error).__name__}: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            raise _errors.NetworkError(f"{type(error).__name__}: {error}") from error
        if not isinstance(response, Response):
            raise TypeError(f"a transport returns a pan123.Response, not {type(response).__name__}")
        request._answer(response)
