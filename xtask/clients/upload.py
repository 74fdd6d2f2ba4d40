"""Uploads one file with another client of the service.

upload.py CLIENT BASE_URL TOKEN FILE

Prints {"event":"started","cpu_s":…} when the interpreter, the client and its libraries are there and the
upload begins, with the CPU time it took until then, and {"event":"completed"} when the upload is over.
"""

import asyncio
import datetime
import json
import resource
import sys


def say(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


def started():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    say("started", cpu_s=usage.ru_utime + usage.ru_stime)


async def with_aio123pan(base_url, token, path):
    from aio123pan import Pan123Client

    expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    async with Pan123Client(access_token=token, expired_at=expires, base_url=base_url) as client:
        upload = client.upload
        started()
        return await upload.upload_file(path)


def with_py_123pan_client(base_url, token, path):
    from py_123pan_client import PanClient

    with PanClient("", "", access_token=token, base_url=base_url) as client:
        started()
        return client.upload_file(path, filename="file")


def main():
    client, base_url, token, path = sys.argv[1:]
    if client == "aio123pan":
        file_id = asyncio.run(with_aio123pan(base_url, token, path))
    elif client == "py-123pan-client":
        file_id = with_py_123pan_client(base_url, token, path)
    else:
        sys.exit(f"no such client: {client}")
    if not file_id:
        sys.exit(f"{client} gave no file id")
    say("completed", file_id=file_id)


main()
