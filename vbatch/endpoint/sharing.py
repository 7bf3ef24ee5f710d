"""Turns under a limit that other processes of this user live by as well."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vbatch.endpoint.ledger import Memory
from vbatch.endpoint.waiting import LONGEST_WAIT_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.endpoint.found import FoundRate
    from vbatch.endpoint.ledger import Common, Ledger

LOOK_S = 0.1
"""So often at least the others hear of what was sent, while something is."""

_LATE_S = 0.1
_LATE_TOKENS_S = 3.0
"""Of lost time that is caught up with at once."""


class Sharing:
    """One pace for all who look into the same ledger, each with one turn at a time.

    A turn costs as many seconds as the limit gives to one request or its tokens. Who has much to
    do takes the next turn when the last is used, so all who are busy take turns, and what one does
    not ask for the others have. Where the ledger fails, this process goes on alone.
    """

    def __init__(self, ledger: Ledger, found: FoundRate) -> None:
        self._ledger = ledger
        self._found = found
        self._unsaid = 0
        self._returned_s = 0.0
        self._heard: float | None = None
        self._looked_at = self._cut_at = -math.inf
        self._version = found.version
        self.turn: float | None = None
        """When this process may send next, where it has asked for a turn."""
        self.trouble: str | None = None
        """Why nothing is shared any more."""

    def ask(self, now: float, *, requests_s: float, tokens_s: float) -> float:
        """Take the next turn, for a request that costs so many seconds of either limit."""

        def take(common: Common) -> None:
            self._exchange(common, now)
            due = [now, common.quiet_until]
            each_s = max(requests_s, self._found.seconds_each(now))
            if each_s:
                due.append(common.requests_due)
                common.requests_due = max(common.requests_due, now - _LATE_S) + each_s
            if tokens_s:
                due.append(common.tokens_due)
                common.tokens_due = max(common.tokens_due, now - _LATE_TOKENS_S) + tokens_s
            self.turn = max(due)

        self._change(now, take)
        return self.turn or now

    def sent(self, now: float) -> None:
        """A request has gone: the turn is used."""
        self.turn = None
        self._unsaid += 1
        if now - self._looked_at >= LOOK_S:
            self._change(now, lambda common: self._exchange(common, now))

    def give_back(self, tokens_s: float) -> None:
        """Seconds of the limit on tokens that were not used after all; negative: more were."""
        self._returned_s += tokens_s

    def quiet(self, now: float, until: float) -> None:
        """The endpoint wants to be left alone by all."""

        def hush(common: Common) -> None:
            self._exchange(common, now)
            common.quiet_until = max(common.quiet_until, until)

        if until <= now + LONGEST_WAIT_S:
            self._change(now, hush)

    def _change(self, now: float, change: Callable[[Common], None]) -> None:
        self._looked_at = now
        try:
            self._ledger.change(now, change)
        except OSError as error:
            self.trouble = error.strerror or str(error)
            self._ledger = Memory()
            self._ledger.change(now, change)

    def _exchange(self, common: Common, now: float) -> None:
        """Say what we sent and found, and hear what the others did."""
        if self._heard is not None:
            self._found.others_sent(now, max(0, int(common.sent - self._heard)))
        common.sent += self._unsaid
        self._heard, self._unsaid = common.sent, 0
        common.tokens_due -= self._returned_s
        self._returned_s = 0.0
        if common.cut_at > self._cut_at and self._found.version == self._version:
            self._cut_at = common.cut_at
            self._found.adopt(now, (common.free_at, common.kept, common.base, common.calm_s))
        elif common.cut_at < self._cut_at or self._found.version != self._version:
            if self._found.version != self._version:
                self._cut_at = now
            common.cut_at = self._cut_at
            common.free_at, common.kept, common.base, common.calm_s = self._found.curve
        self._version = self._found.version
