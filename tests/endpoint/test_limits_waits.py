"""What the gate does when the endpoint says "too many"."""

from __future__ import annotations

import asyncio
import math

import pytest

from tests.endpoint.gates import limiter
from tests.virtual import run_virtual
from vbatch.endpoint.limits import Limiter, Stopped
from vbatch.errors import Exit


async def throttle(gate: Limiter, retry_after_s: float | None = None, row: str = "row") -> None:
    (await gate.acquire()).throttled(row, "429 slow down", retry_after_s)


@pytest.mark.parametrize("seconds", [0.25, 20, 120, 900])
def test_a_wait_the_endpoint_asks_for_holds_everyone_and_little_longer(seconds):
    async def scenario(clock):
        gate = limiter(clock)
        await throttle(gate, seconds)
        await asyncio.gather(*(gate.acquire() for _ in range(3)))
        return clock.monotonic()

    for seed in range(5):
        assert seconds <= run_virtual(scenario, seed=seed) <= 1.03 * seconds


@pytest.mark.parametrize("seconds", [20, 120, 140, 300, 900])
def test_after_a_wait_however_long_answers_are_taken_again(seconds):
    async def scenario(clock):
        gate = limiter(clock)
        for _ in range(20):
            (await gate.acquire()).answered()
        for wait in (seconds, seconds / 10, seconds):
            await throttle(gate, wait)
            for _ in range(20):
                (await gate.acquire()).answered()
        return gate.stopped, clock.monotonic()

    stop, ended = run_virtual(scenario)
    assert stop is None
    assert ended >= 2.1 * seconds


def test_the_longest_of_several_waits_counts():
    async def scenario(clock):
        gate = limiter(clock)
        permits = [await gate.acquire() for _ in range(3)]
        for permit, seconds in zip(permits, (10, 60, 5), strict=True):
            permit.throttled("row", "429", seconds)
        await gate.acquire()
        return clock.monotonic()

    assert 60 <= run_virtual(scenario) <= 62


def test_the_state_names_the_time_that_was_asked_for():
    async def scenario(clock):
        gate = limiter(clock)
        await throttle(gate, 60)
        waiting = asyncio.create_task(gate.acquire())
        await clock.sleep(0)
        state = gate.state
        waiting.cancel()
        return state, clock.time()

    state, now = run_virtual(scenario)
    assert state.reason.startswith("endpoint asked to wait until ")
    assert state.reason[-8:].count(":") == 2
    assert 60 <= state.waiting_until - now <= 62


def test_a_wait_beyond_a_quarter_of_an_hour_stops_the_run_and_says_the_time():
    async def scenario(clock):
        gate = limiter(clock, max_in_flight=4)
        held = [await gate.acquire() for _ in range(4)]
        waiting = asyncio.create_task(gate.acquire())
        await clock.sleep(0)
        held[0].throttled("row", "monthly limit reached", 7500)
        with pytest.raises(Stopped) as caught:
            await waiting
        with pytest.raises(Stopped):
            await gate.acquire()
        held[1].answered()
        return caught.value, gate.stopped

    error, stop = run_virtual(scenario)
    assert error.stop is stop
    assert error.exit_code == stop.exit_code == Exit.TRY_LATER
    assert stop.code == "rate_limited"
    assert "2 h 5 min (until " in stop.message
    assert "15 min" in stop.message
    assert "monthly limit reached" in stop.message


def test_a_wait_of_ages_is_said_without_a_date():
    async def scenario(clock):
        gate = limiter(clock)
        await throttle(gate, 1e15)
        return gate.stopped

    stop = run_virtual(scenario)
    assert stop.exit_code == Exit.TRY_LATER
    assert "until" not in stop.message


@pytest.mark.parametrize("nonsense", [None, 0, -5, math.nan, math.inf])
def test_without_a_usable_time_the_wait_is_our_own_and_doubles(nonsense):
    async def scenario(clock):
        gate = limiter(clock, max_wait_s=6)
        waits = []
        for _ in range(5):
            before = clock.monotonic()
            await throttle(gate, nonsense)
            permit = await gate.acquire()
            waits.append(clock.monotonic() - before)
            permit.close()
        (await gate.acquire()).answered()
        before = clock.monotonic()
        await throttle(gate, nonsense)
        await gate.acquire()
        return waits, clock.monotonic() - before

    waits, after_an_answer = run_virtual(scenario)
    for wait, expected in zip(waits, (1, 2, 4, 6, 6), strict=True):
        assert expected <= wait <= 1.03 * expected
    assert 1 <= after_an_answer <= 1.1


