"""Writes down which scenarios of the table that all bindings share were run, for `docs/bindings.md`."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from typing import Any


def scenario(name: str) -> Callable[[Callable[..., str | None]], Callable[..., None]]:
    """Marks a test as the scenario of this id. What it returns, a short figure, goes with the result."""

    def mark(test: Callable[..., str | None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                what = test(*args, **kwargs)
            except BaseException as error:
                _write(name, "failed", str(error).splitlines()[0] if str(error) else type(error).__name__)
                raise
            _write(name, "passed", what or "")

        return run

    return mark


def _write(name: str, result: str, what: str) -> None:
    path = os.environ.get("PAN123_SCENARIO_RESULTS")
    if path:
        line = {"binding": "python", "scenario": name, "result": result, "what": what}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
