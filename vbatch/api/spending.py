"""What a job's model costs, and what may be spent on it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING

from vbatch.costs.pictures import UNSEEN_SIDE, formula_of
from vbatch.endpoint.tokens import ANSWER_TOKENS
from vbatch.engine.budgets import Budgets
from vbatch.records import Usage

if TYPE_CHECKING:
    from vbatch.costs.book import PriceBook
    from vbatch.job import Job
    from vbatch.state import Tallies, Tally

TEXT_TOKENS = 100
"""Taken for what a request asks in words, where nothing reports it."""


async def spending_of(job: Job, before: Tallies) -> tuple[PriceBook, Budgets]:
    """The job's prices and budgets. ``before``: what the run's earlier invocations came to."""
    prices = job.price_book()
    await asyncio.to_thread(prices.rate, job.model)  # the table takes a moment to load
    spent = sum(
        (_spent(job, model, t, prices) for (_, model, _), t in before.by_key.items()), Decimal()
    )
    return prices, Budgets.of(job.limits, prices.rate, spent_before=spent)


def _spent(job: Job, model: str, tally: Tally, prices: PriceBook) -> Decimal:
    """USD of an earlier invocation. What it knew no price of counts at today's.

    Requests whose fate is not known may have been billed, and answers that did not say what they
    took were: each counts like the answers that did on average, or, where none did, as a request
    is expected to cost.
    """
    usage = Usage(prompt_tokens=tally.prompt_tokens, completion_tokens=tally.completion_tokens)
    known = tally.cost if tally.cost is not None else prices.cost(usage, model)
    known = known or Decimal()
    untold = tally.possibly_billed + tally.unreported
    if not untold:
        return known
    kept = min(tally.answered, tally.requests - tally.possibly_billed) - tally.unreported
    paid = known - (tally.wasted_cost or 0)
    mean = paid / kept if kept > 0 and paid > 0 else _expected(job, model, tally, prices)
    return known + mean * untold


def _expected(job: Job, model: str, tally: Tally, prices: PriceBook) -> Decimal:
    """USD of a request of which nothing is known but how many images such requests had."""
    rate = prices.rate(model)
    if rate is None:
        return Decimal()
    request = job.request
    image = formula_of(model)(UNSEEN_SIDE, UNSEEN_SIDE, request.detail)
    images = ceil(tally.images / max(tally.requests, 1))
    answer = ANSWER_TOKENS if request.max_tokens is None else request.max_tokens
    return rate.of(TEXT_TOKENS + images * image, answer)
