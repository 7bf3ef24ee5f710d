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
_ENOUGH_S = 10.0
"""Seconds of them before what was taken says that a rate in use is too high."""
_KEPT = 0.96
"""What is kept of a rate that was refused."""
_KEPT_AGAIN = 0.92
"""The same where it was cut shortly before, if what was taken lately is no more."""
_ABOVE = 1.3
"""So much above what was taken a rate may be kept: few may have been asked for."""
_RETURN_S = 5.0
"""Seconds until a cut rate is back at what is kept."""
_STEP = 0.05
_CALM_S = 10.0
"""Seconds until the kept rate is exceeded by ``_STEP``; from there on it rises ever faster."""
_CALM_REQUESTS = 40
"""The same in requests: where they are few, a refusal weighs more."""
_SEARCH_S = 6.0
"""``_CALM_S`` after the very first refusal, when little is known."""
_FAR = 0.6
"""A rate below this share of the one believed in is far below it."""

_MINUTE_S = 60.0
"""What is counted is counted over so long; then ``_CALM_S`` is as long too."""
_SHUT_S = 2.5
_SHUT_REQUESTS = 20
"""Shut for so long, and for so many requests' time, an endpoint counts minutes."""
_APART_S = 2.0
_SAME = 2
_UNEVEN = 0.75
"""So does one that refuses twice, so far apart, at a count of the last minute that is the same,
though lately less than this share of an even pace was taken."""
_OTHER = 0.85
"""Refused at less than this share of its count, or as much above it, it counts no minutes."""
_COUNTED = 0.99
"""What is kept of a count."""


Curve = tuple[float, float, float, float]


