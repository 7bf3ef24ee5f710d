"""Waits in words: for progress lines and for the sentence that a run ends with."""

from __future__ import annotations

from datetime import UTC, datetime

from vbatch.endpoint.waiting import LONGEST_PAUSE_S
from vbatch.errors import Exit
from vbatch.records import Stop

_FAR_S = 366 * 86_400.0
_COUNTED_S = 100
_COUNTED_MIN = 100


def time_of_day(epoch_s: float) -> str:
    """``12:03:04`` where this machine stands."""
    return datetime.fromtimestamp(epoch_s, UTC).astimezone().strftime("%H:%M:%S")


def _moment(epoch_s: float, ahead_s: float) -> str:
    """`` (until 2026-03-01 12:03)`` where this machine stands; nothing for what is years ahead."""
    if ahead_s > _FAR_S:
        return ""
    return (
        datetime.fromtimestamp(epoch_s + ahead_s, UTC)
        .astimezone()
        .strftime(" (until %Y-%m-%d %H:%M)")
    )


def span(seconds: float) -> str:
    """``45 s``, ``12 min``, ``2 h 5 min``."""
    if seconds < _COUNTED_S:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < _COUNTED_MIN else f"{minutes // 60} h {minutes % 60} min"


def asked_too_long(epoch_s: float, seconds: float, reason: str) -> Stop:
    """The endpoint asked to be left alone longer than a run waits."""
    return Stop(
        exit_code=Exit.TRY_LATER,
        code="rate_limited",
        message=f"the endpoint asked to wait {span(seconds)}{_moment(epoch_s, seconds)}, "
        f"longer than the {span(LONGEST_PAUSE_S)} that a run waits: {reason}",
        advice="run the same command again after that time",
    )


def silent_too_long(seconds: float, reason: str) -> Stop:
    """No answer has come for longer than ``max_outage``."""
    return Stop(
        exit_code=Exit.TRY_LATER,
        code="outage",
        message=f"the endpoint has given no answer for {span(seconds)}, the last cause: {reason}",
        advice="run the same command again later; [retry] max_outage says how long a run waits",
    )
