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
from vbatch.source.manifest.memo import Memo, place_of
from vbatch.source.manifest.paths import find_parts, root_of
from vbatch.source.manifest.raw import digest
from vbatch.source.manifest.repeats import REPEAT, SHARED_PATH, Suspect, judge, rows_to_spare
from vbatch.source.manifest.rows import Builder, Claimer
from vbatch.source.manifest.tables import Table
from vbatch.source.manifest.templates import Template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from vbatch.job import Columns
    from vbatch.records import BadRow, Item
    from vbatch.source.manifest.layout import Layout
    from vbatch.source.manifest.paths import Part

Source = JsonLines | Table | Folder

BREATH = 1_000
"""Of so many rows one is made an item in any case."""
LONG_BREATH = 50_000
"""The same among rows that are not even parsed."""

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

    def places(self, now: float) -> tuple[str | None, ...]:
        """By what each file as it is at ``now`` (seconds since the epoch) is known again.

        With the same places rows have the numbers, the ids and the content that they had. None
        where that cannot be told: see ``memo.place_of``. Raises as ``scan``.
        """
        columns = self._columns.model_dump()
        return tuple(place_of(part, columns, now) for part in find_parts(self._paths))

    @property
    def layout_digest(self) -> str:
        """Of what the columns mean, by the last scan: a single file's place is for the same one."""
        return digest(repr(self._last().columns).encode("utf-8", "surrogatepass"))

    @property
    def asks_digest(self) -> str:
        """Of what a scan depends on beside the files: a memo holds for the same one only."""
        now = uses(self._prompt, self._system)
        first = self._before[0] if self._before else now
        return digest(repr((now.names(), first.names())).encode("utf-8", "surrogatepass"))

    def memo(self) -> Memo:
        """What the last scan found, for a later one."""
        return self._last().memo

    def scan(self, *, kept: KeptSchemas | None = None, memo: Memo | None = None) -> ManifestScan:
        """Read the whole manifest once: ids, number of rows, types of the carried columns.

        With ``kept``, columns keep the types they have in the run; new ones go to ``extra``. With
        the ``memo`` of a scan at this very place that asked the same, no row is looked at again.

        Raises:
            ManifestError: it cannot be read, has no images, a template fails on all its first
                rows, or rows with one id ask different things.
        """
        sources = [_source(part, self._columns) for part in find_parts(self._paths)]
        head = read_head(sources, self._columns)
        reader = Reader(head.layout, self._prompt, self._system, self._before)
        complaint = head.complaint(reader)
        head.rows.clear()
        claimer = Claimer(head.layout, reader)
        if memo is None or len(memo.files) != len(sources):  # one came just now
            look, hashes = _looked(sources, head.layout, claimer)
            head.refuse(complaint, look.survey.names)
            memo = _memo(sources, look, _flags(sources, claimer, hashes))
        else:
            for source, file in zip(sources, memo.files, strict=True):
                source.recall(head.layout, file)
            head.refuse(complaint, memo.names)
        schemas = (deserialize(memo.carried_schema), deserialize(memo.given_schema))
        if kept is not None:
            schemas = (deserialize(kept[0]), deserialize(kept[1]))
        carrier = Carrier(head.layout, *schemas)
        builder = Builder(head.layout, reader, carrier)
        self._found = _Found(sources, carrier, builder, memo, head.layout.names())
        return ManifestScan(
            rows=self._found.rows,
            repeated=memo.flags.count(REPEAT),
            files=tuple(source.file for source in sources),
            carried_schema=serialize(schemas[0]),
            given_schema=serialize(schemas[1]),
            renamed=_renamed(head.layout, schemas[0]),
            remote_images=memo.remote_images,
        )

    def rows(
        self,
        scan: ManifestScan,
        *,
        done: bytes | None = None,
        answered: Callable[[str, str], bool] | None = None,
    ) -> Iterator[Item | BadRow]:
        """The rows as this manifest's ``scan`` saw them, each id once, in order, as a stream.

        ``done`` has a byte for each row by number; rows whose byte is not zero are passed over
        without being parsed. Rows of which ``answered`` says so, by id and digest, are mostly
        passed over before an item is made of them, for half the price. Now and then one comes all
        the same, so that whoever reads the stream hears of it.

        Raises:
            ManifestError: a file shrank or changed since the scan. One that grew is read as far
                as it went then.
        """
        found = self._last()
        if scan.rows != found.rows:
            raise ValueError("rows() wants the scan that this manifest made last")
        flags, carrier = found.memo.flags, found.carrier
        skip = _skip(flags, done)
        for source, first in _with_firsts(found.sources):
            certain, checked = carrier.actions(source.schema), carrier.actions()
            for raw in source.rows(first, skip):
                plain = found.builder.plain_claim(raw)
                if answered and plain and raw.row % BREATH and answered(plain.id, plain.digest):
                    continue
                actions = certain if raw.certain else checked
                unique = not flags or flags[raw.row] != SHARED_PATH
                yield found.builder.build(raw, actions, path_is_unique=unique, plain=plain)

    def _last(self) -> _Found:
        if self._found is None:
            raise ValueError("rows() wants the scan that this manifest made last")
        return self._found


