"""First come, first served: the one place where something waits its turn."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.clock import Clock

Leave = TypeVar("Leave")

_NOW_S = 1e-6
"""Timers are that exact."""


class Gate(Protocol[Leave]):
    """What a line stands at. Times are on the monotonic clock, ``want`` is what one asks for."""

    def opens_at(self, now: float, want: int) -> float:
        """The moment from which ``want`` may pass as things are; infinity: not by waiting."""

    def let_through(self, now: float, want: int) -> Leave:
        """``want`` passes at ``now``."""

    def turned_back(self, leave: Leave) -> None:
        """Who had just passed was cancelled before knowing it."""


class Line(Generic[Leave]):
    """Those who wait at a gate, in the order they came.

    The first is let through at the very moment the gate opens, and nobody passes before the first.
    One timer serves all; what opens the gate otherwise calls ``move``. Each step is O(1).
    """

    __slots__ = ("_clock", "_gate", "_timer", "_timer_at", "_waiters")

    def __init__(self, clock: Clock, gate: Gate[Leave]) -> None:
        self._clock = clock
        self._gate = gate
        self._waiters: OrderedDict[asyncio.Future[Leave], int] = OrderedDict()
        self._timer: asyncio.Task[None] | None = None
        self._timer_at = math.inf

    def __len__(self) -> int:
        return len(self._waiters)

    @property
    def first(self) -> int | None:
        """What the first in the line wants."""
        return next(iter(self._waiters.values()), None)

    async def join(self, want: int) -> Leave:
        """Wait one's turn. Cancelled at any point it leaves nothing behind."""
        if not self._waiters:
            now = self._clock.monotonic()
            if self._gate.opens_at(now, want) <= now + _NOW_S:
                return self._gate.let_through(now, want)
        waiter: asyncio.Future[Leave] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = want
        self.move()
        try:
            return await waiter
        except asyncio.CancelledError:
            self._drop(waiter)
            raise

    def move(self) -> None:
        """Let through all who may pass, and set the timer for the next."""
        now = self._clock.monotonic() if self._waiters else 0.0
        while self._waiters:
            waiter, want = next(iter(self._waiters.items()))
            if not waiter.done():
                at = self._gate.opens_at(now, want)
                if at > now + _NOW_S:
                    self._wake_at(at, now)
                    return
                waiter.set_result(self._gate.let_through(now, want))
            del self._waiters[waiter]
        self._forget_timer()

    def send_home(self, error: Callable[[], Exception]) -> None:
        """Nobody will pass any more: each who waits gets an ``error()`` of its own."""
        while self._waiters:
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():
                waiter.set_exception(error())
        self._forget_timer()

    def _drop(self, waiter: asyncio.Future[Leave]) -> None:
        if waiter.cancelled():
            self._waiters.pop(waiter, None)
            self.move()
        elif waiter.exception() is None:
            self._gate.turned_back(waiter.result())

    def _wake_at(self, at: float, now: float) -> None:
        if self._timer is not None and self._timer_at <= at:
            return  # it wakes in time, and looks again
        self._forget_timer()
        if at < math.inf:
            self._timer_at = at
            self._timer = asyncio.get_running_loop().create_task(self._wake(at - now))

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _wake(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._timer = None
        self.move()
