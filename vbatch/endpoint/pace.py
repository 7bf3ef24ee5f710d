"""Even spacing: one thing after another at a rate, with a short memory for lost time."""

from __future__ import annotations

import math


class Pace:
    """The generic cell rate algorithm: one unit each ``interval_s``, in constant time and space.

    ``burst_s`` seconds of lost time are caught up at once; a silence never earns more than that.
    """

    __slots__ = ("_due", "burst_s", "interval_s")

    def __init__(self, interval_s: float = 0, burst_s: float = 0) -> None:
        self.interval_s = interval_s
        self.burst_s = burst_s
        self._due = -math.inf

    def ready_at(self) -> float:
        """The moment from which the next unit may go."""
        return self._due - self.burst_s

    def spend(self, now: float, cost: float = 1) -> None:
        """``cost`` units went at ``now``; what follows waits for all of them."""
        self._due = max(self._due, now) + cost * self.interval_s

    def give_back(self, cost: float = 1) -> None:
        """``cost`` units that were spent did not go after all; negative: more went."""
        self._due -= cost * self.interval_s
