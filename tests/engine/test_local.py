"""How the pool comes to rest: at the end, when told to, when left, and after a bug."""

from __future__ import annotations

import asyncio

import pytest

from vbatch.endpoint.limits import Stopped
from vbatch.engine.feed import Feed
from vbatch.engine.local import Engine
from vbatch.engine.worker import Again
from vbatch.errors import Exit, ManifestError, StorageFull
from vbatch.records import Item, Stop

STOP = Stop(exit_code=Exit.SIGINT, code="sigint", message="stopped by hand")


def items(count: int):
    for n in range(count):
        yield Item(id=str(n), row=n, images=(), prompt="p", row_digest="d")


class Hands:
    """Answers a row with its own number; what it does in between is the test's to say."""

    def __init__(self, during=None):
        self.during = during
        self.recorded = []
        self.stopping = asyncio.Event()
        self.heard = asyncio.Event()
        self.now = self.most = 0

    async def answer(self, row):
        if self.stopping.is_set():
            return None
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self.during is not None and (ended := await self.during(self, row)) is not None:
                return ended
            await asyncio.sleep(0)
            self.recorded.append(row.row)
            return row.row
        finally:
            self.now -= 1

    async def again(self, waiting):
        try:
            await self.stopping.wait() if waiting.error == "for ever" else None
        except Stopped:
            return None
        if self.stopping.is_set():
            return None
        self.recorded.append(waiting.item.row)
        return waiting.item.row

    def stop(self, stop):
        self.stopping.set()


def engine(hands, rows, slots=4) -> Engine:
    return Engine(Feed(rows, wanted=lambda row: True), hands, slots=slots)


async def test_all_outcomes_come_out_and_no_more_than_the_slots_work_at_once():
    hands = Hands()
    async with engine(hands, items(300)) as outcomes:
        seen = [outcome async for outcome in outcomes]
    assert sorted(seen) == list(range(300))
    assert hands.most == 4
    assert outcomes.stopped is None


async def test_a_row_that_waits_does_not_hold_up_the_others():
    async def during(hands, row):
        return Again(row, None, "once more") if row.row % 2 else None

    hands = Hands(during)
    async with engine(hands, items(200), slots=2) as outcomes:
        seen = [outcome async for outcome in outcomes]
    assert sorted(seen) == list(range(200))


async def test_a_stop_keeps_what_is_on_its_way_and_sends_nothing_more():
    async def during(hands, row):
        if row.row == 10:
            pool.stop(STOP)
        await asyncio.sleep(0)

    hands = Hands(during)
    async with (pool := engine(hands, items(1_000))) as outcomes:
        seen = [outcome async for outcome in outcomes]
    assert sorted(seen) == sorted(hands.recorded)
    assert 11 <= len(seen) <= 18
    assert pool.stopped is STOP


async def test_a_stop_frees_rows_that_wait_for_another_try():
    async def during(hands, row):
        return Again(row, None, "for ever")

    hands = Hands(during)
    pool = engine(hands, items(3))
    async with pool as outcomes:
        asyncio.get_running_loop().call_later(0.01, pool.stop, STOP)
        assert [outcome async for outcome in outcomes] == []


async def test_leaving_early_still_records_what_is_on_its_way():
    hands = Hands()
    async with engine(hands, items(1_000)) as outcomes:
        async for _ in outcomes:
            break
    assert hands.now == 0
    assert 1 <= len(hands.recorded) < 1_000
    assert (outcomes.stopped.code, outcomes.stopped.exit_code) == ("left", 5)


async def test_a_stop_after_the_last_row_stops_nothing():
    async with engine(Hands(), items(3)) as outcomes:
        assert len([outcome async for outcome in outcomes]) == 3
        outcomes.stop(STOP)
    assert outcomes.stopped is None


async def for_a_while(hands, row):
    if row.row:
        await asyncio.wait_for(hands.stopping.wait(), 5)


async def for_ever(hands, row):
    if row.row:
        await asyncio.Event().wait()


async def test_an_exception_in_the_listener_still_records_what_is_on_its_way():
    hands = Hands(for_a_while)
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - leaving the block is what is tested
        async with engine(hands, items(100)) as outcomes:
            async for _ in outcomes:
                raise ZeroDivisionError
    assert {0, 1, 2, 3} <= {*hands.recorded}
    assert hands.now == 0


async def left_by_cancellation(outcomes, hands):
    async with outcomes:
        await anext(outcomes)
        hands.heard.set()
        await asyncio.Event().wait()


async def test_a_cancelled_listener_still_records_what_is_on_its_way():
    hands = Hands(for_a_while)
    pool = engine(hands, items(100))
    listening = asyncio.create_task(left_by_cancellation(pool, hands))
    await hands.heard.wait()
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert {0, 1, 2, 3} <= {*hands.recorded}
    assert hands.now == 0
    assert (pool.stopped.code, pool.stopped.exit_code) == ("left", 130)


async def test_a_cancelled_listener_waits_no_longer_than_a_drain_may_take():
    hands = Hands(for_ever)
    feed = Feed(items(100), wanted=lambda row: True)
    listening = asyncio.create_task(
        left_by_cancellation(Engine(feed, hands, slots=4, drain_s=0.01), hands)
    )
    await hands.heard.wait()
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert hands.now == 0


async def test_a_listener_that_is_cancelled_twice_waits_for_nothing():
    hands = Hands(for_ever)
    listening = asyncio.create_task(left_by_cancellation(engine(hands, items(100)), hands))
    await hands.heard.wait()
    listening.cancel()
    await asyncio.wait([asyncio.create_task(hands.stopping.wait())])
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert hands.now == 0


async def test_a_slow_listener_stops_the_pulling_of_rows():
    hands = Hands()
    async with engine(hands, items(1_000), slots=2) as outcomes:
        await anext(outcomes)
        for _ in range(200):
            await asyncio.sleep(0)
        held = len(hands.recorded)
        rest = [outcome async for outcome in outcomes]
    assert held < 20
    assert len(rest) == 999


async def test_a_bug_drains_the_others_and_is_raised():
    async def during(hands, row):
        if row.row == 5:
            raise KeyError("a bug")

    hands = Hands(during)
    with pytest.raises(KeyError, match="a bug"):
        async with engine(hands, items(100)) as outcomes:
            seen = [outcome async for outcome in outcomes]
    assert sorted(seen) == sorted(hands.recorded)


async def test_a_bug_in_reading_rows_is_raised_too():
    def rows():
        yield from items(1)
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        async with engine(Hands(), rows()) as outcomes:
            assert [outcome async for outcome in outcomes] == []


async def test_storage_trouble_stops_the_run_and_keeps_what_is_on_its_way():
    async def during(hands, row):
        if row.row == 5:
            raise StorageFull("disk full")

    hands = Hands(during)
    async with (pool := engine(hands, items(100))) as outcomes:
        seen = [outcome async for outcome in outcomes]
    assert pool.stopped.exit_code == 6
    assert sorted(seen) == sorted(hands.recorded)
    assert 5 not in seen


async def test_a_manifest_that_changes_under_us_stops_the_run():
    def rows():
        yield from items(600)
        raise ManifestError("it shrank", path="m.jsonl")

    async with (pool := engine(Hands(), rows())) as outcomes:
        seen = [outcome async for outcome in outcomes]
    assert len(seen) == 512
    assert (pool.stopped.exit_code, pool.stopped.message) == (2, "m.jsonl: it shrank")
