"""A request that meets no refusal in the time refusals take was taken: no need for its answer."""

from __future__ import annotations

import asyncio

from tests.endpoint.gates import limiter
from tests.virtual import run_virtual
from vbatch.endpoint.evidence import Evidence
from vbatch.endpoint.outage import LAST_PROBE_S, Outage
from vbatch.endpoint.silence import Silence


async def some_permits(clock, count):
    gate = limiter(clock, slow_start=False)
    return [await gate.acquire() for _ in range(count)]


def test_silence_says_nothing_until_there_was_a_refusal():
    async def scenario(clock):
        silence = Silence()
        for permit in await some_permits(clock, 3):
            silence.sent(0.0, permit)
        return list(silence.taken(1000.0))

    assert run_virtual(scenario) == []


def test_who_is_silent_for_longer_than_refusals_take_was_taken_once():
    async def scenario(clock):
        silence = Silence()
        silence.refused(1.0, sent_at=0.5)
        permits = await some_permits(clock, 3)
        for late, permit in enumerate(permits):
            silence.sent(10.0 + late, permit)
        permits[1].answered()
        early = list(silence.taken(10.5))
        then = list(silence.taken(11.4))
        return early, then == [permits[0]], list(silence.taken(13.4)) == [permits[2]]

    assert run_virtual(scenario) == ([], True, True)


def test_the_slower_refusals_are_the_longer_a_silence_has_to_last():
    silence = Silence()
    silence.refused(0.1, sent_at=0.0)
    assert silence.enough_s < 1
    silence.refused(8.0, sent_at=5.0)
    assert silence.enough_s >= 6


def test_a_wait_that_silence_shows_to_be_enough_is_as_short_as_at_first_the_next_time():
    async def scenario(clock):
        gate = limiter(clock)
        for _ in range(4):
            (await gate.acquire()).throttled("row", "429")
        slow = await gate.acquire()
        await clock.sleep(1)
        before = clock.monotonic()
        (await gate.acquire()).throttled("row", "429")
        await gate.acquire()
        slow.close()
        return clock.monotonic() - before

    assert 1 <= run_virtual(scenario) <= 1.1


def test_an_endpoint_that_only_refuses_is_asked_every_few_seconds_for_a_minute_and_then_rarely():
    outage = Outage(1800.0)
    for row in range(10):
        outage.fault(0.0, f"row {row}", "429", refused=True)
    asked = []
    while not asked or asked[-1] < 600:
        at = outage.next_probe_at()
        asked.append(at)
        outage.probe = 1
        outage.probe_failed(at)
    assert [at for at in asked if at <= 60] == [5.0 * n for n in range(1, 13)]
    assert asked[-1] - asked[-2] == LAST_PROBE_S


def test_after_refusals_alone_the_width_is_as_before_and_after_an_outage_it_begins_anew():
    async def scenario(clock, refused):
        gate = limiter(clock, slow_start=True)
        for _ in range(200):
            held = [await gate.acquire() for _ in range(gate.state.window)]
            for permit in held:
                permit.answered()
        for n in range(12):
            permit = await gate.acquire()
            if refused:
                permit.throttled(f"row {n}", "429")
            else:
                permit.trouble(f"row {n}", "reset")
        (await gate.acquire()).answered()
        return gate.state.window

    assert run_virtual(lambda clock: scenario(clock, refused=True)) >= 16
    assert run_virtual(lambda clock: scenario(clock, refused=False)) <= 8


def test_a_probe_that_is_not_refused_ends_an_outage_of_refusals_before_its_answer_comes():
    async def scenario(clock):
        gate = limiter(clock)
        for n in range(10):
            (await gate.acquire()).throttled(f"row {n}", "429")
        down = gate.state.held
        probe = await gate.acquire()
        before = clock.monotonic()
        others = [asyncio.create_task(gate.acquire()) for _ in range(2)]
        await asyncio.wait(others)
        waited = clock.monotonic() - before
        probe.answered()
        return down, waited

    down, waited = run_virtual(scenario)
    assert down == "endpoint down"
    assert waited <= 1


def test_few_chance_refusals_in_a_row_are_no_sure_limit_and_many_are():
    sure = []
    for running in (6, 7):
        log = Evidence()
        for serial in range(40):
            log.sent()
            if serial < 40 - running:
                log.answered(serial)
            else:
                log.refused(serial, 0.05)
        sure.append(log.is_limit())
    assert sure == [False, True]
