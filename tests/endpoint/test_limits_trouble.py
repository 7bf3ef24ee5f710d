"""What the gate does when the endpoint says "too many", breaks, or is gone."""

from __future__ import annotations

import asyncio
import math

import pytest

from tests.virtual import run_virtual
from vbatch.endpoint.limits import Limiter, Stopped
from vbatch.errors import Exit
from vbatch.records import Stop


def limiter(clock, **settings) -> Limiter:
    settings = {"max_in_flight": 64, "max_outage_s": 1800.0} | settings
    return Limiter(clock=clock, **settings)


async def throttle(gate: Limiter, retry_after_s: float | None = None, row: str = "row") -> None:
    (await gate.acquire()).throttled(row, "429 slow down", retry_after_s)


async def break_down(gate: Limiter) -> list[bool]:
    """Ten faults of ten rows; for each whether it counts against its row."""
    return [(await gate.acquire()).trouble(f"row {n}", f"503 number {n}") for n in range(10)]


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


def test_whoever_waits_is_sent_home_when_the_run_stops_and_the_first_reason_counts():
    drain = Stop(exit_code=Exit.SIGINT, code="sigint", message="SIGINT")

    async def scenario(clock):
        gate = limiter(clock, requests_per_minute=1)
        held = await gate.acquire()
        waiting = [asyncio.create_task(gate.acquire()) for _ in range(3)]
        await clock.sleep(1)
        waiting[0].cancel()
        gate.stop(drain)
        gate.stop(Stop(exit_code=Exit.INTERNAL, code="later", message="later"))
        held.answered()
        return await asyncio.gather(*waiting, return_exceptions=True), gate.stopped

    ends, stop = run_virtual(scenario)
    assert stop is drain
    assert isinstance(ends[0], asyncio.CancelledError)
    assert [end.stop for end in ends[1:]] == [drain, drain]
    assert ends[1] is not ends[2]


def test_one_who_is_cancelled_and_sent_home_at_once_goes_quietly():
    async def scenario(clock):
        gate = limiter(clock, max_in_flight=1)
        held = await gate.acquire()
        waiting = asyncio.create_task(gate.acquire())
        await clock.sleep(0)
        gate.stop(Stop(exit_code=Exit.SIGINT, code="sigint", message="SIGINT"))
        waiting.cancel()
        await asyncio.wait([waiting])
        held.close()
        return waiting.cancelled(), gate.state.in_flight

    assert run_virtual(scenario) == (True, 0)
