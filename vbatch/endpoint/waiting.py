"""A time in which nothing is sent: because the endpoint asked for it, or of our own accord."""

from __future__ import annotations

import math

LONGEST_WAIT_S = 120.0
"""Up to here a wait is an ordinary wait."""
LONGEST_PAUSE_S = 900.0
"""Up to here it is a pause, in which faults cost the rows nothing; beyond it the run stops."""

_JITTER = 0.03
_FIRST_BACKOFF_S = 1.0
_LONGEST_S = 8.0
"""Our own waits grow no further during the first minute: a limit a minute ends within it."""
_MINUTE_S = 60.0
_LONE_S = 0.1
"""Our own first wait after a refusal among many answers."""


class Pause:
    """Until when nothing is sent.

    Waits that the endpoint asks for are honoured plus up to 3 %; without a time the wait is our
    own: a second, or a tenth of one if the refusal stands alone among answers; doubled with each
    refusal of a request sent after the last wait, up to 8 s in the first minute without an answer
    and up to ``max_backoff_s`` later; as at first with an answer to such a request. Where that
    answer comes after the refusal, the wait that was doubled is cut short: the last was long
    enough. ``chance`` is in [0, 1), ``why`` for people.
    """

    __slots__ = (
        "_backed_off",
        "_briefly",
        "_enough_at",
        "_enough_from",
        "_free_until",
        "_max_s",
        "_step_s",
        "asked",
        "until",
        "why",
    )

    def __init__(self, max_backoff_s: float) -> None:
        self.until = -math.inf
        self.asked = False
        """Whether the endpoint named the time."""
        self.why = ""
        self._max_s = max_backoff_s
        self._step_s = 0.0
        self._backed_off = 0
        self._enough_from = 0
        self._enough_at = math.inf
        self._briefly = False
        self._free_until = -math.inf

    def ask(self, now: float, seconds: float, chance: float, why: str) -> None:
        """The endpoint asked to be left alone for so long."""
        self._extend(now + seconds * (1 + _JITTER * chance), why, asked=True)
        if seconds > LONGEST_WAIT_S:
            self._free_until = self.until

    def back_off(
        self,
        now: float,
        chance: float,
        why: str,
        *,
        serial: int,
        next_serial: int,
        lone: bool,
        silent_s: float,
    ) -> None:
        """The endpoint refused request ``serial`` and named no time; ``lone``: others it took.

        There has been no answer for ``silent_s`` seconds.
        """
        if serial < self._backed_off and (lone or not self._briefly):
            return
        first_s = min(_LONE_S if lone else _FIRST_BACKOFF_S, self._max_s)
        seconds = max(self._step_s, first_s)
        until = now + seconds * (1 + _JITTER * chance)
        self._enough_at = now + first_s if until > self.until else math.inf
        self._extend(until, why, asked=False)
        self._enough_from = self._backed_off if self._step_s else next_serial
        most_s = self._max_s if silent_s > _MINUTE_S else min(_LONGEST_S, self._max_s)
        self._step_s = min(2 * seconds, most_s)
        self._briefly = lone
        self._backed_off = next_serial

    def answered(self, serial: int) -> None:
        """Request ``serial`` was answered."""
        if serial < self._enough_from:
            return
        self._step_s = 0.0
        if not self.asked:
            self.until = min(self.until, self._enough_at)

    def is_long(self, now: float) -> bool:
        """Whether a wait longer than the ordinary is under way."""
        return now < self._free_until

    def _extend(self, until: float, why: str, *, asked: bool) -> None:
        if until > self.until:
            self.until, self.why, self.asked = until, why, asked
