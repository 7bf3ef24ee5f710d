"""A machine that sleeps, a process that was stopped, a clock that was set."""

from __future__ import annotations

import asyncio

import pytest

from tests.endpoint.raw_server import body, http, read_request, said, serving
from tests.virtual import VirtualClock, run_virtual
from vbatch.endpoint.client import Client
from vbatch.endpoint.deadlines import DeadlinePassedError, Deadlines
from vbatch.endpoint.limits import Limiter
from vbatch.endpoint.settings import ClientSettings


class WallClock:
    """A machine's clock that a test sets; naps last until the connection is closed."""

    def __init__(self):
        self.set_by = 0.0

    def time(self):
        return 1_700_000_000 + self.set_by

    def monotonic(self):
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds):
        await asyncio.Event().wait()

    def random(self):
        return 0.0


@pytest.mark.parametrize(
    ("set_by", "connections"), [(3600, 2), (-86_400, 2), (31, 2), (29, 1), (0, 1)]
)
async def test_the_very_next_request_after_a_gap_uses_no_old_connection(set_by, connections):
    met = []

    async def talk(reader, writer):
        met.append(writer)
        while True:
            await read_request(reader)
            writer.write(http(said("ok")))

    clock = WallClock()
    settings = {"keep_alive_s": 3600.0}
    async with (
        serving(talk) as base_url,
        Client(ClientSettings(base_url=base_url, **settings), clock=clock) as client,
    ):
        await client.ask(body())
        clock.set_by = set_by
        answer = await client.ask(body())
    assert len(met) == connections
    assert answer.latency_s >= 0


def stopped_for(clock: VirtualClock, seconds: float) -> None:
    """The process stands still: time goes on, and nothing runs meanwhile."""
    clock._loop._jumping.now += seconds


def with_sweep(scenario):
    async def run(clock):
        deadlines = Deadlines(timeout_s=100, sweep_s=0.25, clock=clock)
        sweep = asyncio.create_task(deadlines.sweep())
        try:
            return await scenario(clock, deadlines)
        finally:
            sweep.cancel()

    return run_virtual(run)


def test_time_in_which_the_process_was_stopped_is_not_held_against_the_endpoint():
    async def scenario(clock, deadlines):
        async def attempt(takes):
            with deadlines.attempt():
                await clock.sleep(takes)
            return clock.monotonic()

        asked = asyncio.create_task(attempt(90))
        late = asyncio.create_task(attempt(10_000))
        await clock.sleep(10)
        stopped_for(clock, 3600)
        with pytest.raises(DeadlinePassedError):
            await late
        return await asked, clock.monotonic()

    answered, gave_up = with_sweep(scenario)
    assert answered <= 3611
    assert gave_up == pytest.approx(3700, abs=1)


def test_a_short_hiccup_is_not_made_up_for():
    async def scenario(clock, deadlines):
        async def attempt():
            with deadlines.attempt():
                await clock.sleep(10_000)

        late = asyncio.create_task(attempt())
        await clock.sleep(10)
        stopped_for(clock, 20)
        with pytest.raises(DeadlinePassedError):
            await late
        return clock.monotonic()

    assert with_sweep(scenario) == pytest.approx(100, abs=1)


def test_attempts_begun_after_the_gap_have_their_own_time():
    async def scenario(clock, deadlines):
        stopped_for(clock, 3600)
        with pytest.raises(DeadlinePassedError), deadlines.attempt():
            await clock.sleep(10_000)
        return clock.monotonic()

    assert with_sweep(scenario) == pytest.approx(3700, abs=1)


@pytest.mark.parametrize("asleep_s", [0.5, 31, 59, 61, 3600])
def test_no_minute_holds_more_than_its_limit_however_long_the_process_was_stopped(asleep_s):
    async def scenario(clock):
        gate = Limiter(
            clock=clock,
            max_in_flight=64,
            max_outage_s=1800,
            requests_per_minute=120,
            slow_start=False,
        )
        sent = []

        async def work():
            while True:
                async with await gate.acquire() as permit:
                    sent.append(clock.monotonic())
                    await clock.sleep(0.5)
                    permit.answered()

        workers = [asyncio.create_task(work()) for _ in range(64)]
        for _ in range(3):
            await clock.sleep(45)
            stopped_for(clock, asleep_s)
        await clock.sleep(90)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        return sent

    sent = run_virtual(scenario)
    assert max(sum(at <= other <= at + 60 for other in sent) for at in sent) <= 120
    assert max(sum(at <= other <= at + 0.1 for other in sent) for at in sent) <= 3


class SleepyClock:
    """A clock on which the machine sleeps for an hour at the first nap."""

    def __init__(self):
        self.now = 0.0
        self.naps = asyncio.Event()

    def time(self):
        return self.now

    def monotonic(self):
        return 0.0

    async def sleep(self, seconds):
        await asyncio.sleep(0.005)
        if self.naps.is_set():
            self.now += 3600
            self.naps.clear()

    def random(self):
        return 0.0


async def test_idle_connections_are_dropped_after_the_machine_has_slept():
    gone = asyncio.Event()

    async def talk(reader, writer):
        await read_request(reader)
        writer.write(http(said("ok")))
        await reader.read()
        gone.set()

    clock = SleepyClock()
    async with (
        serving(talk) as base_url,
        Client(ClientSettings(base_url=base_url, sweep_s=0.01), clock=clock) as client,
    ):
        await client.ask(body())
        assert not gone.is_set()
        clock.naps.set()
        await asyncio.wait_for(gone.wait(), 5)
