from __future__ import annotations

import gc
import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from emulator import Emulator

import pan123


@pytest.fixture
def emulate(tmp_path: Path) -> Iterator[Callable[..., Emulator]]:
    """Starts emulators, each in a folder of its own, and stops them at the end."""
    started: list[Emulator] = []

    def start(**options: Any) -> Emulator:
        folder = tmp_path / f"emulator-{len(started)}"
        folder.mkdir()
        started.append(Emulator(folder, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def emulator(emulate: Callable[..., Emulator]) -> Emulator:
    return emulate()


@pytest.fixture
def client(emulator: Emulator) -> Iterator[pan123.Client]:
    with pan123.Client(**emulator.options()) as made:
        yield made


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    """What a test drops is gone before the next one starts."""
    yield
    gc.collect()


def some_bytes(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class Numbers:
    """Bytes that are nowhere: made when they are asked for."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.reads = 0
        self._lock = threading.Lock()

    def read_at(self, offset: int, size: int) -> bytes:
        with self._lock:
            self.reads += 1
        first, last = offset // 8, (offset + size - 1) // 8
        data = b"".join(number.to_bytes(8, "little") for number in range(first, last + 1))
        return data[offset - first * 8 :][:size]


def until(condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Asks again and again, for what nobody announces. A bound on the whole, and no part of what is measured."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        threading.Event().wait(0.005)
