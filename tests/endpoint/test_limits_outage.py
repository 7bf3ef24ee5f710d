"""What trouble costs that is not one row's: an endpoint that breaks or hangs, files run out."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.virtual import run_virtual
from vbatch.endpoint.limits import Limiter
from vbatch.errors import Exit


async def ask_for_a_while(clock, gate: Limiter, endpoint, *, until: float, tasks: int) -> list:
    """Requests to ``endpoint(now)`` (seconds, whether it answers); what they came to, in order."""
    log = []

    async def work(name: str) -> None:
        while clock.monotonic() < until:
            permit = await gate.acquire()
            seconds, good = endpoint(clock.monotonic())
            await clock.sleep(seconds)
            if good:
                permit.answered()
                log.append("answer")
            else:
                counts = permit.trouble(f"{name} {len(log)}", "reset")
                log.append("counted" if counts else "free")
                await clock.sleep(1)

    await asyncio.gather(*(work(str(n)) for n in range(tasks)))
    return log


@pytest.mark.parametrize("seed", range(5))
def test_quick_faults_among_slow_answers_hardly_cost_any_throughput(seed):
    rng = random.Random(seed)

    def endpoint(now):
        return (0.02 * rng.random(), False) if rng.random() < 0.15 else (4 + 8 * rng.random(), True)

    async def scenario(clock):
        gate = Limiter(clock=clock, max_in_flight=64, max_outage_s=1800)
        return await ask_for_a_while(clock, gate, endpoint, until=300, tasks=200)

    log = run_virtual(scenario, seed=seed)
    assert log.count("counted") > 300
    assert log.count("answer") >= 0.9 * 64 * 300 / 8


@pytest.mark.parametrize("refused", [1.0, 0.6, 0.0], ids=["all refused", "some hang", "all hang"])
@pytest.mark.parametrize("seed", range(5))
def test_an_outage_costs_fewer_attempts_than_two_for_each_request_in_flight(seed, refused):
    rng = random.Random(seed)

    def endpoint(now):
        if not 100 <= now < 700:
            return 4 + 8 * rng.random(), True
        return (0.001, False) if rng.random() < refused else (120.0, False)

    async def scenario(clock):
        gate = Limiter(clock=clock, max_in_flight=64, max_outage_s=1800)
        return await ask_for_a_while(clock, gate, endpoint, until=900, tasks=200)

    log = run_virtual(scenario, seed=seed)
    assert log.count("counted") <= 2 * 64
    assert log.count("free") >= 10
    assert log[-1] == "answer"


def test_too_many_open_files_halve_what_is_in_flight_and_calm_minutes_bring_it_back():
    async def scenario(clock):
        gate = Limiter(clock=clock, max_in_flight=16, max_outage_s=1800, slow_start=False)
        held = [await gate.acquire() for _ in range(16)]
        for permit in held:
            gate.out_of_files()
            permit.close()
        seen = [gate.state.window]
        for _ in range(12):
            for _ in range(120):
                (await gate.acquire()).answered()
                await clock.sleep(0.5)
            seen.append(gate.state.window)
        return seen

    assert run_virtual(scenario) == [8, 8, 10, 12, 15, *[16] * 8]


def test_out_of_files_for_good_stops_the_run_as_an_outage_does_and_says_what_to_do():
    async def scenario(clock):
        gate = Limiter(clock=clock, max_in_flight=4, max_outage_s=600)
        while gate.stopped is None:
            permit = await gate.acquire()
            gate.out_of_files()
            permit.close()
            await clock.sleep(7)
        return gate.stopped, clock.monotonic()

    stop, at = run_virtual(scenario)
    assert at == pytest.approx(600, abs=14)
    assert (stop.exit_code, stop.code) == (Exit.TRY_LATER, "outage")
    assert "ulimit -n" in stop.message
    assert "limits.max_in_flight" in stop.message


def test_out_of_files_now_and_then_among_answers_stops_nothing():
    async def scenario(clock):
        gate = Limiter(clock=clock, max_in_flight=4, max_outage_s=600)
        for _ in range(100):
            permit = await gate.acquire()
            gate.out_of_files()
            permit.close()
            await clock.sleep(60)
            (await gate.acquire()).answered()
        return gate.stopped

    assert run_virtual(scenario) is None


def test_out_of_files_again_after_some_seconds_is_another_episode():
    async def scenario(clock):
        gate = Limiter(clock=clock, max_in_flight=16, max_outage_s=1800, slow_start=False)
        seen = []
        for _ in range(6):
            held = [await gate.acquire() for _ in range(gate.state.window)]
            gate.out_of_files()
            gate.out_of_files()
            for permit in held:
                permit.close()
            seen.append(gate.state.window)
            await clock.sleep(6)
        return seen

    assert run_virtual(scenario) == [8, 4, 2, 1, 1, 1]
