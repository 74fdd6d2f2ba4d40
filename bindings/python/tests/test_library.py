"""The library that the package loads: carried by the wheel, checked, and missed in clear words."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from emulator import TOKEN, Emulator

import pan123
from pan123 import _errors, _library

PACKAGE = Path(pan123.__file__).parent
PROJECT = Path(__file__).resolve().parent.parent
HEADER = PROJECT.parent.parent / "include" / "pan123.h"


def test_package_library_and_project_have_one_version() -> None:
    assert (
        pan123.__version__ == importlib.metadata.version("pan123") == pan123.version() == pan123.build_info()["version"]
    )


def test_wheel_carries_its_library() -> None:
    wheel = importlib.metadata.distribution("pan123").read_text("WHEEL")
    assert wheel is not None and re.search(r"^Tag: py3-none-(manylinux|musllinux)_\w+$", wheel, re.M)
    assert (PACKAGE / _library.SONAME).is_file() and (PACKAGE / "py.typed").is_file()


def test_wheel_works_without_any_environment(emulator: Emulator) -> None:
    code = f"import pan123; print(pan123.Client(base_url={emulator.url!r}, access_token={TOKEN!r}).upload(b'1', name='a').size)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], env={}, cwd="/", capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


def test_declarations_are_those_of_the_header() -> None:
    text = HEADER.read_text(encoding="utf-8")
    numbers = dict(re.findall(r"^#define (PAN123_\w+) (0x[0-9a-f]+|[0-9]+)u?$", text, re.M))
    assert len(numbers) > 90
    for name, value in numbers.items():
        assert getattr(_library.lib, name) == int(value, 0), name
    functions = set(re.findall(r"\b(pan123_\w+)\(", re.sub(r"/\*.*?\*/", "", text, flags=re.S)))
    assert len(functions) > 60
    for name in functions:
        assert getattr(_library.lib, name), name


def test_library_lists_the_same_constants() -> None:
    """It may know more than the header that this package was made with, but nothing else by the same name."""
    ffi, lib = _library.ffi, _library.lib
    value = ffi.new("int64_t *")
    listed: dict[str, int] = {}
    while (name := lib.pan123_constant_at(len(listed), value)) != ffi.NULL:
        listed[ffi.string(name).decode()] = value[0]
    ours = {name: getattr(lib, name) for name in dir(lib) if re.match("PAN123_(E|EV|F|OPT|STAGE)_", name)}
    assert len(ours) > 90 and ours.items() <= listed.items()


def test_each_code_has_an_exception_in_its_band() -> None:
    for name in dir(_library.lib):
        if name.startswith("PAN123_E_"):
            code = getattr(_library.lib, name)
            band = next(band for first, band in _errors._BANDS if code >= first)
            assert name.removeprefix("PAN123_E_") in _errors._CLASSES, name
            assert issubclass(_errors.class_of(code), band)
    assert _errors.class_of(299) is pan123.NetworkError and _errors.class_of(450) is pan123.RefusedError


def import_copy(folder: Path) -> str:
    """What an import of the package in `folder` says, in a process of its own."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import pan123; print(pan123.__file__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done.stdout + done.stderr.strip().rpartition("\n")[2]


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the installed package that may be damaged."""
    shutil.copytree(PACKAGE, tmp_path / "pan123")
    return tmp_path / "pan123"


def test_copy_is_what_is_imported(copied: Path) -> None:
    assert import_copy(copied.parent).strip() == str(copied / "__init__.py")


def test_missing_library(copied: Path) -> None:
    (copied / _library.SONAME).unlink()
    said = import_copy(copied.parent)
    assert said.startswith(
        f"pan123._library.LibraryError: libpan123.so.0.1 is neither in {copied} nor where the system looks for libraries. "
        "Install the pan123 wheel again (it carries the library), or install libpan123 and run ldconfig. The system says: "
    )


def test_damaged_library(copied: Path) -> None:
    (copied / _library.SONAME).write_bytes(b"\x7fELF, or rather not")
    assert "another kind of machine, or is damaged. Install the pan123 wheel again" in import_copy(copied.parent)


def test_another_library(copied: Path) -> None:
    shutil.copy(copied / _library.BRIDGE, copied / _library.SONAME)
    assert "is not libpan123, or one from before 0.1. Install libpan123 0.1." in import_copy(copied.parent)


@pytest.mark.parametrize(
    ("version", "wanted"), [("0x00010007u", "1.7"), ("0x00020000u", "2.0"), ("0x00000000u", "0.0")]
)
def test_library_that_does_not_fit(copied: Path, version: str, wanted: str) -> None:
    """A package made with another header meets the library of today."""
    header = copied / "pan123.h"
    text = HEADER.read_text(encoding="utf-8")
    header.write_text(text.replace("#define PAN123_ABI_VERSION 0x00010000u", f"#define PAN123_ABI_VERSION {version}"))
    spec = importlib.util.spec_from_file_location("declarations", PROJECT / "declarations.py")
    assert spec is not None and spec.loader is not None
    declarations: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(declarations)
    declarations.declarations([header, PROJECT / "native" / "bridge.h"], copied / "_declarations.py")
    has = pan123.build_info()["abi"]
    assert import_copy(copied.parent) == (
        f"pan123._library.LibraryError: {copied / _library.SONAME} (libpan123 {pan123.version()}) does not fit this package: "
        f"it has interface {has}, and the package was made for {wanted}. Install libpan123 and pan123 in the same version, or "
        "the pan123 wheel, which carries its library."
    )


def test_wheel_is_not_built_without_a_library() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PAN123_LIB_DIR"}
    code = "import runpy; runpy.run_path('hatch_build.py')['find_library']()"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "set PAN123_LIB_DIR to the folder that holds it" in done.stderr


def test_build_info_is_plain_data() -> None:
    assert json.loads(json.dumps(pan123.build_info())) == pan123.build_info()
