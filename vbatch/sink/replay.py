"""One segment, folded: what it adds to the usage, and where each of its rows ends."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from vbatch.sink import codec, tables
from vbatch.sink.codec import (
    AT_ABANDONED,
    AT_ASKED,
    AT_ATTEMPT,
    AT_COMPLETED,
    AT_FAILED,
    AT_TRIED,
)
from vbatch.state import PastFailure, usage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vbatch.sink.index import Index
    from vbatch.sink.schemas import Schemas
    from vbatch.state import Spent, Tallies, UsageKey

_CHUNK_ROWS = 1_000
_CHUNK_BYTES = 4 << 20
_USAGE_OF_RESULT = slice(AT_COMPLETED["prompt_tokens"], AT_COMPLETED["cost"] + 1)
_USAGE_OF_ATTEMPT = AT_ATTEMPT["prompt_tokens"]
_DIGEST = {kind: at["row_digest"] for kind, at in codec.AT_OUTCOME.items()}
_FORMER = AT_FAILED["former_digests"]
_SETBACK = {f.name: AT_FAILED[f.name] for f in fields(PastFailure) if f.name in AT_FAILED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What a segment comes to. ``displaced``: ids that stand in older parts, by place."""

    results: pa.Table
    failed: pa.Table
    superseded: pa.Table
    displaced: dict[int, list[str]]


class _Standing(NamedTuple):
    answered: bool
    number: int
    digest: str


class Replay:
    """Takes a segment's entries in order. ``index`` says where ids stand in older parts.

    A row's outcome is its newest answer, else its newest failure; a failure never displaces an
    answer to the same row, under its digest of now or one it had under former templates.
    """

    def __init__(self, *, tallies: Tallies, index: Index, schemas: Schemas) -> None:
        self._tallies = tallies
        self._index = index
        self._schemas = schemas
        self._waiting: list[Sequence[Any]] = []
        self._waiting_bytes = 0
        self._standing: dict[str, _Standing] = {}
        self._displaced: defaultdict[int, list[str]] = defaultdict(list)
        self._results = _Rows(schemas.results, lambda rows: tables.results(rows, schemas))
        self._failed = _Rows(schemas.failed, lambda rows: tables.failed(rows, schemas))

    def take(self, entries: Iterable[Sequence[Any]], size_bytes: int) -> None:
        """Count entries, ``size_bytes`` of JSON, and remember the outcomes among them."""
        self._waiting_bytes += size_bytes
        for entry in entries:
            kind, _, invocation, model, endpoint = entry[:5]
            _COUNT[kind](self._tallies, (invocation, model, endpoint), entry)
            if kind in codec.AT_OUTCOME:
                self._waiting.append(entry)
        if len(self._waiting) >= _CHUNK_ROWS or self._waiting_bytes >= _CHUNK_BYTES:
            self._settle()

    def folded(self) -> Folded:
        """What has come together."""
        self._settle()
        results, superseded = self._results.split()
        return Folded(
            results=results,
            failed=self._failed.split()[0],
            superseded=superseded.replace_schema_metadata(self._schemas.superseded.metadata),
            displaced=dict(self._displaced),
        )

    def _settle(self) -> None:
        entries, self._waiting, self._waiting_bytes = self._waiting, [], 0
        digests = [entry[_DIGEST[entry[0]]] for entry in entries]
        places, same = self._index.find([entry[1] for entry in entries], digests)
        for entry, digest, place, unchanged in zip(entries, digests, places, same, strict=True):
            answered = entry[0] == codec.COMPLETED
            before = self._standing.get(entry[1])
            self._tallies.setbacks.pop(entry[1], None)
            if before is None:
                if place > 0 and not answered and (unchanged or self._stood_before(entry)):
                    self._tallies.setbacks[entry[1]] = _setback(entry)
                    continue
                if place:
                    self._displaced[place].append(entry[1])
            elif before.answered and not answered and before.digest in (digest, *entry[_FORMER]):
                self._tallies.setbacks[entry[1]] = _setback(entry)
                continue
            else:
                (self._results if before.answered else self._failed).drop(before.number)
            rows = self._results if answered else self._failed
            self._standing[entry[1]] = _Standing(answered, rows.add(entry), digest)
        self._results.convert()
        self._failed.convert()

    def _stood_before(self, entry: Sequence[Any]) -> bool:
        """Whether a failed row stands in the older parts under one of its former digests."""
        return any(self._index.get(entry[1], digest)[1] for digest in entry[_FORMER])


