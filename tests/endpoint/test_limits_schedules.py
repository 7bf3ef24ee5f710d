"""Random schedules under limits given or told: never above them, and nearly all of them used."""

from __future__ import annotations

import asyncio
import bisect
import itertools
import math
import random
from dataclasses import dataclass

import pytest

from tests.evidence import share
from tests.virtual import run_virtual
from vbatch.endpoint.limit_headers import LimitHeaders
from vbatch.endpoint.limits import Limiter

MINUTE = 60.0
CHUNKS = 10
SCHEDULES = share(10_000, 300)


@dataclass(frozen=True)
class Schedule:
    """More requests than the limits allow, of random sizes and durations, for some minutes.

    Where the limits are not ``given``, the headers of each answer tell them.
    """

    requests: int | None
    tokens: int | None
    sizes: tuple[int, int]
    latency_s: float
    tasks: int
    seconds: float
    given: bool = True

    @classmethod
    def drawn(cls, rng: random.Random, *, given: bool = True) -> Schedule:
        """Sizes are at most a fiftieth of a limit: a rest smaller than a request stays unused.

        Of two limits one clearly binds: where both do, now this one and now that, neither is full.
        """
        requests = rng.choice([None, rng.randint(5, 60), rng.randint(60, 400)])
        tokens = rng.randint(500, 20_000) if requests is None or rng.random() < 0.5 else None
        largest = max(2, rng.randint(2, max(tokens // 50, 3)) if tokens else 100)
        by_tokens = 2 * tokens / (largest + 1) if tokens else math.inf
        if requests and 0.8 < by_tokens / requests < 1.25:
            tokens, by_tokens = None, math.inf
        a_minute = min(requests or math.inf, by_tokens)
        latency_s = rng.choice([0.02, 0.3, 2.0, 10.0])
        busy = a_minute / MINUTE * latency_s
        return cls(
            requests=requests,
            tokens=tokens,
            sizes=(1, largest),
            latency_s=latency_s,
            tasks=int(1.5 * busy) + rng.randint(4, 12),
            seconds=rng.uniform(2.5, 4) * MINUTE,
            given=given,
        )

    def run(self, seed: int) -> list[tuple[float, int]]:
        """When each request went, and its tokens."""
        rng = random.Random(seed)
        told = LimitHeaders(limit_requests=self.requests, limit_tokens=self.tokens)

        async def scenario(clock):
            gate = Limiter(
                clock=clock,
                max_in_flight=self.tasks,
                max_outage_s=1800,
                requests_per_minute=self.requests if self.given else None,
                tokens_per_minute=self.tokens if self.given else None,
                slow_start=not self.given,
            )
            sent = []

            async def work():
                while True:
                    size = rng.randint(*self.sizes)
                    async with await gate.acquire(size) as permit:
                        sent.append((clock.monotonic(), size))
                        await clock.sleep(2 * self.latency_s * rng.random())
                        if not self.given:
                            gate.learn(told)
                        permit.answered(size)

            workers = [asyncio.create_task(work()) for _ in range(self.tasks)]
            await clock.sleep(self.seconds)
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            return sent

        return run_virtual(scenario, seed=seed)

    def is_over(self, sent) -> bool:
        """Whether any closed minute holds more than a limit."""
        over_requests = self.requests and most_in_a_minute([(at, 1) for at, _ in sent]) > (
            self.requests
        )
        return bool(over_requests or (self.tokens and most_in_a_minute(sent) > self.tokens))

    def used(self, sent) -> float:
        """The share of the limit that binds."""
        minutes = self.seconds / MINUTE
        requests = len(sent) / (self.requests * minutes) if self.requests else 0.0
        spent = sum(size for _, size in sent)
        tokens = spent / (self.tokens * minutes) if self.tokens else 0.0
        return max(requests, tokens)


def most_in_a_minute(sent: list[tuple[float, int]]) -> int:
    times = [at for at, _ in sent]
    sums = [0, *itertools.accumulate(cost for _, cost in sent)]
    return max(
        sums[bisect.bisect_right(times, start + MINUTE)] - sums[index]
        for index, start in enumerate(times)
    )


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_schedules_stay_within_their_limits_and_use_them(chunk, evidence):
    seeds = range(chunk, SCHEDULES, CHUNKS)
    over, under = [], []
    for seed in seeds:
        schedule = Schedule.drawn(random.Random(seed))
        sent = schedule.run(seed)
        if schedule.is_over(sent):
            over.append(seed)
        if schedule.used(sent) < 0.97:
            under.append((seed, round(schedule.used(sent), 4), schedule))
    assert not over
    assert not under
    evidence.add(
        "limiter schedules", schedules=len(seeds), over_limit=len(over), under_97=len(under)
    )


def test_random_schedules_stay_within_limits_that_only_headers_tell():
    """The first four go before any answer: they count, and no minute holds more than the limit."""
    over = []
    for seed in range(SCHEDULES // CHUNKS):
        schedule = Schedule.drawn(random.Random(seed), given=False)
        if schedule.is_over(schedule.run(seed)):
            over.append((seed, schedule))
    assert not over
