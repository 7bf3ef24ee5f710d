"""Sums over rows of which only some were looked at."""

from __future__ import annotations

import random
from types import SimpleNamespace

from vbatch.api import expected
from vbatch.api.expected import Expected, Sample, Sum


def test_what_was_looked_at_whole_has_no_error():
    figure = Sum()
    for value in (1, 5, 9):
        figure.add(value)
    assert figure.of(3, 3) == (15, 0)
    assert Sum().of(0, 0) == (0, 0)


def test_the_error_holds_the_truth_as_often_as_it_says():
    luck = random.Random(3)
    values = [luck.lognormvariate(6, 1) for _ in range(5000)]
    held = 0
    for _ in range(200):
        figure = Sum()
        for value in luck.sample(values, 500):
            figure.add(value)
        total, off = figure.of(500, 5000)
        held += abs(total - sum(values)) <= off
    assert 0.9 < held / 200 < 0.985


def test_of_few_rows_all_are_looked_at_and_of_many_about_as_many():
    rows = [SimpleNamespace(row_digest=f"d{n % 7}", row=n) for n in range(60_000)]
    assert all(map(Sample(expected.ALL_ROWS).takes, rows))
    taken = sum(map(Sample(60_000).takes, rows))
    assert abs(taken - expected.ALL_ROWS) < 500
    assert taken == sum(map(Sample(60_000).takes, rows)), "the same rows each time"


def test_what_few_rows_were_counted_stands_for_all():
    sums = Expected(rows=1000, looked_at=100)
    assert sums.whole(7) == 70
    assert Expected().whole(0) == 0
