"""A segment of the journal: checksummed lines, and what may be wrong with them.

::

    <crc> {"vbatch": "journal", "format_version": 1, "segment": 7, "boot": "…", "follows": 81234}
    <crc> [[entry], [entry], …]
    <crc> {"synced": 40960}

A line's checksum begins with the header's own and the line's offset, so that a line of another
segment, or one that has moved, is not taken for a good one. ``follows`` says where the segment
before ends: what stands behind that was written again here. ``synced`` says how far the disk had
the segment when the line was written; only damage behind it can come from a power cut.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from vbatch.errors import Corrupt, Mismatch
from vbatch.sink import codec
from vbatch.sink.layout import FORMAT_VERSION
from vbatch.sink.storage import reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_CRC_BYTES = 9
_MASK = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A segment's first line.

    ``boot`` names the machine's start it was written under; ``follows`` is the size in bytes up to
    which the segment before counts, None for the first after a commit of all; ``at`` seconds since
    the epoch; ``reserve``: the file was made beforehand, so that zeros may follow the last line.
    ``size`` is the line's length in bytes and ``seed`` where checksums begin.
    """

    segment: int
    boot: str
    follows: int | None
    at: float
    reserve: bool = False
    size: int = 0
    seed: int = 0

    def line(self) -> bytes:
        """The header as it is written."""
        body = orjson.dumps(
            {
                "vbatch": "journal",
                "format_version": FORMAT_VERSION,
                "segment": self.segment,
                "boot": self.boot,
                "follows": self.follows,
                "at": self.at,
                "reserve": self.reserve,
            }
        )
        return b"%08x %b\n" % (zlib.crc32(body), body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Where the first bad line of a segment begins, and what stands behind it.

    ``ended`` says whether that line has its end: one that a kill has torn has none. ``synced`` is
    how far, in bytes, the disk is known to have had the segment.
    """

    offset: int
    ended: bool
    synced: int


def seed(header_line: bytes) -> int:
    """Where the checksums of a segment with this header begin."""
    return zlib.crc32(header_line[_CRC_BYTES:-1])


def frame(bodies: Sequence[bytes], start: int, offset: int) -> bytes:
    """Lines to be written at ``offset``, as one piece."""
    lines = []
    for body in bodies:
        lines.append(b"%08x %b\n" % (zlib.crc32(body, (start + offset) & _MASK), body))
        offset += len(body) + _CRC_BYTES + 1
    return b"".join(lines)


def mark(synced: int) -> bytes:
    """The body of a line that says how far the disk has the segment."""
    return b'{"synced":%d}' % synced


def read_header(path: Path) -> Header:
    """The header of a segment; ``Corrupt`` if torn, ``Mismatch`` if a newer vbatch wrote it."""
    with reading(path), path.open("rb") as file:
        line = file.readline(1 << 16)
    body = line[_CRC_BYTES:-1]
    if not line.endswith(b"\n") or line[:_CRC_BYTES] != b"%08x " % zlib.crc32(body):
        raise Corrupt(f"{path}, offset 0: the header is torn. {_ADVICE}")
    fields: dict[str, Any] = orjson.loads(body)
    if fields["format_version"] > FORMAT_VERSION:
        raise Mismatch(f"{path} was written by a newer vbatch (format {fields['format_version']})")
    return Header(
        segment=fields["segment"],
        boot=fields["boot"],
        follows=fields["follows"],
        at=fields["at"],
        reserve=fields.get("reserve", True),
        size=len(line),
        seed=seed(line),
    )


def read_entries(path: Path, end: int | None = None) -> Iterator[tuple[list[list[Any]], int]]:
    """All entries of a segment up to ``end`` bytes, a line's worth at a time, and its size.

    Raises ``Corrupt`` with file and offset at the first line that is not as it was written, and
    where the file ends before ``end``.
    """
    header = read_header(path)
    reached = header.size
    for offset, line, good in _lines(path, header, end):
        if not good:
            raise Corrupt(f"{path}, offset {offset}: a record is torn. {_ADVICE}")
        body = line[_CRC_BYTES:-1]
        if body.startswith(b"["):
            yield codec.loads(body), len(body)
        reached = offset + len(line)
    if end is not None and reached != end:
        raise Corrupt(f"{path}, offset {reached}: the segment ended at {end}. {_ADVICE}")


def find_damage(path: Path) -> Damage | None:
    """The first bad line of a segment, None if every line is as it was written."""
    header = read_header(path)
    first = None
    synced = 0
    for offset, line, good in _lines(path, header, None):
        if not good and first is None:
            first = offset, _has_end(line, offset, header)
        body = line[_CRC_BYTES:-1] if good else _swallowed(line, offset, header)
        if body.startswith(b"{"):
            synced = max(synced, orjson.loads(body)["synced"])
    if first is None:
        return None
    offset, ended = first
    return Damage(offset=offset, ended=ended, synced=synced)


def _has_end(line: bytes, offset: int, header: Header) -> bool:
    """Whether a bad line is all there: its newline, or whatever took the newline's place."""
    if line.endswith(b"\n") or (b"\0" in line and not header.reserve):
        return True
    return _is_good(line.rstrip(b"\0")[:-1] + b"\n", offset, header)


def _swallowed(line: bytes, offset: int, header: Header) -> bytes:
    """The body of a good line at the end of a bad one: a hole has no newline of its own."""
    for match in _BEGINNING.finditer(line):
        rest = line[match.start() :]
        if _is_good(rest, offset + match.start(), header):
            return rest[_CRC_BYTES:-1]
    return b""


def _lines(path: Path, header: Header, end: int | None) -> Iterator[tuple[int, bytes, bool]]:
    """Each line, where it begins, and whether it is as it was written."""
    offset = header.size
    with reading(path), path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if end is not None and offset >= end:
                return
            yield offset, line, _is_good(line, offset, header)
            offset += len(line)


def _is_good(line: bytes, offset: int, header: Header) -> bool:
    crc = zlib.crc32(line[_CRC_BYTES:-1], (header.seed + offset) & _MASK)
    return line.endswith(b"\n") and line.startswith(b"%08x " % crc)


_BEGINNING = re.compile(rb"[0-9a-f]{8} (?=[\[{])")
_ADVICE = "Nothing was changed; restore the file from a copy, or start over with --fresh"
