"""What a run's earlier invocations count towards its budget."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from vbatch.api.spending import TEXT_TOKENS, spending_of
from vbatch.costs.pictures import UNSEEN_SIDE, formula_of
from vbatch.endpoint.tokens import ANSWER_TOKENS
from vbatch.job import load_job
from vbatch.state import Tallies, Tally

JOB = """
manifest = "rows.jsonl"
endpoint = { profile = "openai", model = "gpt-4o" }
price = { input = 10, output = 20 }
limits.max_cost_total = 5
"""


PICTURE = formula_of("gpt-4o")(UNSEEN_SIDE, UNSEEN_SIDE, None)


def job(text=JOB):
    return load_job(None, text=text, env={"OPENAI_API_KEY": "sk-12345678"}, cwd=Path("/"))


async def spent(*tallies: Tally, text=JOB, model="gpt-4o") -> Decimal:
    before = Tallies(by_key={(f"i{n}", model, "e"): t for n, t in enumerate(tallies)})
    _, budgets = await spending_of(job(text), before)
    return budgets.purses[0].spent


def tally(**figures) -> Tally:
    return Tally(started_at=0, finished_at=1, **figures)


async def test_what_earlier_invocations_cost_is_spent():
    assert await spent() == 0
    assert await spent(
        tally(answered=1, cost=Decimal("0.25")), tally(answered=1, cost=Decimal("0.5"))
    ) == Decimal("0.75")


async def test_what_had_no_price_then_counts_at_todays():
    unpriced = tally(answered=2, prompt_tokens=1000, completion_tokens=100)
    assert await spent(unpriced) == Decimal("0.012")


async def test_requests_whose_fate_is_not_known_count_as_the_others_on_average():
    known = tally(requests=6, answered=4, cost=Decimal(2), possibly_billed=2)
    assert await spent(known) == 3


async def test_rows_that_were_never_sent_make_the_others_no_cheaper():
    mostly_bad = tally(requests=60, answered=10, failed=990, cost=Decimal(1), possibly_billed=50)
    assert await spent(mostly_bad) == 6


async def test_answers_found_again_make_the_others_no_cheaper():
    mostly_found = tally(requests=3, answered=100, cost=Decimal(1), possibly_billed=1)
    assert await spent(mostly_found) == Decimal("1.5")


async def test_answers_that_do_not_say_what_they_took_count_as_those_that_do_on_average():
    told_once = tally(requests=501, answered=501, unreported=500, cost=Decimal("0.01"))
    assert await spent(told_once) == Decimal("5.01")


async def test_what_was_wasted_is_no_measure_of_an_answer():
    wasteful = tally(
        requests=4, answered=1, cost=Decimal("1.5"), wasted_cost=Decimal(1), possibly_billed=1
    )
    assert await spent(wasteful) == 2


async def test_where_no_answer_says_what_it_took_each_counts_as_a_request_is_expected_to_cost():
    each = (10 * (TEXT_TOKENS + 2 * PICTURE) + 20 * ANSWER_TOKENS) / Decimal(1_000_000)
    silent = tally(requests=500, images=1000, answered=500, unreported=500)
    assert await spent(silent) == 500 * each
    killed = tally(requests=200, images=400, possibly_billed=200)
    assert await spent(killed) == 200 * each
    capped = await spent(killed, text=JOB + "request.max_tokens = 7\n")
    assert capped == 200 * (each - 20 * (ANSWER_TOKENS - 7) / Decimal(1_000_000))


async def test_the_endpoints_own_cost_measures_what_is_not_reported_without_any_price():
    text = JOB.replace("price = { input = 10, output = 20 }", "")
    killed = tally(requests=2, possibly_billed=2)
    assert await spent(killed, text=text, model="in-house") == 0
    paid = tally(requests=4, answered=2, cost=Decimal(1), possibly_billed=2)
    assert await spent(paid, text=text, model="in-house") == 2


@pytest.mark.parametrize("price", ["", "price = { input = 10 }"])
async def test_without_a_total_budget_nothing_is_counted_and_without_any_nothing_is_kept(price):
    text = JOB.replace("price = { input = 10, output = 20 }", price)
    text = text.replace("limits.max_cost_total = 5", "")
    prices, budgets = await spending_of(job(text), Tallies())
    assert budgets.purses == ()
    assert prices.rate("gpt-4o") is not None