class _Rows:
    """Rows of one table, turned into Arrow a chunk at a time: as dicts and lists they are large."""

    def __init__(
        self, schema: pa.Schema, make: Callable[[Sequence[Sequence[Any]]], pa.RecordBatch]
    ) -> None:
        self._schema = schema
        self._make = make
        self._count = 0
        self._chunk: list[Sequence[Any]] = []
        self._batches: list[pa.RecordBatch] = []
        self._dropped: set[int] = set()

    def add(self, entry: Sequence[Any]) -> int:
        self._chunk.append(entry)
        self._count += 1
        return self._count - 1

    def drop(self, number: int) -> None:
        self._dropped.add(number)

    def convert(self) -> None:
        if self._chunk:
            self._batches.append(self._make(self._chunk))
            self._chunk = []

    def split(self) -> tuple[pa.Table, pa.Table]:
        """The rows that stay, and those that were displaced."""
        table = pa.Table.from_batches(self._batches, self._schema)
        if not self._dropped:
            return table, table.slice(0, 0)
        stays = pa.array([number not in self._dropped for number in range(self._count)])
        goes = pa.array(sorted(self._dropped), pa.int64())
        return table.filter(stays), table.take(goes)


def count(tallies: Tallies, entries: Iterable[Sequence[Any]]) -> None:
    """Add entries to ``tallies`` and make no rows of them."""
    for entry in entries:
        kind, _, invocation, model, endpoint = entry[:5]
        _COUNT[kind](tallies, (invocation, model, endpoint), entry)


def _count_asked(tallies: Tallies, key: UsageKey, entry: Sequence[Any]) -> None:
    tallies.asked(
        key,
        entry[1],
        entry[5],
        entry[AT_ASKED["row_digest"]],
        attempt=entry[AT_ASKED["attempt"]],
        images=entry[AT_ASKED["images"]],
        image_bytes=entry[AT_ASKED["image_bytes"]],
    )


def _count_tried(tallies: Tallies, key: UsageKey, entry: Sequence[Any]) -> None:
    fault, code, _, *usage = entry[AT_TRIED["attempt"]]
    tallies.tried(key, entry[1], entry[5], fault, code, _spent(usage))


def _count_completed(tallies: Tallies, key: UsageKey, entry: Sequence[Any]) -> None:
    tallies.ended(key, entry[1], entry[5]).completed(_spent(entry[_USAGE_OF_RESULT]))


def _count_failed(tallies: Tallies, key: UsageKey, entry: Sequence[Any]) -> None:
    tally = tallies.ended(key, entry[1], entry[5])
    tally.failed += 1
    attempt = entry[AT_FAILED["attempt"]]
    if attempt is not None:
        tally.wasted(attempt[0], attempt[1], _spent(attempt[_USAGE_OF_ATTEMPT:]))


def _count_abandoned(tallies: Tallies, key: UsageKey, entry: Sequence[Any]) -> None:
    tallies.abandoned(key, entry[1], entry[5], entry[AT_ABANDONED["row_digest"]])


_COUNT = {
    codec.ASKED: _count_asked,
    codec.TRIED: _count_tried,
    codec.COMPLETED: _count_completed,
    codec.FAILED: _count_failed,
    codec.ABANDONED: _count_abandoned,
}


def _setback(entry: Sequence[Any]) -> PastFailure:
    """What a later invocation needs to know of a failure that stands in no table."""
    values = {name: entry[place] for name, place in _SETBACK.items()}
    usage = usage_of(_spent(entry[AT_FAILED["prompt_tokens"] :]))
    return PastFailure(**values, last_at=entry[AT_FAILED["at"]], usage=usage)


def _spent(usage: Sequence[Any]) -> Spent:
    """Usage as it was reported; what is no number counts as nothing."""
    prompt, completion, total, cached, reasoning, cost = usage
    if not _WHOLE.issuperset(map(type, usage[:5])):
        prompt, completion, total, cached, reasoning = (
            value if type(value) is int else None for value in usage[:5]
        )
    return prompt, completion, total, cached, reasoning, None if cost is None else _money(cost)


_WHOLE = frozenset((int, type(None)))


def _money(text: Any) -> Decimal | None:
    try:
        cost = Decimal(text)
    except (InvalidOperation, TypeError, ValueError):
        return None
    return cost if cost.is_finite() else None
