"""What rows are expected to take, added up: exact where all were looked at, else with its error."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vbatch.records import BadRow, Item

ALL_ROWS = 10_000
"""Up to so many rows all are looked at; of more about as many, spread evenly over them."""
_CERTAIN = 1.96
"""Standard errors that hold the truth in 95 of 100 cases."""
_HASHES = 2**32


@dataclass(slots=True)
class Sum:
    """A figure of the rows that were looked at."""

    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """One more row."""
        self.total += value
        self.squares += value * value

    def of(self, looked_at: int, rows: int) -> tuple[int, int]:
        """The figure of all ``rows``, and how far it may be off."""
        if not looked_at:
            return 0, 0
        mean = self.total / looked_at
        if looked_at in {rows, 1}:
            return round(mean * rows), 0
        variance = max(self.squares - looked_at * mean * mean, 0) / (looked_at - 1)
        off = _CERTAIN * rows * sqrt(variance / looked_at * (1 - looked_at / rows))
        return round(mean * rows), round(off)


@dataclass(slots=True)
class Expected:
    """Rows that are to do: how many there are, and what those that were looked at take.

    ``prompts`` and ``answers`` in tokens, by model, and ``caps`` where every answer is capped.
    """

    rows: int = 0
    looked_at: int = 0
    sent: Sum = field(default_factory=Sum)
    images: Sum = field(default_factory=Sum)
    image_bytes: Sum = field(default_factory=Sum)
    remote: Sum = field(default_factory=Sum)
    tokens: Sum = field(default_factory=Sum)
    prompts: Counter[str] = field(default_factory=Counter)
    answers: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    caps: Counter[str] = field(default_factory=Counter)
    uncapped: int = 0
    codes: Counter[str] = field(default_factory=Counter)

    def total(self, figure: Sum) -> int:
        """A figure of all rows."""
        return figure.of(self.looked_at, self.rows)[0]

    def whole(self, counted: int) -> int:
        """What was counted in the rows that were looked at, over all rows."""
        return round(counted * self.rows / self.looked_at) if self.looked_at else 0


class Sample:
    """Decides which rows are looked at: all of few, and of many some, by what they ask.

    The same rows each time, and whatever pattern the manifest has does not matter.
    """

    def __init__(self, rows: int) -> None:
        self._below = _HASHES if rows <= ALL_ROWS else _HASHES * ALL_ROWS // rows

    def takes(self, row: Item | BadRow) -> bool:
        """Whether ``row`` is looked at."""
        return zlib.crc32(f"{row.row_digest}{row.row}".encode()) < self._below
