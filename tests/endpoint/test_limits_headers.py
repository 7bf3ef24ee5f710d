"""What an endpoint says of its limits in headers."""

from __future__ import annotations

import pytest

from tests.endpoint.gates import MINUTE, keep_busy, limiter, most_within
from tests.virtual import run_virtual
from vbatch.endpoint.limit_headers import LimitHeaders


def test_a_limit_in_the_headers_sets_the_pace():
    async def scenario(clock):
        gate = limiter(clock)
        gate.learn(LimitHeaders(limit_requests=1200, limit_tokens=10))
        gate.learn(LimitHeaders(limit_requests=600, limit_tokens=1_000_000))
        return await keep_busy(
            clock, gate, until=120, tasks=32, latency=lambda: 0.1, tokens=lambda: 10
        )

    sent = run_virtual(scenario)
    assert 0.96 * 1200 <= len(sent) <= 1200
    assert most_within(sent) <= 6000


def test_what_went_before_a_limit_was_known_counts_towards_it():
    async def scenario(clock):
        gate = limiter(clock, slow_start=False)
        for _ in range(30):
            (await gate.acquire(10)).answered(10)
            await clock.sleep(1)
        gate.learn(LimitHeaders(limit_requests=30, limit_tokens=300))
        await gate.acquire(10)
        return clock.monotonic()

    assert MINUTE <= run_virtual(scenario) <= MINUTE + 1


def test_what_was_long_ago_when_a_limit_is_told_counts_no_more():
    async def scenario(clock):
        gate = limiter(clock, slow_start=False)
        for _ in range(30):
            (await gate.acquire(10)).answered(10)
        await clock.sleep(2 * MINUTE)
        gate.learn(LimitHeaders(limit_requests=30, limit_tokens=300))
        await gate.acquire(10)
        return clock.monotonic()

    assert run_virtual(scenario) == 2 * MINUTE


def test_headers_change_nothing_where_the_user_gave_numbers():
    async def scenario(clock):
        gate = limiter(clock, requests_per_minute=6000, tokens_per_minute=1e9, slow_start=False)
        gate.learn(
            LimitHeaders(
                limit_requests=1,
                remaining_requests=0,
                reset_requests_s=50,
                limit_tokens=1,
                remaining_tokens=0,
                reset_tokens_s=50,
            )
        )
        return await keep_busy(
            clock, gate, until=1, tasks=8, latency=lambda: 0.01, tokens=lambda: 10
        )

    assert len(run_virtual(scenario)) > 90


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        (LimitHeaders(remaining_requests=0, reset_requests_s=20), 20),
        (LimitHeaders(remaining_tokens=0, reset_tokens_s=0.3), 0.3),
        (LimitHeaders(remaining_requests=1, reset_requests_s=20), 0),
        (LimitHeaders(remaining_requests=0), 0),
        (LimitHeaders(remaining_requests=0, reset_requests_s=86_400), 0),
        (LimitHeaders(remaining_requests=0, reset_requests_s=-1), 0),
        (LimitHeaders(limit_requests=600, remaining_requests=0, reset_requests_s=0.1), 0),
        (LimitHeaders(limit_requests=0), 0),
        (LimitHeaders(limit_requests=float("inf"), limit_tokens=float("nan")), 0),
    ],
)
def test_nothing_goes_before_a_used_up_limit_is_reset(headers, wait):
    async def scenario(clock):
        gate = limiter(clock)
        gate.learn(headers)
        await gate.acquire()
        return clock.monotonic()

    assert wait <= run_virtual(scenario) <= 1.04 * wait


def test_answers_that_went_over_a_limit_leave_fewer_in_flight_until_calm_returns():
    async def scenario(clock):
        gate = limiter(clock, max_in_flight=16, slow_start=False)
        held = [await gate.acquire() for _ in range(16)]
        for permit in held:
            gate.learn(LimitHeaders(over_limit=True))
            permit.answered()
        seen = [gate.state.window]
        for _ in range(6):
            for _ in range(120):
                (await gate.acquire()).answered()
                await clock.sleep(0.5)
            seen.append(gate.state.window)
        return seen

    seen = run_virtual(scenario)
    assert seen[0] == 12, "once for all that were on their way together"
    assert seen[-1] == 16


def test_a_user_who_gave_a_rate_is_not_slowed_down_by_answers():
    async def scenario(clock):
        gate = limiter(clock, requests_per_minute=600, max_in_flight=16, slow_start=False)
        gate.learn(LimitHeaders(over_limit=True))
        return gate.state.window

    assert run_virtual(scenario) == 16
