"""Virtual time: an event loop that jumps to the next timer instead of waiting for it.

``run_virtual(scenario)`` runs ``await scenario(clock)`` and returns what it returns; an hour of
sleeping takes a millisecond, and the same seed gives the same run. Meant for code that waits by
``Clock`` alone: while a thread or a real socket is at work, time jumps on without it.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

STUCK_AFTER_S = 10.0
"""Real seconds without timer or input after which a scenario counts as stuck for ever."""


class StuckError(AssertionError):
    """Every task waits, and nothing is left that could wake one."""


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is not None:
            self.now += max(timeout, 0.0)
            return ready
        ready = super().select(STUCK_AFTER_S)
        if not ready:
            raise StuckError("all tasks wait, and no timer is set")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose ``time()`` begins at 0 and moves only when nothing is left to do."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class VirtualClock:
    """A ``vbatch.clock.Clock`` on a ``VirtualLoop``. ``epoch`` is its ``time()`` at the start."""

    def __init__(self, loop: VirtualLoop, *, seed: int = 0, epoch: float = 1_700_000_000.0) -> None:
        self._loop = loop
        self._epoch = epoch
        self._random = random.Random(seed)

    def time(self) -> float:
        return self._epoch + self._loop.time()

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def random(self) -> float:
        return self._random.random()


def run_virtual(scenario: Callable[[VirtualClock], Awaitable[T]], *, seed: int = 0) -> T:
    """Run ``scenario(clock)`` to its end in virtual time and return its result.

    Raises ``StuckError`` when it can never end. Tasks that it leaves behind are cancelled.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        return runner.run(_as_coroutine(scenario, VirtualClock(loop, seed=seed)))


async def _as_coroutine(scenario, clock):
    return await scenario(clock)
