"""A limit that nobody told us is found within a minute, and few requests are refused for it."""

from __future__ import annotations

import asyncio
import math
from collections import deque

import pytest

from tests.virtual import run_virtual
from vbatch.endpoint.found import FoundRate
from vbatch.endpoint.limits import Limiter


class Bucket:
    """An endpoint that refills drop by drop and holds a second's worth."""

    def __init__(self, per_minute: float) -> None:
        self.rate = per_minute / 60
        self.left = self.size = max(1.0, self.rate)
        self.filled_at = 0.0

    def wait(self, now: float) -> float | None:
        self.left = min(self.size, self.left + (now - self.filled_at) * self.rate)
        self.filled_at = now
        if self.left < 1 - 1e-9:
            return (1 - self.left) / self.rate
        self.left -= 1
        return None


class SlidingMinute:
    """An endpoint that looks back over the last sixty seconds."""

    def __init__(self, per_minute: int) -> None:
        self.limit = per_minute
        self.taken: deque[float] = deque()

    def wait(self, now: float) -> float | None:
        while self.taken and self.taken[0] <= now - 60:
            self.taken.popleft()
        if len(self.taken) >= self.limit:
            return self.taken[0] + 60 - now
        self.taken.append(now)
        return None


class FixedMinute:
    """An endpoint that counts from one full minute to the next, the first of them begun before."""

    def __init__(self, per_minute: int) -> None:
        self.limit = per_minute
        self.minute = self.taken = 0

    def wait(self, now: float) -> float | None:
        minute = int(now + 23) // 60
        if minute != self.minute:
            self.minute, self.taken = minute, 0
        if self.taken >= self.limit:
            return 60 * (minute + 1) - 23 - now
        self.taken += 1
        return None


async def ask_for(clock, endpoint, said, *, minutes: float, latency_s: float, at_once: int = 64):
    """Keep so many rows going; the times of answers and of refusals."""
    gate = Limiter(clock=clock, max_in_flight=at_once, seeks_width=at_once > 64, max_outage_s=1800)
    taken, refused = [], []

    async def row(name: str) -> None:
        while True:
            async with await gate.acquire() as permit:
                await clock.sleep(0.02 * clock.random())
                wait = endpoint.wait(clock.monotonic())
                if wait is None:
                    taken.append(clock.monotonic())
                    await clock.sleep(latency_s * (0.7 + 0.6 * clock.random()))
                    permit.answered()
                else:
                    refused.append(clock.monotonic())
                    permit.throttled(name, "429", said(wait))

    rows = [asyncio.create_task(row(f"row {n}")) for n in range(at_once)]
    await clock.sleep(60 * minutes)
    for task in rows:
        task.cancel()
    await asyncio.gather(*rows, return_exceptions=True)
    return taken, refused


@pytest.mark.parametrize("latency_s", [0.05, 1.0])
@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        (Bucket, math.ceil),
        (Bucket, float),
        (Bucket, lambda _: None),
        (SlidingMinute, math.ceil),
        (SlidingMinute, float),
        (SlidingMinute, lambda _: None),
    ],
)
def test_an_unknown_limit_is_found_and_used(endpoint, said, latency_s):
    async def scenario(clock):
        return await ask_for(clock, endpoint(600), said, minutes=6, latency_s=latency_s)

    taken, refused = run_virtual(scenario)
    after = [at for at in taken if at > 60]
    assert sum(50 < at <= 60 for at in taken) >= 0.9 * 100 or endpoint is SlidingMinute
    assert len(taken) - len(after) >= 0.85 * 600
    assert len(after) >= 0.95 * 600 * 5
    assert len([at for at in refused if at > 60]) <= 0.02 * len(after)


@pytest.mark.parametrize("latency_s", [0.2, 4.0])
@pytest.mark.parametrize("said", [math.ceil, lambda _: None])
def test_a_limit_of_full_minutes_is_found_by_the_second_of_them(latency_s, said):
    async def scenario(clock):
        minute = FixedMinute(600)
        return await ask_for(
            clock, minute, said, minutes=397 / 60, latency_s=latency_s, at_once=256
        )

    taken, refused = run_virtual(scenario)
    assert sum(97 < at <= 397 for at in taken) >= 0.95 * 600 * 5
    assert sum(at > 60 for at in refused) <= 0.02 * 600 * 5


