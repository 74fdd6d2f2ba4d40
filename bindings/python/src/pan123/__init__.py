"""Uploads files to 123 Cloud Drive (123 pan): instant upload, slices in parallel, retries, resume.

    import pan123

    with pan123.Client(access_token="...") as client:
        print(client.upload("film.mkv").file_id)

`AsyncClient` is the same for asyncio. Everything that fails raises a `Pan123Error`.
"""

from ._bring import Request, Response, TokenSource, Transport
from ._client import Client
from ._digests import hash, hash_many
from ._errors import (
    BadName,
    CallbackError,
    Cancelled,
    Forked,
    HostError,
    InternalError,
    InvalidArgument,
    LocalError,
    LoginError,
    NetworkError,
    NetworkTimeout,
    NotSupported,
    Pan123Error,
    Paused,
    PluginError,
    ProtocolError,
    RateLimited,
    RefusedError,
    ServerError,
    Shutdown,
    SlowUplink,
    SourceChanged,
    SourceError,
    SourceNotFound,
    SourceStalled,
    Stopped,
    StoreError,
    TimedOut,
    TlsError,
    UsageError,
    VerifyFailed,
    WouldDeadlock,
    WrongState,
)
from ._events import Event, Progress, Stage
from ._library import LibraryError, build_info, version
from ._results import Completed, Created, Digests, Duplicate, Token, Uploaded
from ._source import AnySource, ByteSource, ByteStream
from ._upload import Upload
from .aio import AsyncClient, AsyncUpload

__version__ = "0.1.0"

__all__ = [
    "AnySource",
    "AsyncClient",
    "AsyncUpload",
    "BadName",
    "ByteSource",
    "ByteStream",
    "CallbackError",
    "Cancelled",
    "Client",
    "Completed",
    "Created",
    "Digests",
    "Duplicate",
    "Event",
    "Forked",
    "HostError",
    "InternalError",
    "InvalidArgument",
    "LibraryError",
    "LocalError",
    "LoginError",
    "NetworkError",
    "NetworkTimeout",
    "NotSupported",
    "Pan123Error",
    "Paused",
    "PluginError",
    "Progress",
    "ProtocolError",
    "RateLimited",
    "RefusedError",
    "Request",
    "Response",
    "ServerError",
    "Shutdown",
    "SlowUplink",
    "SourceChanged",
    "SourceError",
    "SourceNotFound",
    "SourceStalled",
    "Stage",
    "Stopped",
    "StoreError",
    "TimedOut",
    "TlsError",
    "Token",
    "TokenSource",
    "Transport",
    "Upload",
    "Uploaded",
    "UsageError",
    "VerifyFailed",
    "WouldDeadlock",
    "WrongState",
    "build_info",
    "hash",
    "hash_many",
    "version",
]
