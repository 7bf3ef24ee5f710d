"""Refusals that come whatever we do cost their wait, and little more."""

from __future__ import annotations

import asyncio

import pytest

from tests.virtual import run_virtual
from vbatch.endpoint.limits import Limiter

ROWS = 2000


async def ask_all(clock, fate, *, latency_s=0.05, slots=64, rows=ROWS):
    """Send ``rows`` until all are answered; seconds taken, pauses seen, the gate.

    ``fate()`` is what a request meets: None an answer, "fault" a 5xx, else the wait of a 429
    (0: without a time).
    """
    gate = Limiter(clock=clock, max_in_flight=slots, max_outage_s=1800)
    left = iter(range(rows))
    refused_at = []

    async def ask(row: int) -> None:
        while True:
            async with await gate.acquire() as permit:
                met = fate()
                await clock.sleep(latency_s * (0.5 + clock.random()))
                if met is None:
                    return permit.answered()
                if met == "fault":
                    permit.trouble(f"row {row}", "503")
                else:
                    refused_at.append((clock.monotonic(), met))
                    permit.throttled(f"row {row}", "429", met or None)

    async def work() -> None:
        for row in left:
            await ask(row)

    await asyncio.gather(*(work() for _ in range(slots)))
    return clock.monotonic(), distinct_pauses(refused_at), gate


def distinct_pauses(refused_at) -> int:
    """Waits of refusals that came while another's was under way are one."""
    count, until = 0, -1.0
    for at, wait in refused_at:
        if at > until:
            count += 1
            until = at + wait
    return count


def strays(clock, share: float, wait: float, faults: float = 0.0):
    def fate():
        chance = clock.random()
        if chance < share:
            return wait
        return "fault" if chance < share + faults else None

    return fate


def undisturbed_s(latency_s: float = 0.05) -> float:
    async def scenario(clock):
        took, _, _ = await ask_all(clock, lambda: None, latency_s=latency_s)
        return took

    return run_virtual(scenario)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    ("share", "wait", "latency_s"),
    [(0.05, 0, 0.05), (0.12, 0.05, 0.05), (0.02, 0, 0.05), (0.05, 0, 1.0), (0.12, 0.05, 1.0)],
)
def test_strays_leave_a_quarter_of_the_throughput_at_least(share, wait, latency_s, seed):
    async def scenario(clock):
        took, _, _ = await ask_all(clock, strays(clock, share, wait), latency_s=latency_s)
        return took

    assert run_virtual(scenario, seed=seed) <= 4 * undisturbed_s(latency_s)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("latency_s", [0.05, 1.0])
def test_strays_that_ask_for_a_second_cost_that_second_each_time_and_little_more(seed, latency_s):
    async def scenario(clock):
        return await ask_all(clock, strays(clock, 0.05, 1.0), latency_s=latency_s)

    took, pauses, _ = run_virtual(scenario, seed=seed)
    assert took <= 1.1 * pauses + 2 * undisturbed_s(latency_s)


@pytest.mark.parametrize("seed", range(8))
def test_faults_among_answers_are_no_outage_however_many_there_are(seed):
    async def scenario(clock):
        took, _, gate = await ask_all(clock, strays(clock, 0, 0, faults=0.25))
        return took, gate.stopped

    took, stopped = run_virtual(scenario, seed=seed)
    assert took <= 1.6 * undisturbed_s()
    assert stopped is None


def test_after_a_false_alarm_the_first_answer_sets_all_going():
    async def scenario(clock):
        gate = Limiter(clock=clock, max_in_flight=64, max_outage_s=1800, slow_start=False)
        held = [await gate.acquire() for _ in range(20)]
        for n in range(10):
            held[n].trouble(f"row {n}", "reset")
        waiting = [asyncio.create_task(gate.acquire()) for _ in range(50)]
        await clock.sleep(0.1)
        before = sum(task.done() for task in waiting)
        held[10].answered()
        await clock.sleep(0)
        return before, sum(task.done() for task in waiting), clock.monotonic()

    assert run_virtual(scenario) == (0, 50, 0.1)
