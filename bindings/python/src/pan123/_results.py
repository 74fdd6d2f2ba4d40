"""What calls find out."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ._library import ffi, lib, take_bytes, take_text


class Duplicate(enum.IntEnum):
    """What happens when the name is taken."""

    #: The service refuses.
    REFUSE = 0
    #: Both files are kept.
    KEEP_BOTH = 1
    #: The old file is replaced.
    REPLACE = 2


@dataclass(frozen=True)
class Uploaded:
    """A finished upload."""

    #: The file at the service.
    file_id: int
    #: MD5 of the whole, 32 hex digits.
    etag: str
    #: Size in bytes.
    size: int
    #: Number of slices; 0 if the file went out whole in one request, as small ones may, or was reused.
    slices: int
    #: The service had the bytes already, and none were sent.
    reused: bool
    #: File bytes handed to connections, those sent again included.
    bytes_sent: int
    #: From start to end, in seconds.
    elapsed: float


@dataclass(frozen=True)
class Digests:
    """Digests of a source, as the service wants them."""

    #: MD5 of the whole, 32 hex digits.
    etag: str
    #: MD5 of each slice.
    slices: tuple[str, ...]
    #: Size in bytes.
    size: int
    #: Length of a slice in bytes; the last one may be shorter.
    slice_size: int
    #: SHA-1 of the whole, 40 hex digits, if it was asked for.
    sha1: str | None


@dataclass(frozen=True)
class Created:
    """The answer to `create`. If `reused` is true all is done, and `file_id` is there; else send the slices."""

    reused: bool
    file_id: int | None
    #: Names the upload at the service; None if there is none to send slices to, because `reused` is true.
    preupload_id: str | None
    #: Length of a slice in bytes; the last one may be shorter.
    slice_size: int
    #: Number of slices.
    slice_count: int
    #: Upload hosts, to any of which slices may go.
    servers: tuple[str, ...]


@dataclass(frozen=True)
class Completed:
    """The answer to `complete` and `single`. If `completed` is false the service is still at it: ask again in a second."""

    completed: bool
    file_id: int | None


@dataclass(frozen=True)
class Token:
    """An access token. `repr` does not show it."""

    value: str = field(repr=False)
    #: When it expires, if that is known; with a time zone.
    expires: datetime | None = None


class Result:
    """A result object of the library's, read and dropped."""

    def __init__(self, handle: Any) -> None:
        self._handle = ffi.gc(handle, lib.pan123_result_free)

    def number(self, field: int, absent: int = 0) -> int:
        value: int = lib.pan123_result_i64(self._handle, field, absent)
        return value

    def number_or_none(self, field: int) -> int | None:
        value = self.number(field, -1)
        return None if value < 0 else value

    def text(self, field: int, index: int = 0) -> str | None:
        return take_text(lib.pan123_result_str, self._handle, field, index)

    def texts(self, field: int, count_field: int) -> tuple[str, ...]:
        return tuple(self.text(field, i) or "" for i in range(self.number(count_field)))

    def blob(self, field: int) -> bytes:
        return take_bytes(lib.pan123_result_str, self._handle, field, 0) or b""

    def uploaded(self) -> Uploaded:
        return Uploaded(
            file_id=self.number(lib.PAN123_F_FILE_ID),
            etag=self.text(lib.PAN123_F_ETAG) or "",
            size=self.number(lib.PAN123_F_SIZE),
            slices=self.number(lib.PAN123_F_SLICE_COUNT),
            reused=bool(self.number(lib.PAN123_F_REUSED)),
            bytes_sent=self.number(lib.PAN123_F_BYTES_SENT),
            elapsed=self.number(lib.PAN123_F_ELAPSED_MS) / 1000,
        )

    def digests(self) -> Digests:
        return Digests(
            etag=self.text(lib.PAN123_F_ETAG) or "",
            slices=self.texts(lib.PAN123_F_SLICE_MD5, lib.PAN123_F_SLICE_COUNT),
            size=self.number(lib.PAN123_F_SIZE),
            slice_size=self.number(lib.PAN123_F_SLICE_SIZE),
            sha1=self.text(lib.PAN123_F_SHA1),
        )

    def created(self) -> Created:
        return Created(
            reused=bool(self.number(lib.PAN123_F_REUSED)),
            file_id=self.number_or_none(lib.PAN123_F_FILE_ID),
            preupload_id=self.text(lib.PAN123_F_PREUPLOAD_ID),
            slice_size=self.number(lib.PAN123_F_SLICE_SIZE),
            slice_count=self.number(lib.PAN123_F_SLICE_COUNT),
            servers=self.texts(lib.PAN123_F_SERVER, lib.PAN123_F_SERVER_COUNT),
        )

    def completed(self) -> Completed:
        done = bool(self.number(lib.PAN123_F_COMPLETED))
        return Completed(done, self.number_or_none(lib.PAN123_F_FILE_ID) if done else None)

    def token(self) -> Token:
        ms = self.number_or_none(lib.PAN123_F_EXPIRES_UNIX_MS)
        expires = None if ms is None else datetime.fromtimestamp(ms / 1000, timezone.utc)
        return Token(self.text(lib.PAN123_F_TOKEN) or "", expires)
