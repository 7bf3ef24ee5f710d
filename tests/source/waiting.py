"""A clock for code that waits while real sockets and threads are at work."""

from __future__ import annotations

import asyncio

LONG_S = 30.0


class QuickClock:
    """Short sleeps return at once and are noted; long ones last until the next ``ring``."""

    def __init__(self) -> None:
        self.naps: list[float] = []
        self._rung = asyncio.Event()

    def time(self) -> float:
        return 1_700_000_000.0

    def monotonic(self) -> float:
        return sum(self.naps)

    def random(self) -> float:
        return 0.5

    async def sleep(self, seconds: float) -> None:
        if seconds >= LONG_S:
            await self._rung.wait()
        else:
            self.naps.append(seconds)
            await asyncio.sleep(0)

    def ring(self) -> None:
        """End the long sleeps that have begun."""
        self._rung.set()
        self._rung = asyncio.Event()
