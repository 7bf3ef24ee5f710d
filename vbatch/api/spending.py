"""What a job's model costs, and what may be spent on it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

from vbatch.engine.budgets import Budgets
from vbatch.records import Usage

if TYPE_CHECKING:
    from vbatch.costs.book import PriceBook
    from vbatch.job import Job
    from vbatch.state import Tallies, Tally


async def spending_of(job: Job, before: Tallies) -> tuple[PriceBook, Budgets]:
    """The job's prices and budgets. ``before``: what the run's earlier invocations came to."""
    prices = job.price_book()
    await asyncio.to_thread(prices.rate, job.model)  # the table takes a moment to load
    spent = sum((_spent(model, t, prices) for (_, model, _), t in before.by_key.items()), Decimal())
    return prices, Budgets.of(job.limits, prices.rate, spent_before=spent)


def _spent(model: str, tally: Tally, prices: PriceBook) -> Decimal:
    """USD of an earlier invocation. What it knew no price of counts at today's.

    Requests whose fate is not known may have been billed, each like the others on average.
    """
    usage = Usage(prompt_tokens=tally.prompt_tokens, completion_tokens=tally.completion_tokens)
    known = tally.cost if tally.cost is not None else prices.cost(usage, model)
    if known is None:
        return Decimal()
    return known + known / max(tally.rows, 1) * tally.possibly_billed
