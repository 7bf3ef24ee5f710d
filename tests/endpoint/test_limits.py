"""What the gate promises of speed: limits per minute, slow start, order, cancellation."""

from __future__ import annotations

import asyncio
import bisect
import itertools
import random

import pytest

from tests.virtual import run_virtual
from vbatch.endpoint.limit_headers import LimitHeaders
from vbatch.endpoint.limits import Limiter

MINUTE = 60.0


def limiter(clock, **settings) -> Limiter:
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


def test_ten_minutes_at_600_a_minute_use_98_percent_and_never_more_than_600():
    async def scenario(clock):
        gate = limiter(clock, requests_per_minute=600)
        return await keep_busy(clock, gate, until=600, tasks=64, latency=lambda: 0.5)

    sent = run_virtual(scenario)
    assert len(sent) >= 0.98 * 6000
    assert most_within(sent) <= 600
    assert most_within(sent, 1.0) <= 10 + 5  # one second's worth after another's catching up


def test_requests_are_spread_evenly_over_the_minute():
    async def scenario(clock):
        gate = limiter(clock, requests_per_minute=60)
        return await keep_busy(clock, gate, until=120, tasks=8, latency=lambda: 0.01)

    times = [at for at, _ in run_virtual(scenario)]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert min(gaps) > 0.99
    assert max(gaps) < 1.03


@pytest.mark.parametrize("part", range(2))
def test_requests_of_any_size_never_exceed_a_limit(part):
    for seed in range(50 * part, 50 * part + 50):
        check_a_random_schedule(seed)


def check_a_random_schedule(seed: int) -> None:
    rng = random.Random(seed)
    requests = rng.choice([None, 7, 30, 61, 100])
    tokens = rng.choice([None, 2000, 10_000]) if requests else 4000
    largest = rng.choice([10, 100, 300] if requests else [100, 300])
    latency = rng.choice([0.02, 0.5, 3.0])
    tasks = rng.choice([12, 24])

    async def scenario(clock):
        gate = limiter(
            clock, requests_per_minute=requests, tokens_per_minute=tokens, slow_start=False
        )
        return await keep_busy(
            clock,
            gate,
            until=2.5 * MINUTE,
            tasks=tasks,
            latency=lambda: latency * rng.random(),
            tokens=lambda: rng.randint(1, largest),
        )

    sent = run_virtual(scenario, seed=seed)
    spent = sum(cost for _, cost in sent)
    if requests:
        assert most_within([(at, 1) for at, _ in sent]) <= requests, seed
    if tokens:
        assert most_within(sent) <= tokens, seed
    if not tokens:
        assert len(sent) >= 0.97 * 2.5 * requests, seed
    if not requests:  # a minute's rest that is smaller than the next request stays unused
        assert spent >= 0.97 * 2.5 * (tokens - largest), seed


def test_a_late_timer_costs_no_throughput():
    async def scenario(clock):
        class Late(type(clock)):
            async def sleep(self, seconds):
                await asyncio.sleep(seconds + 0.03)

        clock.__class__ = Late
        gate = limiter(clock, requests_per_minute=600)
        return await keep_busy(clock, gate, until=300, tasks=64, latency=lambda: 0.1)

    sent = run_virtual(scenario)
    assert len(sent) >= 0.98 * 3000
    assert most_within(sent) <= 600


def test_after_a_silence_only_part_of_a_second_is_caught_up():
    async def scenario(clock):
        gate = limiter(clock, requests_per_minute=600, slow_start=False)
        await clock.sleep(100)
        return await keep_busy(clock, gate, until=0.05, tasks=64, latency=lambda: 1)

    assert len(run_virtual(scenario)) <= 10


def test_a_request_larger_than_the_whole_limit_goes_alone():
    async def scenario(clock):
        gate = limiter(clock, tokens_per_minute=1000, slow_start=False)
        went = []
        for cost in (400, 5000, 100):
            async with await gate.acquire(cost) as permit:
                went.append(clock.monotonic())
                permit.answered(cost)
        return went

    small, large, after = run_virtual(scenario)
    assert large - small >= MINUTE
    assert after - large >= MINUTE