@pytest.mark.parametrize("said", [math.ceil, lambda _: None])
@pytest.mark.parametrize("latency_s", [0.2, 8.0])
def test_a_limit_that_rises_is_used_within_half_a_minute(latency_s, said):
    async def scenario(clock):
        bucket = Bucket(200)

        async def rise():
            await clock.sleep(120)
            bucket.rate, bucket.size = 10, 10

        rising = asyncio.create_task(rise())
        took = await ask_for(clock, bucket, said, minutes=4, latency_s=latency_s, at_once=256)
        await rising
        return took

    for seed in range(3):
        taken, refused = run_virtual(scenario, seed=seed)
        assert sum(160 < at <= 240 for at in taken) >= 0.9 * 10 * 80
        assert sum(at > 60 for at in refused) <= 0.03 * sum(at > 60 for at in taken)


def test_a_limit_that_falls_and_rises_is_followed():
    async def scenario(clock):
        bucket = Bucket(600)

        async def change():
            await clock.sleep(180)
            bucket.rate, bucket.size = 3, 3
            await clock.sleep(240)
            bucket.rate, bucket.size = 10, 10

        changing = asyncio.create_task(change())
        taken, refused = await ask_for(clock, bucket, math.ceil, minutes=12, latency_s=0.3)
        await changing
        return taken, refused

    taken, refused = run_virtual(scenario)
    assert sum(300 < at <= 420 for at in taken) >= 0.9 * 3 * 120
    assert sum(600 < at <= 720 for at in taken) >= 0.9 * 10 * 120
    assert len(refused) <= 0.02 * len(taken)


@pytest.mark.parametrize("said", [math.ceil, lambda _: None])
@pytest.mark.parametrize("latency_s", [4.0, 8.0])
def test_a_limit_that_falls_and_rises_is_followed_where_answers_take_long(latency_s, said):
    async def scenario(clock):
        bucket = Bucket(600)

        async def change():
            await clock.sleep(180)
            bucket.rate, bucket.size = 10 / 3, 10 / 3
            await clock.sleep(180)
            bucket.rate, bucket.size = 10, 10

        changing = asyncio.create_task(change())
        took = await ask_for(clock, bucket, said, minutes=10, latency_s=latency_s, at_once=256)
        await changing
        return took

    taken, refused = run_virtual(scenario, seed=1)
    assert sum(300 < at <= 360 for at in taken) >= 0.75 * 10 / 3 * 60
    assert sum(480 < at <= 600 for at in taken) >= 0.75 * 10 * 120
    assert len(refused) <= 0.04 * len(taken)


def test_a_minute_that_was_used_up_at_once_is_shared_out_later_where_answers_take_long():
    async def scenario(clock):
        minute = SlidingMinute(600)
        return await ask_for(clock, minute, math.ceil, minutes=6, latency_s=8, at_once=256)

    taken, _ = run_virtual(scenario)
    assert sum(at > 60 for at in taken) >= 0.85 * 600 * 5


@pytest.mark.parametrize("said", [math.ceil, lambda _: None])
def test_a_neighbour_who_leaves_makes_room_where_answers_take_long(said):
    async def scenario(clock):
        bucket = Bucket(600)

        async def neighbour():
            while clock.monotonic() < 90:
                await clock.sleep(0.5 * clock.random())
                bucket.wait(clock.monotonic())

        beside = asyncio.create_task(neighbour())
        took = await ask_for(clock, bucket, said, minutes=4, latency_s=4, at_once=256)
        await beside
        return took

    for seed in range(3):
        taken, _ = run_virtual(scenario, seed=seed)
        assert sum(150 < at <= 240 for at in taken) >= 0.9 * 10 * 90


def test_a_rate_that_is_refused_again_at_once_falls_faster_but_not_below_what_was_taken():
    rates = []
    for again in (False, True):
        rate = FoundRate()
        for tenth in range(200):
            slot = rate.sent(tenth / 10)
        rate.refused(20.0, 0.0, slot, 0)
        before = rate.rate(20.0)
        rate.refused(20.0, 1.0, slot, 0, again=again)
        rates.append(rate.rate(26.0) / before)
    assert rates == [pytest.approx(0.96), pytest.approx(0.92, abs=0.01)]


