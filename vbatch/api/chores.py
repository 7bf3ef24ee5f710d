"""What goes on beside the asking: run.json and progress once a second, and the time limit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from vbatch.errors import Exit
from vbatch.records import Stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vbatch.clock import Clock

TICK_S = 1.0

OUT_OF_TIME = Stop(
    exit_code=Exit.TRY_LATER,
    code="max_duration",
    message="limits.max_duration is over",
)


class Chores:
    """Tasks that end before the run's last word, so that none of them writes after it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    def tick(self, *chores: Callable[[], Awaitable[None]], failed: Callable[[str], None]) -> None:
        """Do each once a second, apart from the others. One that breaks is told of and left."""
        for chore in chores:
            self._tasks.append(asyncio.create_task(self._tick(chore, failed)))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Call ``act`` after ``seconds``."""
        self._tasks.append(asyncio.create_task(self._after(seconds, act)))

    async def end(self) -> None:
        """Stop them all, and wait until they have."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _tick(
        self, chore: Callable[[], Awaitable[None]], failed: Callable[[str], None]
    ) -> None:
        try:
            while True:
                await self._clock.sleep(TICK_S)
                await chore()
        except Exception as error:  # noqa: BLE001 - a display must never cost a run its answers
            failed(f"no more progress is shown: {type(error).__name__}: {error}")

    async def _after(self, seconds: float, act: Callable[[], None]) -> None:
        await self._clock.sleep(seconds)
        act()