def test_our_own_wait_grows_to_eight_seconds_in_the_first_minute_and_further_only_later():
    async def scenario(clock):
        gate = limiter(clock)
        waits = []
        while clock.monotonic() < 300:
            before = clock.monotonic()
            await throttle(gate)
            permit = await gate.acquire()
            waits.append((before, clock.monotonic() - before))
            permit.close()
        return waits

    waits = run_virtual(scenario)
    assert max(wait for at, wait in waits if at < 50) <= 8.3
    assert max(wait for _, wait in waits) >= 60


def test_an_answer_that_a_refusal_overtook_cuts_the_doubled_wait_short():
    async def scenario(clock):
        gate = limiter(clock)
        for _ in range(4):
            await throttle(gate)
        before = clock.monotonic()
        slow = await gate.acquire()
        waited = clock.monotonic() - before
        await throttle(gate)
        again = clock.monotonic()
        slow.answered()
        await gate.acquire()
        return waited, clock.monotonic() - again

    waited, after = run_virtual(scenario)
    assert waited >= 8
    assert 0 < after <= 1.1


def test_an_answer_from_before_the_waits_cuts_none_of_them_short():
    async def scenario(clock):
        gate = limiter(clock)
        old = await gate.acquire()
        for _ in range(4):
            await throttle(gate)
        before = clock.monotonic()
        old.answered()
        await gate.acquire()
        return clock.monotonic() - before

    assert run_virtual(scenario) >= 8


def test_no_answer_cuts_a_wait_short_that_was_asked_for():
    async def scenario(clock):
        gate = limiter(clock)
        for _ in range(4):
            await throttle(gate)
        slow, other = await gate.acquire(), await gate.acquire()
        await throttle(gate)
        before = clock.monotonic()
        other.throttled("other", "429 slow down", 30)
        slow.answered()
        await gate.acquire()
        return clock.monotonic() - before

    assert run_virtual(scenario) >= 30


def test_refusals_of_requests_sent_together_are_one_step_of_the_wait():
    async def scenario(clock):
        gate = limiter(clock, slow_start=False)
        for permit in [await gate.acquire() for _ in range(9)]:
            permit.throttled("row", "429")
        waiting = asyncio.create_task(gate.acquire())
        await clock.sleep(0)
        reason = gate.state.reason
        await waiting
        return clock.monotonic(), reason

    ended, reason = run_virtual(scenario)
    assert 1 <= ended <= 1.03
    assert reason.startswith("endpoint is busy, waiting until ")


def test_the_window_shrinks_once_per_episode_and_grows_only_with_use():
    async def scenario(clock):
        gate = limiter(clock, slow_start=False)
        sizes = []

        async def all_at_once(count):
            return [await gate.acquire() for _ in range(count)]

        for permit in await all_at_once(64):
            permit.throttled("row", "429", 1)
        sizes.append(gate.state.window)  # the first episode: half
        for permit in await all_at_once(32):
            permit.throttled("row", "429", 1)
        sizes.append(gate.state.window)  # still the same: nothing was answered in between
        for permit in await all_at_once(32):
            permit.answered()
        sizes.append(gate.state.window)  # filled once, a quarter more
        for _ in range(200):
            (await gate.acquire()).answered()
        sizes.append(gate.state.window)  # never filled
        held = await all_at_once(40)
        for permit in held:
            permit.throttled("row", "429", 1)
        sizes.append(gate.state.window)  # a later episode: a quarter less
        return sizes

    assert run_virtual(scenario) == [32, 32, 40, 40, 30]


def test_a_window_that_was_not_filled_is_not_to_blame():
    async def scenario(clock):
        gate = limiter(clock, slow_start=False)
        await throttle(gate, 1)
        return gate.state.window

    assert run_virtual(scenario) == 64


def test_with_a_number_given_a_refusal_is_only_waited_for():
    async def scenario(clock):
        gate = limiter(clock, requests_per_minute=60_000, slow_start=False, max_in_flight=8)
        for permit in [await gate.acquire() for _ in range(8)]:
            permit.throttled("row", "429", 5)
        return gate.state.window

    assert run_virtual(scenario) == 8
