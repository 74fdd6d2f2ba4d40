"""Digests of sources, as the service wants them."""

from __future__ import annotations

from collections.abc import Iterable

from . import _errors, _waiting
from ._library import ffi, lib
from ._options import number_argument
from ._results import Digests, Result
from ._source import AnySource, open_source
from ._waiting import Stop


#: So many bytes are hashed sooner than another thread begins to.
_QUICK = 64 << 10


def hash(source: AnySource, *, slice_size: int = 0, sha1: bool = False) -> Digests:
    """Digests of a source, each byte read once. `slice_size` is what `Client.create` answered; 0 means 16 MiB, which
    is what the service has always answered."""
    return hash_many([source], slice_size=slice_size, sha1=sha1)[0]


def hash_many(sources: Iterable[AnySource], *, slice_size: int = 0, sha1: bool = False) -> list[Digests]:
    """Digests of several sources, computed side by side. Raises for the first source that fails."""
    opened = [open_source(source) for source in sources]
    handles = ffi.new("pan123_source *[]", [one.handle for one in opened])
    out = ffi.new("pan123_result *[]", max(len(opened), 1))
    flags = lib.PAN123_HASH_SHA1 if sha1 else 0

    def made(stop: Stop) -> list[Digests]:
        slot = _errors.error_slot()
        status = lib.pan123_hash(
            handles, len(opened), number_argument("slice_size", slice_size), flags, stop.handle, out, slot
        )
        results = [Result(out[i]) if out[i] != ffi.NULL else None for i in range(len(opened))]
        if status != lib.PAN123_OK:
            error = _errors.exception(status, slot[0])
            for one in opened:
                error = one.failures.explain(error)
            raise error
        return [result.digests() for result in results if result is not None]

    return _waiting.call(made, quick=sum(one.quick_len for one in opened) <= _QUICK)
