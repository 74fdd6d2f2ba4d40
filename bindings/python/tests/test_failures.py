"""What code of the program's raised is the cause of what comes of it, whatever it says."""

from __future__ import annotations

import gc
import threading
import unicodedata
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Numbers
from emulator import MIB, TOKEN, Emulator

import pan123

TEXTS = {
    "plain": "the tape is torn",
    "empty": "",
    "lines": "one\ntwo\r\n",
    "tab": "one\ttwo",
    "nul": "one\0two",
    "escape": "\x1b[31mred\x1b[0m",
    "surrogate": "caf\udce9",
    "spaces": "  two  spaces  ",
    "long": "long " * 200_000,
    "bearer": "Authorization: Bearer abcdefghijk",
    "token": f"failed with {TOKEN}",
}


class Mine(Exception):
    pass


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def raising(error: Exception) -> Callable[..., Any]:
    def call(*_: Any) -> Any:
        raise error

    return call


class Broken(Numbers):
    def __init__(self, error: Exception) -> None:
        super().__init__(MIB)
        self._error = error

    def read_at(self, offset: int, size: int) -> bytes:
        raise self._error


@pytest.mark.parametrize("error", [*(Mine(text) for text in TEXTS.values()), Mute()], ids=[*TEXTS, "mute"])
def test_failure_is_the_cause(emulator: Emulator, error: Exception) -> None:
    def refused_once(refused: str | None) -> str:
        if refused is None:
            return "not-a-token"
        raise error

    with pan123.Client(**emulator.options()) as client:
        for call in (
            lambda: client.upload(Broken(error), name="a"),
            lambda: pan123.hash(Broken(error)),
            lambda: client.single(client.domain()[0], "a", Broken(error), etag="0" * 32),
        ):
            assert cause_of(call) is error
    with pan123.Client(**emulator.options(transport=raising(error))) as client:
        assert cause_of(lambda: client.upload(b"abc", name="a")) is error
        assert cause_of(client.domain) is error
    for source in (raising(error), refused_once):
        with pan123.Client(**emulator.options(access_token=None, token_source=source)) as client:
            assert cause_of(lambda: client.upload(b"abc", name="a")) is error
            assert cause_of(client.domain) is error


def cause_of(call: Callable[[], object]) -> BaseException | None:
    with pytest.raises(pan123.CallbackError) as caught:
        call()
    assert clean(str(caught.value)) and clean(caught.value.api_message or "")
    assert str(caught.value).count("Mine:") <= 1
    return caught.value.__cause__


def clean(text: str) -> bool:
    """One line, and nothing of what the binding adds on the way."""
    return "<" not in text and not any(unicodedata.category(one) == "Cc" for one in text)


@pytest.mark.parametrize("kind", [pan123.LoginError, ConnectionError, pan123.StoreError, pan123.ServerError])
def test_no_other_token_is_told(emulator: Emulator, kind: type[Exception]) -> None:
    error = kind("log in at the portal")

    def source(refused: str | None) -> str:
        if refused is None:
            return "not-a-token"
        raise error

    with pan123.Client(**emulator.options(access_token=None, token_source=source, retry_for=0.2)) as client:
        for call in (lambda: client.upload(b"abc", name="a"), client.domain):
            with pytest.raises(pan123.Pan123Error, match="log in at the portal") as caught:
                call()
            assert caught.value.__cause__ is error


def test_each_upload_has_its_own_failure(emulator: Emulator) -> None:
    """Of failures that say the same."""
    all_there = threading.Barrier(4)

    class Late(Broken):
        def read_at(self, offset: int, size: int) -> bytes:
            all_there.wait(30)
            raise self._error

    def transport(request: pan123.Request) -> pan123.Response:
        if request.url.endswith("/create"):
            # The order in which they fail is none that they began in.
            errors.append(Mine("the same"))
            raise errors[-1]
        return request.forward()

    errors: list[Mine] = []
    with pan123.Client(**emulator.options(transport=transport)) as client:
        raised = [Mine("the same") for _ in range(4)]
        late = [client.start_upload(Late(error), name="a") for error in raised]
        other = [client.start_upload(b"abc", name=f"b{i}") for i in range(4)]
        assert [cause_of(upload.wait) for upload in late] == raised
        assert {id(cause_of(upload.wait)) for upload in other} == {id(error) for error in errors}


def test_events_are_free_of_what_the_binding_adds(emulator: Emulator) -> None:
    def transport(request: pan123.Request) -> pan123.Response:
        raise ConnectionError("the line is cut")

    with pan123.Client(**emulator.options(transport=transport, retry_for=0.2)) as client:
        upload = client.start_upload(b"abc", name="a")
        texts = [event.text for event in upload.events() if event.text]
    assert texts and all("the line is cut" in text and clean(text) for text in texts)


def test_source_behind_a_transport(emulator: Emulator) -> None:
    """What reads the body gets the source's failure, and passes it on."""
    error, state = Mine("torn"), {"sending": False}

    class Torn(Numbers):
        def read_at(self, offset: int, size: int) -> bytes:
            if state["sending"]:
                raise error
            return super().read_at(offset, size)

    def transport(request: pan123.Request) -> pan123.Response:
        if "create" in request.url:
            state["sending"] = True
        return request.forward() if request.body_size < 1000 else pan123.Response(200, request.read())

    with pan123.Client(**emulator.options(transport=transport)) as client:
        with pytest.raises(pan123.CallbackError, match="torn") as caught:
            client.upload(Torn(MIB), name="a")
    assert caught.value.__cause__ is error


def test_failures_hold_few_bodies(emulator: Emulator) -> None:
    """They are kept as long as the client is, and may have had whole slices in their hands."""
    there: weakref.WeakSet[Large] = weakref.WeakSet()

    class Large:
        pass

    def transport(request: pan123.Request) -> pan123.Response:
        large = Large()
        there.add(large)
        raise ConnectionError("cut")

    with pan123.Client(**emulator.options(transport=transport)) as client:
        for _ in range(50):
            with pytest.raises(pan123.NetworkError):
                client.domain()
        gc.collect()
        assert 0 < len(there) <= 10
