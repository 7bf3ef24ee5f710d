"""A Parquet file as rows."""

from __future__ import annotations

from array import array
from contextlib import contextmanager
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from vbatch.columns import exact
from vbatch.errors import ManifestError
from vbatch.records import JsonValue, ManifestFile
from vbatch.source.manifest.cells import Use, cells
from vbatch.source.manifest.dictionaries import largest_repeated, texts_of
from vbatch.source.manifest.failures import about_failures, own_names, role_names
from vbatch.source.manifest.lines import refusing_unreadable
from vbatch.source.manifest.look import OUR_ID_CHARS
from vbatch.source.manifest.pictures import count_remote, is_bytes, is_picture, reference_type
from vbatch.source.manifest.raw import RawRow
from vbatch.source.manifest.snapshot import Snapshot, check_unchanged, of_stat

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from vbatch.job import Columns
    from vbatch.source.manifest.layout import Layout
    from vbatch.source.manifest.look import Look
    from vbatch.source.manifest.paths import Part

_BATCH_BYTES = 8 << 20
_BATCH_ROWS = 2048
_PICTURE_ROWS = 64
"""Of a batch with embedded images, of whose dictionary nothing is known before they are read."""
_REPEATED_BYTES = 32 << 20
"""Of a batch in which every row holds the largest value of a dictionary."""
_READ_BYTES = 1 << 20

_EXTRA = "\0extra"
"""Where a failures table's own ``extra`` stands among a row's values until it is taken apart."""

_Row = tuple[int, dict[str, JsonValue], str]
"""Number within the file, values by the manifest's own names, and what is wrong or ""."""


