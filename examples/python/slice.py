"""Sends one slice of an upload: slice.py SERVER PREUPLOAD_ID SLICE_NO FILE [OFFSET LENGTH]"""

import hashlib
import os
import sys

import pan123


def main(server: str, preupload_id: str, number: str, path: str, offset: str = "0", length: str = "-1") -> None:
    with open(path, "rb") as file:
        file.seek(int(offset))
        data = file.read(int(length))
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    with pan123.Client(access_token=os.environ["PAN123_ACCESS_TOKEN"]) as client:
        client.slice(server, preupload_id, int(number), data, md5=md5)
    print(f"slice {number} ok")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (pan123.Pan123Error, OSError) as error:
        sys.exit(str(error))
