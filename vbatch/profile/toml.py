"""TOML files as trees, and values as TOML."""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from typing import TYPE_CHECKING, Any

from vbatch.errors import JobError

if TYPE_CHECKING:
    from pathlib import Path

_LINE = re.compile(r" \(at line (\d+), column (\d+)\)$")
_END = "(at end of document)"
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""A FIFO without writer would hold up a plain open for ever."""
_MAX_BYTES = 4 << 20


def read(path: Path, where: str, *, what: str) -> str:
    """Return a file's text. Raises JobError where it cannot be read or is not UTF-8.

    ``where`` is what messages call the file, ``what`` what it should be.
    """
    try:
        return _bytes_of(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise JobError(f"{where}:{line}: a {what} is UTF-8 text, and this is not") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise JobError(f"{where}: cannot read this {what}: {reason}") from None


def _bytes_of(path: Path) -> bytes:
    """Raises ValueError for what is no regular file, or too large to be meant."""
    with open(os.open(path, _FLAGS), "rb") as file:  # noqa: PTH123 - a descriptor
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file")
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError(f"it is over {_MAX_BYTES >> 20} MiB")
    return data


def parse(text: str, where: str) -> dict[str, Any]:
    """Return the tree of a TOML text. Raises JobError with the line where it breaks."""
    try:
        return tomllib.loads(text)
    except ValueError as error:  # also from int(), for integers of thousands of digits
        raise JobError(f"{where}:{_told(str(error), text)}") from None


def _told(message: str, text: str) -> str:
    """The parser's words behind the line they speak of."""
    if found := _LINE.search(message):
        return f"{found[1]}: not TOML: {message[: found.start()]} (column {found[2]})"
    if message.endswith(_END):
        return f"{text.count(chr(10)) + 1}: not TOML: {message}"
    return f" not TOML: {message}"


def write(value: str | list[str]) -> str:
    """Return ``value`` as TOML writes it: JSON, with the one character TOML escapes besides."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