class Table:
    """Reads one Parquet file by batches, and only the columns that are wanted.

    Raises:
        ManifestError: this is no Parquet file, or it is cut short.
    """

    def __init__(self, part: Part, columns: Columns) -> None:
        self._path = part.path
        self._partition = part.partition
        self._metadata: pq.FileMetaData | None = None
        with self._open() as file:
            self._then = of_stat(Path(self._path).stat())
            self._metadata = file.metadata
            arrow = file.schema_arrow
            self._leaves = [file.schema.column(n).path for n in range(file.metadata.num_columns)]
            self._texts = texts_of(file)
        self._count: int = self._metadata.num_rows
        self._names = own_names(arrow, columns)
        self._fields = {field.name: field for field in arrow if field.name in self._names}
        self._roles = role_names(columns)
        self._has_extra = about_failures(arrow) is not None and "extra" in arrow.names
        self._pictures: Collection[str] = ()
        self._objects: Collection[str | None] = ()
        self._consumed: Collection[str] = ()
        self.schema = self._own_schema()

    def _own_schema(self) -> pa.Schema:
        fields = [field.with_name(self._names[name]) for name, field in self._fields.items()]
        known = {field.name for field in fields}
        for name, value in self._partition.items():
            if name not in known:
                kind = pa.int64() if isinstance(value, int) else pa.string()
                fields.append(pa.field(name, kind))
        return pa.schema(fields)

    @property
    def file(self) -> ManifestFile:
        """The file as it was when opened."""
        return ManifestFile(
            path=self._path,
            size_bytes=self._then.size_bytes,
            mtime_ns=self._then.mtime_ns,
            rows=self._count,
        )

    @property
    def remembered(self) -> JsonValue:
        """Nothing: its footer says how many rows it has."""
        return None

    def recall(self, layout: Layout, _remembered: JsonValue) -> None:
        """Be as after a scan."""
        self._use(layout)

    def first_values(self, count: int) -> list[dict[str, JsonValue]]:
        """The values of the first rows. Of embedded images only where they are is told."""
        unread = [field for field in self.schema if reference_type(field.type) is None]
        bytes_there = {field.name: b"" for field in unread}
        rows = self._rows(self._without_bytes(self.schema.names), size=count)
        return [{**bytes_there, **values} for _, values, _ in islice(rows, count)]

    def scan(self, look: Look) -> array[int]:
        """Hashes of the ids that the rows claim, in order; images' bytes are not read for it."""
        self._use(look.layout)
        look.survey.see_schema(self.schema)
        hashes = array("q")
        unclear = bytearray()
        for batch in self._hashed(look):
            hashes.extend([0 if known is None else known for known in batch])
            unclear += bytes(known is not None for known in batch)
        if unclear.find(0) >= 0:
            for raw in self.rows(0, bytes(unclear)):
                hashes[raw.row] = look.claim(raw)
        return hashes

    def _hashed(self, look: Look) -> Iterator[Sequence[int | None]]:
        """The hashes of the rows' ids by batches; None: to be looked at closely."""
        lay = look.layout
        asked = self._asked(lay, look.content_columns)
        embedded = self._is_embedded(lay.image[0])
        leaves = self._without_bytes(asked or (*lay.id, lay.image[0], lay.images))
        if not leaves:
            yield [None] * self._count
            return
        for _, batch in self._batches(leaves, None, _BATCH_ROWS):
            columns, bad = self._columns(self._without_counted(batch, look, asked))
            if asked:
                rows = enumerate(self._dicts(columns, batch.num_rows))
                yield [None if n in bad else look.content(values) for n, values in rows]
            else:
                yield self._hashed_ids(columns, batch.num_rows, look, embedded=embedded)

    def _asked(self, lay: Layout, content: Collection[str]) -> Collection[str]:
        """The columns by which rows without ids are told apart; none where they can have others."""
        names = set(self.schema.names)
        kinds = [self.schema.field(name).type for name in names.intersection(content)]
        unread = any(reference_type(kind) != kind for kind in kinds)
        return () if unread or self._has_extra or not names.isdisjoint(lay.id) else content

    def _without_counted(
        self, batch: pa.RecordBatch, look: Look, asked: Collection[str]
    ) -> pa.RecordBatch:
        """Take images into account; a column of nothing else is not needed afterwards."""
        images = [field for field in batch.schema if self._names.get(field.name) in self._pictures]
        if len(images) != 1 or not pa.types.is_string(images[0].type):
            look.see_images(self._columns(batch)[0])
            return batch
        look.remote_images += count_remote(batch.column(images[0].name))
        return batch if asked else batch.drop_columns(images[0].name)

    def _hashed_ids(
        self,
        columns: dict[str, list[JsonValue]],
        count: int,
        look: Look,
        *,
        embedded: bool,
    ) -> list[int | None]:
        ids: Sequence[JsonValue] = columns.get(look.layout.id[0], ())
        kinds = set(map(type, ids))
        if kinds == {int}:
            ids = list(map(str, ids))
        elif kinds != {str} or "" in ids:
            rows = self._dicts(columns, count)
            ids = [look.known_id(values, embedded=embedded) for values in rows]
        known_ids = list(filter(None, ids))
        if OUR_ID_CHARS in set(map(len, known_ids)):
            look.see_ids(known_ids)
        return [None if known is None else hash(known) for known in ids]

    def rows(self, first: int, skip: bytes | None = None) -> Iterator[RawRow]:
        """All rows but those whose byte in ``skip`` is not zero.

        ``first`` is the number of this file's first row in the manifest.

        Raises:
            ManifestError: the file is not the one that was opened, or a column cannot be read.
        """
        mine = None if skip is None else skip[first : first + self._count]
        for row, values, problem in self._rows(self._carried(), mine):
            extra = values.pop(_EXTRA, None)
            if extra:
                self._put_back(values, extra)
            yield RawRow(first + row, self._path, None, values, problem, certain=not extra)

    def _use(self, layout: Layout) -> None:
        """Read by this layout; a file that names its images otherwise than the first is adapted."""
        names = set(self._names.values())
        if names.isdisjoint({layout.image[0], layout.images}):
            other = next((name for name in layout.image if name in names), None)
            self._names = {
                column: layout.image[0] if own == other else own
                for column, own in self._names.items()
            }
            self.schema = self._own_schema()
        self._pictures = {layout.image[0], layout.images}
        self._objects = {layout.params, layout.body} - {None}
        self._consumed = layout.consumed

    def _is_embedded(self, name: str) -> bool:
        index = self.schema.get_field_index(name)
        kind = self.schema.field(index).type if index >= 0 else None
        return kind is not None and pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0

    def _carried(self) -> list[str]:
        """Columns to read for whole rows: all but images that nobody asked for."""
        wanted = [
            name
            for name, field in self._fields.items()
            if self._names[name] in self._consumed or not is_picture(field.type)
        ]
        return [*wanted, "extra"] if self._has_extra else wanted

    def _without_bytes(self, names: Collection[str]) -> list[str]:
        """The same of the manifest's columns ``names``, less what can be embedded images."""
        wanted = {
            name
            for name, field in self._fields.items()
            if self._names[name] in names and not is_bytes(field.type)
        }
        return [
            leaf
            for leaf in self._leaves
            if not leaf.endswith(".bytes") and _is_within(leaf, wanted)
        ]

    def _is_text(self, leaf: str) -> bool:
        return leaf in self._fields and pa.types.is_string(self._fields[leaf].type)

    def _holds_pictures(self, leaf: str) -> bool:
        column = self._fields.get(leaf)
        return leaf.endswith(".bytes") or (column is not None and is_bytes(column.type))

    def _rows(
        self, wanted: list[str], skip: bytes | None = None, *, size: int | None = None
    ) -> Iterator[_Row]:
        for numbers, batch in self._batches(wanted, skip, size or self._batch_rows()):
            columns, bad = self._columns(batch)
            rows = self._dicts(columns, batch.num_rows)
            for index, (number, values) in enumerate(zip(numbers, rows, strict=True)):
                yield number, values, bad.get(index, "")

    def _columns(self, batch: pa.RecordBatch) -> tuple[dict[str, list[JsonValue]], dict[int, str]]:
        """Values by column, and what is wrong with which rows."""
        columns: dict[str, list[JsonValue]] = {}
        bad: dict[int, str] = {}
        for field, column in zip(batch.schema, batch.columns, strict=True):
            with refusing_unreadable(self._path):
                values, wrong = cells(field, column, self._use_of(field.name))
            columns[self._names.get(field.name, _EXTRA)] = values
            bad |= dict.fromkeys(wrong, f"column {field.name!r} is not UTF-8")
        return columns, bad

    def _dicts(
        self, columns: dict[str, list[JsonValue]], count: int
    ) -> Iterator[dict[str, JsonValue]]:
        rows = zip(*columns.values(), strict=True) if columns else repeat((), count)
        for row in rows:
            values = dict(zip(columns, row, strict=True))
            yield {**self._partition, **values} if self._partition else values

    def _use_of(self, column: str) -> Use:
        own = self._names.get(column)
        if own in self._pictures:
            return "image"
        return "object" if own in self._objects else "carried"

    def _put_back(self, values: dict[str, JsonValue], extra: str) -> None:
        """What did not fit a failures table's columns goes back to its place."""
        for name, value in _object(extra).items():
            own = self._roles.get(name, name)
            if values.get(own) is None:
                values[own] = value

    def _batches(
        self, wanted: list[str], skip: bytes | None, size: int
    ) -> Iterator[tuple[Collection[int], pa.RecordBatch]]:
        check_unchanged(self._path, self._then, self._now())
        wanted_leaves = {leaf for leaf in self._texts if _is_within(leaf, wanted)}
        pictures = {leaf for leaf in wanted_leaves if self._holds_pictures(leaf)}
        texts = {leaf: self._texts[leaf] for leaf in wanted_leaves - pictures}
        size = min(size, _PICTURE_ROWS) if pictures else size
        flat = [leaf for leaf in texts if self._is_text(leaf)]
        with self._open() as file, self._open(read_dictionary=flat) as probe:
            start = 0
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                if skip is None or skip.find(0, start, end) >= 0:
                    repeated = largest_repeated(probe, group, texts)
                    batches = file.iter_batches(
                        max(1, min(size, _REPEATED_BYTES // repeated)),
                        row_groups=[group],
                        columns=wanted,
                        use_threads=False,
                    )
                    yield from self._unskipped(batches, start, end, skip)
                start = end
            self._check_count(start, self._count)
        check_unchanged(self._path, self._then, self._now())

    def _unskipped(
        self, batches: Iterator[pa.RecordBatch], start: int, end: int, skip: bytes | None
    ) -> Iterator[tuple[Collection[int], pa.RecordBatch]]:
        for batch in batches:
            numbers = range(start, start + batch.num_rows)
            if numbers.stop > end:
                break
            left = [n for n in numbers if not skip[n]] if skip is not None else numbers
            if len(left) == len(numbers):
                yield left, batch
            else:
                yield left, batch.take(pa.array([n - start for n in left], pa.int64()))
            start += batch.num_rows
        self._check_count(start, end)

    def _check_count(self, found: int, told: int) -> None:
        if found != told:
            raise ManifestError("its footer and its columns disagree", path=self._path)

    def _batch_rows(self) -> int:
        """As many rows as make some megabytes, so that embedded images do not pile up."""
        about: Any = self._metadata
        groups = [about.row_group(n) for n in range(about.num_row_groups)]
        row_bytes = max((g.total_byte_size // max(g.num_rows, 1) for g in groups), default=1)
        return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(row_bytes, 1)))

    def _now(self) -> Snapshot:
        with refusing_unreadable(self._path):
            return of_stat(Path(self._path).stat())

    @contextmanager
    def _open(self, **options: Any) -> Iterator[pq.ParquetFile]:
        with (
            refusing_unreadable(self._path),
            pq.ParquetFile(
                self._path,
                metadata=self._metadata,
                buffer_size=_READ_BYTES,
                pre_buffer=False,
                **options,
            ) as file,
        ):
            yield file


def _is_within(leaf: str, names: Collection[str]) -> bool:
    return any(leaf == name or leaf.startswith(f"{name}.") for name in names)


def _object(text: str) -> dict[str, JsonValue]:
    try:
        value = exact.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
