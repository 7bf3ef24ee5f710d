"""How much of an endpoint's limit is used, and how many requests it refuses: on a virtual clock.

``python -m benchmarks.limits [NAME [SEEDS]]`` prints a row for each model of an endpoint, for what
it tells of its limit, and for how long its answers take: medians of so many runs, 5 unless told.
"""

from __future__ import annotations

import asyncio
import math
import os
import statistics
import sys
from collections import Counter, deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.virtual import run_virtual
from vbatch.endpoint.ledger import Memory
from vbatch.endpoint.limit_headers import LimitHeaders
from vbatch.endpoint.limits import Limiter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vbatch.clock import Clock
    from vbatch.endpoint.permit import Permit

LIMIT = 600
"""Requests a minute."""
ROWS = 256
FIRST_S = 60.0
NETWORK_S = 0.02
NEIGHBOUR_S = 90.0
SEEDS = 5
LATENCIES_S = (0.2, 1.0, 4.0, 8.0)


class Model(Protocol):
    """An endpoint's limit. ``rate`` is what it bears, in requests a second."""

    rate: float

    def take(self, now: float) -> float:
        """Take one more request (0), or say how many seconds to wait."""

    def left(self, now: float) -> float:
        """How many it would take at once."""


class Sliding:
    """Never more than the limit within any minute, or a shorter ``span_s``."""

    def __init__(self, a_minute: float, span_s: float = 60.0) -> None:
        self.rate = a_minute / 60
        self._span_s = span_s
        self._taken: deque[float] = deque()

    def take(self, now: float) -> float:
        """See ``Model``."""
        if self.left(now) >= 1:
            self._taken.append(now)
            return 0
        return self._taken[0] + self._span_s - now

    def left(self, now: float) -> float:
        """See ``Model``."""
        while self._taken and self._taken[0] <= now - self._span_s:
            self._taken.popleft()
        return self.rate * self._span_s - len(self._taken)


class Fixed:
    """So many from one full minute to the next; the first minute began long before."""

    def __init__(self, a_minute: float, began_s: float = -23.0) -> None:
        self.rate = a_minute / 60
        self._began_s = began_s
        self._taken = 0

    def take(self, now: float) -> float:
        """See ``Model``."""
        if self.left(now) >= 1:
            self._taken += 1
            return 0
        return self._began_s + 60 - now

    def left(self, now: float) -> float:
        """See ``Model``."""
        while now >= self._began_s + 60:
            self._began_s += 60
            self._taken = 0
        return self.rate * 60 - self._taken

    def ahead(self, now: float) -> float:
        """How many more it has taken of its minute than by an even pace; 0 if fewer."""
        return max(0.0, self.rate * (self._began_s + 60 - now) - self.left(now))


class Bucket:
    """Refills drop by drop and holds ``size_s`` seconds' worth."""

    def __init__(self, a_minute: float, size_s: float = 1.0) -> None:
        self.rate = a_minute / 60
        self.size = max(1.0, size_s * self.rate)
        self._left = self.size
        self._at = 0.0

    def take(self, now: float) -> float:
        """See ``Model``."""
        if self.left(now) >= 1 - 1e-9:
            self._left -= 1
            return 0
        return (1 - self._left) / self.rate

    def left(self, now: float) -> float:
        """See ``Model``."""
        self._left = min(self.size, self._left + (now - self._at) * self.rate)
        self._at = now
        return self._left


