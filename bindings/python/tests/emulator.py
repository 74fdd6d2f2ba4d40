"""`pan123 serve`, started for one test: the service on this machine, whose files and log the tests judge by."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

MIB = 1 << 20
TOKEN = "token-of-the-tests"


class Emulator:
    """Runs until `stop`."""

    def __init__(
        self, folder: Path, faults: dict[str, Any] | None = None, slice_size: int = MIB, keep: bool = True
    ) -> None:
        self.dir = folder / "drive"
        command = [program(), "serve", "--port", "0", "--token", TOKEN, "--dir", str(self.dir)]
        command += ["--servers", "2", "--slice-size", str(slice_size)]
        if not keep:
            command.append("--no-keep")
        if faults is not None:
            command += ["--faults", json.dumps(faults)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        assert first.startswith("listening "), first + self._process.communicate()[1]
        self.url = first.split()[1]

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate()

    def options(self, **more: Any) -> dict[str, Any]:
        """What a client needs to talk to it."""
        return {"base_url": self.url, "access_token": TOKEN, **more}

    def set_faults(self, faults: dict[str, Any]) -> None:
        self._control("PUT", "faults", json.dumps(faults).encode())

    def requests(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """The requests so far, in order of their end, without these of the tests themselves."""
        every = json.loads(self._control("GET", "requests"))
        return [one for one in every if "/_emulator/" not in one["line"] and endpoint in (None, one["endpoint"])]

    def forget_requests(self) -> None:
        self._control("DELETE", "requests")

    def slices(self) -> list[int]:
        """The numbers of the slices that were sent and taken."""
        return sorted(one["slice_no"] for one in self.requests("slice") if one["status"] == 200 and one["code"] == 0)

    def stored(self, name: str) -> bytes:
        return (self.dir / "files" / name).read_bytes()

    def stored_names(self) -> list[str]:
        files = self.dir / "files"
        return sorted(str(path.relative_to(files)) for path in files.rglob("*") if path.is_file())

    def _control(self, method: str, what: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"{self.url}/_emulator/{what}", data=body, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            data: bytes = answer.read()
            return data


def program() -> str:
    found = os.environ.get("PAN123_PROGRAM")
    if not found or not Path(found).is_file():
        raise RuntimeError(
            "the tests need the program `pan123`: set PAN123_PROGRAM to it, or run `cargo xtask bindings`, which does that"
        )
    return found
