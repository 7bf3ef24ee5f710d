"""When an endpoint is down: how it shows, when to knock again, when to give up."""

from __future__ import annotations

import math

FAULTS = 10
"""So many faults in a row, each of another row, are an outage."""

FIRST_PROBE_S = 5.0
LAST_PROBE_S = 60.0
_MINUTE_S = 60.0
"""An endpoint that only refuses may count minutes: within one it is asked at the same pace."""


class Outage:
    """A streak of faults over different rows, and the probes that end it.

    While ``down`` one probe at a time may be sent, ``FIRST_PROBE_S`` after the outage began, then
    after twice the time each, up to ``LAST_PROBE_S``. ``reason`` is the last fault's.
    """

    __slots__ = (
        "_every_s",
        "_max_s",
        "_probe_at",
        "_rows",
        "_silent_since",
        "busy",
        "down",
        "heard_at",
        "probe",
        "reason",
    )

    def __init__(self, max_s: float) -> None:
        self._max_s = max_s
        self._rows: set[str] = set()
        self._silent_since: float | None = None
        self._every_s = FIRST_PROBE_S
        self._probe_at = math.inf
        self.down = False
        self.busy = False
        """Whether all there was are refusals: too many requests, not too sick to answer."""
        self.heard_at = math.inf
        """When a probe that was not refused by then was taken, while ``busy``."""
        self.probe: int | None = None
        """Serial number of the probe on its way."""
        self.reason = ""

    def fault(self, now: float, row_id: str, reason: str, *, refused: bool = False) -> None:
        """A network fault, a 5xx or a 429 without a waiting time (``refused``)."""
        self.unanswered(now, reason)
        self.busy = refused and (self.busy or not self._rows)
        self._rows.add(row_id)
        if not self.down and len(self._rows) >= FAULTS:
            self.down = True
            self._every_s = FIRST_PROBE_S
            self._probe_at = now + FIRST_PROBE_S

    def unanswered(self, now: float, reason: str) -> None:
        """The endpoint gave no answer, for whatever cause; counts towards the longest outage."""
        self.reason = reason
        if self._silent_since is None:
            self._silent_since = now

    def reachable(self) -> None:
        """The endpoint said something of sense, be it a time to wait: it is not down."""
        self._rows.clear()
        self.down = False
        self.probe = None

    def answered(self) -> None:
        """The endpoint did its work."""
        if self._silent_since is not None:
            self._silent_since = None
            self.reachable()

    def probe_failed(self, now: float) -> None:
        """The probe on its way found no answer: the next one later than the last."""
        self.probe = None
        if not self.busy or self.silent_for(now) > _MINUTE_S:
            self._every_s = min(2 * self._every_s, LAST_PROBE_S)
        self._probe_at = now + self._every_s

    def silent_for(self, now: float) -> float:
        """Seconds since the first of the faults that no answer has followed."""
        return 0.0 if self._silent_since is None else now - self._silent_since

    def too_long(self, now: float) -> bool:
        """Whether there has been no answer for longer than a run shall wait."""
        return self.silent_for(now) >= self._max_s

    def next_probe_at(self) -> float:
        """When the next probe may go, the last one at the end; infinity while one is on its way."""
        if self._silent_since is None:
            return math.inf
        if self.probe is not None:
            return self.heard_at if self.busy else math.inf
        return min(self._probe_at, self._silent_since + self._max_s)
