"""Requests and tokens a minute: what was let in during the last 60 seconds never exceeds them."""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import TYPE_CHECKING

from vbatch.server.refusals import Refusal

if TYPE_CHECKING:
    from vbatch.clock import Clock

_MINUTE_S = 60.0


class Limits:
    """Both windows of one endpoint. None: not limited."""

    def __init__(self, clock: Clock, *, requests: int | None, tokens: int | None) -> None:
        self._clock = clock
        self._windows = {
            kind: _Window(limit)
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
        """Return ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}`` for what is limited."""
        now = self._clock.monotonic()
        return {
            f"x-ratelimit-{what}-{kind}": value
            for kind, window in self._windows.items()
            for what, value in window.told(now).items()
        }

    def _refusal(self, told: str, kind: str, headers: dict[str, str] | None = None) -> Refusal:
        message = f"Rate limit reached on {kind} per minute: {told}"
        return Refusal(429, message, code="rate_limit_exceeded", headers=headers)


class _Window:
    def __init__(self, limit: int) -> None:
        self.limit = limit
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
            wait_s = at + _MINUTE_S - now
        return wait_s

    def told(self, now: float) -> dict[str, str]:
        self._forget(now)
        reset_s = self._taken[-1][0] + _MINUTE_S - now if self._taken else 0.0
        remaining = str(self.limit - self.used)
        return {"limit": str(self.limit), "remaining": remaining, "reset": _told(reset_s)}

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0][0] + _MINUTE_S <= now:
            self.used -= self._taken.popleft()[1]


def _told(seconds: float) -> str:
    """Seconds as Go and OpenAI write them: ``1m30s``, ``10.3s``, ``101ms``."""
    if seconds < 1:
        return f"{ceil(seconds * 1000)}ms"
    minutes, rest = divmod(ceil(seconds * 10) / 10, 60)
    return (f"{minutes:.0f}m" if minutes else "") + f"{round(rest, 1):g}s"
