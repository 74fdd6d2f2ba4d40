"""Puts into the wheel what is no Python: libpan123, the bridge between its threads and Python's, the declarations."""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from declarations import declarations  # noqa: E402

SONAME = "libpan123.so.0.1"


class WheelParts(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        self.scratch = tempfile.TemporaryDirectory(prefix="pan123-wheel-")
        scratch = Path(self.scratch.name)
        header = find_header()
        library = find_library()

        bridge = scratch / "libpan123_bridge.so"
        source = HERE / "native" / "bridge.c"
        compiler = shlex.split(os.environ.get("CC", "cc"))
        flags = [
            "-std=c11",
            "-O2",
            "-fPIC",
            "-shared",
            "-fvisibility=hidden",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pthread",
        ]
        subprocess.run([*compiler, *flags, f"-I{header.parent}", str(source), "-o", str(bridge)], check=True)

        declared = scratch / "_declarations.py"
        declarations([header, HERE / "native" / "bridge.h"], declared)

        parts = {library: f"pan123/{SONAME}", bridge: f"pan123/{bridge.name}", declared: "pan123/_declarations.py"}
        build_data["force_include"].update({str(path): place for path, place in parts.items()})
        build_data["pure_python"] = False
        # No compiled code touches the interpreter, so one wheel serves all of them. It asks for the C library of this
        # machine or a newer one.
        platforms = [tag.platform for tag in sys_tags()]
        libc = [platform for platform in platforms if platform.startswith(("manylinux_", "musllinux_"))]
        build_data["tag"] = f"py3-none-{(libc or platforms)[0]}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        self.scratch.cleanup()


def find_header() -> Path:
    """`pan123.h`: beside the library's sources, or as a source distribution carries it."""
    places = [HERE / "include", HERE.parent.parent / "include"]
    if "PAN123_INCLUDE_DIR" in os.environ:
        places.insert(0, Path(os.environ["PAN123_INCLUDE_DIR"]))
    for place in places:
        if (place / "pan123.h").is_file():
            return place / "pan123.h"
    raise SystemExit("pan123.h is not there: set PAN123_INCLUDE_DIR to the folder that holds it")


def find_library() -> Path:
    folder = os.environ.get("PAN123_LIB_DIR")
    if not folder:
        raise SystemExit(f"the wheel carries {SONAME}: set PAN123_LIB_DIR to the folder that holds it")
    library = Path(folder) / SONAME
    if not library.is_file():
        raise SystemExit(f"{library} is not there: build it with `cargo xtask install`, or name another PAN123_LIB_DIR")
    return library
