"""How many patches or tiles cover a picture: what the formulas of all model families share. Pure.

Sizes are in pixels, and whole numbers throughout: a quotient just above a whole number would be one
tile more.
"""

from __future__ import annotations

from functools import lru_cache
from math import floor, sqrt
from typing import NamedTuple


class Canvas(NamedTuple):
    """Rows and columns of tiles."""

    rows: int
    columns: int

    @property
    def tiles(self) -> int:
        """How many there are."""
        return self.rows * self.columns


def cells(length: int, side: int) -> int:
    """How many times ``side`` covers ``length``, at least once."""
    return max(1, -(-length // side))


def cover(width: int, height: int, side: int) -> int:
    """How many squares of ``side`` cover a picture."""
    return cells(width, side) * cells(height, side)


def within(width: int, height: int, longest: int) -> tuple[int, int]:
    """The size with no side beyond ``longest``, in proportion, rounded to whole pixels."""
    longer = max(width, height)
    if longer <= longest:
        return width, height
    return _scaled(width, longest, longer), _scaled(height, longest, longer)


def within_budget(width: int, height: int, side: int, budget: int) -> int:
    """How many squares of ``side`` cover a picture that is shrunk to at most ``budget`` of them.

    OpenAI's rule (its guide to images and vision, "patch-based image tokenization"): shrink by
    area, then so far that one side is a whole number of squares, and cut off parts of pixels.
    """
    whole = cover(width, height, side)
    if whole <= budget:
        return whole
    shrink = sqrt(side * side * budget / (width * height))
    across, down = width * shrink / side, height * shrink / side
    shrink *= min(max(1, floor(across)) / across, max(1, floor(down)) / down)
    # what is a whole pixel but for the last bits of a float is one
    shrunk = floor(width * shrink + 1e-6), floor(height * shrink + 1e-6)
    return min(budget, cover(*shrunk, side))


@lru_cache(1024)
def largest_within(
    width: int, height: int, *, side: int, budget: int, longest: int
) -> tuple[int, int]:
    """The largest size of the same proportions within ``budget`` squares and ``longest`` pixels."""
    longer, shorter = max(width, height), min(width, height)
    low, high = 1, min(longer, longest)
    while low < high:
        middle = (low + high + 1) // 2
        if cover(middle, _scaled(shorter, middle, longer), side) <= budget:
            low = middle
        else:
            high = middle - 1
    other = _scaled(shorter, low, longer)
    return (low, other) if width >= height else (other, low)


@lru_cache(1024)
def best_canvas(width: int, height: int, *, side: int, most: int) -> Canvas:
    """The canvas of at most ``most`` tiles on which a picture loses least.

    As Llama's image processors choose it: the one that needs the least enlargement, else the one
    that shrinks the picture least; of equals the smallest.
    """
    fits = [
        (min(rows * side / height, columns * side / width), rows * columns, rows, columns)
        for rows in range(1, most + 1)
        for columns in range(1, most // rows + 1)
    ]
    growing = [fit for fit in fits if fit[0] >= 1]
    if growing:
        _, _, rows, columns = min(growing)
    else:
        _, _, rows, columns = min(fits, key=lambda fit: (-fit[0], fit[1]))
    return Canvas(rows, columns)


def _scaled(length: int, to: int, of: int) -> int:
    """``length * to / of``, rounded to a whole pixel, at least one."""
    return max(1, (2 * length * to + of) // (2 * of))
