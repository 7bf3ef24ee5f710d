"""Two books that must agree after every crash: the run's folder, and the endpoint's ledger."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from vbatch.sink import codec, segments
from vbatch.sink.commits import newest_commit
from vbatch.sink.layout import Layout
from vbatch.sink.parts import read_part

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VOLATILE = frozenset(
    {
        "endpoint",
        "response_id",
        "attempts",
        "latency_s",
        "started_at",
        "finished_at",
        "invocation",
    }
)
"""Columns of results that tell when and how a row was answered, not what the answer is."""


def settle(server) -> None:
    """Wait until the endpoint is done with everything that reached it from a dead process."""
    before = -1
    while server._running.ledger.in_flight or server.sums["requests"] != before:
        before = server.sums["requests"]
        server._call(asyncio.sleep(0.01))


def id_of(prompt: str) -> str:
    """The row that asks ``row 7 …``."""
    return f"r{prompt.split()[1]}"


def asked(entries) -> list[str]:
    """Ids of rows that the endpoint was asked about."""
    return [id_of(entry.prompt) for entry in entries]


def delivered(entries) -> list[str]:
    """Ids of rows whose answer the endpoint has written completely."""
    return asked(e for e in entries if e.answered and e.status == 200 and e.fault is None)


def recorded(run: Path) -> set[str]:
    """Ids whose answers a dead process has left behind: nobody may ask for them again."""
    layout = Layout(root=run)
    commit = newest_commit(layout)
    ids = {
        row_id
        for number in commit.parts["results"]
        for row_id in read_part(layout.part("results", number), ["id"])["id"].to_pylist()
    }
    for number in layout.segments():
        if number > commit.n:
            ids |= {e[1] for e in _entries(layout.segment(number)) if e[0] == codec.COMPLETED}
    return ids


def _entries(segment: Path) -> Iterator[list]:
    damage = segments.find_damage(segment)
    for entries, _ in segments.read_entries(segment, damage.offset if damage else None):
        yield from entries


def in_commit(run: Path) -> bool:
    """Whether the process died between rolling a segment and having committed it."""
    layout = Layout(root=run)
    n = newest_commit(layout).n
    parts = {number for table in ("results", "failed") for number in layout.parts(table)}
    return len(layout.segments()) > 1 or any(number > n for number in parts)


def answers(run: Path) -> list[dict]:
    """The rows of all parts by id, without what may differ between runs that answer the same."""
    table = pq.read_table(run / "results")
    kept = [name for name in table.column_names if name not in VOLATILE]
    return sorted(table.select(kept).to_pylist(), key=lambda row: row["id"])
