"""Rows reach each worker once, read ahead and filtered in a thread."""

from __future__ import annotations

import asyncio

import pytest

from vbatch.engine import feed as feed_module
from vbatch.engine.feed import Feed
from vbatch.errors import ManifestError
from vbatch.records import ImageSource, Item


def items(count: int, size: int = 0):
    for n in range(count):
        source = ImageSource(kind="bytes", data=b"x" * size)
        yield Item(id=str(n), row=n, images=(source,), prompt="p", row_digest="d")


async def drain(feed: Feed, workers: int = 5) -> list[str]:
    seen: list[str] = []

    async def work() -> None:
        while (row := await feed.next()) is not None:
            seen.append(row.id)
            await asyncio.sleep(0)

    await asyncio.gather(*(work() for _ in range(workers)))
    await feed.close()
    return seen


async def test_every_wanted_row_comes_once():
    feed = Feed(items(1_000), wanted=lambda row: row.row % 3 == 0)
    assert sorted(map(int, await drain(feed))) == list(range(0, 1_000, 3))


async def test_a_limit_counts_wanted_rows_only():
    feed = Feed(items(1_000), wanted=lambda row: row.row % 2 == 1, limit=7)
    assert await drain(feed) == [str(n) for n in range(1, 15, 2)]


async def test_an_empty_manifest_ends_at_once():
    assert await drain(Feed(items(0), wanted=lambda row: True)) == []


async def test_heavy_rows_are_read_in_small_batches(monkeypatch):
    monkeypatch.setattr(feed_module, "BATCH_BYTES", 1_000)
    read = []
    feed = Feed(items(100, size=400), wanted=lambda row: not read.append(row.id))
    await feed.next()
    await feed.close()
    assert len(read) <= 6, "one batch of three, and one read ahead"


async def test_trouble_with_the_manifest_comes_out_of_next():
    def broken():
        yield from items(1)
        raise ManifestError("it shrank", path="m.jsonl")

    feed = Feed(broken(), wanted=lambda row: True)
    with pytest.raises(ManifestError, match=r"m\.jsonl: it shrank"):
        await drain(feed, workers=1)
    await feed.close()


@pytest.mark.parametrize(("last", "left"), [(13, 3), (14, None)])
async def test_what_is_left_is_not_looked_for_far_into_the_manifest(monkeypatch, last, left):
    """Between rows that come, any number may be passed over, and that takes its time."""
    monkeypatch.setattr(feed_module, "FAR", 10)
    rows = [row for row in items(30) if row.row in {4, 5, last}]
    feed = Feed(iter(rows), wanted=lambda _row: True)
    await feed.close()
    assert feed.left(at_most=100) == left
