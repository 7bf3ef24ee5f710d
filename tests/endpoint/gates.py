"""What tests of the gate share: gates, and those who keep them busy."""

from __future__ import annotations

import asyncio
import bisect
from typing import TYPE_CHECKING

from vbatch.endpoint.limits import Limiter

if TYPE_CHECKING:
    from tests.virtual import VirtualClock

MINUTE = 60.0


def limiter(clock: VirtualClock, **settings) -> Limiter:
    """A gate for 64 in flight, unless ``settings`` say otherwise."""
    settings = {"max_in_flight": 64, "max_outage_s": 1800.0} | settings
    return Limiter(clock=clock, **settings)


def most_within(sent: list[tuple[float, int]], seconds: float = MINUTE) -> int:
    """The largest sum that any closed stretch of ``seconds`` holds."""
    times = [at for at, _ in sent]
    sums = [0]
    for _, cost in sent:
        sums.append(sums[-1] + cost)
    return max(
        sums[bisect.bisect_right(times, start + seconds)] - sums[index]
        for index, start in enumerate(times)
    )


async def keep_busy(clock, gate: Limiter, *, until: float, tasks: int, latency, tokens=lambda: 0):
    """Send as much as the gate lets through, for ``until`` seconds; what went, and when."""
    sent: list[tuple[float, int]] = []

    async def work() -> None:
        while True:
            cost = tokens()
            async with await gate.acquire(cost) as permit:
                sent.append((clock.monotonic(), cost))
                await clock.sleep(latency())
                permit.answered(cost)

    workers = [asyncio.create_task(work()) for _ in range(tasks)]
    await clock.sleep(until)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert gate.state.in_flight == 0
    assert gate.state.waiting == 0
    return sent
