"""Bytes in memory stay within the budget, whoever comes and goes."""

from __future__ import annotations

import asyncio
import random
from contextlib import closing

import pytest

from tests.virtual import StuckError, run_virtual
from vbatch.endpoint.budget import ByteBudget


def test_one_waits_until_there_is_room():
    async def scenario(clock):
        budget = ByteBudget(100, clock=clock)
        await budget.acquire(60)
        second = asyncio.create_task(budget.acquire(50))
        await clock.sleep(1)
        held_back = not second.done()
        budget.release(60)
        await second
        return held_back, budget.held

    assert run_virtual(scenario) == (True, 50)


def test_what_is_larger_than_everything_goes_alone():
    async def scenario(clock):
        budget = ByteBudget(100, clock=clock)
        await budget.acquire(1)
        large = asyncio.create_task(budget.acquire(500))
        small = asyncio.create_task(budget.acquire(1))
        await clock.sleep(1)
        before = (large.done(), small.done())
        budget.release(1)
        await large
        await clock.sleep(1)
        beside = small.done()
        budget.release(500)
        await small
        return before, beside

    assert run_virtual(scenario) == ((False, False), False)


def test_first_come_first_served():
    async def scenario(clock):
        budget = ByteBudget(100, clock=clock)
        order = []

        async def work(name, n):
            with closing(budget.share()) as share:
                await share.take(n)
                order.append(name)
                await clock.sleep(1)

        await asyncio.gather(work("a", 80), work("large", 90), work("small", 10), work("last", 10))
        return order, budget.held

    assert run_virtual(scenario) == (["a", "large", "small", "last"], 0)


def test_resizing_counts_at_once_and_wakes_those_who_now_fit():
    async def scenario(clock):
        budget = ByteBudget(100, clock=clock)
        await budget.acquire(60)
        waiting = asyncio.create_task(budget.acquire(80))
        await clock.sleep(0)
        budget.resize(60, 250)
        grown = budget.held
        budget.resize(250, 20)
        await waiting
        return grown, budget.held

    assert run_virtual(scenario) == (250, 100)


def test_one_who_is_cancelled_just_as_there_is_room_leaves_it_to_the_next():
    async def scenario(clock):
        budget = ByteBudget(100, clock=clock)
        await budget.acquire(100)
        first = asyncio.create_task(budget.acquire(100))
        second = asyncio.create_task(budget.acquire(100))
        await clock.sleep(1)
        budget.release(100)  # the first has the bytes now, but has not run yet
        first.cancel()
        await second
        return first.cancelled(), budget.held

    assert run_virtual(scenario) == (True, 100)


def test_bytes_never_given_back_are_noticed_by_the_tests():
    async def scenario(clock):
        budget = ByteBudget(100, clock=clock)
        await budget.acquire(100)
        await budget.acquire(1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.virtual.STUCK_AFTER_S", 0.01)
        with pytest.raises(StuckError):
            run_virtual(scenario)


@pytest.mark.parametrize("seed", range(20))
def test_storms_of_cancellation_leave_nothing_held(seed):
    rng = random.Random(seed)

    async def scenario(clock):
        budget = ByteBudget(1000, clock=clock)
        most = 0

        async def work(n):
            nonlocal most
            with closing(budget.share()) as share:
                await share.take(n)
                most = max(most, budget.held)
                await clock.sleep(rng.random())

        tasks = [asyncio.create_task(work(rng.randint(0, 600))) for _ in range(200)]
        for task in rng.sample(tasks, 150):
            await clock.sleep(rng.choice([0, 0.05]))
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return budget.held, most <= 1000

    assert run_virtual(scenario, seed=seed) == (0, True)


# --- shares that grow ------------------------------------------------------------------------


def test_one_who_needs_more_goes_before_those_who_hold_nothing():
    async def scenario(clock):
        budget = ByteBudget(100, clock=clock)
        first, second, third = (budget.share() for _ in range(3))
        await first.take(50)
        await second.take(50)
        await first.wait_to_grow(20)  # beyond the limit: one may always go on
        at_most = budget.held
        newcomer = asyncio.create_task(third.take(10))
        growing = asyncio.create_task(second.wait_to_grow(40))
        await clock.sleep(1)
        waits = not growing.done() and not newcomer.done() and not second.grow(1)
        first.close()
        await growing
        await newcomer
        second.close()
        third.close()
        return at_most, waits, budget.held

    assert run_virtual(scenario) == (120, True, 0)


def test_who_is_beyond_the_limit_never_waits_again():
    async def scenario(clock):
        budget = ByteBudget(100, clock=clock)
        share = budget.share()
        await share.take(100)
        grown = [share.grow(50), share.grow(50)]
        held = budget.held
        share.settle(30)
        settled = budget.held
        share.close()
        return grown, held, settled, budget.held

    assert run_virtual(scenario) == ([True, True], 200, 30, 0)


@pytest.mark.parametrize("seed", range(20))
def test_shares_that_all_grow_all_come_through_with_one_beyond_the_limit(seed):
    rng = random.Random(seed)

    async def scenario(clock):
        budget = ByteBudget(1000, clock=clock)
        most = through = 0

        async def row():
            nonlocal most, through
            share = budget.share()
            await share.take(rng.randrange(1, 200))
            try:
                for _ in range(rng.randrange(4)):
                    await share.wait_to_grow(rng.randrange(1, 300))
                    most = max(most, budget.held)
                    await clock.sleep(rng.random())
                through += 1
            finally:
                share.close()

        rows = [asyncio.create_task(row()) for _ in range(100)]
        await clock.sleep(0.5)
        called_off = rng.sample(rows, 10)
        for task in called_off:
            task.cancel()
        await asyncio.gather(*rows, return_exceptions=True)
        return most, through, budget.held

    most, through, held = run_virtual(scenario)

    assert most <= 1000 + 3 * 300
    assert through >= 90
    assert held == 0


@pytest.mark.parametrize("seed", range(20))
def test_rows_that_grow_in_several_places_at_once_come_through(seed):
    """As a row with several images behind URLs does."""
    rng = random.Random(seed)

    async def scenario(clock):
        budget = ByteBudget(1000, clock=clock)

        async def image(share):
            await clock.sleep(rng.random())
            await share.wait_to_grow(rng.randrange(1, 300))

        async def row():
            share = budget.share()
            await share.take(rng.randrange(1, 200))
            try:
                await asyncio.gather(*(image(share) for _ in range(3)))
                await clock.sleep(rng.random())
            finally:
                share.close()

        await asyncio.gather(*(row() for _ in range(60)))
        return budget.held

    assert run_virtual(scenario) == 0


def test_one_who_turned_out_to_need_less_is_not_beyond_the_limit_any_more():
    async def scenario(clock):
        budget = ByteBudget(100, clock=clock)
        share, other = budget.share(), budget.share()
        await share.take(60)
        await other.take(40)
        assert share.grow(50)
        waiting = asyncio.create_task(other.wait_to_grow(80))
        await clock.sleep(1)
        before = waiting.done()
        share.settle(10)
        await waiting
        return before

    assert run_virtual(scenario) is False
