"""How many requests in flight an endpoint of one's own is found to make use of."""

from __future__ import annotations

import asyncio
import statistics

import pytest

from tests.virtual import run_virtual
from vbatch.endpoint.window import START, Window

MOST = 256


class Slots:
    """A server that works on so many at once, and queues the rest."""

    def __init__(self, count: int, answer_s: float) -> None:
        self.best = count / answer_s
        self._slots = asyncio.Semaphore(count)
        self._answer_s = answer_s

    async def answer(self, clock) -> None:
        async with self._slots:
            await clock.sleep(self._answer_s * (0.7 + 0.6 * clock.random()))


async def kept_full(clock, window, server, seconds):
    """When answers came, and how wide the window was then."""
    came: list[tuple[float, int]] = []
    in_flight = 0
    more = asyncio.Event()

    async def ask() -> None:
        nonlocal in_flight
        await server.answer(clock)
        in_flight -= 1
        window.answered(clock.monotonic())
        came.append((clock.monotonic(), window.size))
        more.set()

    async with asyncio.TaskGroup() as asking:
        while clock.monotonic() < seconds:
            while in_flight < window.size:
                in_flight += 1
                window.sent(in_flight)
                asking.create_task(ask())
            more.clear()
            await more.wait()
    return came


@pytest.mark.parametrize(("slots", "answer_s"), [(4, 2.0), (32, 2.0), (32, 4.0), (100, 4.0)])
def test_a_server_that_queues_is_kept_busy_and_its_queue_short(slots, answer_s):
    async def scenario(clock):
        server = Slots(slots, answer_s)
        window = Window(MOST, seeks=True)
        return await kept_full(clock, window, server, 600), server.best

    came, best = run_virtual(scenario, seed=3)
    later = [(at, size) for at, size in came if 300 < at <= 600]
    assert len(later) >= 0.95 * best * 300
    assert statistics.mean(size for _, size in later) <= 2.2 * slots + 8


def test_a_server_that_never_queues_gets_all_there_is():
    async def scenario(clock):
        window = Window(MOST, seeks=True)
        return await kept_full(clock, window, Slots(10_000, 4.0), 150)

    came = run_virtual(scenario)
    assert statistics.mean(size for at, size in came if at > 60) >= 0.95 * MOST


def test_a_server_that_grows_gets_more():
    async def scenario(clock):
        server = Slots(16, 2.0)
        window = Window(MOST, seeks=True)
        asking = asyncio.create_task(kept_full(clock, window, server, 600))
        await clock.sleep(100)
        for _ in range(48):
            server._slots.release()
        return await asking

    came = run_virtual(scenario)
    assert len([at for at, _ in came if 500 < at <= 600]) >= 0.9 * 32 * 100


def test_width_that_nobody_uses_is_left_as_it_is():
    window = Window(MOST, seeks=True)
    for n in range(2000):
        window.sent(1)
        window.answered(float(n))
    assert window.size == MOST


def test_a_number_that_was_given_is_not_doubted():
    async def scenario(clock):
        window = Window(64)
        return await kept_full(clock, window, Slots(4, 1.0), 300)

    came = run_virtual(scenario)
    assert {size for at, size in came if at > 60} == {64}
    assert came[0][1] == START


def test_a_refusal_narrows_a_sought_width_only_where_no_rate_is_found():
    sizes = []
    for paced in (True, False):
        window = Window(MOST, seeks=True, slow_start=False)
        window.sent(MOST)
        window.shrink(paced=paced)
        sizes.append(window.size)
    assert sizes == [MOST, MOST // 2]


def test_when_a_rate_is_let_go_the_width_is_no_narrower_than_what_is_in_flight():
    async def scenario(clock):
        window = Window(MOST, seeks=True)
        asking = asyncio.create_task(kept_full(clock, window, Slots(10_000, 4.0), 60))
        await clock.sleep(14)
        before = window.size
        window.unpaced(before)
        after = window.size
        return before, after, max(size for _, size in await asking)

    before, after, widest = run_virtual(scenario)
    assert START < before == after < MOST
    assert widest == MOST


def test_answers_from_before_do_not_make_a_width_begun_anew_seem_enough():
    async def scenario(clock):
        window = Window(MOST, seeks=True)
        asking = asyncio.create_task(kept_full(clock, window, Slots(10_000, 4.0), 90))
        await clock.sleep(30)
        window.restart()
        small = window.size
        came = await asking
        return small, max(size for at, size in came if at > 32)

    for seed in range(5):
        small, widest = run_virtual(scenario, seed=seed)
        assert small == START
        assert widest == MOST


def test_once_a_rate_is_found_the_width_is_not_doubted_until_it_is_let_go():
    async def scenario(clock):
        window = Window(MOST, seeks=True)
        window.shrink(paced=True)
        came = await kept_full(clock, window, Slots(4, 0.5), 100)
        window.unpaced(0)
        again = await kept_full(clock, window, Slots(4, 0.5), 400)
        return came[-1][1], again[-1][1]

    paced, sought = run_virtual(scenario)
    assert paced == MOST
    assert sought <= 32
