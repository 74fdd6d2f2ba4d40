"""Objects of the library, and when they are freed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ._library import ffi


class Handle:
    """An object of the library, freed as soon as it was let go of and no call uses it; or when it is garbage.

    """

    def __init__(self, raw: Any, free: Callable[[Any], object]) -> None:
        self._raw = ffi.gc(raw, free)
        # Taken again by the same thread when a garbage collection under it drops the owner of another one.
        self._lock = threading.RLock()
        self._users = 0
        self._gone = False

    @contextlib.contextmanager
    def use(self) -> Iterator[Any]:
        """The object for one call; None if it was let go of."""
        with self._lock:
            if self._gone:
                raw = None
            else:
                raw = self._raw
                self._users += 1
        try:
            yield raw
        finally:
            if raw is not None:
                with self._lock:
                    self._users -= 1
                    self._free_if_unused()

    def let_go(self) -> None:
        """May be called often."""
        with self._lock:
            self._gone = True
            self._free_if_unused()

    def _free_if_unused(self) -> None:
        if self._gone and self._users == 0 and self._raw is not None:
            raw, self._raw = self._raw, None
            ffi.release(raw)
