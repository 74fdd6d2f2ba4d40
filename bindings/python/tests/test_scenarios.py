"""The table of scenarios that every binding runs; `bindings/scenarios.json` says what each has to show."""

from __future__ import annotations

import http.client
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Numbers, md5, some_bytes
from emulator import MIB, TOKEN, Emulator
from scenario import scenario

import pan123

Start = Callable[..., Emulator]
HANG = {"on": "slice", "do": "hang"}


def check_stored_once(emulator: Emulator, name: str, data: bytes, done: pan123.Uploaded | None = None) -> None:
    """What "as upload" means in the table: right bytes, and each slice once."""
    count = -(-len(data) // MIB)
    assert emulator.stored(name) == data
    assert emulator.slices() == list(range(1, count + 1))
    if done is not None:
        assert (done.etag, done.size, done.slices, done.reused) == (md5(data), len(data), count, False)


@scenario("upload")
def test_upload(emulator: Emulator, client: pan123.Client, tmp_path: Path) -> str:
    data = some_bytes(5 * MIB - 7)
    (tmp_path / "film.mkv").write_bytes(data)
    done = client.upload(tmp_path / "film.mkv")
    check_stored_once(emulator, "film.mkv", data, done)
    return f"{done.slices} slices"


@scenario("reuse")
def test_reuse(emulator: Emulator, client: pan123.Client) -> None:
    data = some_bytes(2 * MIB)
    first = client.upload(data, name="first")
    emulator.forget_requests()
    second = client.upload(data, name="second")
    assert second.reused and not first.reused
    assert emulator.requests("slice") == []
    assert emulator.stored("second") == data


@scenario("retry")
def test_retry(emulate: Start) -> str:
    faults = [
        {"on": "slice", "slice_no": 2, "attempt": "1..2", "do": {"status": {"status": 500}}},
        {"on": "upload_complete", "attempt": 1, "do": "pending"},
    ]
    emulator = emulate(faults={"faults": faults})
    data = some_bytes(3 * MIB)
    with pan123.Client(**emulator.options()) as client:
        upload = client.start_upload(data, name="retried")
        events = list(upload.events())
        done = upload.wait()
    retries = [event for event in events if event.kind == "RETRY"]
    assert any(event.slice_no == 2 and "500" in event.text for event in retries), retries
    assert events[-1].kind == "COMPLETED" and events[-1].value == done.file_id
    check_stored_once(emulator, "retried", data, done)
    assert len(emulator.requests("upload_complete")) == 2
    return f"{len(retries)} retry events"


@scenario("cancel")
def test_cancel(emulate: Start) -> str:
    emulator = emulate(faults={"faults": [HANG]})
    with pan123.Client(**emulator.options(progress_interval=0.01)) as client:
        upload = client.start_upload(some_bytes(3 * MIB), name="never")
        # All bytes of all slices are out, and no answer comes.
        for _ in upload.events():
            if upload.progress().bytes_sent == 3 * MIB:
                break
        began = time.monotonic()
        upload.cancel()
        with pytest.raises(pan123.Cancelled):
            upload.wait(timeout=20)
        took = time.monotonic() - began
    assert took <= 0.25
    assert emulator.stored_names() == []
    return f"{took * 1000:.0f} ms"


@scenario("resume")
def test_resume(emulate: Start, tmp_path: Path) -> str:
    emulator = emulate(faults={"faults": [{"on": "slice", "slice_no": "4..", "do": "hang"}]})
    data = some_bytes(6 * MIB)
    (tmp_path / "long").write_bytes(data)
    options = emulator.options(state_dir=tmp_path / "state")
    with pan123.Client(**options) as client:
        upload = client.start_upload(tmp_path / "long")
        acknowledged = 0
        for event in upload.events():
            acknowledged += event.kind == "SLICE"
            if acknowledged == 3:
                upload.pause()
        with pytest.raises(pan123.Paused):
            upload.wait()
    emulator.set_faults({})
    with pan123.Client(**options) as client:
        done = client.upload(tmp_path / "long")
    assert emulator.stored("long") == data and done.size == len(data)
    assert emulator.slices() == [1, 2, 3, 4, 5, 6]
    assert len(emulator.requests("create")) == 1
    return "slices 1 to 3 sent once"


@scenario("bad-token")
def test_bad_token(emulator: Emulator) -> None:
    wrong = "a-wrong-token-123"
    with pan123.Client(base_url=emulator.url, access_token=wrong) as client:
        with pytest.raises(pan123.LoginError) as caught:
            client.upload(b"data", name="a")
    error = caught.value
    assert error.step == "create" and error.advice and not error.retryable
    refused = emulator.requests("create")[0]
    assert error.api_code == refused["code"] and error.trace_id == refused["trace_id"]
    assert refused["message"] in str(error) and error.api_message == refused["message"]
    assert wrong not in str(error) + repr(error) + repr(vars(error))


@scenario("bad-name")
def test_bad_name(emulator: Emulator, client: pan123.Client) -> None:
    with pytest.raises(pan123.BadName) as caught:
        client.upload(b"data", name="a:b")
    assert caught.value.advice
    assert emulator.requests("create") == []


@scenario("missing-file")
def test_missing_file(emulator: Emulator, client: pan123.Client, tmp_path: Path) -> None:
    with pytest.raises(pan123.SourceError) as caught:
        client.upload(tmp_path / "not-there.bin")
    assert "not-there.bin" in str(caught.value)
    assert emulator.requests("create") == []


@scenario("own-source")
def test_own_source(emulator: Emulator, client: pan123.Client) -> str:
    source = Numbers(5 * MIB - 7)
    done = client.upload(source, name="numbers")
    check_stored_once(emulator, "numbers", Numbers(source.size).read_at(0, source.size), done)
    return f"{source.reads} reads"


@scenario("own-transport")
def test_own_transport(emulator: Emulator) -> str:
    sent = []

    def send(request: pan123.Request) -> pan123.Response:
        url = urllib.parse.urlsplit(request.url)
        connection = http.client.HTTPConnection(url.netloc, timeout=request.timeout)
        headers = {**dict(request.headers), "User-Agent": "the-tests-own/1", "Content-Length": str(request.body_size)}
        try:
            connection.request(
                request.method, url.path + "?" + url.query, request if request.body_size else None, headers
            )
            answer = connection.getresponse()
            sent.append(request.url)
            return pan123.Response(answer.status, answer.read(), answer.getheaders())
        finally:
            connection.close()

    data = some_bytes(5 * MIB - 7)
    with pan123.Client(**emulator.options(transport=send)) as client:
        done = client.upload(data, name="own-way")
    check_stored_once(emulator, "own-way", data, done)
    requests = emulator.requests()
    assert {request["user_agent"] for request in requests} == {"the-tests-own/1"}
    assert len(requests) == len(sent) == 7
    return f"{len(sent)} requests, by http.client"


@scenario("progress")
def test_progress(emulator: Emulator) -> str:
    data = some_bytes(8 * MIB)
    seen: list[pan123.Progress] = []
    with pan123.Client(**emulator.options(progress_interval=0.01)) as client:
        client.upload(data, name="eight", progress=seen.append)
    for before, after in zip(seen, seen[1:]):
        assert before.bytes_hashed <= after.bytes_hashed
        assert before.bytes_sent <= after.bytes_sent
        assert before.bytes_confirmed <= after.bytes_confirmed
        assert before.stage <= after.stage
    assert all(one.bytes_confirmed <= one.bytes_sent for one in seen)
    last = seen[-1]
    assert last.bytes_hashed == last.bytes_sent == last.bytes_confirmed == last.bytes_total == len(data)
    assert last.slices_done == last.slices_total == 8 and last.stage is pan123.Stage.DONE
    return f"{len(seen)} reports"


@scenario("slice-by-slice")
def test_slice_by_slice(emulator: Emulator, client: pan123.Client) -> None:
    data = some_bytes(5 * MIB - 7)
    etag = pan123.hash(data).etag
    created = client.create("by-hand", etag=etag, size=len(data))
    assert not created.reused and created.preupload_id is not None and created.slice_count == 5
    digests = pan123.hash(data, slice_size=created.slice_size)
    for index, digest in enumerate(digests.slices):
        part = memoryview(data)[index * created.slice_size :][: created.slice_size]
        client.slice(created.servers[0], created.preupload_id, index + 1, part, md5=digest)
    completed = client.complete(created.preupload_id)
    assert completed.completed and completed.file_id
    check_stored_once(emulator, "by-hand", data)
    assert client.token().value == TOKEN
