"""Sends one slice with http.client and a body made by hand: part headers without quotes, `name=…;` with a
semicolon at its end, as the official Python example of the slice call has them.

usage: slice.py HOST:PORT TOKEN PREUPLOAD_ID SLICE_NO SLICE_MD5 FILE
"""

import http.client
import sys

host, token, preupload_id, slice_no, slice_md5, path = sys.argv[1:]
boundary = "wL36Yn8afVp8Ag7AmP8qZ0SA4n1v9T"
lines = []
for name, value in (("preuploadID", preupload_id), ("sliceNo", slice_no), ("sliceMD5", slice_md5)):
    lines += [
        f"--{boundary}".encode(),
        f"Content-Disposition: form-data; name={name};".encode(),
        b"Content-Type: text/plain",
        b"",
        value.encode(),
    ]
with open(path, "rb") as file:
    lines += [
        f"--{boundary}".encode(),
        "Content-Disposition: form-data; name=slice; filename=/D:/新建 文本文档 (4).txt".encode(),
        b"Content-Type: text/plain",
        b"",
        file.read(),
    ]
lines += [f"--{boundary}--".encode(), b""]

connection = http.client.HTTPConnection(host, timeout=20)
connection.request(
    "POST",
    "/upload/v2/file/slice",
    b"\r\n".join(lines),
    {
        "Authorization": f"Bearer {token}",
        "Platform": "open_platform",
        "Content-type": f"multipart/form-data; boundary={boundary}",
    },
)
print(connection.getresponse().read().decode())
