"""Options: keyword arguments, made into the library's numbered options."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict

from . import _errors
from ._bring import TokenSource, Transport
from ._library import ffi, lib


class ClientOptions(TypedDict, total=False):
    """The arguments of `Client`, which explains them, and of `AsyncClient`."""

    access_token: str | None
    client_id: str | None
    client_secret: str | None
    refresh_token: str | None
    token_cache: str | os.PathLike[str] | None
    token_source: TokenSource | None
    base_url: str | None
    user_agent: str | None
    state_dir: str | os.PathLike[str] | None
    proxy: str | None
    ca_file: str | os.PathLike[str] | None
    slices_in_flight: int | None
    bytes_per_sec: int | None
    vip_rates: bool | None
    source_timeout: float | None
    progress_interval: float | None
    retry_for: float | None
    plain_http: bool | None
    transport: Transport | None
    plugins: Iterable[tuple[str | os.PathLike[str], str | None]]


def text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"a str, not {type(value).__name__}")
    return value.encode("utf-8", "surrogateescape")


def path(value: Any) -> bytes:
    return os.fsencode(value)


def number(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(f"an int, not {type(value).__name__}")
    if not 0 <= value < 2**64:
        raise ValueError(f"a number from 0 on, not {value}")
    return int(value)


def milliseconds(value: Any) -> int:
    if not isinstance(value, (int, float)):
        raise TypeError(f"a number of seconds, not {type(value).__name__}")
    if not 0 <= value < 2**50:
        raise ValueError(f"a number of seconds from 0 on, not {value}")
    return round(value * 1000)


Kind = Callable[[Any], Any]

#: Of a client: the argument, the rest of the option's name, and what its values are.
CLIENT: dict[str, tuple[str, Kind]] = {
    "access_token": ("ACCESS_TOKEN", text),
    "client_id": ("CLIENT_ID", text),
    "client_secret": ("CLIENT_SECRET", text),
    "refresh_token": ("REFRESH_TOKEN", text),
    "token_cache": ("TOKEN_CACHE", path),
    "base_url": ("BASE_URL", text),
    "user_agent": ("USER_AGENT", text),
    "state_dir": ("STATE_DIR", path),
    "proxy": ("PROXY", text),
    "ca_file": ("CA_FILE", path),
    "slices_in_flight": ("SLICES_IN_FLIGHT", number),
    "bytes_per_sec": ("BYTES_PER_SEC", number),
    "vip_rates": ("VIP_RATES", number),
    "source_timeout": ("SOURCE_TIMEOUT_MS", milliseconds),
    "progress_interval": ("PROGRESS_MS", milliseconds),
    "retry_for": ("RETRY_FOR_MS", milliseconds),
    "plain_http": ("PLAIN_HTTP", number),
}

#: Of an upload.
UPLOAD: dict[str, tuple[str, Kind]] = {
    "duplicate": ("DUPLICATE", number),
    "contain_dir": ("CONTAIN_DIR", number),
    "resume_key": ("RESUME_KEY", text),
}


def options(table: Mapping[str, tuple[str, Kind]], given: Mapping[str, Any]) -> Any:
    """A set of options with everything in `given` that is not None."""
    out, slot = ffi.new("pan123_options **"), _errors.error_slot()
    _errors.check(lib.pan123_options_new(out, slot), slot)
    made = ffi.gc(out[0], lib.pan123_options_free)
    for name, value in given.items():
        if name not in table:
            known = [*table, *(("token_source", "transport", "plugins") if table is CLIENT else ())]
            raise TypeError(f"there is no option {name!r}; there are {', '.join(known)}")
        if value is None:
            continue
        option, kind = table[name]
        code = getattr(lib, "PAN123_OPT_" + option)
        try:
            value = kind(value)
        except (TypeError, ValueError) as error:
            # The value may be a secret, and is shown for numbers only.
            raise type(error)(f"{name}: {error}") from None
        slot = _errors.error_slot()
        if isinstance(value, bytes):
            status = lib.pan123_options_set_str(made, code, value, len(value), slot)
        else:
            status = lib.pan123_options_set_u64(made, code, value, slot)
        _errors.check(status, slot)
    return made


def add_plugin(made: Any, where: str | os.PathLike[str], config: str | None) -> None:
    place = os.fsencode(where)
    words = ffi.NULL if config is None else text(config)
    slot = _errors.error_slot()
    size = 0 if config is None else len(words)
    _errors.check(lib.pan123_options_add_plugin(made, place, len(place), words, size, slot), slot)


def progress_argument(progress: Any) -> None:
    """Refuses what cannot be called for progress before anything is begun."""
    if progress is None:
        return
    plain_function("progress", progress)


def plain_function(what: str, thing: Any) -> None:
    if not callable(thing):
        raise TypeError(f"{what}: a function, not {type(thing).__name__}")
    if inspect.iscoroutinefunction(thing) or inspect.iscoroutinefunction(getattr(thing, "__call__", None)):
        raise TypeError(f"{what}: a plain function, not a coroutine function, which nobody would await")


def text_argument(what: str, value: str) -> bytes:
    if not isinstance(value, str):
        raise TypeError(f"{what}: a str, not {type(value).__name__}")
    return value.encode("utf-8", "surrogateescape")


def number_argument(what: str, value: int, least: int = 0, limit: int = 2**64) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{what}: an int, not {type(value).__name__}")
    if not least <= value < limit:
        raise _errors.InvalidArgument(f"{what}: {value} is out of range")
    return value
