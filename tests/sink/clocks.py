"""A clock that a test turns by hand while real threads are at work."""

from __future__ import annotations

import asyncio

from tests.sink.rows import T0


async def until(condition) -> None:
    """Let the loop turn until a thread has brought ``condition`` about."""
    while not condition():  # noqa: ASYNC110 - a thread cannot set an asyncio.Event
        await asyncio.sleep(0)


class ByHand:
    """``turn`` wakes whoever slept that long; nobody wakes otherwise."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, asyncio.Future]] = []

    def time(self) -> float:
        return T0 + self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, future))
        await future

    def random(self) -> float:
        return 0.5

    async def turn(self, seconds: float) -> None:
        """Let time pass for those who sleep now, then let them do what they woke up for."""
        for _ in range(3):
            await asyncio.sleep(0)
        self.now += seconds
        due = [pair for pair in self._sleepers if pair[0] <= self.now]
        self._sleepers = [pair for pair in self._sleepers if pair[0] > self.now]
        for _, future in due:
            if not future.done():
                future.set_result(None)
        await asyncio.sleep(0)
