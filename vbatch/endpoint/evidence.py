"""What refusals tell: a limit that we run into, or strays that come whatever we do."""

from __future__ import annotations

_KEPT = 128
"""So many of the requests sent last are remembered."""
_PENDING, _ANSWERED, _REFUSED, _OTHER = range(4)

_LIMIT = 35
_LIMIT_UP, _LIMIT_DOWN = 5, 2
"""Sure of a limit: seven refusals running, or more than 2 in 7 for some time."""

_SUSPECT = 800
_SUSPECT_UP = 40
"""Worth a trial at a lower rate: more than one refusal in forty, for a few hundred requests."""
LONG_S = 5.0
"""A wait so long costs more than a trial."""

_LONE = 4
"""Answers for each refusal among the last requests, if it is to count as a lone one."""


class Evidence:
    """How the last requests fared, in the order in which they were sent.

    Refusals come back sooner than answers, so the order in which things come back would make a
    limit of any three strays. What is still on its way counts as answered until it is known.
    Two sums run along (as in Page's CUSUM test): a quick one for a limit that we are far above, a
    slow one for a share of refusals that may be a limit we are just above, or nothing of ours.
    """

    __slots__ = ("_from", "_met", "_next", "_patience", "_suspicion")

    def __init__(self) -> None:
        self._met = [_OTHER] * _KEPT
        self._next = 0
        self._from = 0
        self._suspicion = 0
        self._patience = _SUSPECT

    def sent(self) -> None:
        """The next request has gone; they are numbered from 0."""
        self._met[self._next % _KEPT] = _PENDING
        self._next += 1

    def answered(self, serial: int) -> None:
        """Request ``serial`` was not refused for our rate."""
        self._note(serial, _ANSWERED)
        self._suspicion = max(self._suspicion - 1, 0)

    def taken(self, serial: int) -> None:
        """Request ``serial`` seems to be taken, though there is no answer yet."""
        self._note(serial, _ANSWERED)

    def refused(self, serial: int, wait_s: float) -> None:
        """Request ``serial`` met "too many requests", and was told to wait for ``wait_s``."""
        self._note(serial, _REFUSED)
        self._suspicion += _SUSPECT_UP if wait_s < LONG_S else _SUSPECT

    def nothing(self, serial: int) -> None:
        """Request ``serial`` says nothing: it broke, or never went."""
        self._note(serial, _OTHER)

    def is_limit(self) -> bool:
        """Whether most of what was sent around the refusals is refused too."""
        score = 0
        for serial in range(max(self._from, self._next - _KEPT), self._next):
            met = self._met[serial % _KEPT]
            if met == _REFUSED:
                score += _LIMIT_UP
                if score >= _LIMIT:
                    return True
            elif met != _OTHER:
                score = max(score - _LIMIT_DOWN, 0)
        return False

    def is_suspect(self) -> bool:
        """Whether refusals have been too many for too long, though far from all."""
        return self._suspicion >= self._patience

    def is_lone(self) -> bool:
        """Whether refusals are few among answers; without any answer they are not."""
        return self._met.count(_ANSWERED) >= _LONE * self._met.count(_REFUSED)

    def tried(self) -> None:
        """The suspicion had its effect; what is still on its way may yet make it sure."""
        self._suspicion = 0

    def acted_upon(self) -> None:
        """What was known until now has had its effect."""
        self._from = self._next
        self._suspicion = 0

    def proved_wrong(self) -> None:
        """To go slower did not help: the next suspicion has to be stronger."""
        self.acted_upon()
        self._patience *= 4

    def _note(self, serial: int, met: int) -> None:
        if serial >= self._next - _KEPT:
            self._met[serial % _KEPT] = met
