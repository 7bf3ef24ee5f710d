"""Requests and tokens a minute: what was let in during the last window never exceeds them.

A window is 60 seconds; where a dialect counts by the second, one, and a sixtieth may come in it.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING

from vbatch.server.refusals import Refusal

if TYPE_CHECKING:
    from vbatch.clock import Clock
    from vbatch.server.dialect import LimitHeaders

_MOSTLY = 0.8


class Limits:
    """Both windows of one endpoint. None: not limited."""

    def __init__(
        self,
        clock: Clock,
        *,
        requests: int | None,
        tokens: int | None,
        window_s: float = 60.0,
        names: LimitHeaders = "openai",
    ) -> None:
        self._clock = clock
        self._names = names
        self._windows = {
            kind: _Window(max(1, round(limit * window_s / 60)), window_s)
            for kind, limit in (("requests", requests), ("tokens", tokens))
            if limit is not None
        }

    def take(self, kind: str, amount: int = 1) -> None:
        """Count ``amount`` requests or tokens; raises Refusal (429) if they do not fit now."""
        window = self._windows.get(kind)
        if window is None:
            return
        now = self._clock.monotonic()
        if amount > window.limit:
            raise self._refusal(f"Limit {window.limit}, Requested {amount}", kind)
        wait_s = window.wait_s(now, amount)
        if wait_s > 0:
            told = f"Limit {window.limit}, Used {window.used}, try again in {_told(wait_s)}"
            raise self._refusal(told, kind, {"Retry-After": str(ceil(wait_s))})
        window.take(now, amount)

    def headers(self) -> dict[str, str]:
        """Return limit, remaining and reset of what is limited, by the dialect's names."""
        now = self._clock.monotonic()
        said = {
            self._name(kind, what): self._value(value)
            for kind, window in self._windows.items()
            for what, value in window.told(now).items()
        }
        said.pop("", None)
        if self._names == "fireworks" and self._windows:
            spent = any(window.mostly_used for window in self._windows.values())
            said["x-ratelimit-over-limit"] = "yes" if spent else "no"
        return said

    def _name(self, kind: str, what: str) -> str:
        match self._names:
            case "none":
                return ""
            case "mistral":
                unit = "req" if kind == "requests" else kind
                return "" if what == "reset" else f"x-ratelimit-{what}-{unit}-minute"
            case "together":
                return f"x-{'ratelimit' if kind == 'requests' else 'tokenlimit'}-{what}"
            case _:
                return f"x-ratelimit-{what}-{kind}"

    def _value(self, value: str | float) -> str:
        if isinstance(value, str):
            return value
        if self._names == "dated":
            moment = datetime.fromtimestamp(self._clock.time() + value, UTC)
            return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
        return f"{value:.3f}" if self._names == "together" else _told(value)

    def _refusal(self, told: str, kind: str, headers: dict[str, str] | None = None) -> Refusal:
        message = f"Rate limit reached on {kind} per minute: {told}"
        return Refusal(429, message, code="rate_limit_exceeded", headers=headers)


class _Window:
    def __init__(self, limit: int, window_s: float) -> None:
        self.limit = limit
        self._window_s = window_s
        self.used = 0
        self._taken: deque[tuple[float, int]] = deque()

    def take(self, now: float, amount: int) -> None:
        self._taken.append((now, amount))
        self.used += amount

    def wait_s(self, now: float, amount: int) -> float:
        """Seconds until ``amount`` (at most the limit) fits; 0: now."""
        self._forget(now)
        excess, wait_s = self.used + amount - self.limit, 0.0
        for at, taken in self._taken:
            if excess <= 0:
                break
            excess -= taken
            wait_s = at + self._window_s - now
        return wait_s

    @property
    def mostly_used(self) -> bool:
        return self.used > _MOSTLY * self.limit

    def told(self, now: float) -> dict[str, str | float]:
        self._forget(now)
        reset_s = self._taken[-1][0] + self._window_s - now if self._taken else 0.0
        return {
            "limit": str(self.limit),
            "remaining": str(self.limit - self.used),
            "reset": reset_s,
        }

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0][0] + self._window_s <= now:
            self.used -= self._taken.popleft()[1]


def _told(seconds: float) -> str:
    """Seconds as Go and OpenAI write them: ``1m30s``, ``10.3s``, ``101ms``."""
    if seconds < 1:
        return f"{ceil(seconds * 1000)}ms"
    minutes, rest = divmod(ceil(seconds * 10) / 10, 60)
    return (f"{minutes:.0f}m" if minutes else "") + f"{round(rest, 1):g}s"
