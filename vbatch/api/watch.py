"""What a run waits for, and the rows of which nothing has been heard for too long."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from vbatch.endpoint.spoken import span, time_of_day
from vbatch.engine.tries import Step
from vbatch.records import LateRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vbatch.api.tally import Live
    from vbatch.clock import Clock
    from vbatch.engine.tries import Tries
    from vbatch.engine.worker import Worker

QUIET_S = 5.0
"""A wait of all rows that is worth telling of."""
STALLED_S = 60.0
"""Without any answer while rows are on their way; half of ``retry.timeout`` where that is less."""
UNUSUAL = 1.5
"""So many times the longest of the last answers is longer than usual."""
NAMED = 10
AGAIN_S = 60.0
"""The same is said again only if it was not so for this long."""
_SHOWN = 80

_AT_WORK = frozenset({Step.PREPARING, Step.RECORDING, Step.SENT})
_WAITS_FOR = {
    Step.ROOM: "room in limits.max_bytes_in_flight",
    Step.PREPARING: "images being prepared",
    Step.RECORDING: "the journal to be written",
    Step.NAP: "the next try of rows that met a fault",
}


class Watch:
    """Looked at about once a second. ``waiting`` and ``stalled`` are how it is now.

    ``notices`` is everything worth a line so far: each wait and each stall once.
    """

    def __init__(self, worker: Worker, live: Live, *, clock: Clock, timeout_s: float) -> None:
        self._worker = worker
        self._live = live
        self._clock = clock
        self._patience_s = min(STALLED_S, timeout_s / 2)
        self._moved_at = clock.monotonic()
        self._heard: dict[str, float] = {}
        self.waiting: str | None = None
        self.stalled: Sequence[LateRow] = ()
        self.notices: list[str] = []

    def look(self) -> None:
        """Look again."""
        now = self._clock.monotonic()
        state = self._worker.limiter.state
        idle = None if state.held else self._idle(now)
        self.waiting = idle or _with_why(state.reason or state.held, state.why)
        if state.held is not None:
            self._moved_at = now
        subject = idle or _with_why(state.held, state.why)
        if subject is not None:
            self._say(subject, f"waiting: {self.waiting}", now)
        self._look_at_the_others(now)
        self._look_for_a_stall(now)

    def _look_at_the_others(self, now: float) -> None:
        sharing = self._worker.limiter.sharing
        if sharing is not None and sharing.trouble is not None:
            text = f"limits are not shared with other runs: {sharing.trouble}"
            self._say("sharing", text, now)

    def _idle(self, now: float) -> str | None:
        """What everybody waits for where the endpoint has nothing to do with it."""
        rows = self._worker.under_way.values()
        if any(row.step is Step.SENT or now - row.since < QUIET_S for row in rows):
            return None
        steps = Counter(row.step for row in rows if row.step in _WAITS_FOR)
        return _WAITS_FOR[steps.most_common(1)[0][0]] if steps else None

    def _look_for_a_stall(self, now: float) -> None:
        patience_s = max(self._patience_s, UNUSUAL * self._live.longest_latency_s)
        quiet_s = now - max(self._moved_at, self._live.last_at)
        rows = self._worker.under_way
        if quiet_s < patience_s or not any(
            row.step in _AT_WORK and now - row.since >= patience_s for row in rows.values()
        ):
            self.stalled = ()
            return
        new = not self.stalled
        at_work = sorted(
            (pair for pair in rows.items() if pair[1].step in _AT_WORK),
            key=lambda pair: pair[1].since,
        )
        self.stalled = [self._late(name, row, now) for name, row in at_work[:NAMED]]
        if new:
            named = "; ".join(map(self._told, self.stalled))
            more = _more(len(at_work) - len(self.stalled), "more")
            more += _more(len(rows) - len(at_work), "more wait for their turn")
            self.notices.append(
                f"nothing was answered for {span(quiet_s)}, still on their way: {named}{more}"
            )

    def _late(self, name: str, row: Tries, now: float) -> LateRow:
        return LateRow(id=name, step=row.step.value, seconds=round(now - row.since, 1))

    def _told(self, row: LateRow) -> str:
        shown = row.id if row.id.isprintable() else ascii(row.id)
        if row.step != Step.SENT.value:
            return f"{shown[:_SHOWN]} {row.step} for {span(row.seconds)}"
        sent_at = time_of_day(self._clock.time() - row.seconds)
        return f"{shown[:_SHOWN]} sent at {sent_at}, {span(row.seconds)} ago"

    def _say(self, subject: str, text: str, now: float) -> None:
        if now - self._heard.get(subject, -math.inf) > AGAIN_S:
            self.notices.append(text)
        self._heard[subject] = now


def _more(count: int, what: str) -> str:
    return f", and {count:,} {what}" if count else ""


def _with_why(reason: str | None, why: str | None) -> str | None:
    return f"{reason}: {why}" if reason and why else reason
