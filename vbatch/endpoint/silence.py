"""Requests that met no refusal in the time refusals take: taken, though answers take longer."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbatch.endpoint.permit import Permit

_TIMES = 2.0
_MORE_S = 0.3
"""How much longer than the slowest refusal of late a silence has to last."""
_FADES = 0.9


class Silence:
    """Who is on the way, in the order of sending, and how long refusals took to come back.

    Until there was a refusal, silence says nothing, and nothing is remembered.
    """

    __slots__ = ("_out", "_slowest_s", "enough_s")

    def __init__(self) -> None:
        self._out: deque[tuple[float, Permit]] = deque()
        self._slowest_s = 0.0
        self.enough_s = math.inf
        """Seconds without a refusal after which a request seems to be taken."""

    def sent(self, now: float, permit: Permit) -> None:
        """A request goes."""
        if self.enough_s < math.inf:
            self._out.append((now, permit))

    def refused(self, now: float, sent_at: float) -> None:
        """One that was sent then is refused now."""
        self._slowest_s = max(now - sent_at, _FADES * self._slowest_s)
        self.enough_s = _TIMES * self._slowest_s + _MORE_S

    def taken(self, now: float) -> Iterator[Permit]:
        """Those on their way that would have been refused by now, each but once."""
        while self._out and (self._out[0][1].ended or self._out[0][0] + self.enough_s <= now):
            permit = self._out.popleft()[1]
            if not permit.ended:
                yield permit
