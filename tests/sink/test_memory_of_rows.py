"""What a run holds in memory of each of its rows, without a clock and without the process."""

from __future__ import annotations

import asyncio
import tracemalloc

import pyarrow as pa
import pytest

from tests.sink import rows
from tests.sink.disks import Quick
from vbatch.api.replaced import Replaced
from vbatch.sink.failed_rows import FailedRows
from vbatch.sink.index import Index, Lookup
from vbatch.sink.run_folder import RunFolder

SIZES = (500, 2_500)


def per_row(make) -> float:
    """Bytes that one row more adds to what ``make`` returns, Arrow's among them."""
    held = []
    make(SIZES[0])  # imports and caches are no rows
    for size in SIZES:
        tracemalloc.start()
        arrow = pa.total_allocated_bytes()
        kept = make(size)
        held.append(tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes() - arrow)
        tracemalloc.stop()
        del kept
    return (held[1] - held[0]) / (SIZES[1] - SIZES[0])


def ids(size: int) -> list[str]:
    return [f"row-{n:08d}" for n in range(size)]


def test_where_a_row_stands_takes_20_bytes():
    def loaded(size: int) -> Index:
        index = Index()
        index.load([(ids(size), ids(size), 1)])
        return index

    assert per_row(loaded) <= 21


def test_a_row_that_came_in_meanwhile_takes_20_bytes_too():
    def grown(size: int) -> Index:
        index = Index()
        for first in range(0, size, 100):
            index.add(ids(size)[first : first + 100], ids(size)[first : first + 100], 1)
        return index

    assert per_row(grown) <= 24


def test_a_lookup_takes_12_bytes_an_id():
    assert per_row(lambda size: Lookup(ids(size))) <= 13
    lookup = Lookup(ids(50))
    assert [lookup.find(row_id) for row_id in (*ids(50), "other")] == [*range(50), -1]


@pytest.fixture
async def history(tmp_path):
    """The history of a run in which rows failed and were answered, by size."""
    made = {}
    for size in SIZES:
        folder = RunFolder.open(
            tmp_path / f"run-{size}", clock=rows.Still(), invocation="i1", storage=Quick()
        )
        folder.keep(rows.kept())
        await folder.start()
        events = [rows.completed(row_id) for row_id in ids(size)]
        events += [rows.failed(f"not-{row_id}", usage=rows.usage(7)) for row_id in ids(size)]
        await asyncio.gather(*(folder.record(event) for event in events))
        await folder.finish(rows.DONE)
        again = RunFolder.open(
            tmp_path / f"run-{size}", clock=rows.Still(), invocation="i2", storage=Quick()
        )
        made[size] = again.history()
        again.close()
    return made


async def test_a_failed_row_takes_less_than_200_bytes(history):
    assert len(history[SIZES[1]]._failures) == SIZES[1]
    assert per_row(lambda size: history[size]._read_failures()) < 200


async def test_an_answered_row_takes_50_bytes_where_changed_images_are_looked_for(history):
    assert per_row(lambda size: Replaced(history[size], None)) <= 50


async def test_failed_rows_are_found_by_id_and_come_in_order(history):
    old = history[SIZES[0]]
    found = list(old.failures())
    assert [row.id for row in found] == [f"not-{row_id}" for row_id in ids(SIZES[0])]
    assert [old.failure(row.id) for row in found] == found
    assert found[3].usage == rows.usage(7)
    assert old.failure("row-00000001") is None


def test_without_a_failed_row_none_is_found():
    none = FailedRows([])
    assert (len(none), list(none), none.get("a")) == (0, [], None)
