"""The manifest of a job: scanned once, then read as a stream of items."""

from __future__ import annotations

from array import array
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vbatch.columns import deserialize, serialize
from vbatch.records import ManifestScan
from vbatch.source.manifest.asks import Reader, Uses, uses
from vbatch.source.manifest.carry import Carrier, Survey, own_name
from vbatch.source.manifest.head import read_head
from vbatch.source.manifest.imagefolder import Folder
from vbatch.source.manifest.jsonl import JsonLines
from vbatch.source.manifest.look import Look
from vbatch.source.manifest.paths import find_parts, root_of
from vbatch.source.manifest.repeats import REPEAT, SHARED_PATH, Suspect, judge, rows_to_spare
from vbatch.source.manifest.rows import Builder, Claimer
from vbatch.source.manifest.tables import Table
from vbatch.source.manifest.templates import Template

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from vbatch.job import Columns
    from vbatch.records import BadRow, Item
    from vbatch.source.manifest.layout import Layout
    from vbatch.source.manifest.paths import Part

Source = JsonLines | Table | Folder

KeptSchemas = tuple[bytes, bytes]
"""``carried_schema`` and ``given_schema`` of the scan that a run began with."""


class Manifest:
    """Rows to ask about.

    ``paths`` are absolute paths, patterns or folders. ``prompt`` and ``system`` are the job's
    templates. ``template_columns_before`` are the ``template_columns`` of the run's earlier jobs,
    oldest first: rows are known by what they asked then, too.

    Raises:
        JobError: a template cannot be read.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        columns: Columns,
        prompt: str | None = None,
        system: str | None = None,
        template_columns_before: Sequence[Sequence[str]] = (),
    ) -> None:
        self._paths = tuple(paths)
        self._columns = columns
        self._prompt = None if prompt is None else Template(prompt, where="request.prompt")
        self._system = None if system is None else Template(system, where="request.system")
        self._before = [Uses.of(names) for names in template_columns_before]
        self._found: _Found | None = None

    @property
    def root(self) -> Path:
        """Where relative images are looked for when the job does not say."""
        return root_of(self._paths)

    @property
    def template_columns(self) -> tuple[str, ...]:
        """The columns that the templates look up, as ``prompt:NAME`` and ``system:NAME``."""
        return uses(self._prompt, self._system).names()

    def scan(self, *, kept: KeptSchemas | None = None) -> ManifestScan:
        """Read the whole manifest once: ids, number of rows, types of the carried columns.

        With ``kept``, columns keep the types they have in the run; new ones go to ``extra``.

        Raises:
            ManifestError: it cannot be read, has no images, a template fails on all its first
                rows, or rows with one id ask different things.
        """
        sources = [_source(part, self._columns) for part in find_parts(self._paths)]
        head = read_head(sources, self._columns)
        reader = Reader(head.layout, self._prompt, self._system, self._before)
        complaint = head.complaint(reader)
        head.rows.clear()
        look = Look(head.layout, Survey(head.layout), Claimer(head.layout, reader))
        hashes = array("q")
        for source in sources:
            hashes.extend(source.scan(look))
        head.refuse(complaint, look.survey.names)
        schemas = (look.survey.carried(), look.survey.given())
        if kept is not None:
            schemas = (deserialize(kept[0]), deserialize(kept[1]))
        carrier = Carrier(head.layout, *schemas)
        found = _Found(sources, carrier, Builder(head.layout, reader, carrier))
        flags = _flags(found, hashes)
        self._found = found._replace(flags=flags)
        return ManifestScan(
            rows=len(hashes),
            repeated=flags.count(REPEAT),
            files=tuple(source.file for source in sources),
            carried_schema=serialize(schemas[0]),
            given_schema=serialize(schemas[1]),
            renamed=_renamed(head.layout, schemas[0]),
            remote_images=look.remote_images,
        )

    def rows(self, scan: ManifestScan, *, done: bytes | None = None) -> Iterator[Item | BadRow]:
        """The rows as this manifest's ``scan`` saw them, each id once, in order, as a stream.

        ``done`` has a byte for each row by number; rows whose byte is not zero are passed over
        without being parsed.

        Raises:
            ManifestError: a file shrank or changed since the scan. One that grew is read as far
                as it went then.
        """
        found = self._found
        if found is None or scan.rows != found.rows:
            raise ValueError("rows() wants the scan that this manifest made last")
        skip, carrier = _skip(found.flags, done), found.carrier
        for source, first in found.sources_at():
            certain, checked = carrier.actions(source.schema), carrier.actions()
            for raw in source.rows(first, skip):
                actions = certain if raw.certain else checked
                unique = not found.flags or found.flags[raw.row] != SHARED_PATH
                yield found.builder.build(raw, actions, path_is_unique=unique)


class _Found(NamedTuple):
    """What a scan leaves for the reading. ``flags``: see ``repeats.judge``; empty: none."""

    sources: list[Source]
    carrier: Carrier
    builder: Builder
    flags: bytes = b""

    @property
    def rows(self) -> int:
        return sum(source.file.rows for source in self.sources)

    def sources_at(self) -> Iterator[tuple[Source, int]]:
        """Each source with the number of its first row."""
        firsts = accumulate((source.file.rows for source in self.sources), initial=0)
        return zip(self.sources, firsts, strict=False)


def _source(part: Part, columns: Columns) -> Source:
    if part.kind == "lines":
        return JsonLines(part)
    return Table(part, columns) if part.kind == "table" else Folder(part, columns)


def _flags(found: _Found, hashes: array[int]) -> bytes:
    spare = rows_to_spare(hashes)
    if spare is None:
        return b""
    return judge(_suspects(found, spare), len(hashes))


def _suspects(found: _Found, spare: bytes) -> Iterator[Suspect]:
    for source, first in found.sources_at():
        for raw in source.rows(first, spare):
            claim = found.builder.claim(raw)
            other = found.builder.claim(raw, path_is_unique=False) if claim.by_path else claim
            yield Suspect(raw.row, raw.place, claim, other)


def _skip(flags: bytes, done: bytes | None) -> bytes | None:
    repeats = flags.replace(bytes([SHARED_PATH]), b"\0") if flags else None
    if repeats is None or done is None:
        return repeats if done is None else done
    marks = np.frombuffer(repeats, np.uint8) | np.frombuffer(done, np.uint8)
    return marks.tobytes()


def _renamed(layout: Layout, carried: pa.Schema) -> dict[str, str]:
    roles = {role: name for role, name in layout.canonical().items() if role != name}
    return {**roles, **{f.name: own_name(f) for f in carried if own_name(f) != f.name}}
