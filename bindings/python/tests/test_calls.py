"""The service's own calls, tokens, transports and errors."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import pydoc
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from conftest import md5, some_bytes
from emulator import MIB, TOKEN, Emulator

import pan123
from pan123 import _options
from pan123._library import lib

DATA = some_bytes(3 * MIB - 5)


def test_single(emulator: Emulator, client: pan123.Client) -> None:
    server = client.domain()[0]
    done = client.single(server, "folder/one.bin", DATA, etag=md5(DATA), contain_dir=True)
    assert done.completed and done.file_id
    assert emulator.stored("folder/one.bin") == DATA
    assert len(emulator.requests("single_create")) == 1


def test_slices_from_a_file(emulator: Emulator, client: pan123.Client, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DATA)
    created = client.create("by-hand", etag=md5(DATA), size=len(DATA))
    assert created.preupload_id is not None and len(created.servers) == 2
    for index in range(created.slice_count):
        offset = index * created.slice_size
        size = min(created.slice_size, len(DATA) - offset)
        client.slice(
            created.servers[index % 2], created.preupload_id, index + 1, tmp_path / "a", offset=offset, size=size
        )
    assert client.complete(created.preupload_id).completed
    assert emulator.stored("by-hand") == DATA
    with pytest.raises(TypeError, match="size"):
        client.slice(created.servers[0], created.preupload_id, 1, tmp_path / "a")
    with pytest.raises(pan123.InvalidArgument, match="within"):
        client.slice(created.servers[0], created.preupload_id, 1, DATA, offset=1, size=len(DATA))


def test_duplicate_and_folders(emulator: Emulator, client: pan123.Client) -> None:
    client.upload(DATA, name="a/b/c.bin", contain_dir=True)
    with pytest.raises(pan123.RefusedError) as caught:
        client.upload(b"other", name="a/b/c.bin", contain_dir=True)
    assert caught.value.advice and caught.value.reason == "exists"
    client.upload(b"new", name="a/b/c.bin", contain_dir=True, duplicate=pan123.Duplicate.REPLACE)
    assert emulator.stored("a/b/c.bin") == b"new"


def test_errors_tell_everything(emulate: Callable[..., Emulator]) -> None:
    fault = {"on": "create", "do": {"throttled": {"http": True, "retry_after": "2"}}}
    emulator = emulate(faults={"faults": [fault]})
    with pan123.Client(**emulator.options()) as client:
        with pytest.raises(pan123.RateLimited) as caught:
            client.create("a", etag=md5(b"a"), size=1)
    error = caught.value
    assert isinstance(error, pan123.RefusedError) and error.name == "RATE_LIMITED" and error.code == 401
    assert (error.step, error.attempts, error.http_status, error.api_code) == ("create", 1, 429, 429)
    assert error.retryable and error.retry_after == 2 and error.reason == "rate_limited" and error.advice
    assert error.trace_id == emulator.requests("create")[0]["trace_id"]
    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(same) is type(error) and str(same) == str(error) and vars(same) == vars(error)


def test_bad_arguments(client: pan123.Client) -> None:
    with pytest.raises(TypeError, match="preupload_id"):
        client.complete(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="etag"):
        client.create("a", etag=b"", size=1)  # type: ignore[arg-type]
    with pytest.raises(pan123.InvalidArgument, match="md5|etag"):
        client.create("a", etag="no digest", size=1)
    with pytest.raises(pan123.InvalidArgument, match="slice_no"):
        client.slice("http://127.0.0.1:9", "p", 2**32, b"a")
    with pytest.raises(pan123.InvalidArgument, match="slice 0"):
        client.slice("http://127.0.0.1:9", "p", 0, b"a")
    with pytest.raises(pan123.InvalidArgument, match="slice_size"):
        pan123.hash(b"a", slice_size=-1)
    with pytest.raises(pan123.InvalidArgument, match="parent_id"):
        client.upload(b"a", name="a", parent_id=-1)
    with pytest.raises(pan123.InvalidArgument, match="parent_id"):
        client.upload(b"a", name="a", parent_id=2**63)
    with pytest.raises(ValueError):
        client.upload(b"a", name="a", duplicate=3)  # type: ignore[arg-type]


def test_coroutine_functions_are_refused(emulator: Emulator) -> None:
    async def asked(_: Any) -> Any:
        return None

    for what in ({"access_token": None, "token_source": asked}, {"transport": asked}):
        with pytest.raises(TypeError, match="coroutine function"):
            pan123.Client(**emulator.options(**what))


def test_no_copies(client: pan123.Client) -> None:
    upload = client.start_upload(b"abc", name="a")
    for one in (client, upload):
        for copied in (copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                copied(one)
    assert upload.wait().size == 3


def test_gives_up_with_a_retryable_error(emulate: Callable[..., Emulator]) -> None:
    emulator = emulate(faults={"faults": [{"on": "create", "do": "reset"}]})
    with pan123.Client(**emulator.options(retry_for=2)) as client:
        with pytest.raises(pan123.NetworkError) as caught:
            client.upload(DATA, name="a")
    assert caught.value.retryable and caught.value.attempts and caught.value.attempts > 1


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, pan123.InvalidArgument, "token"),
        ({"access_token": "t", "no_such": 1}, TypeError, "no_such"),
        ({"access_token": 5}, TypeError, "access_token"),
        ({"access_token": "t", "slices_in_flight": 65}, pan123.InvalidArgument, "64"),
        ({"access_token": "t", "slices_in_flight": -1}, ValueError, "slices_in_flight"),
        ({"access_token": "t", "retry_for": "1"}, TypeError, "retry_for"),
        ({"access_token": "t", "base_url": "ftp://a"}, pan123.InvalidArgument, "ftp"),
        ({"access_token": "t", "plugins": [("relative.so", None)]}, pan123.InvalidArgument, "absolute"),
        ({"access_token": "t", "plugins": [("/not/there.so", None)]}, pan123.PluginError, "/not/there.so"),
        ({"access_token": "t", "transport": 5}, TypeError, "transport"),
        ({"token_source": "t"}, TypeError, "token"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        pan123.Client(**options)


def test_token_source_is_told_what_was_refused(emulator: Emulator) -> None:
    asked: list[str | None] = []
    expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(hours=1)

    def get(refused: str | None) -> pan123.Token:
        asked.append(refused)
        return pan123.Token(TOKEN if refused else "an-old-token", expires)

    with pan123.Client(base_url=emulator.url, token_source=get) as client:
        client.upload(DATA, name="a")
        assert "an-old-token" in asked
        assert client.token().expires == expires and TOKEN not in repr(pan123.Token(TOKEN))
    assert emulator.stored("a") == DATA


def test_token_source_that_fails() -> None:
    def fails(refused: str | None) -> str:
        raise RuntimeError("the vault is locked")

    with pan123.Client(base_url="http://127.0.0.1:9", token_source=fails) as client:
        with pytest.raises(pan123.CallbackError, match="the vault is locked") as caught:
            client.token()
        assert isinstance(caught.value.__cause__, RuntimeError)
        with pytest.raises(pan123.CallbackError, match="the vault is locked"):
            client.upload(b"data", name="a")

    def refuses(refused: str | None) -> str:
        raise pan123.LoginError("no such account")

    with pan123.Client(base_url="http://127.0.0.1:9", token_source=refuses) as client:
        with pytest.raises(pan123.LoginError, match="no such account"):
            client.upload(b"data", name="a")


def test_login_with_client_id(emulator: Emulator, tmp_path: Path) -> None:
    login: dict[str, Any] = {
        "client_id": "emulator-id",
        "client_secret": "emulator-secret",
        "token_cache": tmp_path / "tokens",
    }
    for name in ("a", "b"):
        with pan123.Client(base_url=emulator.url, **login) as client:
            client.upload(DATA, name=name)
    assert len(emulator.requests("access_token")) == 1


def test_login_with_a_refresh_token(emulator: Emulator, tmp_path: Path) -> None:
    app = {"client_id": "emulator-id", "client_secret": "emulator-secret"}
    query = urllib.parse.urlencode({**app, "grant_type": "authorization_code", "code": "emulator-code"})
    asked = urllib.request.Request(
        f"{emulator.url}/api/v1/oauth2/access_token?{query}", b"", {"Platform": "open_platform"}
    )
    with urllib.request.urlopen(asked) as answer:
        login: dict[str, Any] = {**app, "refresh_token": json.load(answer)["refresh_token"]}
    with pytest.raises(pan123.InvalidArgument, match="token_cache"):
        pan123.Client(base_url=emulator.url, **login)
    login["token_cache"] = tmp_path / "tokens"
    # It works once; what comes for it is in the cache.
    for name in ("a", "b"):
        with pan123.Client(base_url=emulator.url, **login) as client:
            client.upload(DATA, name=name)
        assert emulator.stored(name) == DATA


def test_every_option_of_the_library_has_an_argument() -> None:
    ours = {option for table in (_options.CLIENT, _options.UPLOAD) for option, _ in table.values()}
    theirs = {name.removeprefix("PAN123_OPT_") for name in dir(lib) if name.startswith("PAN123_OPT_")}
    assert theirs == ours


def test_transport_as_a_layer(emulator: Emulator) -> None:
    kept: list[pan123.Request] = []
    failures = threading.Semaphore(2)

    def send(request: pan123.Request) -> pan123.Response:
        kept.append(request)
        if "slice" in request.url and failures.acquire(blocking=False):
            raise ConnectionResetError("unplugged")
        request.set_header("User-Agent", "through-a-layer/1")
        answer = request.forward()
        assert answer.status == 200 and dict(answer.headers)
        return answer

    with pan123.Client(**emulator.options(transport=send)) as client:
        upload = client.start_upload(DATA, name="a")
        retries = [event for event in upload.events() if event.kind == "RETRY"]
        upload.wait()
    assert emulator.stored("a") == DATA and len(retries) == 2
    assert "unplugged" in retries[0].text
    assert {one["user_agent"] for one in emulator.requests()} == {"through-a-layer/1"}
    with pytest.raises(pan123.WrongState, match="over"):
        kept[0].read()


def test_transport_that_fails(emulator: Emulator) -> None:
    def nonsense(request: pan123.Request) -> pan123.Response:
        return None  # type: ignore[return-value]

    with pan123.Client(**emulator.options(transport=nonsense)) as client:
        with pytest.raises(pan123.CallbackError, match="Response") as caught:
            client.upload(DATA, name="a")
    assert isinstance(caught.value.__cause__, TypeError)
    assert emulator.requests() == []


def test_closed_client(emulator: Emulator) -> None:
    client = pan123.Client(**emulator.options())
    upload = client.start_upload(DATA, name="a")
    client.close(cancel=False)
    assert upload.wait().size == len(DATA)
    client.close()
    with pytest.raises(pan123.Shutdown):
        client.upload(DATA, name="b")
    with pytest.raises(pan123.Shutdown):
        client.token()


def test_with_statement_waits_or_cancels(emulate: Callable[..., Emulator]) -> None:
    emulator = emulate()
    with pan123.Client(**emulator.options()) as client:
        client.start_upload(DATA, name="waited-for")
    assert emulator.stored_names() == ["waited-for"]
    emulator.set_faults({"faults": [{"on": "slice", "do": "hang"}]})
    with pytest.raises(ZeroDivisionError):
        with pan123.Client(**emulator.options()) as client:
            upload = client.start_upload(some_bytes(MIB, 2), name="cancelled")
            raise ZeroDivisionError
    with pytest.raises(pan123.Stopped):
        upload.wait()
    assert emulator.stored_names() == ["waited-for"]


def test_pause_export_resume(emulate: Callable[..., Emulator]) -> None:
    emulator = emulate(faults={"faults": [{"on": "slice", "slice_no": "3..", "do": "hang"}]})
    data = some_bytes(4 * MIB)
    with pan123.Client(**emulator.options()) as client:
        upload = client.start_upload(data, name="a")
        with pytest.raises(pan123.WrongState):
            upload.start()
        with pytest.raises(TimeoutError):
            upload.wait(timeout=0)
        for _ in upload.events():
            if upload.progress().slices_done == 2:
                upload.pause()
        with pytest.raises(pan123.Paused):
            upload.wait()
        state = upload.export()
        assert TOKEN.encode() not in state
        emulator.set_faults({})
        upload.start()
        assert upload.wait().size == len(data)
        assert emulator.slices() == [1, 2, 3, 4]
        with pytest.raises(pan123.WrongState):
            upload.start()
        with pytest.raises(pan123.InvalidArgument):
            client.resume(data, b"no state")
        with pytest.raises(pan123.SourceChanged):
            client.resume(data[1:], state)


def test_resume_in_another_client(emulate: Callable[..., Emulator]) -> None:
    emulator = emulate(faults={"faults": [{"on": "slice", "slice_no": "3..", "do": "hang"}]})
    data = some_bytes(4 * MIB)
    with pan123.Client(**emulator.options()) as client:
        upload = client.start_upload(data, name="a")
        for _ in upload.events():
            if upload.progress().slices_done == 2:
                upload.cancel()
        state = upload.export()
    emulator.set_faults({})
    with pan123.Client(**emulator.options()) as client:
        client.resume(data, state).wait()
    assert emulator.stored("a") == data and emulator.slices() == [1, 2, 3, 4]
    assert len(emulator.requests("create")) == 1


def test_arguments_that_cannot_be(client: pan123.Client, emulator: Emulator) -> None:
    with pytest.raises(TypeError, match="token_source: a function"):
        pan123.Client(token_source=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="bogus.*token_source.*transport.*plugins"):
        pan123.Client(access_token="T", bogus=1)  # type: ignore[call-arg]
    with pytest.raises(pan123.InvalidArgument, match="https://"):
        pan123.Client(access_token="T", base_url="nonsense")
    with pytest.raises(TypeError, match="plugins"):
        pan123.Client(access_token="T", plugins=["x"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="progress: a function"):
        client.upload(b"a", name="a", progress=5)  # type: ignore[arg-type]

    async def show(progress: pan123.Progress) -> None: ...

    async def upload() -> None:
        async with pan123.AsyncClient(**emulator.options()) as one:
            await one.upload(b"a", name="a", progress=show)

    with pytest.raises(TypeError, match="plain function"):
        client.upload(b"a", name="a", progress=show)
    with pytest.raises(TypeError, match="plain function"):
        asyncio.run(upload())
    assert emulator.stored_names() == []


def test_reference_has_what_errors_and_requests_say() -> None:
    said = pydoc.plain(pydoc.render_doc(pan123.Pan123Error))
    assert all(word in said for word in ("`reason`", "no_parent", "`trace_id`", "`retry_after`"))
    said = pydoc.plain(pydoc.render_doc(pan123.Request))
    assert all(word in said for word in ("`GET` or `POST`", "absolute URL", "Length of the body", "stand still"))
    assert "answer(" not in said and "end(" not in said
