"""Makes `pan123/_declarations.py`, what cffi needs to know of the two C headers, out of the headers themselves."""

import re
from pathlib import Path

from cffi import FFI


def plain_c(header: str) -> str:
    """Takes from a header what cffi's parser does not read: comments, the preprocessor's lines, the C++ parts."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    text = re.sub(r"#ifdef __cplusplus.*?#endif[^\n]*", "", text, flags=re.S)
    lines = []
    for line in text.splitlines():
        if line.startswith("#"):
            number = re.fullmatch(r"#define (\w+) (-?(?:0x[0-9a-fA-F]+|[0-9]+))[uU]?", line.split("/*")[0].strip())
            if number:
                lines.append(f"#define {number[1]} {number[2]}")
        elif line.strip() and not line.lstrip().startswith("#"):
            lines.append(line.replace("PAN123_API", "").rstrip())
    return "\n".join(lines)


def declarations(headers: list[Path], into: Path) -> None:
    """Writes the module that declares all of `headers` to the file `into`."""
    ffi = FFI()
    for header in headers:
        ffi.cdef(plain_c(header.read_text(encoding="utf-8")))
    ffi.set_source("pan123._declarations", None)
    ffi.emit_python_code(str(into))
