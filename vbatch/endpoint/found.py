"""A limit that nobody told us, found from what the endpoint took and when it refused."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vbatch.endpoint.minute import MinuteLog
from vbatch.endpoint.pace import Pace

if TYPE_CHECKING:
    from vbatch.endpoint.minute import Slot

_LOOK_BACK_S = (3.0, 10.0, 60.0)
_SHORTEST_S = 0.1
_ENOUGH = 4
"""Requests that must have been taken before a refusal says anything about the rate."""
_KEPT = 0.96
"""What is kept of a rate that was refused."""
_KEPT_AGAIN = 0.92
"""The same where it was cut shortly before, if what was taken lately is no more."""
_RETURN_S = 5.0
"""Seconds until a cut rate is back at what is kept."""
_STEP = 0.05
_CALM_S = 30.0
"""Seconds until the kept rate is exceeded by ``_STEP``; from there on it rises ever faster."""
_CALM_REQUESTS = 80
"""The same in requests: where they are few, a refusal weighs more."""
_SEARCH_S = 6.0
"""``_CALM_S`` after the very first refusal, when little is known."""
_FAR = 0.6
"""A rate below this share of the one believed in is far below it."""


Curve = tuple[float, float, float, float]


class FoundRate:
    """No pace until a refusal says something, then one that moves around the limit.

    What was taken in the time before a refusal, divided by that time *and the wait that the
    refusal asked for*, is the endpoint's rate, whether it counts by the minute or drop by drop.
    From there the rate follows a cubic curve, as the window of TCP CUBIC does (RFC 9438): quickly
    back to just under the refused rate, long near it, then probing beyond.
    """

    __slots__ = (
        "_adopted_at",
        "_again",
        "_base",
        "_before",
        "_believed",
        "_calm_s",
        "_free_at",
        "_kept",
        "_pace",
        "_refused",
        "_started_at",
        "_taken",
        "known",
        "others",
        "version",
    )

    def __init__(self) -> None:
        self.known = False
        """Whether there has been a refusal to learn from."""
        self._taken = MinuteLog()
        self._pace = Pace()
        self._started_at = math.inf
        self._free_at = -math.inf
        self._kept = self._base = math.inf
        self._calm_s = _SEARCH_S
        self._before: list[tuple[float, int]] = []
        self._refused = math.inf
        self._believed = math.inf
        self._adopted_at = -math.inf
        self._again = False
        self.others = 0
        """Requests that other processes sent."""
        self.version = 0
        """Changes with each cut of our own."""

    def ready_at(self) -> float:
        """The moment from which the next request may go."""
        return self._pace.ready_at()

    def sent(self, now: float) -> Slot:
        """A request has gone."""
        self._started_at = min(self._started_at, now)
        if self.known:
            self._pace.interval_s = 1 / self.rate(now)
            self._pace.spend(now)
        self._taken.forget(now)
        return self._taken.add(now, 1)

    def not_taken(self, slot: Slot) -> None:
        """The request that ``sent`` gave ``slot`` for was refused, or did not go after all."""
        self._taken.correct(slot, -1)

    def refused(
        self, now: float, wait_s: float, slot: Slot, sent_later: int, *, again: bool = False
    ) -> bool:
        """The request of ``slot`` was refused, and nothing goes for ``wait_s`` seconds.

        ``sent_later`` requests went after it; whether they were taken is not known yet; ``again``:
        few were sent since the last refusals. Returns whether this was news: not where another
        process has cut the rate since.
        """
        if slot.opened <= self._adopted_at:
            return False
        starts = (max(slot.opened - span, self._started_at) for span in _LOOK_BACK_S)
        self._before = [(start, self._taken.since(start) - sent_later) for start in starts]
        self._refused = self.rate(now) if self.known else math.inf
        self._again = again
        self._cut(now + wait_s)
        return True

    def free_again(self, slot: Slot) -> None:
        """The request of ``slot`` is the first to be taken since: the wait may have been longer."""
        if slot.opened > self._free_at:
            self._cut(slot.opened)

    def believe(self) -> None:
        """The refusals are surely a limit's: the rate of now is the measure of what follows."""
        self._believed = self._base

    def is_far_below(self, now: float) -> bool:
        """Whether the rate has gone down so much that it must have helped, if it can."""
        return self.rate(now) < _FAR * self._believed

    def let_go(self) -> None:
        """No pace any more: the refusals had nothing to do with the rate."""
        self.known = False
        self.version += 1
        self._kept = self._base = self._refused = self._believed = math.inf
        self._calm_s = _SEARCH_S

    # What processes that share a limit tell each other.

    @property
    def curve(self) -> Curve:
        """The rate's course from here on."""
        return self._free_at, self._kept, self._base, self._calm_s

    def adopt(self, now: float, curve: Curve) -> None:
        """Another process cut the rate."""
        self._free_at, self._kept, self._base, self._calm_s = curve
        self._adopted_at = now
        self.known = self._kept < math.inf
        self._believed = self._kept

    def others_sent(self, now: float, count: int) -> None:
        """Other processes sent ``count`` requests lately: the endpoint took them too."""
        if count:
            self.others += count
            self._taken.forget(now)
            self._taken.add(now, count)

    def seconds_each(self, now: float) -> float:
        """What one request costs of a second's limit; 0 where none is found."""
        return 1 / self.rate(now) if self.known else 0.0

    def _cut(self, free_at: float) -> None:
        self._free_at = free_at
        self.version += 1
        taken = max(max(n, 1) / max(free_at - start, _SHORTEST_S) for start, n in self._before)
        if self._refused < math.inf:
            self._kept = _KEPT * min(self._refused, 1.3 * taken)
            if self._again:
                start, n = self._before[1]
                lately = n / max(free_at - start, _SHORTEST_S)
                self._kept = min(self._kept, max(lately, _KEPT_AGAIN * self._refused))
            self._base = min(max(taken, self._kept / 2), self._kept)
            self._calm_s = max(_CALM_S, _CALM_REQUESTS / self._kept)
            measured_anew = 1.3 * taken < self._refused
            self._believed = self._kept if measured_anew else max(self._believed, self._kept)
        elif self._before[-1][1] >= _ENOUGH:
            self._kept = self._base = self._believed = taken
            self.known = True

    def rate(self, now: float) -> float:
        """Requests per second that are thought bearable at ``now``."""
        after = max(now - self._free_at, 0.0)
        if after < _RETURN_S:
            return self._kept - (self._kept - self._base) * (1 - after / _RETURN_S) ** 3
        return self._kept * (1 + _STEP * ((after - _RETURN_S) / self._calm_s) ** 3)
