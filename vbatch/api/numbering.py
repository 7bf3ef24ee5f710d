"""How rows that were read under other numbers are numbered now."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vbatch.sink.history import Span

Reading = list[tuple[str | None, int]]
"""The place and the number of rows of each file."""


def moved(then: Reading, now: Reading) -> list[Span]:
    """Where the rows of a reading are now; not those of files without a place, or that are gone."""
    firsts: dict[str | None, int] = {}
    first = 0
    for place, rows in now:
        firsts[place] = first
        first += rows
    spans = []
    first = 0
    for place, rows in then:
        if place is not None and place in firsts:
            spans.append((first, rows, firsts[place]))
        first += rows
    return joined(spans)


def composed(spans: Iterable[Span], further: Sequence[Span]) -> list[Span]:
    """``spans``, and then ``further``, which is sorted as ``joined`` sorts."""
    starts = [start for start, _, _ in further]
    found = []
    for first, rows, between in spans:
        for start, count, now in further[max(0, bisect_right(starts, between) - 1) :]:
            if start >= between + rows:
                break
            low, high = max(between, start), min(between + rows, start + count)
            if low < high:
                found.append((first + low - between, high - low, now + low - start))
    return joined(found)


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same in order, and as few as possible."""
    found: list[Span] = []
    for first, rows, now in sorted(span for span in spans if span[1] > 0):
        if found and (found[-1][0] + found[-1][1], found[-1][2] + found[-1][1]) == (first, now):
            found[-1] = (found[-1][0], found[-1][1] + rows, found[-1][2])
        else:
            found.append((first, rows, now))
    return found
