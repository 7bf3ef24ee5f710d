"""The first rows of a manifest: which columns it has, and whether the job can work with them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

from vbatch.errors import ManifestError
from vbatch.records import JsonValue  # noqa: TC001 - NamedTuple resolves it
from vbatch.source.manifest.layout import Layout, check_images, layout
from vbatch.source.manifest.refs import BadValue

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pyarrow as pa

    from vbatch.job import Columns
    from vbatch.records import ManifestFile
    from vbatch.source.manifest.asks import Reader

HEAD_ROWS = 100


class _Source(Protocol):
    @property
    def schema(self) -> pa.Schema | None: ...

    @property
    def file(self) -> ManifestFile: ...

    def first_values(self, count: int) -> list[dict[str, JsonValue]]: ...


class Complaint(NamedTuple):
    """Why the job's template fails on all the first rows, and the columns they lack for it."""

    message: str
    missing: frozenset[str]


class Head(NamedTuple):
    """The first rows, less embedded bytes, and what their columns mean."""

    path: str
    rows: list[dict[str, JsonValue]]
    layout: Layout

    def complaint(self, reader: Reader) -> Complaint | None:
        """What a template lacks in every one of the first rows."""
        known = {name for values in self.rows for name in values} | self.layout.canonical().keys()
        missing = reader.columns - known
        if not missing:
            return None
        first = None
        for values in self.rows:
            with suppress(BadValue):
                message = reader.trial(values)
                if message is None:
                    return None
                first = first or message
        return None if first is None else Complaint(first, missing)

    def refuse(self, complaint: Complaint | None, columns: Collection[str]) -> None:
        """Stop where no row of the manifest, as far as it was looked at, has what is missing.

        Raises:
            ManifestError: says what the first row lacks.
        """
        if complaint is not None and complaint.missing.isdisjoint(columns):
            raise ManifestError(complaint.message, path=self.path)


def read_head(sources: Sequence[_Source], columns: Columns) -> Head:
    """The first rows of the first sources that have any.

    Raises:
        ManifestError: rows, but none with a column that can hold images.
    """
    seen: dict[str, JsonValue] = {}
    rows: list[dict[str, JsonValue]] = []
    path = sources[0].file.path if sources else ""
    for source in sources:
        if len(rows) >= HEAD_ROWS:
            break
        path = path if rows else source.file.path
        found = source.first_values(HEAD_ROWS - len(rows))
        for values in [*found, dict.fromkeys(source.schema.names if source.schema else ())]:
            for name, value in values.items():
                if seen.get(name) is None:
                    seen[name] = value
        rows += found
    meaning = layout(columns, seen)
    if rows:
        check_images(columns, meaning, seen, path=path)
    return Head(path, rows, meaning)
