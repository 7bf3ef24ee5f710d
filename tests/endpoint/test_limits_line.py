"""Who may go, and in which order: slow start, first come first served, leaving, being sent home."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.endpoint.gates import limiter, most_within
from tests.virtual import run_virtual
from vbatch.errors import Exit
from vbatch.records import Stop


def test_four_are_in_flight_until_an_answer_then_twice_as_many_per_round():
    async def scenario(clock):
        gate = limiter(clock, max_in_flight=50)
        held = []
        widths = []

        async def enter():
            held.append(await gate.acquire())

        comers = [asyncio.create_task(enter()) for _ in range(200)]
        for _ in range(6):
            await clock.sleep(1)
            widths.append(len(held))
            batch = held[:]
            held.clear()
            for permit in batch:
                permit.answered()
        for comer in comers:
            comer.cancel()
        return widths

    assert run_virtual(scenario) == [4, 8, 16, 32, 50, 50]


def test_refused_rows_and_faults_never_widen_the_window():
    async def scenario(clock):
        gate = limiter(clock)
        for n in range(30):
            (await gate.acquire()).refused()
            (await gate.acquire()).trouble("one row", f"fault {n}")
        return gate.state.window

    assert run_virtual(scenario) == 4


def test_without_slow_start_the_whole_width_is_open_at_once():
    async def scenario(clock):
        gate = limiter(clock, max_in_flight=9, slow_start=False)
        for _ in range(9):
            await gate.acquire()
        return gate.state

    state = run_virtual(scenario)
    assert (state.in_flight, state.window, state.waiting) == (9, 9, 0)


def test_fewer_in_flight_holds_newcomers_back_until_enough_have_come_home():
    async def scenario(clock):
        gate = limiter(clock, max_in_flight=3, slow_start=False)
        held = [await gate.acquire() for _ in range(3)]
        gate.out_of_files()
        waiting = asyncio.create_task(gate.acquire())
        await clock.sleep(1)
        seen = [waiting.done()]
        for permit in held:
            permit.answered()
            await clock.sleep(1)
            seen.append(waiting.done())
        return seen, gate.state.window

    assert run_virtual(scenario) == ([False, False, False, True], 1)


def test_first_come_first_served_even_when_the_first_wants_much():
    async def scenario(clock):
        gate = limiter(clock, tokens_per_minute=1000, slow_start=False)
        order = []

        async def ask(name, cost):
            async with await gate.acquire(cost) as permit:
                order.append(name)
                permit.answered(cost)

        await ask("opening", 900)
        await asyncio.gather(ask("large", 800), ask("small", 1), ask("last", 1))
        return order

    assert run_virtual(scenario) == ["opening", "large", "small", "last"]


def test_a_cancelled_first_in_line_lets_the_next_go_at_once():
    async def scenario(clock):
        gate = limiter(clock, tokens_per_minute=1000, slow_start=False)
        (await gate.acquire(500)).answered(500)
        await clock.sleep(35)
        large = asyncio.create_task(gate.acquire(900))
        small = asyncio.create_task(gate.acquire(100))
        await clock.sleep(1)
        assert not small.done()
        large.cancel()
        await small
        return clock.monotonic()

    assert run_virtual(scenario) == pytest.approx(36)


def test_whoever_leaves_the_middle_of_the_line_is_no_longer_counted():
    async def scenario(clock):
        gate = limiter(clock, max_in_flight=1)
        await gate.acquire()
        waiting = [asyncio.create_task(gate.acquire()) for _ in range(3)]
        await clock.sleep(1)
        waiting[1].cancel()
        await clock.sleep(1)
        seen = gate.state.waiting
        for task in waiting:
            task.cancel()
        return seen

    assert run_virtual(scenario) == 2


def test_a_permit_granted_to_a_task_that_is_being_cancelled_comes_back():
    async def scenario(clock):
        gate = limiter(clock, max_in_flight=1, requests_per_minute=6, tokens_per_minute=100)
        first = await gate.acquire(40)
        waiting = asyncio.create_task(gate.acquire(40))
        await clock.sleep(30)
        first.answered(40)  # hands the place to the waiting task, which has not run yet
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        state = gate.state
        async with await gate.acquire(60) as permit:
            permit.answered()
        return state, clock.monotonic()

    state, ended = run_virtual(scenario)
    assert (state.in_flight, state.waiting) == (0, 0)
    assert ended == pytest.approx(30)


def test_a_permit_left_without_a_word_returns_what_it_reserved():
    async def scenario(clock):
        gate = limiter(clock, requests_per_minute=6, tokens_per_minute=100)
        for _ in range(20):
            async with await gate.acquire(100):
                pass
        return clock.monotonic(), gate.state.in_flight

    assert run_virtual(scenario) == (0, 0)


def test_a_permit_is_ended_once():
    async def scenario(clock):
        permit = await limiter(clock).acquire()
        permit.answered()
        permit.close()
        with pytest.raises(RuntimeError, match="once"):
            permit.trouble("row", "late news")

    run_virtual(scenario)


@pytest.mark.parametrize("seed", range(30))
def test_storms_of_cancellation_leave_nothing_behind(seed):
    rng = random.Random(seed)

    async def scenario(clock):
        gate = limiter(
            clock,
            max_in_flight=5,
            requests_per_minute=rng.choice([None, 600]),
            tokens_per_minute=rng.choice([None, 10_000]),
        )
        sent = []

        async def ask():
            async with await gate.acquire(rng.randint(0, 100)) as permit:
                sent.append((clock.monotonic(), 1))
                await clock.sleep(rng.random())
                how = rng.randrange(4)
                if how == 0:
                    permit.answered(rng.randint(0, 200))
                elif how == 1:
                    permit.refused()
                elif how == 2:
                    permit.throttled("row", "429", rng.choice([None, 0.5]))

        for _ in range(20):
            tasks = [asyncio.create_task(ask()) for _ in range(rng.randint(1, 20))]
            for task in tasks:
                if rng.random() < 0.7:
                    await clock.sleep(rng.choice([0, 0, rng.random()]))
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await clock.sleep(200)
        async with await gate.acquire(1) as permit:
            permit.answered(1)
        return gate.state, most_within(sent)

    state, most = run_virtual(scenario, seed=seed)
    assert (state.in_flight, state.waiting, state.reason) == (0, 0, None)
    assert most <= 600


def test_the_timer_goes_when_the_last_who_waits_goes():
    async def scenario(clock):
        gate = limiter(clock, requests_per_minute=1)
        (await gate.acquire()).answered()
        waiting = asyncio.create_task(gate.acquire())
        await clock.sleep(1)
        waiting.cancel()
        await clock.sleep(1)
        return len(asyncio.all_tasks())

    assert run_virtual(scenario) == 1


def test_the_state_says_why_nothing_goes():
    async def scenario(clock):
        reasons = []
        for settings, tokens in (
            ({"requests_per_minute": 6}, 0),
            ({"tokens_per_minute": 600}, 600),
            ({"max_in_flight": 1}, 0),
        ):
            gate = limiter(clock, **settings)
            permit = await gate.acquire(tokens)
            if "max_in_flight" not in settings:
                permit.answered()
            waiting = asyncio.create_task(gate.acquire(tokens))
            await clock.sleep(0)
            state = gate.state
            until = state.waiting_until and round(state.waiting_until - clock.time())
            reasons.append((state.reason, until, state.waiting))
            waiting.cancel()
            await asyncio.wait([waiting])
        return reasons

    assert run_virtual(scenario) == [
        ("requests per minute", 10, 1),
        ("tokens per minute", 60, 1),
        ("in flight", None, 1),
    ]


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