def test_tokens_not_used_are_free_for_others():
    async def scenario(clock):
        gate = limiter(clock, tokens_per_minute=20_000, slow_start=False)
        count = 0
        while clock.monotonic() < 10 * MINUTE:
            async with await gate.acquire(200) as permit:
                permit.answered(100)
            count += 1
        return count

    assert run_virtual(scenario) >= 0.97 * 2000


def test_tokens_used_beyond_the_estimate_are_waited_for():
    async def scenario(clock):
        gate = limiter(clock, tokens_per_minute=1000, slow_start=False)
        async with await gate.acquire(10) as permit:
            permit.answered(1000)
        await gate.acquire(10)
        return clock.monotonic()

    assert run_virtual(scenario) >= MINUTE


def test_a_correction_that_comes_after_the_minute_changes_nothing():
    async def scenario(clock):
        gate = limiter(clock, tokens_per_minute=1000, slow_start=False)
        late = await gate.acquire(900)
        await clock.sleep(70)
        await gate.acquire(500)
        late.answered(0)
        began = clock.monotonic()
        await gate.acquire(600)
        return clock.monotonic() - began

    assert run_virtual(scenario) >= 55


def test_an_answer_without_usage_leaves_the_estimate():
    async def scenario(clock):
        gate = limiter(clock, tokens_per_minute=1000, slow_start=False)
        async with await gate.acquire(1000) as permit:
            permit.answered(None)
        await gate.acquire(1)
        return clock.monotonic()

    assert run_virtual(scenario) >= MINUTE


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


def test_a_limit_in_the_headers_sets_the_pace():
    async def scenario(clock):
        gate = limiter(clock)
        gate.learn(LimitHeaders(limit_requests=1200, limit_tokens=10))
        gate.learn(LimitHeaders(limit_requests=600, limit_tokens=1_000_000))
        return await keep_busy(
            clock, gate, until=120, tasks=32, latency=lambda: 0.1, tokens=lambda: 10
        )

    sent = run_virtual(scenario)
    assert 0.96 * 1200 <= len(sent) <= 1200
    assert most_within(sent) <= 6000


def test_headers_change_nothing_where_the_user_gave_numbers():
    async def scenario(clock):
        gate = limiter(clock, requests_per_minute=6000, tokens_per_minute=1e9, slow_start=False)
        gate.learn(
            LimitHeaders(
                limit_requests=1,
                remaining_requests=0,
                reset_requests_s=50,
                limit_tokens=1,
                remaining_tokens=0,
                reset_tokens_s=50,
            )
        )
        return await keep_busy(
            clock, gate, until=1, tasks=8, latency=lambda: 0.01, tokens=lambda: 10
        )

    assert len(run_virtual(scenario)) > 90


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        (LimitHeaders(remaining_requests=0, reset_requests_s=20), 20),
        (LimitHeaders(remaining_tokens=0, reset_tokens_s=0.3), 0.3),
        (LimitHeaders(remaining_requests=1, reset_requests_s=20), 0),
        (LimitHeaders(remaining_requests=0), 0),
        (LimitHeaders(remaining_requests=0, reset_requests_s=86_400), 0),
        (LimitHeaders(remaining_requests=0, reset_requests_s=-1), 0),
        (LimitHeaders(limit_requests=600, remaining_requests=0, reset_requests_s=0.1), 0),
        (LimitHeaders(limit_requests=0), 0),
        (LimitHeaders(limit_requests=float("inf"), limit_tokens=float("nan")), 0),
    ],
)
def test_nothing_goes_before_a_used_up_limit_is_reset(headers, wait):
    async def scenario(clock):
        gate = limiter(clock)
        gate.learn(headers)
        await gate.acquire()
        return clock.monotonic()

    assert wait <= run_virtual(scenario) <= 1.04 * wait
