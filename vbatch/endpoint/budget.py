"""Bytes in memory at once: a budget that images are reserved from before they are read."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from vbatch.endpoint.line import Line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vbatch.clock import Clock


class ByteBudget:
    """At most ``limit`` bytes held at once, first come, first served.

    What is larger than the whole limit waits until nothing else is held, and goes alone.
    """

    def __init__(self, limit: int, *, clock: Clock) -> None:
        self.limit = limit
        self.held = 0
        """Bytes held at present."""
        self._line = Line[int](clock, self)

    @asynccontextmanager
    async def hold(self, n: int) -> AsyncIterator[None]:
        """Hold ``n`` bytes as long as the block lasts."""
        await self.acquire(n)
        try:
            yield
        finally:
            self.release(n)

    async def acquire(self, n: int) -> None:
        """Wait until ``n`` bytes are free, and hold them. Cancelled, it holds nothing."""
        await self._line.join(n)

    def release(self, n: int) -> None:
        """Give ``n`` bytes back."""
        self.held -= n
        self._line.move()

    def resize(self, held: int, new: int) -> None:
        """What was held as ``held`` bytes turned out to be ``new``; more is granted at once.

        One who holds something never waits for more: two of them could wait for each other.
        """
        self.release(held - new)

    def opens_at(self, now: float, want: int) -> float:  # noqa: ARG002 - room is no matter of time
        """See ``line.Gate``."""
        return -math.inf if self.held <= 0 or self.held + want <= self.limit else math.inf

    def let_through(self, now: float, want: int) -> int:  # noqa: ARG002 - as above
        """See ``line.Gate``."""
        self.held += want
        return want

    def turned_back(self, leave: int) -> None:
        """See ``line.Gate``."""
        self.release(leave)
