"""Rows keep their identity while files come and go between them."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from vbatch.api.numbering import composed, joined, moved

files = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 4)).flatmap(
    lambda rows: st.permutations(list(rows.items()))
)


def numbered(reading):
    """Every row by file and place within it, and its number."""
    firsts = accumulate((rows for _, rows in reading), initial=0)
    return {
        (name, n): first + n
        for (name, rows), first in zip(reading, firsts, strict=False)
        for n in range(rows)
    }


def applied(spans):
    return {first + n: now + n for first, rows, now in spans for n in range(rows)}


def same_size(readings):
    """A file of one name is one file: it always has as many rows."""
    sizes = dict(pair for reading in readings for pair in reading)
    return [[(name, sizes[name]) for name, _ in reading] for reading in readings]


@given(readings=st.lists(files, min_size=2, max_size=4))
def test_rows_are_followed_through_any_number_of_readings(readings):
    first, *others = same_size(readings)
    spans, staying, before = moved(first, first), numbered(first), first
    for reading in others:
        spans = composed(spans, moved(before, reading))
        staying = {row: n for row, n in staying.items() if row in numbered(reading)}
        before = reading

    now = numbered(before)
    assert applied(spans) == {n: now[row] for row, n in staying.items()}
    assert spans == joined(spans)


def test_a_file_without_a_place_is_not_followed():
    assert moved([(None, 3), ("a", 2)], [(None, 3), ("a", 2)]) == [(3, 2, 3)]


def test_neighbours_are_one_span():
    then = [("a", 2), ("b", 3), ("c", 1)]
    assert moved(then, [("a", 2), ("b", 3), ("new", 9), ("c", 1)]) == [(0, 5, 0), (5, 1, 14)]