def test_before_any_refusal_there_is_no_pace():
    rate = FoundRate()
    for n in range(1000):
        rate.sent(n / 1000)
    assert not rate.known


def test_the_first_refusal_gives_the_rate_with_the_wait_counted_in():
    rate = FoundRate()
    slots = [rate.sent(n / 100) for n in range(600)]
    refused = rate.sent(6.0)
    rate.not_taken(refused)
    rate.refused(6.0, 54.0, refused, 0)
    assert rate.rate(60.0) == pytest.approx(10, rel=0.02)
    assert len(slots) == 600


def test_a_wait_that_proves_longer_than_thought_lowers_the_rate():
    rate = FoundRate()
    for n in range(600):
        refused = rate.sent(n / 100)
    rate.refused(6.0, 1.0, refused, 0)
    early = rate.rate(7.0)
    rate.free_again(rate.sent(60.0))
    assert early > 80
    assert rate.rate(60.0) == pytest.approx(10, rel=0.02)


def test_a_wait_that_was_just_long_enough_changes_nothing():
    rate = FoundRate()
    for n in range(600):
        refused = rate.sent(n / 100)
    rate.refused(6.0, 54.0, refused, 0)
    early = rate.sent(5.99)
    before = rate.rate(70.0)
    rate.free_again(early)
    assert rate.rate(70.0) == before


def test_after_a_cut_the_rate_comes_back_stays_and_then_probes():
    rate = FoundRate()
    for tenth in range(100):
        first = rate.sent(tenth / 10)
    rate.refused(9.9, 0.1, first, 0)
    for tenth in range(100, 200):
        second = rate.sent(tenth / 10)
        rate.free_again(second)
    refused = rate.rate(20.0)
    rate.refused(20.0, 2.0, second, 0)
    course = [rate.rate(22.0 + after) / refused for after in (0, 5, 10, 15, 25)]
    assert course == sorted(course)
    assert 0.8 <= course[0] < 0.95
    assert course[1] == pytest.approx(0.96)
    assert course[2] == pytest.approx(0.96, rel=0.01)
    assert course[3] == pytest.approx(0.96 * 1.05)
    assert course[4] > 1.5


def test_while_it_is_not_known_when_it_is_free_again_the_rate_counts_on_now():
    rate = FoundRate()
    for n in range(600):
        refused = rate.sent(n / 100)
    rate.refused(6.0, 1.0, refused, 0)
    rates = []
    for now in (7.5, 30.0, 60.0, 90.0):
        rate.sent(now)
        rates.append(rate.rate(now))
    assert rates == [pytest.approx(most, rel=0.02) for most in (80, 20, 10, 10)]


def test_after_a_long_refusal_its_count_is_the_rate_and_probing_takes_minutes():
    later = []
    for shut_s in (54.0, 0.0):
        rate = FoundRate()
        for n in range(600):
            refused = rate.sent(n / 100)
        rate.shut(refused, for_s=shut_s)
        rate.refused(6.0, 54.0, refused, 0)
        later.append(rate.rate(60.0 + 60.0))
    assert later[0] == pytest.approx(10, rel=0.06)
    assert later[1] > 20  # our own wait says nothing of the endpoint


def test_one_who_comes_later_and_is_refused_at_once_trusts_the_rate_of_the_others():
    rate = FoundRate()
    rate.adopt(100.0, (90.0, 10.0, 10.0, 10.0))
    for tenth in range(10):
        slot = rate.sent(100.2 + tenth / 10)
    rate.refused(101.2, 1.0, slot, 0)
    assert rate.rate(107.5) == pytest.approx(9.6, rel=0.01)


def test_a_refusal_of_the_very_first_requests_says_nothing_about_the_rate():
    rate = FoundRate()
    slot = rate.sent(0.0)
    rate.not_taken(slot)
    rate.refused(0.0, 60.0, slot, 0)
    assert not rate.known