@dataclass(slots=True)
class Seen:
    """What the endpoint saw: times of requests taken, its neighbour's, and refused."""

    taken: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    in_flight: int = 0
    by_run: Counter[int] = field(default_factory=Counter)
    bearable: list[tuple[float, float]] = field(default_factory=list)
    """From when on it bore which rate."""
    ahead: float = 0.0
    """How many of what it would take after the first minute it had taken in that."""

    def borne(self, start: float, end: float) -> float:
        """How many requests it would have taken in that time."""
        ends = [at for at, _ in self.bearable[1:]] + [math.inf]
        return sum(
            rate * max(0.0, min(end, until) - max(start, at))
            for (at, rate), until in zip(self.bearable, ends, strict=True)
        )

    def used(self, start: float, end: float) -> float:
        """The share of it that was used."""
        ahead = self.ahead if start == FIRST_S else 0.0
        return between([*self.taken, *self.others], start, end) / (self.borne(start, end) - ahead)

    def refusals(self, start: float, end: float) -> float:
        """The share of our requests that it refused."""
        refused = between(self.refused, start, end)
        return refused / max(1, refused + between(self.taken, start, end))

    def fairness(self) -> float:
        """What the run that got least has of what the others got."""
        return min(self.by_run.values()) / max(self.by_run.values())

    def most_in_a_minute(self) -> int:
        """Of ours, whatever became of them."""
        most, sent, first = 0, sorted([*self.taken, *self.refused]), 0
        for index, at in enumerate(sent):
            while sent[first] < at - 60:
                first += 1
            most = max(most, index - first + 1)
        return most


