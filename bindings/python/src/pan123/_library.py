"""libpan123 itself: found, checked against the header that this package was made with, and its text made Python's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ._declarations import ffi as _ffi

ffi: Any = _ffi

SONAME = "libpan123.so.0.1"
BRIDGE = "libpan123_bridge.so"


class LibraryError(ImportError):
    """libpan123 is missing, or does not fit this version of the package. The message says what to do."""


def load(here: Path) -> tuple[Any, Any]:
    """The library that the package carries, or else the system's; and the bridge."""
    carried = here / SONAME
    name = str(carried) if carried.exists() else SONAME
    try:
        library = ffi.dlopen(name)
    except OSError as error:
        if carried.exists():
            what = "cannot be loaded; this wheel was made for another kind of machine, or is damaged"
        else:
            what = f"is neither in {here} nor where the system looks for libraries"
        raise LibraryError(
            f"{SONAME} {what}. Install the pan123 wheel again (it carries the library), "
            f"or install libpan123 and run ldconfig. The system says: {error}",
            name="pan123",
            path=name,
        ) from None
    check(library, name)
    try:
        bridge = ffi.dlopen(str(here / BRIDGE))
    except OSError as error:
        raise LibraryError(
            f"{BRIDGE} is a part of the pan123 wheel and cannot be loaded. Install the wheel again. The system says: {error}",
            name="pan123",
        ) from None
    return library, bridge


def check(library: Any, name: str) -> None:
    """Refuses a library with another interface, or with less of it than the header promised."""
    wanted: int = library.PAN123_ABI_VERSION
    try:
        fits = library.pan123_abi_check(wanted) == library.PAN123_OK
    except (AttributeError, ffi.error):
        raise LibraryError(
            f"{name} is not libpan123, or one from before 0.1. Install libpan123 0.1.", name="pan123"
        ) from None
    if fits:
        return
    has = "an unknown one"
    version = ffi.string(library.pan123_version()).decode()
    try:
        has = json.loads(ffi.string(library.pan123_build_info()))["abi"]
    except (AttributeError, ffi.error, KeyError, ValueError):
        pass
    raise LibraryError(
        f"{name} (libpan123 {version}) does not fit this package: it has interface {has}, and the package was made for "
        f"{wanted >> 16}.{wanted & 0xFFFF}. Install libpan123 and pan123 in the same version, or the pan123 wheel, "
        "which carries its library.",
        name="pan123",
        path=name,
    )


lib, bridge = load(Path(__file__).resolve().parent)


def version() -> str:
    """The library's version, for example `0.1.0`."""
    return str(ffi.string(lib.pan123_version()).decode())


def build_info() -> dict[str, Any]:
    """How the library was built: `version`, `abi`, `target`, `features`, and the hash kernel."""
    info: dict[str, Any] = json.loads(ffi.string(lib.pan123_build_info()))
    return info


def constant_name(prefix: str, value: int) -> str:
    """The rest of the name of the constant that begins with `prefix` and has this value; the value if there is none."""
    return _names(prefix).get(value, str(value))


def _names(prefix: str) -> dict[int, str]:
    names = _NAMES.get(prefix)
    if names is None:
        names = {getattr(lib, name): name[len(prefix) :] for name in dir(lib) if name.startswith(prefix)}
        _NAMES[prefix] = names
    return names


_NAMES: dict[str, dict[int, str]] = {}


def take_text(get: Callable[..., Any], *args: Any) -> str | None:
    """What a function that ends in `size_t *len` returns, as text."""
    data = take_bytes(get, *args)
    return None if data is None else data.decode("utf-8", "replace")


def take_bytes(get: Callable[..., Any], *args: Any) -> bytes | None:
    size = ffi.new("size_t *")
    start = get(*args, size)
    return None if start == ffi.NULL else bytes(ffi.buffer(start, size[0]))
