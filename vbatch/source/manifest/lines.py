"""Lines of a JSONL file, plain or compressed, as a stream that ends where the scan ended."""

from __future__ import annotations

import io
from contextlib import ExitStack, contextmanager
from functools import partial
from hashlib import blake2b
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from vbatch.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import WriteableBuffer

MAX_LINE_BYTES = 16 << 20

_BOM = b"\xef\xbb\xbf"
_BLOCK_BYTES = 1 << 20
CODECS = {".gz": "gzip", ".zst": "zstd"}


class TooLong:
    """Stands for a line that is too long to be held; ``hash`` is of its bytes."""

    def __init__(self, hash: bytes) -> None:  # noqa: A002 - it is one
        self.hash = hash


Line = bytes | TooLong


@contextmanager
def refusing_unreadable(path: str) -> Iterator[None]:
    """What the disk, a decompressor or Parquet's reader says, as a ManifestError.

    Every foreign exception of ``source.manifest`` becomes ours here.
    """
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError, MemoryError) as e:
        reason = getattr(e, "strerror", None) or str(e) or type(e).__name__
        question = "" if isinstance(e, PermissionError) else "; is it complete?"
        raise ManifestError(f"cannot be read ({reason}){question}", path=path) from e


def read_lines(file: IO[bytes], path: str, size_bytes: int) -> Iterator[Line]:
    """The lines in the first ``size_bytes`` of an open file, line ends included.

    A byte order mark is left out. A line over 16 MiB comes as ``TooLong`` and is never held.
    """
    with ExitStack() as stack:
        raw: Any = stack.enter_context(_Window(file, size_bytes))
        codec = next((c for ending, c in CODECS.items() if path.lower().endswith(ending)), None)
        if codec is not None:
            raw = stack.enter_context(pa.CompressedInputStream(pa.PythonFile(raw), codec))
        buffered = stack.enter_context(io.BufferedReader(raw, _BLOCK_BYTES))
        first = True
        for line in iter(partial(buffered.readline, MAX_LINE_BYTES + 1), b""):
            if first:
                first = False
                line = line.removeprefix(_BOM)  # noqa: PLW2901 - the mark is no part of the line
            yield line if len(line) <= MAX_LINE_BYTES else _skip(line, buffered)


class _Window(io.RawIOBase):
    """The first bytes of a file that may be growing."""

    def __init__(self, file: IO[bytes], size_bytes: int) -> None:
        self._file = file
        self._left = size_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")[: self._left]
        count: int = self._file.readinto(view) if len(view) else 0  # type: ignore[attr-defined]
        self._left -= count
        return count


def _skip(line: bytes, rest: io.BufferedReader) -> TooLong:
    hashed = blake2b(digest_size=16)
    while line and not line.endswith(b"\n"):
        hashed.update(line)
        line = rest.readline(_BLOCK_BYTES)
    hashed.update(line.rstrip(b"\r\n"))
    return TooLong(hashed.digest())
