"""Programs of a few lines, run as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import IO, cast

from emulator import Emulator

START = """
import asyncio, gc, os, sys, threading, time
import pan123
client = pan123.Client(base_url=os.environ["URL"], access_token=os.environ["TOKEN"], progress_interval=0.01)
class Slow:
    def __init__(self, size, go=None):
        self.size, self.go = size, go
    def read_at(self, offset, size):
        if self.go:
            self.go.wait()
        return bytes(size)
def sent(progress):
    if progress.bytes_sent == progress.bytes_total:
        print("sent", flush=True)
"""


class Script:
    def __init__(self, emulator: Emulator, body: str, *flags: str) -> None:
        from emulator import TOKEN

        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", *flags, "-c", START + textwrap.dedent(body)],
            env={**os.environ, "URL": emulator.url, "TOKEN": TOKEN},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        # A program that hangs fails its test instead of hanging that too; its children are in its session.
        self._watchdog = threading.Timer(40, self._kill)
        self._watchdog.daemon = True
        self._watchdog.start()

    def _kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)

    def line(self) -> str:
        """The next line that it prints, empty at the end."""
        return cast("IO[str]", self.process.stdout).readline().strip()

    def wait_for(self, words: str) -> None:
        while line := self.line():
            if line == words:
                return
        raise AssertionError(f"it ended without saying {words!r}: {self.process.communicate()}")

    def interrupt(self) -> None:
        """Ctrl-C, once its main thread has come to wait. Python takes note of a signal between two steps or when it
        interrupts a wait; one that falls between the last look and the wait is not seen before the wait is over."""
        before, since = "", time.monotonic()
        # Somebody who waits for the interpreter's lock wakes up every 5 ms.
        while time.monotonic() - since < 0.05:
            os.sched_yield()
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            now = next(line for line in status.splitlines() if line.startswith("voluntary_ctxt_switches"))
            if now != before or "State:\tS" not in status:
                before, since = now, time.monotonic()
        self.process.send_signal(signal.SIGINT)

    def end(self, timeout: float = 30) -> tuple[int, str, str]:
        """Return code, and what is left of output and errors."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self._kill()
            out, err = self.process.communicate()
            raise AssertionError(f"it did not end within {timeout} s: {out} {err}") from None
        finally:
            self._watchdog.cancel()
            self._watchdog.join()
        return self.process.returncode, out.strip(), err.strip()


def run(emulator: Emulator, body: str, *flags: str) -> str:
    """What a program prints that has to end well and without complaints."""
    code, out, err = Script(emulator, body, *flags).end()
    assert (code, err) == (0, ""), out + err
    return out
