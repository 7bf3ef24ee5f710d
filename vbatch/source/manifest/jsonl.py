"""A JSONL file as rows."""

from __future__ import annotations

import os
from array import array
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

import orjson

from vbatch.columns import exact
from vbatch.records import ManifestFile
from vbatch.source.manifest.lines import (
    MAX_LINE_BYTES,
    Line,
    TooLong,
    read_lines,
    refusing_unreadable,
)
from vbatch.source.manifest.look import OUR_ID_CHARS
from vbatch.source.manifest.raw import RawRow
from vbatch.source.manifest.refs import kind_of
from vbatch.source.manifest.snapshot import Snapshot, changed, check_grown, of_open_file, of_stat

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from vbatch.records import JsonValue
    from vbatch.source.manifest.layout import Layout
    from vbatch.source.manifest.look import Look
    from vbatch.source.manifest.paths import Part

_HEAD_BYTES = 32 << 20


class JsonLines:
    """Reads one JSONL file, twice: ``scan`` first, then ``rows`` as far as the scan saw."""

    schema: pa.Schema | None = None

    def __init__(self, part: Part) -> None:
        self._path = part.path
        self._then = Snapshot(size_bytes=0, mtime_ns=0)
        self._count = 0

    @property
    def file(self) -> ManifestFile:
        """The file as scanned."""
        return ManifestFile(
            path=self._path,
            size_bytes=self._then.size_bytes,
            mtime_ns=self._then.mtime_ns,
            rows=self._count,
        )

    @property
    def remembered(self) -> JsonValue:
        """What ``recall`` wants, so that nothing is scanned again."""
        return [self._then.size_bytes, self._then.mtime_ns, self._then.tail, self._count]

    def recall(self, _layout: Layout, remembered: JsonValue) -> None:
        """Be as after the scan that ``remembered`` was taken from."""
        size_bytes, mtime_ns, tail, self._count = remembered
        self._then = Snapshot(size_bytes=size_bytes, mtime_ns=mtime_ns, tail=tail)

    def first_values(self, count: int) -> list[dict[str, JsonValue]]:
        """The values of the first rows, as far as they are objects."""
        found = []
        with self._open() as file:
            size_bytes = of_stat(os.fstat(file.fileno())).size_bytes
            lines = read_lines(file, self._path, min(size_bytes, _HEAD_BYTES))
            there = (line for line in lines if not _is_blank(line))
            for line in islice(there, count):
                values = _parse(line)[0]
                if values is not None:
                    found.append(values)
        return found

    def scan(self, look: Look) -> array[int]:
        """Hashes of the ids that the rows claim, in order.

        A row costs a parse and a hash here; this runs for every row of the manifest before the
        first request.
        """
        hashes = array("q")
        id_name, image_name = look.layout.id[0], look.layout.image[0]
        loads, add, survey = orjson.loads, hashes.append, look.survey
        with self._open() as file:
            self._then = of_open_file(file)
            for line in read_lines(file, self._path, self._then.size_bytes):
                try:
                    values = loads(line)  # type: ignore[arg-type]
                    image = values.get(image_name)
                except (ValueError, AttributeError):
                    if not _is_blank(line):
                        add(self._look_closely(line, look))
                    continue
                if survey.rows_left:
                    survey.see_row(exact.loads(line))  # type: ignore[arg-type]
                if type(image) is not str or "://" in image:
                    look.see_images_of(values, image)
                given = values.get(id_name)
                if type(given) is str and given:
                    add(hash(given))
                    if len(given) == OUR_ID_CHARS:
                        look.see_ids((given,))
                elif given is None and (known := look.plain(values, image)) is not None:
                    add(known)
                elif type(given) is int:
                    add(hash(str(given)))
                else:
                    exactly = type(given) is float  # it may be an integer that is too long
                    raw = RawRow(0, "", 0, values, "", line)  # type: ignore[arg-type]
                    add(look.claim(self._raw(line, 0, 0) if exactly else raw))
        self._count = len(hashes)
        return hashes

    def rows(self, first: int, skip: bytes | None = None) -> Iterator[RawRow]:
        """The rows that the scan saw, but those whose byte in ``skip`` is not zero.

        ``first`` is the number of this file's first row in the manifest.

        Raises:
            ManifestError: the file is not the one that was scanned, or that with lines added.
        """
        row, end = first, first + self._count
        with self._open() as file:
            check_grown(self._path, self._then, file)
            lines = read_lines(file, self._path, self._then.size_bytes)
            for number, line in enumerate(lines, 1):
                if _is_blank(line):
                    continue
                if row == end:
                    raise changed(self._path)
                if skip is None or not skip[row]:
                    yield self._raw(line, row, number)
                row += 1
            check_grown(self._path, self._then, file)
        if row != end:
            raise changed(self._path)

    def _look_closely(self, line: Line, look: Look) -> int:
        """The hash for a line that is no row, or one with integers of hundreds of digits."""
        raw = self._raw(line, 0, 0)
        if raw.values is not None:
            if look.survey.rows_left:
                look.survey.see_row(raw.values)
            look.see_images_of(raw.values, raw.values.get(look.layout.image[0]))
        return look.claim(raw)

    def _raw(self, line: Line, row: int, number: int) -> RawRow:
        values, problem = _parse(line)
        raw = line.hash if isinstance(line, TooLong) else line
        return RawRow(row, self._path, number, values, problem, raw)

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        with refusing_unreadable(self._path), Path(self._path).open("rb", buffering=0) as file:
            yield file


def _is_blank(line: Line) -> bool:
    return not isinstance(line, TooLong) and (line.isspace() or not line)


def _parse(line: Line) -> tuple[dict[str, JsonValue] | None, str]:
    if isinstance(line, TooLong):
        return None, f"the line is longer than {MAX_LINE_BYTES >> 20} MiB"
    try:
        values = exact.loads(line)
    except orjson.JSONDecodeError as e:
        return None, f"not valid JSON: {e.msg} at character {e.pos + 1}"
    if type(values) is dict:
        return values, ""
    return None, f"a row must be an object, not {kind_of(values)}"
