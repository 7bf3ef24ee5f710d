"""Bytes in memory at once: a budget that images are reserved from before they are read."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vbatch.endpoint.line import Line

if TYPE_CHECKING:
    from vbatch.clock import Clock


class ByteBudget:
    """At most ``limit`` bytes held at once, first come, first served.

    What is larger than the whole limit waits until nothing else is held, and goes alone. Who finds
    that it needs more than it holds goes before all who hold nothing yet, see ``Share``.
    """

    def __init__(self, limit: int, *, clock: Clock) -> None:
        self.limit = limit
        self.held = 0
        """Bytes held at present."""
        self._line = Line[int](clock, self)
        self._growth = _Growth(self)
        self._growing = Line[_Grown](clock, self._growth)

    async def acquire(self, n: int) -> None:
        """Wait until ``n`` bytes are free, and hold them. Cancelled, it holds nothing."""
        await self._line.join(n)

    def release(self, n: int) -> None:
        """Give ``n`` bytes back."""
        self.held -= n
        self._move()

    def resize(self, held: int, new: int) -> None:
        """What was held as ``held`` bytes turned out to be ``new``; more is granted at once.

        It is there already, and waiting would not make it less.
        """
        self.release(held - new)

    def share(self) -> Share:
        """A share of it that may grow while it is held; it holds nothing yet."""
        return Share(self, self._growth, self._growing)

    def _move(self) -> None:
        self._growing.move()
        self._line.move()

    def opens_at(self, now: float, want: int) -> float:  # noqa: ARG002 - room is no matter of time
        """See ``line.Gate``."""
        if self.held <= 0:
            return -math.inf
        fits = self.held + want <= self.limit and not self._growing
        return -math.inf if fits else math.inf

    def let_through(self, now: float, want: int) -> int:  # noqa: ARG002 - as above
        """See ``line.Gate``."""
        self.held += want
        return want

    def turned_back(self, leave: int) -> None:
        """See ``line.Gate``."""
        self.release(leave)


@dataclass(frozen=True, slots=True)
class _Grown:
    bytes: int
    beyond: bool


class _Growth:
    """Lets those through who hold something and need more: a ``line.Gate``.

    One of them may always go on, beyond the limit if need be: were all to wait, each would wait for
    what the others hold.
    """

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self.beyond = False
        """Whether there is one who went beyond the limit."""

    def opens_at(self, now: float, want: int) -> float:  # noqa: ARG002 - see ``line.Gate``
        """See ``line.Gate``."""
        fits = self._budget.held + want <= self._budget.limit
        return -math.inf if fits or not self.beyond else math.inf

    def let_through(self, now: float, want: int) -> _Grown:  # noqa: ARG002 - see ``line.Gate``
        """See ``line.Gate``."""
        beyond = self._budget.held + want > self._budget.limit
        self.beyond = self.beyond or beyond
        self._budget.held += want
        return _Grown(want, beyond)

    def turned_back(self, leave: _Grown) -> None:
        """See ``line.Gate``."""
        self.beyond = self.beyond and not leave.beyond
        self._budget.release(leave.bytes)


class Share:
    """What one row holds of a budget. Whoever it belongs to closes it."""

    def __init__(self, budget: ByteBudget, growth: _Growth, line: Line[_Grown]) -> None:
        self._budget = budget
        self._growth = growth
        self._line = line
        self._beyond = False
        self._turn = asyncio.Lock()
        self.held = 0
        """Bytes held at present."""

    async def take(self, n: int) -> None:
        """Wait until ``n`` bytes are free, and hold them. For one who holds nothing."""
        await self._budget.acquire(n)
        self.held += n

    def grow(self, n: int) -> bool:
        """Hold ``n`` bytes more if that is possible at once."""
        if not self._beyond and (self._line or self._growth.opens_at(0, n) > 0):
            return False
        self._note(self._growth.let_through(0, n))
        return True

    async def wait_to_grow(self, n: int) -> None:
        """Hold ``n`` bytes more, before all who hold nothing yet.

        One at a time: of two that wait, one would go beyond the limit and the other wait for it.
        """
        async with self._turn:
            if not self.grow(n):
                self._note(await self._line.join(n))

    def settle(self, n: int) -> None:
        """What was held turned out to be ``n`` bytes."""
        held, self.held = self.held, n
        if self._beyond and self._budget.held - held + n <= self._budget.limit:
            self._beyond = self._growth.beyond = False
        self._budget.resize(held, n)

    def close(self) -> None:
        """Give everything back."""
        if self._beyond:
            self._beyond = self._growth.beyond = False
        self.settle(0)

    def _note(self, grown: _Grown) -> None:
        self._beyond = self._beyond or grown.beyond
        self.held += grown.bytes
