"""Bytes in memory stay within the budget, whoever comes and goes."""

from __future__ import annotations

import asyncio
import random

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
            async with budget.hold(n):
                order.append(name)
                await clock.sleep(1)

        await asyncio.gather(work("a", 80), work("large", 90), work("small", 10), work("last", 10))
        return order, budget.held

    assert run_virtual(scenario) == (["a", "large", "small", "last"], 0)


def test_a_block_that_fails_gives_its_bytes_back():
    async def scenario(clock):
        budget = ByteBudget(100, clock=clock)
        with pytest.raises(KeyError):
            async with budget.hold(70):
                raise KeyError
        return budget.held

    assert run_virtual(scenario) == 0


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
            async with budget.hold(n):
                most = max(most, budget.held)
                await clock.sleep(rng.random())

        tasks = [asyncio.create_task(work(rng.randint(0, 600))) for _ in range(200)]
        for task in rng.sample(tasks, 150):
            await clock.sleep(rng.choice([0, 0.05]))
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return budget.held, most <= 1000

    assert run_virtual(scenario, seed=seed) == (0, True)
