"""How rows failed last, as columns: a run may have a million of them."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from vbatch.records import Usage
from vbatch.sink.index import Lookup
from vbatch.sink.parts import texts
from vbatch.state import PastFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

COLUMNS = (
    "id",
    "vbatch.row_digest",
    "vbatch.job_digest",
    "code",
    "retryable",
    "attempts",
    "possibly_billed",
    "vbatch.server_errors",
    "prompt_tokens",
    "completion_tokens",
    "vbatch.total_tokens",
    "vbatch.cached_tokens",
    "vbatch.reasoning_tokens",
    "vbatch.cost",
    "first_at",
    "last_at",
    "invocation",
)
"""Of a part of ``failed``: what a later invocation needs to know."""

_FEW = ("vbatch.job_digest", "code", "invocation")
"""Columns that say nearly the same in every row."""
_AT_A_TIME = 1_000
_RECENT = 2_048
"""A row is looked up some four times while it is asked, and costs 30 µs the first time."""


def compact(rows: pa.Table) -> pa.Table:
    """The same rows with ``COLUMNS`` only, in the form in which they are held."""
    rows = rows.select(COLUMNS)
    for name in _FEW:
        encoded = rows[name].dictionary_encode()
        rows = rows.set_column(rows.schema.get_field_index(name), name, encoded)
    return rows


class FailedRows:
    """Rows by id, each id once; ``tables`` as ``compact`` makes them."""

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        self._rows = pa.concat_tables(tables).combine_chunks() if tables else None
        self._lookup = Lookup(texts(self._rows["id"]) if self._rows else ())
        self.get = lru_cache(_RECENT)(self._get)
        """How the row with this id failed, None if it is not among these."""

    def __len__(self) -> int:
        return len(self._lookup)

    def _get(self, row_id: str) -> PastFailure | None:
        place = self._lookup.find(row_id)
        found = None if place < 0 else next(self._from(place, 1))
        return found if found and found.id == row_id else None

    def __iter__(self) -> Iterator[PastFailure]:
        for first in range(0, len(self), _AT_A_TIME):
            yield from self._from(first, _AT_A_TIME)

    def _from(self, first: int, count: int) -> Iterator[PastFailure]:
        columns = self._rows.slice(first, count).columns if self._rows else ()
        for row in zip(*(column.to_pylist() for column in columns), strict=True):
            yield _past_failure(row)


def _past_failure(row: Sequence[Any]) -> PastFailure:
    row_id, row_digest, job_digest, code, retryable, attempts, billed, errors = row[:8]
    *tokens, cost, first_at, last_at, invocation = row[8:]
    first: datetime = first_at
    last: datetime = last_at
    prompt, completion, total, cached, reasoning = tokens
    return PastFailure(
        id=row_id,
        row_digest=row_digest,
        job_digest=job_digest,
        code=code,
        retryable=retryable,
        attempts=attempts,
        possibly_billed=billed,
        server_errors=errors,
        usage=Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=total,
            cached_tokens=cached,
            reasoning_tokens=reasoning,
            cost=None if cost is None else Decimal(cost),
        ),
        first_at=first.timestamp(),
        last_at=last.timestamp(),
        invocation=invocation,
    )
