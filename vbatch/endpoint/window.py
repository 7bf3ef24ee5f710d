"""How many requests may be on their way at once: slow start, and one step back per refusal."""

from __future__ import annotations

import math

_CALM_S = 60.0
"""After so long without another shortage the width that was given up comes back by a quarter."""

START = 4
"""In flight until the first answer: a wrong key or an empty budget costs a handful of requests."""


class Window:
    """The number of requests that may be in flight, between 1 and ``most``.

    ``most`` itself is cut for a while by ``squeeze``.

    It doubles each time as many answers have come back as it is wide. Once it was shrunk it grows
    by a quarter instead, and only if it was filled in the meantime: width that nobody used says
    nothing about what the endpoint bears.
    """

    __slots__ = (
        "_answers",
        "_doubling",
        "_filled",
        "_full",
        "_squeezed_at",
        "_start",
        "most",
        "size",
    )

    def __init__(self, most: int, *, slow_start: bool = True) -> None:
        self.most = self._full = most
        self._squeezed_at = -math.inf
        self._start = START if slow_start else most
        self.restart()

    def restart(self) -> None:
        """Begin anew, as at the start of a run."""
        self.size = min(self._start, self.most)
        self._doubling = True
        self._begin_round()

    def sent(self, in_flight: int) -> None:
        """A request has gone, ``in_flight`` are now on their way."""
        if in_flight >= self.size:
            self._filled = True

    def answered(self, now: float) -> None:
        """An answer came back."""
        if self.most < self._full and now - self._squeezed_at >= _CALM_S:
            self.most = min(self.most + _step(self.most), self._full)
            self._squeezed_at = now
        self._answers += 1
        if self._answers < self.size:
            return
        if self._doubling:
            self.size = min(2 * self.size, self.most)
        elif self._filled:
            self.size = min(self.size + _step(self.size), self.most)
        self._begin_round()

    def shrink(self) -> None:
        """The endpoint said "too many requests": one step back, unless the width was not used.

        The first time half of it goes, later a quarter: by then the found pace does the braking.
        """
        if self._filled:
            self.size = max(1, self.size // 2 if self._doubling else self.size - _step(self.size))
        self._doubling = False
        self._begin_round()

    def squeeze(self, now: float, most: int) -> None:
        """This process lacks something: at most ``most`` (at least 1), until calm returns."""
        self.most = max(1, min(most, self._full))
        self.size = min(self.size, self.most)
        self._squeezed_at = now

    def _begin_round(self) -> None:
        self._answers = 0
        self._filled = False


def _step(size: int) -> int:
    return max(1, size // 4)
