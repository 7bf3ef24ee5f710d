"""What an estimate says where little is known."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from vbatch.api import estimating
from vbatch.api.expected import Expected
from vbatch.api.rehearsal import Known
from vbatch.job import load_job
from vbatch.state import Tally

JOB = """
manifest = "rows.jsonl"
endpoint = { profile = "local" }
"""


def job(text=JOB):
    return load_job(None, text=text, env={}, cwd=Path("/"))


def spent(**figures) -> Known:
    return Known(spent=Tally(started_at=0, finished_at=100, **figures))


def taken(rows=10, prompt=1000) -> Expected:
    sums = Expected(rows=rows, looked_at=rows)
    sums.prompts["pixels"] += prompt * rows
    return sums


def test_where_no_price_is_listed_the_runs_own_answers_say_what_the_next_will_cost():
    known = spent(answered=50, cost=Decimal(2))
    cost, price = estimating._cost(job(), known, taken(), {}, 10)
    assert (cost, price) == (Decimal("0.4"), "as the run's answers so far cost")


@pytest.mark.parametrize("known", [Known(), spent(answered=3, cost=Decimal(2))])
def test_a_price_that_nobody_knows_is_not_made_up(known):
    assert estimating._cost(job(), known, taken(), {}, 10) == (None, None)


def test_nothing_to_do_costs_nothing():
    priced = job(JOB + "price = { input = 1, output = 1 }")
    cost, _ = estimating._cost(priced, Known(), Expected(), {}, 0)
    assert cost == 0


def test_hours_go_by_the_runs_pace_where_it_has_one():
    known = spent(answered=50)
    hours, why = estimating._hours(job(), known.spent, 1800, 10)
    assert (hours, why) == (1.0, "as fast as the run was last")


def test_hours_without_any_hint_say_what_they_assume():
    limited = job(JOB + "limits = { max_in_flight = 4 }")
    hours, why = estimating._hours(limited, Tally(started_at=0, finished_at=0), 2880, 10)
    assert (hours, why) == (1.0, "4 requests at once, 5 s each")
