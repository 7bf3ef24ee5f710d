"""What the gate promises of speed: limits per minute, and nearly all of them used."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from tests.endpoint.gates import MINUTE, keep_busy, limiter, most_within
from tests.virtual import run_virtual


def test_ten_minutes_at_600_a_minute_use_98_percent_and_never_more_than_600():
    async def scenario(clock):
        gate = limiter(clock, requests_per_minute=600)
        return await keep_busy(clock, gate, until=600, tasks=64, latency=lambda: 0.5)

    sent = run_virtual(scenario)
    assert len(sent) >= 0.98 * 6000
    assert most_within(sent) <= 600
    assert most_within(sent, 1.0) <= 10 + 1  # both ends of a second count


def test_requests_are_spread_evenly_over_the_minute():
    async def scenario(clock):
        gate = limiter(clock, requests_per_minute=60)
        return await keep_busy(clock, gate, until=120, tasks=8, latency=lambda: 0.01)

    times = [at for at, _ in run_virtual(scenario)]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert min(gaps) > 0.99
    assert max(gaps) < 1.03


@pytest.mark.parametrize("part", range(2))
def test_requests_of_any_size_never_exceed_a_limit(part):
    for seed in range(50 * part, 50 * part + 50):
        check_a_random_schedule(seed)


def check_a_random_schedule(seed: int) -> None:
    rng = random.Random(seed)
    requests = rng.choice([None, 7, 30, 61, 100])
    tokens = rng.choice([None, 2000, 10_000]) if requests else 4000
    largest = rng.choice([10, 100, 300] if requests else [100, 300])
    latency = rng.choice([0.02, 0.5, 3.0])
    tasks = rng.choice([12, 24])

    async def scenario(clock):
        gate = limiter(
            clock, requests_per_minute=requests, tokens_per_minute=tokens, slow_start=False
        )
        return await keep_busy(
            clock,
            gate,
            until=2.5 * MINUTE,
            tasks=tasks,
            latency=lambda: latency * rng.random(),
            tokens=lambda: rng.randint(1, largest),
        )

    sent = run_virtual(scenario, seed=seed)
    spent = sum(cost for _, cost in sent)
    if requests:
        assert most_within([(at, 1) for at, _ in sent]) <= requests, seed
    if tokens:
        assert most_within(sent) <= tokens, seed
    if not tokens:
        assert len(sent) >= 0.97 * 2.5 * requests, seed
    if not requests:  # a minute's rest that is smaller than the next request stays unused
        assert spent >= 0.97 * 2.5 * (tokens - largest), seed


def test_a_late_timer_costs_no_throughput():
    async def scenario(clock):
        class Late(type(clock)):
            async def sleep(self, seconds):
                await asyncio.sleep(seconds + 0.03)

        clock.__class__ = Late
        gate = limiter(clock, requests_per_minute=600)
        return await keep_busy(clock, gate, until=300, tasks=64, latency=lambda: 0.1)

    sent = run_virtual(scenario)
    assert len(sent) >= 0.98 * 3000
    assert most_within(sent) <= 600


@pytest.mark.parametrize("limit", [60, 600, 6000])
def test_after_a_silence_next_to_nothing_is_caught_up_at_once(limit):
    async def scenario(clock):
        gate = limiter(clock, requests_per_minute=limit, slow_start=False, max_in_flight=200)
        await clock.sleep(100)
        return await keep_busy(clock, gate, until=1, tasks=200, latency=lambda: 1)

    assert len(run_virtual(scenario)) <= 1.1 * limit / MINUTE + 1


def test_a_request_larger_than_the_whole_limit_goes_alone():
    async def scenario(clock):
        gate = limiter(clock, tokens_per_minute=1000, slow_start=False)
        went = []
        for cost in (400, 5000, 100):
            async with await gate.acquire(cost) as permit:
                went.append(clock.monotonic())
                permit.answered(cost)
        return went

    small, large, after = run_virtual(scenario)
    assert large - small >= MINUTE
    assert after - large >= MINUTE


def test_tokens_not_used_are_free_for_others():
    async def scenario(clock):
        gate = limiter(clock, tokens_per_minute=20_000, slow_start=False)
        count = 0
        while clock.monotonic() < 10 * MINUTE:
            async with await gate.acquire(200) as permit:
                permit.answered(100)
            count += 1
        return count

    assert run_virtual(scenario) >= 0.97 * 2000


def test_tokens_used_beyond_the_estimate_are_waited_for():
    async def scenario(clock):
        gate = limiter(clock, tokens_per_minute=1000, slow_start=False)
        async with await gate.acquire(10) as permit:
            permit.answered(1000)
        await gate.acquire(10)
        return clock.monotonic()

    assert run_virtual(scenario) >= MINUTE


def test_a_correction_that_comes_after_the_minute_changes_nothing():
    async def scenario(clock):
        gate = limiter(clock, tokens_per_minute=1000, slow_start=False)
        late = await gate.acquire(900)
        await clock.sleep(70)
        await gate.acquire(500)
        late.answered(0)
        began = clock.monotonic()
        await gate.acquire(600)
        return clock.monotonic() - began

    assert run_virtual(scenario) >= 55


def test_an_answer_without_usage_leaves_the_estimate():
    async def scenario(clock):
        gate = limiter(clock, tokens_per_minute=1000, slow_start=False)
        async with await gate.acquire(1000) as permit:
            permit.answered(None)
        await gate.acquire(1)
        return clock.monotonic()

    assert run_virtual(scenario) >= MINUTE
