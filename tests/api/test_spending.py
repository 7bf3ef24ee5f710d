"""What a run's earlier invocations count towards its budget."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from vbatch.api.spending import spending_of
from vbatch.job import load_job
from vbatch.state import Tallies, Tally

JOB = """
manifest = "rows.jsonl"
endpoint = { profile = "openai", model = "gpt-4o" }
price = { input = 10, output = 20 }
limits.max_cost_total = 5
"""


def job(text=JOB):
    return load_job(None, text=text, env={"OPENAI_API_KEY": "sk-12345678"}, cwd=Path("/"))


async def spent(*tallies: Tally, text=JOB) -> Decimal:
    before = Tallies(by_key={(f"i{n}", "gpt-4o", "e"): t for n, t in enumerate(tallies)})
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
    assert await spent(tally(answered=4, cost=Decimal(2), possibly_billed=2)) == 3


@pytest.mark.parametrize("price", ["", "price = { input = 10 }"])
async def test_without_a_total_budget_nothing_is_counted_and_without_any_nothing_is_kept(price):
    text = JOB.replace("price = { input = 10, output = 20 }", price)
    text = text.replace("limits.max_cost_total = 5", "")
    prices, budgets = await spending_of(job(text), Tallies())
    assert budgets.purses == ()
    assert prices.rate("gpt-4o") is not None
