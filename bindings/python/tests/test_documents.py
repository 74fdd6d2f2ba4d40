"""The README's program, the example, and the types, as a stranger would meet them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import md5, some_bytes
from emulator import MIB, TOKEN, Emulator

import pan123

PROJECT = Path(__file__).resolve().parent.parent
EXAMPLE = PROJECT.parent.parent / "examples" / "python" / "slice.py"


def test_program_of_the_readme(emulator: Emulator, tmp_path: Path) -> None:
    programs = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.S)
    assert len(programs[0].splitlines()) <= 25
    (tmp_path / "program.py").write_text(programs[0], encoding="utf-8")
    data = some_bytes(3 * MIB)
    (tmp_path / "film.mkv").write_bytes(data)
    environment = {**os.environ, "PAN123_ACCESS_TOKEN": TOKEN, "PAN123_BASE_URL": emulator.url, "HOME": str(tmp_path)}

    def run(file: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-X", "dev", "program.py", file]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    done = run("film.mkv")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"sent: file \d+, {len(data)} bytes, MD5 {md5(data)}\n", done.stdout)
    assert emulator.stored("film.mkv") == data
    assert "3.15M/3.15M" in done.stderr  # the bar, full
    missing = run("not-there")
    assert (
        missing.returncode == 1 and "not-there: no such file" in missing.stderr and "Check the path." in missing.stderr
    )


def test_messages_of_the_readme() -> None:
    """As they are in the code, up to names and figures."""
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    code = (PROJECT / "src" / "pan123" / "_library.py").read_text(encoding="utf-8")
    code = re.sub(r'"\s+f?"', "", code)
    for words in (
        "nor where the system looks for libraries",
        "Install the pan123 wheel again (it carries the library), or install libpan123 and run ldconfig. The system says: ",
        "does not fit this package: it has interface ",
        "Install libpan123 and pan123 in the same version, or the pan123 wheel, which carries its library.",
    ):
        assert words in readme and words in code, words


def test_example_sends_one_slice(emulator: Emulator, client: pan123.Client, tmp_path: Path) -> None:
    data = some_bytes(2 * MIB - 9)
    (tmp_path / "a").write_bytes(data)
    created = client.create("a", etag=md5(data), size=len(data))
    assert created.preupload_id is not None

    def send(number: int, offset: int, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
        arguments = [
            created.servers[0],
            str(created.preupload_id),
            str(number),
            str(tmp_path / "a"),
            str(offset),
            str(MIB),
        ]
        environment = {**os.environ, "PAN123_ACCESS_TOKEN": token}
        return subprocess.run([sys.executable, EXAMPLE, *arguments], env=environment, capture_output=True, text=True)

    assert send(1, 0).stdout == "slice 1 ok\n"
    assert send(2, MIB).stdout == "slice 2 ok\n"
    refused = send(1, 0, "another-token")
    assert refused.returncode == 1 and refused.stdout == "" and "slice" in refused.stderr
    assert client.complete(created.preupload_id).completed
    assert emulator.stored("a") == data


def test_types() -> None:
    """`mypy --strict`, over the installed package as its users meet it, and over these tests and the example."""
    command = [sys.executable, "-m", "mypy", "--strict", "tests", str(EXAMPLE)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