def between(times: list[float], start: float, end: float) -> int:
    """How many of ``times`` lie there."""
    return sum(start < at <= end for at in times)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One endpoint, and one or more runs that have more to ask than it bears.

    ``told``: ``job`` (the user gave the limit), ``headers``, ``wait`` (Retry-After), ``nothing``.
    ``at_once`` is a limit of requests in flight, ``neighbour`` one who asks for so much of the
    limit for a minute and a half, then for as long not; ``changes``: a third of the limit from the
    third to the sixth minute; ``runs`` share one key.
    """

    model: type[Sliding | Fixed | Bucket] | None
    told: str
    latency_s: float
    minutes: float = 6.0
    at_once: int = 10**9
    neighbour: float = 0.0
    changes: bool = False
    runs: int = 1

    @property
    def end_s(self) -> float:
        """When it ends: together with a minute of one who counts them."""
        return 60 * self.minutes + (37 if self.model is Fixed else 0)

    def run(self, seed: int = 0) -> Seen:
        """What the endpoint sees of it."""
        return run_virtual(self._scenario, seed=seed)

    async def _scenario(self, clock: Clock) -> Seen:
        model = (self.model or Sliding)(LIMIT if self.model else math.inf)
        rate = model.rate if self.model else self.at_once / self.latency_s
        seen = Seen(bearable=[(0.0, rate)])
        ledger = Memory() if self.runs > 1 else None
        tasks = [
            asyncio.create_task(self._row(f"row {n}", gate, clock, model, seen))
            for gate in [self._gate(clock, ledger) for _ in range(self.runs)]
            for n in range(ROWS)
        ]
        if self.neighbour:
            tasks.append(asyncio.create_task(self._neighbour(clock, model, seen)))
        if self.changes:
            tasks.append(asyncio.create_task(_change(clock, model, seen)))
        await clock.sleep(FIRST_S)
        if isinstance(model, Fixed):
            seen.ahead = model.ahead(clock.monotonic())
        await clock.sleep(self.end_s - FIRST_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return seen

    def _gate(self, clock: Clock, ledger: Memory | None) -> Limiter:
        given = LIMIT if self.told == "job" else None
        return Limiter(
            clock=clock,
            max_in_flight=ROWS,
            seeks_width=True,
            max_outage_s=1800,
            requests_per_minute=given,
            ledger=ledger,
        )

    async def _row(self, name: str, gate: Limiter, clock: Clock, model: Model, seen: Seen) -> None:
        while True:
            async with await gate.acquire() as permit:
                await self._ask(name, permit, gate, clock, model, seen)

    async def _ask(
        self, name: str, permit: Permit, gate: Limiter, clock: Clock, model: Model, seen: Seen
    ) -> None:
        await clock.sleep(NETWORK_S * clock.random())
        now = clock.monotonic()
        busy = seen.in_flight >= self.at_once
        wait_s = 1.0 if busy else model.take(now)
        if wait_s:
            seen.refused.append(now)
            gate.learn(self._headers(model, now))
            said = self.told in ("wait", "headers") and not busy
            permit.throttled(name, "429", float(math.ceil(wait_s)) if said else None)
            return
        seen.taken.append(now)
        seen.by_run[id(gate)] += 1
        seen.in_flight += 1
        await clock.sleep(self.latency_s * (0.7 + 0.6 * clock.random()))
        seen.in_flight -= 1
        gate.learn(self._headers(model, now))
        permit.answered()

    def _headers(self, model: Model, now: float) -> LimitHeaders:
        if self.told != "headers":
            return LimitHeaders()
        left = math.floor(model.left(now))
        return LimitHeaders(limit_requests=60 * model.rate, remaining_requests=left)

    async def _neighbour(self, clock: Clock, model: Model, seen: Seen) -> None:
        while True:
            await clock.sleep(clock.random() * 2 / (self.neighbour * model.rate))
            now = clock.monotonic()
            if now % (2 * NEIGHBOUR_S) < NEIGHBOUR_S and not model.take(now):
                seen.others.append(now)


async def _change(clock: Clock, model: Model, seen: Seen) -> None:
    for at, factor in ((180, 1 / 3), (360, 3)):
        await clock.sleep(at - clock.monotonic())
        model.rate *= factor
        if isinstance(model, Bucket):
            model.size *= factor
        seen.bearable.append((clock.monotonic(), model.rate))


def cases() -> Iterator[tuple[str, Case]]:
    """Every row of the table, by name."""
    for latency_s in LATENCIES_S:
        for model in (Sliding, Fixed, Bucket):
            for told in ("job", "headers", "wait", "nothing"):
                yield model.__name__.lower(), Case(model=model, told=told, latency_s=latency_s)
        for told in ("wait", "nothing"):
            yield (
                "bucket, neighbour",
                Case(model=Bucket, told=told, latency_s=latency_s, neighbour=0.4),
            )
            yield (
                "bucket, changes",
                Case(model=Bucket, told=told, latency_s=latency_s, changes=True, minutes=10),
            )
        for told in ("job", "headers", "wait", "nothing"):
            yield "bucket, two runs", Case(model=Bucket, told=told, latency_s=latency_s, runs=2)
        yield "40 at once", Case(model=None, told="nothing", latency_s=latency_s, at_once=40)


class Figures(NamedTuple):
    """What one run came to, as shares."""

    near: float
    """Used in the first minute, or in its last ten seconds where that is more."""
    used: float
    """After the first minute, as the next two."""
    least: float
    """``used`` of the run that used least."""
    refused: float
    most: float
    fair: float


def figures(case: Case, seed: int) -> Figures:
    """One run of it."""
    seen = case.run(seed)
    end = case.end_s
    used = seen.used(FIRST_S, end)
    return Figures(
        near=max(seen.used(0, FIRST_S), seen.used(FIRST_S - 10, FIRST_S)),
        used=used,
        least=used,
        refused=seen.refusals(FIRST_S, end),
        most=seen.most_in_a_minute(),
        fair=seen.fairness(),
    )


def medians(runs: Iterable[Figures]) -> Figures:
    """Each of the figures by itself."""
    columns = list(zip(*runs, strict=True))
    least = min(columns[Figures._fields.index("least")])
    return Figures(*map(statistics.median, columns))._replace(least=least)


def rows(wanted: str = "", seeds: int = SEEDS) -> Iterator[str]:
    """The table's lines, of those endpoints that have ``wanted`` in their name."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        todo = [
            (name, case, [pool.submit(figures, case, seed) for seed in range(seeds)])
            for name, case in cases()
            if wanted in name
        ]
        for name, case, runs in todo:
            met = medians(run.result() for run in runs)
            yield (
                f"| {name} | {case.told} | {case.latency_s:g} s | {met.near:.1%} | {met.used:.1%} |"
                f" {met.least:.1%} | {met.refused:.2%} | {met.most:,.0f} | {met.fair:.2f} |"
            )


HEAD = """| limit | told by | latency | used by 60 s | after | least | 429 after | most | fair |
|---|---|---|---|---|---|---|---|---|"""


def main(wanted: str = "", seeds: str = str(SEEDS)) -> None:
    """Print the table."""
    print(HEAD)  # noqa: T201 - its output
    for line in rows(wanted, int(seeds)):
        print(line, flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    main(*sys.argv[1:])
