"""What the gate does when the endpoint breaks, or is gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.endpoint.gates import limiter
from tests.virtual import run_virtual
from vbatch.errors import Exit

if TYPE_CHECKING:
    from vbatch.endpoint.limits import Limiter


async def throttle(gate: Limiter, retry_after_s: float | None = None, row: str = "row") -> None:
    (await gate.acquire()).throttled(row, "429 slow down", retry_after_s)


async def break_down(gate: Limiter) -> list[bool]:
    """Ten faults of ten rows; for each whether it counts against its row."""
    return [(await gate.acquire()).trouble(f"row {n}", f"503 number {n}") for n in range(10)]


def test_nine_faults_are_no_outage_and_count_against_their_rows():
    async def scenario(clock):
        gate = limiter(clock)
        counted = [(await gate.acquire()).trouble(f"row {n}", "reset") for n in range(9)]
        (await gate.acquire()).answered()
        counted += [(await gate.acquire()).trouble(f"row {n}", "reset") for n in range(9)]
        return counted, clock.monotonic()

    assert run_virtual(scenario) == ([True] * 18, 0)


def test_one_row_that_always_fails_is_no_outage():
    async def scenario(clock):
        gate = limiter(clock)
        return [(await gate.acquire()).trouble("poison", "500") for _ in range(50)]

    assert all(run_virtual(scenario))


def test_the_tenth_fault_in_a_row_is_an_outage_and_costs_its_row_nothing():
    async def scenario(clock):
        return await break_down(limiter(clock))

    assert run_virtual(scenario) == [True] * 9 + [False]


def test_refusals_without_a_time_make_an_outage_too():
    async def scenario(clock):
        gate = limiter(clock, slow_start=False)
        for n, permit in enumerate([await gate.acquire() for _ in range(10)]):
            permit.throttled(f"row {n}", "429")
        return (await gate.acquire()).probe, clock.monotonic()

    assert run_virtual(scenario) == (True, 5)


def test_a_refusal_with_a_time_breaks_the_row_of_faults():
    async def scenario(clock):
        gate = limiter(clock)
        for n in range(9):
            (await gate.acquire()).trouble(f"row {n}", "reset")
        await throttle(gate, 1)
        return (await gate.acquire()).trouble("row 9", "reset")

    assert run_virtual(scenario) is True


def test_in_an_outage_one_probe_goes_every_5_to_60_seconds():
    async def scenario(clock):
        gate = limiter(clock)
        await break_down(gate)
        probes = []

        async def row(name):
            while True:
                permit = await gate.acquire()
                assert permit.probe
                assert gate.state.in_flight == 1
                probes.append(clock.monotonic())
                await clock.sleep(0.5)
                assert not permit.trouble(name, "502")

        rows = [asyncio.create_task(row(f"row {n}")) for n in range(20)]
        await clock.sleep(300)
        for task in rows:
            task.cancel()
        await asyncio.gather(*rows, return_exceptions=True)
        return probes

    probes = run_virtual(scenario)
    gaps = [after - before for before, after in zip([0, *probes], probes, strict=False)]
    assert gaps == pytest.approx([5, 10.5, 20.5, 40.5, 60.5, 60.5, 60.5])


@pytest.mark.parametrize("how", ["answered", "refused"])
def test_any_answer_ends_an_outage_and_the_start_is_slow_again(how):
    async def scenario(clock):
        gate = limiter(clock)
        for _ in range(100):
            (await gate.acquire()).answered()
        early = await gate.acquire()
        await break_down(gate)
        waiting = [asyncio.create_task(gate.acquire()) for _ in range(9)]
        await clock.sleep(1)
        reason = gate.state.reason
        getattr(early, how)()
        await clock.sleep(0)
        return reason, sum(task.done() for task in waiting), clock.monotonic()

    assert run_virtual(scenario) == ("endpoint down, next probe in 4 s", 4, 1)


def test_while_a_probe_is_on_its_way_the_others_wait_and_are_told_so():
    async def scenario(clock):
        gate = limiter(clock)
        await break_down(gate)
        probe = await gate.acquire()
        waiting = asyncio.create_task(gate.acquire())
        await clock.sleep(400)
        state = gate.state
        probe.answered()
        permit = await waiting
        return state.reason, state.waiting_until, permit.probe

    assert run_virtual(scenario) == ("endpoint down, a probe is on its way", None, False)


def test_a_probe_that_was_never_sent_makes_room_for_another_at_once():
    async def scenario(clock):
        gate = limiter(clock)
        await break_down(gate)
        (await gate.acquire()).close()
        permit = await gate.acquire()
        return permit.probe, clock.monotonic()

    assert run_virtual(scenario) == (True, 5)


def test_a_probe_that_is_told_to_wait_ends_the_outage():
    async def scenario(clock):
        gate = limiter(clock)
        await break_down(gate)
        await throttle(gate, 7)
        permit = await gate.acquire()
        return permit.probe, clock.monotonic()

    probe, ended = run_virtual(scenario)
    assert not probe
    assert 12 <= ended <= 12.3


def test_late_faults_of_earlier_requests_do_not_delay_the_probe():
    async def scenario(clock):
        gate = limiter(clock, slow_start=False)
        early = [await gate.acquire() for _ in range(20)]
        counted = []
        for n, permit in enumerate(early):
            counted.append(permit.trouble(f"row {n}", "timeout"))
            if n >= 10:
                await clock.sleep(0.4)
        await gate.acquire()
        return counted, clock.monotonic()

    assert run_virtual(scenario) == ([True] * 9 + [False] * 11, pytest.approx(5))


def test_the_number_in_flight_is_kept_in_an_outage_too():
    async def scenario(clock):
        gate = limiter(clock, max_in_flight=11, slow_start=False)
        held = [await gate.acquire() for _ in range(11)]
        for n in range(10):
            held[n].trouble(f"row {n}", "timeout")
        gate.out_of_files()
        waiting = asyncio.create_task(gate.acquire())
        await clock.sleep(100)
        seen = waiting.done()
        held[10].trouble("row 10", "timeout")
        return seen, (await waiting).probe

    assert run_virtual(scenario) == (False, True)


def test_an_outage_longer_than_allowed_stops_the_run_with_how_long_and_why():
    async def scenario(clock):
        gate = limiter(clock, max_outage_s=600)
        await clock.sleep(100)
        await break_down(gate)
        while gate.stopped is None:
            (await gate.acquire()).trouble("row", "connection refused by host.test")
        return gate.stopped, clock.monotonic()

    stop, at = run_virtual(scenario)
    assert at == pytest.approx(700)
    assert stop.exit_code == Exit.TRY_LATER
    assert stop.code == "outage"
    assert "10 min" in stop.message
    assert "connection refused by host.test" in stop.message
    assert "max_outage" in stop.advice


def test_waits_that_no_answer_ever_follows_are_an_outage_as_well():
    async def scenario(clock):
        gate = limiter(clock, max_outage_s=1800)
        while gate.stopped is None:
            await throttle(gate, 100)
        return clock.monotonic()

    assert 1800 <= run_virtual(scenario) <= 1800 + 103


def test_faults_with_answers_in_between_never_stop_a_run():
    async def scenario(clock):
        gate = limiter(clock, max_outage_s=60)
        for n in range(100):
            (await gate.acquire()).trouble(f"row {n}", "reset")
            await clock.sleep(30)
            (await gate.acquire()).answered()
        return gate.stopped

    assert run_virtual(scenario) is None


def test_in_a_long_pause_faults_cost_the_rows_nothing():
    async def scenario(clock):
        gate = limiter(clock)
        early = [await gate.acquire() for _ in range(3)]
        early[0].throttled("a", "402 budget renews soon", 600)
        in_pause = early[1].trouble("b", "reset")
        await clock.sleep(620)
        return in_pause, early[2].trouble("c", "reset")

    assert run_virtual(scenario) == (False, True)


def test_in_a_short_wait_faults_count():
    async def scenario(clock):
        gate = limiter(clock)
        early = [await gate.acquire() for _ in range(2)]
        early[0].throttled("a", "429", 60)
        return early[1].trouble("b", "reset")

    assert run_virtual(scenario) is True
