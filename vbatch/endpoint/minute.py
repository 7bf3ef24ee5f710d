"""A limit per minute: spread evenly over it, and never above it in any sixty seconds."""

from __future__ import annotations

import math
from collections import deque

from vbatch.endpoint.pace import Pace

SPAN_S = 60.2
"""The minute, and a little for requests that take longer on their way than those before them."""

_MARGIN_S = 0.6
"""How much longer than a minute the pace takes to spend a whole minute's limit."""

_SLOT_S = 0.1
"""Units of so short a time are remembered as one entry: at most some 600 of them."""


class Slot:
    """What was spent within a tenth of a second. ``newest`` is the time of its last unit."""

    __slots__ = ("cost", "expired", "newest", "opened")

    def __init__(self, now: float) -> None:
        self.opened = now
        self.newest = now
        self.cost = 0
        self.expired = False


class MinuteLog:
    """What was spent during the last minute, as a sum that forgets."""

    __slots__ = ("_slots", "total")

    def __init__(self) -> None:
        self._slots: deque[Slot] = deque()
        self.total = 0

    def forget(self, now: float) -> None:
        """Drop what is older than a minute."""
        slots = self._slots
        while slots and slots[0].newest + SPAN_S <= now:
            slot = slots.popleft()
            slot.expired = True
            self.total -= slot.cost

    def add(self, now: float, cost: int) -> Slot:
        """Spend ``cost`` at ``now``; the slot is what ``correct`` wants to see."""
        slots = self._slots
        if not slots or slots[-1].opened + _SLOT_S <= now:
            slots.append(Slot(now))
        slot = slots[-1]
        slot.newest = now
        slot.cost += cost
        self.total += cost
        return slot

    def correct(self, slot: Slot, by: int) -> None:
        """What went into ``slot`` was ``by`` more (or, negative, less) than was thought."""
        slot.cost += by
        if not slot.expired:
            self.total += by

    def at_most(self, most: float) -> float:
        """The moment at which the total will have fallen to ``most`` by itself."""
        over = self.total - most
        at = float("-inf")
        for slot in self._slots:
            if over <= 0:
                break
            over -= slot.cost
            at = slot.newest + SPAN_S
        return at

    def since(self, start: float) -> int:
        """What was spent from ``start`` on, to a tenth of a second."""
        total = 0
        for slot in reversed(self._slots):
            if slot.opened < start:
                break
            total += slot.cost
        return total


class PerMinute:
    """At most ``limit`` units in any minute, evenly spread; about 99 % of it can be used.

    ``burst_s`` seconds of lost time are caught up at once. A cost above the whole limit waits until
    the minute is empty and goes alone. The log alone would keep the limit; the pace keeps bursts
    off the endpoint, and both together leave a margin of some tenths of a second for the network.
    Until it is told a limit it only remembers.
    """

    __slots__ = ("_limit", "_log", "_pace")

    def __init__(self) -> None:
        self._limit = math.inf
        self._log = MinuteLog()
        self._pace = Pace()

    @property
    def known(self) -> bool:
        """Whether there is a limit."""
        return self._limit < math.inf

    @property
    def seconds_each(self) -> float:
        """What one unit takes of the time; 0 where there is no limit."""
        return self._pace.interval_s

    def limit_to(self, limit: float, *, burst_s: float) -> None:
        """From now on it is ``limit`` units a minute; what was spent before counts."""
        self._limit = limit
        self._pace.interval_s = (60 + _MARGIN_S) / limit
        self._pace.burst_s = burst_s

    def ready_at(self, now: float, cost: int) -> float:
        """The moment from which ``cost`` units may go."""
        self._log.forget(now)
        if self._log.total + cost <= self._limit:
            return self._pace.ready_at()
        return max(self._pace.ready_at(), self._log.at_most(max(self._limit - cost, 0)))

    def take(self, now: float, cost: int) -> Slot:
        """``cost`` units go at ``now``."""
        self._pace.spend(now, cost)
        self._log.forget(now)
        return self._log.add(now, cost)

    def settle(self, slot: Slot, *, taken: int, used: int) -> None:
        """Of ``taken`` units ``used`` were really spent."""
        self._log.correct(slot, used - taken)
        self._pace.give_back(taken - used)
