"""The manifest as it was when it was scanned, and noticing when it is not so any more."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import IO

from vbatch.errors import ManifestError
from vbatch.source.manifest.raw import digest

_TAIL_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A file's size in bytes and time of change; ``tail`` is the hash of its end."""

    size_bytes: int
    mtime_ns: int
    tail: str = ""


def of_stat(stat: os.stat_result) -> Snapshot:
    """What a file's status says."""
    return Snapshot(size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns)


def of_open_file(file: IO[bytes]) -> Snapshot:
    """The same with the hash of its end, by which growth is told from another content."""
    now = of_stat(os.fstat(file.fileno()))
    return Snapshot(
        size_bytes=now.size_bytes,
        mtime_ns=now.mtime_ns,
        tail=_tail(file, now.size_bytes),
    )


def check_unchanged(path: str, then: Snapshot, now: Snapshot) -> None:
    """Refuse a file that is not the one that was scanned."""
    if now.size_bytes < then.size_bytes:
        raise ManifestError(
            f"the file shrank while we worked on it, from {then.size_bytes} to {now.size_bytes} "
            "bytes; start again when it is complete",
            path=path,
        )
    if (now.size_bytes, now.mtime_ns) != (then.size_bytes, then.mtime_ns):
        raise changed(path)


def check_grown(path: str, then: Snapshot, file: IO[bytes]) -> None:
    """Refuse a file that is neither the one that was scanned nor that one with lines added."""
    now = of_stat(os.fstat(file.fileno()))
    if now.size_bytes <= then.size_bytes:
        check_unchanged(path, then, now)
    elif _tail(file, then.size_bytes) != then.tail:
        raise changed(path)


def changed(path: str) -> ManifestError:
    """The error for a file whose content is another than when it was scanned."""
    return ManifestError("the file changed while we worked on it; start again", path=path)


def _tail(file: IO[bytes], size_bytes: int) -> str:
    length = min(size_bytes, _TAIL_BYTES)
    return digest(os.pread(file.fileno(), length, size_bytes - length))
