"""What may still be spent: reserved before a request leaves, settled when it ends."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from vbatch.costs.rates import Rate
from vbatch.endpoint.limits import Stopped
from vbatch.engine.budgets import ENOUGH_ANSWERS, UNKNOWN_ANSWER, UNSEEN_TIMES, Budgets
from vbatch.errors import AmbiguousError, Exit, PermanentError, TransientError
from vbatch.job import Limits
from vbatch.records import Stop, Usage

RATE = Rate(input=Decimal(1), output=Decimal(10))
"""USD per million tokens."""


def budgets(*, spent_before=Decimal(), rate=RATE, **limits) -> Budgets:
    return Budgets.of(Limits(**limits), lambda _model: rate, spent_before=spent_before)


def usage(prompt=100, answer=100, cost=None) -> Usage:
    return Usage(
        prompt_tokens=prompt, completion_tokens=answer, total_tokens=prompt + answer, cost=cost
    )


async def asked(purse, answer=100, *, prompt=100, cap=None, **reported):
    with await purse.reserve("m", prompt, cap) as hold:
        hold.answered(usage(prompt, answer, **reported))


async def stop_of(purse, prompt=100, cap=None) -> Stop:
    with pytest.raises(Stopped) as caught:
        await purse.reserve("m", prompt, cap)
    return caught.value.stop


async def waiting(work) -> asyncio.Task:
    """``work`` begun, and got as far as it can."""
    task = asyncio.create_task(work)
    for _ in range(10):
        await asyncio.sleep(0)
    return task


async def test_without_a_budget_everything_may_be_spent():
    purse = budgets()

    tasks = [await waiting(purse.reserve("m", 10**12, None)) for _ in range(3)]

    assert all(task.done() and task.exception() is None for task in tasks)


async def test_a_token_budget_stops_before_it_is_passed_and_says_how_to_go_on():
    purse = budgets(max_tokens_total=1000)
    for _ in range(4):
        await asked(purse, cap=100)

    stop = await stop_of(purse, prompt=150, cap=100)

    assert (stop.code, stop.exit_code) == ("budget", Exit.NEEDS_A_PERSON)
    assert stop.message == (
        "limits.max_tokens_total = 1,000 has no room for another request (800 spent, about 250 "
        "needed)"
    )
    assert "it counts per invocation" in stop.advice
    await asked(purse, cap=100)  # which just fits


async def test_a_row_that_the_whole_budget_does_not_hold_is_named_and_running_again_not_advised():
    purse = budgets(max_tokens_total=1000)
    await asked(purse, cap=100)
    with pytest.raises(Stopped) as caught:
        await purse.reserve("m", 300, 4096, row="r7")
    assert caught.value.stop.message == (
        "limits.max_tokens_total = 1,000 has no room for row 'r7' alone, which needs about 4,396"
    )
    assert caught.value.stop.advice == (
        "raise limits.max_tokens_total, or lower the row's max_tokens"
    )


async def test_a_row_without_a_cap_that_no_budget_holds_is_to_get_one():
    stop = await stop_of(budgets(max_cost=Decimal("0.001")))
    assert stop.message == (
        "limits.max_cost = 0.001 has no room for a single request, which needs about $0.003100"
    )
    assert stop.advice == "raise limits.max_cost, or give the row a max_tokens"


async def test_money_is_counted_to_the_last_digit():
    purse = budgets(max_cost=Decimal("0.0033"))
    for _ in range(3):
        await asked(purse, cap=100, cost=Decimal("0.0011"))
    assert purse.purses[0].spent == Decimal("0.0033")
    stop = await stop_of(purse, cap=100)
    assert stop.message == (
        "limits.max_cost = 0.0033 has no room for another request ($0.003300 spent, about "
        "$0.001100 needed)"
    )


async def test_the_runs_budget_begins_with_what_the_run_has_spent():
    purse = budgets(max_cost_total=Decimal(1), spent_before=Decimal("0.9995"))
    stop = await stop_of(purse, cap=100)
    assert stop.message.startswith("limits.max_cost_total = 1 ")
    assert "it counts the whole run" in stop.advice


async def test_the_tightest_of_several_budgets_decides():
    purse = budgets(max_tokens_total=10**9, max_cost=Decimal("0.001"))
    assert "max_cost" in (await stop_of(purse, cap=100)).message


async def test_what_is_on_its_way_is_reserved_at_worst_and_the_next_waits_for_it():
    purse = budgets(max_tokens_total=UNSEEN_TIMES * (UNKNOWN_ANSWER + 300))
    first = await purse.reserve("m", 100, None)
    second = await waiting(purse.reserve("m", 100, None))
    assert not second.done()

    with first:
        first.answered(usage(100, 50))

    assert (await second) is not None


async def test_once_answers_are_known_requests_leave_side_by_side():
    purse = budgets(max_tokens_total=20_000)
    for _ in range(ENOUGH_ANSWERS):
        await asked(purse, answer=50)
    left = 20_000 - ENOUGH_ANSWERS * 150
    holds = [await waiting(purse.reserve("m", 100, None)) for _ in range(200)]
    at_once = sum(hold.done() for hold in holds)
    assert at_once * 150 <= left
    assert at_once * 200 >= left
    for hold in holds:
        hold.cancel()


@pytest.mark.parametrize("slots", [1, 8, 64])
async def test_a_budget_is_passed_by_no_more_than_one_answers_error(slots):
    """Answers get longer and longer: the worst that can be said of what they take."""
    limit, spent, largest = 30_000, 0, 0
    purse = budgets(max_tokens_total=limit)

    async def work():
        nonlocal spent, largest
        while True:
            try:
                hold = await purse.reserve("m", 100, None)
            except Stopped as stopped:
                purse.stop(stopped.stop)
                return
            with hold:
                await asyncio.sleep(0)
                answer = 50 + spent // 1000
                spent += 100 + answer
                largest = max(largest, 100 + answer)
                hold.answered(usage(100, answer))

    await asyncio.gather(*(work() for _ in range(slots)))

    assert limit - 2 * largest <= spent <= limit + largest


async def test_prompts_that_take_more_than_estimated_are_reserved_as_what_they_take():
    purse = budgets(max_tokens_total=1000)
    with await purse.reserve("m", 100, 10) as hold:
        hold.answered(usage(300, 10))
    assert "about 310 needed" in (await stop_of_after(purse, 310)).message


async def stop_of_after(purse, times) -> Stop:
    for _ in range(times):
        try:
            with await purse.reserve("m", 100, 10) as hold:
                hold.answered(usage(300, 10))
        except Stopped as stopped:
            return stopped.stop
    raise AssertionError("it never stopped")


async def test_thinking_that_is_counted_in_the_total_alone_makes_answers_long():
    purse = budgets(max_tokens_total=10_000)
    with await purse.reserve("m", 300, None) as hold:
        hold.answered(Usage(prompt_tokens=300, completion_tokens=10, total_tokens=5310))
    assert "about 5,310 needed" in (await stop_of(purse, prompt=300)).message


async def test_one_odd_answer_makes_no_prompt_dearer_than_by_what_it_was_odd():
    """A short prompt with much that nobody saw: 100 times its estimate, and 1,980 tokens more."""
    purse = budgets(max_tokens_total=10**9)
    for _ in range(ENOUGH_ANSWERS):
        await asked(purse, prompt=1000, cap=100)
    with await purse.reserve("m", 20, 100) as hold:
        hold.answered(usage(2000, 100))

    worst, _ = purse.seen.worst(1000, 100)
    expected, _ = purse.seen.expected(1000, 100)

    assert worst == 1.25 * (1000 + 1980)
    assert 1000 < expected < 1100
    assert purse.seen.worst(10, 100)[0] == 1.25 * 10 * 100, "the smaller of both"


async def test_an_answer_that_does_not_say_what_it_took_counts_as_expected():
    purse = budgets(max_tokens_total=1000, max_cost=Decimal(1))
    with await purse.reserve("m", 100, 50) as hold:
        hold.answered(Usage())
    assert [purse.spent for purse in purse.purses] == [150, RATE.of(100, 50)]


async def test_what_may_have_been_billed_counts_as_spent_and_what_was_refused_does_not():
    purse = budgets(max_tokens_total=1000)
    for error, spent in (
        (TransientError("rate_limited", "slow down"), 0),
        (AmbiguousError("timeout", "silence"), 150),
        (PermanentError("empty_answer", "nothing", usage=usage(100, 7)), 257),
    ):
        with await purse.reserve("m", 100, 50) as hold:
            hold.failed(error)
        assert purse.purses[0].spent == spent


async def test_whoever_waits_goes_home_when_the_run_stops():
    purse = budgets(max_tokens_total=500)
    await purse.reserve("m", 100, 100)
    waiters = [await waiting(purse.reserve("m", 100, 300)) for _ in range(3)]
    why = Stop(exit_code=Exit.SIGINT, code="signal", message="stopped by SIGINT")

    purse.stop(why)

    for waiter in waiters:
        with pytest.raises(Stopped) as caught:
            await waiter
        assert caught.value.stop is why


async def test_a_waiter_that_gives_up_keeps_nobody_from_going():
    purse = budgets(max_tokens_total=500)
    first = await purse.reserve("m", 100, 100)
    gives_up = await waiting(purse.reserve("m", 100, 100))
    stays = await waiting(purse.reserve("m", 50, 10))
    gives_up.cancel()
    with first:
        pass
    assert (await asyncio.wait_for(stays, 1)) is not None


async def test_a_rows_own_model_without_a_price_cannot_be_paid_from_a_budget():
    stop = await stop_of(budgets(max_cost=Decimal(1), rate=None))
    assert stop.message == "limits.max_cost cannot be kept: the price of m is not known"
    assert "[price]" in stop.advice


@pytest.mark.parametrize("slots", [1, 64])
async def test_a_gateway_that_asks_more_than_the_list_says_is_reserved_at_what_it_asks(slots):
    limit, spent = Decimal("0.1"), Decimal()
    purse = budgets(max_cost=limit)

    async def work():
        nonlocal spent
        while True:
            try:
                hold = await purse.reserve("m", 100, 50)
            except Stopped as stopped:
                purse.stop(stopped.stop)
                return
            with hold:
                await asyncio.sleep(0)
                cost = 3 * RATE.of(100, 50)
                spent += cost
                hold.answered(usage(100, 50, cost=cost))

    await asyncio.gather(*(work() for _ in range(slots)))

    assert limit - 2 * 3 * RATE.of(100, 50) <= spent <= limit