class FoundRate:
    """No pace until a refusal says something, then one that moves around the limit.

    What was taken in the time before a refusal, divided by that time *and the wait that the
    refusal asked for*, is the endpoint's rate, whether it counts by the minute or drop by drop; but
    nothing is counted over more than a minute. From there the rate follows a curve as the window of
    TCP CUBIC does (RFC 9438), of a higher power: quickly back to just under the refused rate, near
    it for a while, then probing beyond, soon at a multiple of it. An endpoint that counts minutes
    refuses late and then for long: its count is its rate, and probing takes minutes.
    """

    __slots__ = (
        "_adopted_at",
        "_again",
        "_base",
        "_before",
        "_believed",
        "_calm_s",
        "_counted",
        "_free_at",
        "_kept",
        "_met",
        "_pace",
        "_refused",
        "_refused_at",
        "_shut",
        "_shut_until",
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
        self._refused_at = self._shut_until = -math.inf
        self._counted = 0.0
        """The rate of one that counts minutes, as last seen; 0: it does not seem to."""
        self._met = (-math.inf, 0)
        """When it was refused at which count."""
        self._shut = False
        """Whether nothing was taken since it refused, as far as is known."""
        self._believed = math.inf
        self._adopted_at = -math.inf
        self._again = 0
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
        if self._shut and now > self._free_at:
            self._cut(now)  # free from now on, if at all
        if self.known:
            self._pace.interval_s = 1 / self.rate(now)
            self._pace.spend(now)
        self._taken.forget(now)
        return self._taken.add(now, 1)

    def not_taken(self, slot: Slot) -> None:
        """The request that ``sent`` gave ``slot`` for was refused, or did not go after all."""
        self._taken.correct(slot, -1)

    def shut(self, slot: Slot, *, for_s: float = 0.0) -> None:
        """The request of ``slot`` was refused, and so is what comes within ``for_s`` seconds."""
        self.not_taken(slot)
        self._shut_until = max(self._shut_until, slot.opened + for_s)

    def refused(
        self, now: float, wait_s: float, slot: Slot, sent_later: int, *, again: int = 0
    ) -> bool:
        """The request of ``slot`` was refused, and nothing goes for ``wait_s`` seconds.

        ``sent_later`` requests went after it; whether they were taken is not known yet; ``again``:
        so many times running few were sent since the last refusals. Returns whether this was news:
        not where another process has cut the rate since.
        """
        if slot.opened <= self._adopted_at:
            return False
        starts = (max(slot.opened - span, self._started_at) for span in _LOOK_BACK_S)
        self._before = [(start, self._taken.since(start) - sent_later) for start in starts]
        self._refused_at = slot.opened
        self._shut = True
        self._recognise(slot.opened)
        self._refused = self.rate(now) if self.known else math.inf
        self._again = again
        self._cut(now + wait_s)
        return True

    def free_again(self, slot: Slot) -> None:
        """The request of ``slot`` is the first to be taken since: the wait may have been longer."""
        if self._shut and slot.opened > self._free_at:
            self._cut(slot.opened)
        self._shut = False

    def believe(self) -> None:
        """The refusals are surely a limit's: the rate of now is the measure of what follows."""
        self._believed = self._base

    def is_far_below(self, now: float) -> bool:
        """Whether the rate has gone down so much that it must have helped, if it can."""
        return self.rate(now) < _FAR * self._believed

    def let_go(self) -> None:
        """No pace any more: the refusals had nothing to do with the rate."""
        self.known = self._shut = False
        self.version += 1
        self._counted = 0.0
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
        self._shut = False
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

    def _recognise(self, at: float) -> None:
        """One that counts minutes refuses at the same count, however little of it is of late."""
        if at - self._started_at < _MINUTE_S or at - self._met[0] < _APART_S:
            return
        _, lately, count = (n for _, n in self._before)
        same = abs(count - self._met[1]) <= _SAME
        self._met = at, count
        if same and lately / _LOOK_BACK_S[1] < _UNEVEN * count / _MINUTE_S:
            self._counted = count / _MINUTE_S

    def _cut(self, free_at: float) -> None:
        self._free_at = free_at
        self.version += 1
        taken = max(_rate(n, free_at - start) for start, n in self._before)
        shut_s = self._shut_until - self._refused_at
        if shut_s >= max(_SHUT_S, _SHUT_REQUESTS / taken):
            self._counted = taken
        elif not _OTHER * self._counted <= taken <= self._counted / _OTHER:
            self._counted = 0.0
        if self._refused < math.inf:
            self._keep(free_at, taken)
        elif self._before[-1][1] >= _ENOUGH:
            self._kept = self._base = self._believed = taken
            self.known = True
            self._calm_s = _MINUTE_S if self._counted else _SEARCH_S

    def _keep(self, free_at: float, taken: float) -> None:
        """The rate in use was refused, and ``taken`` seems to be what is borne."""
        if self._counted:
            self._kept = min(self._refused, _COUNTED * taken)
            self._calm_s = _MINUTE_S
        else:
            self._kept = self._lowered(free_at, taken)
            self._calm_s = max(_CALM_S, _CALM_REQUESTS / self._kept)
        self._base = min(max(taken, self._kept / 2), self._kept)
        measured_anew = _ABOVE * taken < self._refused
        self._believed = self._kept if measured_anew else max(self._believed, self._kept)

    def _lowered(self, free_at: float, taken: float) -> float:
        kept = _KEPT * self._refused
        if self._refused_at - self._started_at >= _ENOUGH_S:
            kept = min(kept, _KEPT * _ABOVE * taken)
        if self._again:
            start, n = self._before[0]
            least = _KEPT_AGAIN ** max(1, self._again - 1) * self._refused
            kept = min(kept, max(_rate(n, free_at - start), least))
        return kept

    def rate(self, now: float) -> float:
        """Requests per second that are thought bearable at ``now``."""
        after = max(now - self._free_at, 0.0)
        if after < _RETURN_S:
            return self._kept - (self._kept - self._base) * (1 - after / _RETURN_S) ** 3
        return self._kept * (1 + _STEP * ((after - _RETURN_S) / self._calm_s) ** 5)


def _rate(count: int, seconds: float) -> float:
    """So many a second: what is counted is counted by the minute at most."""
    return max(count, 1) / min(max(seconds, _SHORTEST_S), _MINUTE_S)
