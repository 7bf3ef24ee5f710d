"""When to go slower: only for refusals that look like a limit, and only while it helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbatch.endpoint.evidence import LONG_S, Evidence
from vbatch.endpoint.found import FoundRate
from vbatch.endpoint.waiting import LONGEST_WAIT_S

if TYPE_CHECKING:
    from vbatch.endpoint.minute import Slot
    from vbatch.endpoint.window import Window

_SOON = 80
"""Requests between two refusals below which a lower rate did not help, also those of others who
share it. Near a real limit, the found rate needs about as many until it probes beyond it."""
_TRIALS = 2
"""So many of them end the trial of a rate that was a mere suspicion."""
_SURE_TRIALS = 6
"""The same where the limit seemed plain to see, or a trial costs less than the waits."""
_TRIAL_S = 60.0
"""And a trial lasts so long: an endpoint that counts minutes refuses for what went before."""


class _Episode:
    """The refusals of requests that were on their way together."""

    __slots__ = ("follows", "later", "measured", "serial", "slot", "stepped")

    def __init__(self, serial: int, slot: Slot, follows: int) -> None:
        self.serial = serial
        self.slot = slot
        self.follows = follows
        """Serial number from which on an answer ends it."""
        self.later = 0
        """Refusals, after the first, of requests that were sent after the first."""
        self.stepped = False
        self.measured = False
        """Whether the found rate knows of it: a long pause says nothing of a rate per minute."""


class Brake:
    """Turns refusals into a smaller window and a found rate, or into nothing.

    All refusals of requests that were on their way together are one *episode*; it ends with an
    answer to a request that was sent after it began. Without a found rate, an episode changes
    nothing until the evidence is there. With one, each lowers the rate a little; should the
    refusals go on at a much lower rate, they are none of its making, and it is let go.
    """

    __slots__ = (
        "_again",
        "_calm_at",
        "_episode",
        "_left",
        "_sent",
        "_trials",
        "_window",
        "found",
        "log",
    )

    def __init__(self, window: Window) -> None:
        self.log = Evidence()
        self.found = FoundRate()
        self._window = window
        self._episode: _Episode | None = None
        self._sent = 0
        self._again = 0
        """Episodes running that each began soon after the last."""
        self._calm_at = 0.0
        self._trials = self._left = _SURE_TRIALS

    def answered(self, serial: int, slot: Slot) -> None:
        """Request ``serial``, sent in ``slot``, was taken."""
        if self._episode is None or serial < self._episode.follows:
            return
        if self._episode.measured:
            self.found.free_again(slot)
        self._episode = None

    def refused(
        self, now: float, wait_s: float, *, asked: bool, serial: int, slot: Slot, following: int
    ) -> bool:
        """Request ``serial``, sent in ``slot``, was refused, and nothing goes for ``wait_s``.

        ``asked``: for that is how long the endpoint wants to be left alone.
        ``following`` is the serial number of the next request to be sent. Returns whether a
        rate was let go, as it did not help.
        """
        self.found.shut(slot, for_s=wait_s if asked else 0.0)
        in_vain = False
        episode = self._episode
        if episode is None:
            sent = serial + self.found.others
            soon = sent - self._sent < _SOON
            self._again = self._again + 1 if soon else 0
            self._sent = sent
            episode = self._episode = _Episode(serial, slot, following)
            in_vain = self.found.known and self._is_in_vain(now, soon=soon)
            if in_vain:
                self.found.let_go()
                self.log.proved_wrong()
        elif serial > episode.serial:
            episode.later += 1
        self._judge(episode, now, wait_s, following)
        return in_vain

    @property
    def _is_sure(self) -> bool:
        """Whether the rate that was found is more than a suspicion."""
        return self._trials == _SURE_TRIALS

    def _is_in_vain(self, now: float, *, soon: bool) -> bool:
        if not soon:
            self._left = min(self._left + 1, self._trials)
            self._calm_at = now
            return False
        self._left = max(self._left - 1, 0)
        if self._is_sure and now - self._calm_at < _TRIAL_S:
            return False
        return self._left <= 0 or self.found.is_far_below(now)

    def _judge(self, episode: _Episode, now: float, wait_s: float, following: int) -> None:
        sure = self.log.is_limit()
        if not episode.stepped and (sure or self.found.known or self.log.is_suspect()):
            if not self.found.known:
                self._trials = self._left = _TRIALS if wait_s < LONG_S else _SURE_TRIALS
                self._calm_at = now
                self.log.tried()
            self._step(episode, now, wait_s, following - episode.serial - 1 - episode.later)
        if sure:
            self._trials = self._left = _SURE_TRIALS
            self.found.believe()
            self.log.acted_upon()

    def _step(self, episode: _Episode, now: float, wait_s: float, sent_later: int) -> None:
        episode.stepped = True
        again = self._again if self._is_sure else 0
        episode.measured = wait_s <= 1.1 * LONGEST_WAIT_S and self.found.refused(
            now, wait_s, episode.slot, sent_later, again=again
        )
        self._window.shrink(paced=self.found.known)
