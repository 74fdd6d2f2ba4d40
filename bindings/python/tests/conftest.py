from __future__ import annotations

import gc
import hashlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pan123
import pytest

from emulator import Emulator


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
