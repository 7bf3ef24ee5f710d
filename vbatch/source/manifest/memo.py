"""What a scan found, in a form to be kept: an unchanged manifest is not read a second time for it.

Reading a million rows to count them and to compare their ids takes a second, and whoever picks a
run up with the same files would learn what the run knows.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from vbatch.source.manifest.lines import refusing_unreadable
from vbatch.source.manifest.raw import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vbatch.records import JsonValue
    from vbatch.source.manifest.paths import Part

SETTLED_S = 2.0
"""A file that changed less long ago may change again without a sign: disks count time coarsely."""


_READ_AS = 1
"""Counts the ways in which rows were numbered, and their ids and digests made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memo:
    """``files`` as each source remembers itself, ``names`` of the columns seen.

    The schemas are those of the manifest itself, and ``flags`` as ``repeats.judge`` gives them.
    """

    files: tuple[JsonValue, ...]
    names: tuple[str, ...]
    carried_schema: bytes
    given_schema: bytes
    remote_images: int
    flags: bytes

    def to_json(self) -> dict[str, JsonValue]:
        """As an object of JSON; flags are nearly all 0, and packed."""
        packed = {
            "carried_schema": self.carried_schema,
            "given_schema": self.given_schema,
            "flags": zlib.compress(self.flags, 1),
        }
        return {**asdict(self), **{name: b64encode(v).decode() for name, v in packed.items()}}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """What ``to_json`` wrote; for anything else a LookupError, TypeError or ValueError."""
        return cls(
            files=tuple(stored["files"]),
            names=tuple(stored["names"]),
            carried_schema=b64decode(stored["carried_schema"]),
            given_schema=b64decode(stored["given_schema"]),
            remote_images=int(stored["remote_images"]),
            flags=_unpacked(b64decode(stored["flags"])),
        )


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error as e:
        raise ValueError(str(e)) from e


def place_of(part: Part, columns: object, now: float) -> str | None:
    """By what it is known that every row of a file has the content that it had.

    ``now`` in seconds since the epoch. None where that cannot be told from the file's status: for
    folders of images, and for files that were changed just now.
    """
    if part.kind == "folder":
        return None
    with refusing_unreadable(part.path):
        stat = Path(part.path).stat()
    if max(stat.st_mtime, stat.st_ctime) > now - SETTLED_S:
        return None
    status = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    seen = (_READ_AS, part.path, dict(part.partition), status, columns)
    return digest(repr(seen).encode("utf-8", "surrogatepass"))