class _Found(NamedTuple):
    """What a scan leaves for the reading."""

    sources: list[Source]
    carrier: Carrier
    builder: Builder
    memo: Memo
    columns: tuple[object, ...]

    @property
    def rows(self) -> int:
        return sum(source.file.rows for source in self.sources)


def _with_firsts(sources: list[Source]) -> Iterator[tuple[Source, int]]:
    """Each source with the number of its first row."""
    firsts = accumulate((source.file.rows for source in sources), initial=0)
    return zip(sources, firsts, strict=False)


def _source(part: Part, columns: Columns) -> Source:
    if part.kind == "lines":
        return JsonLines(part)
    return Table(part, columns) if part.kind == "table" else Folder(part, columns)


def _looked(sources: list[Source], layout: Layout, claimer: Claimer) -> tuple[Look, array[int]]:
    """All rows looked at, and the hashes of the ids that they claim."""
    for exact in (False, True):
        look = Look(layout, Survey(layout), claimer, exact=exact)
        hashes = array("q")
        for source in sources:
            hashes.extend(source.scan(look))
        if not look.is_unsure:
            break
    return look, hashes


def _memo(sources: list[Source], look: Look, flags: bytes) -> Memo:
    return Memo(
        files=tuple(source.remembered for source in sources),
        names=tuple(look.survey.names),
        carried_schema=serialize(look.survey.carried()),
        given_schema=serialize(look.survey.given()),
        remote_images=look.remote_images,
        flags=flags,
    )


def _flags(sources: list[Source], claimer: Claimer, hashes: array[int]) -> bytes:
    spare = rows_to_spare(hashes)
    if spare is None:
        return b""
    return judge(_suspects(sources, claimer, spare), len(hashes))


def _suspects(sources: list[Source], claimer: Claimer, spare: bytes) -> Iterator[Suspect]:
    for source, first in _with_firsts(sources):
        for raw in source.rows(first, spare):
            claim = claimer.claim(raw)
            other = claimer.claim(raw, path_is_unique=False) if claim.by_path else claim
            yield Suspect(raw.row, raw.place, claim, other)


def _skip(flags: bytes, done: bytes | None) -> bytes | None:
    """Repeated rows, and those that are done by their number, unless another claims their path."""
    if done is not None:
        marks = np.frombuffer(done, np.uint8).copy()
        marks[LONG_BREATH - 1 :: LONG_BREATH] = 0
        done = marks.tobytes()
    repeats = flags.replace(bytes([SHARED_PATH]), b"\0") if flags else None
    if repeats is None or done is None:
        return repeats if done is None else done
    own = np.frombuffer(flags, np.uint8) != SHARED_PATH
    marks = np.frombuffer(repeats, np.uint8) | (np.frombuffer(done, np.uint8) & own)
    return bytes(marks)


def _renamed(layout: Layout, carried: pa.Schema) -> dict[str, str]:
    roles = {role: name for role, name in layout.canonical().items() if role != name}
    return {**roles, **{f.name: own_name(f) for f in carried if own_name(f) != f.name}}
