"""How the gate stands, for people: what holds requests back, and since when it has to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vbatch.endpoint.spoken import span, time_of_day

if TYPE_CHECKING:
    from vbatch.clock import Clock
    from vbatch.endpoint.outage import Outage
    from vbatch.endpoint.waiting import Pause

_HELD_S = 5.0
"""A wait that is worth telling of."""

DOWN = "endpoint down"
PAUSED = "paused"
IN_FLIGHT = "in flight"
REQUESTS = "requests per minute"
TOKENS = "tokens per minute"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimiterState:
    """What the gate is doing, for people.

    ``window`` is how many may be in flight at present; ``waiting`` how many acquires wait, the
    first of them for ``reason``; ``waiting_until`` is seconds since the epoch, None when it is not
    a matter of time. ``held`` is set while nobody may go for more than some seconds, in words that
    stay the same as long as that lasts; ``why`` is what the endpoint said or did.
    """

    in_flight: int
    window: int
    waiting: int
    reason: str | None = None
    waiting_until: float | None = None
    held: str | None = None
    why: str | None = None


def state(
    at: float,
    gate: str,
    *,
    in_flight: int,
    window: int,
    waiting: int,
    outage: Outage,
    pause: Pause,
    clock: Clock,
) -> LimiterState:
    """Say what it means that the next request may go ``at`` (monotonic), kept back by ``gate``."""
    ahead_s = at - clock.monotonic()
    timed = bool(waiting) and at < math.inf
    return LimiterState(
        in_flight=in_flight,
        window=window,
        waiting=waiting,
        reason=_reason(gate, outage, pause, clock) if waiting else None,
        waiting_until=clock.time() + max(ahead_s, 0.0) if timed else None,
        held=DOWN if outage.down else _held(gate, ahead_s, pause, waiting=waiting),
        why=outage.reason if outage.down else pause.why if gate == PAUSED else None,
    )


def _reason(gate: str, outage: Outage, pause: Pause, clock: Clock) -> str:
    now = clock.monotonic()
    if gate == DOWN:
        if outage.probe is not None:
            return "endpoint down, a probe is on its way"
        return f"endpoint down, next probe in {span(outage.next_probe_at() - now)}"
    if gate == PAUSED:
        return f"{_wait(pause)} until {time_of_day(clock.time() + pause.until - now)}"
    return gate


def _held(gate: str, ahead_s: float, pause: Pause, *, waiting: int) -> str | None:
    if gate == IN_FLIGHT or ahead_s <= _HELD_S:
        return None
    if gate == PAUSED:
        return _wait(pause)
    return gate if waiting else None


def _wait(pause: Pause) -> str:
    return "endpoint asked to wait" if pause.asked else "endpoint is busy, waiting"
