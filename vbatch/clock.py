"""Time and chance as an argument, so that ten minutes of waiting are tested in a millisecond."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - the one place
import time
from typing import Protocol


class Clock(Protocol):
    """What vbatch knows of time and chance. Nothing else in the house asks the machine for them."""

    def time(self) -> float:
        """Seconds since the epoch (UTC): for timestamps that people read."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never stepping back: for waits and durations."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` on the monotonic clock."""

    def random(self) -> float:
        """A number in [0, 1), for jitter."""


class SystemClock:
    """The machine's own clock. A row asks it twenty times, so there is no call in between."""

    monotonic = staticmethod(time.monotonic)  # noqa: TID251 - the one place
    time = staticmethod(time.time)  # noqa: TID251 - the one place

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        await asyncio.sleep(seconds)  # noqa: TID251 - the one place

    random = staticmethod(random.random)
