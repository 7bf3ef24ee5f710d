"""One deadline per attempt, looked after by one sweep instead of a timer each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from vbatch.clock import Clock


STOPPED_S = 30.0
"""A sweep that comes so much too late: this process was stopped meanwhile."""


class DeadlinePassedError(Exception):
    """The attempt took longer than it may; it has been cancelled."""


class Deadlines:
    """Gives every attempt the same time, ``timeout_s``; an overdue one ends within ``sweep_s``.

    Time in which this process was stopped does not count: what was answered meanwhile lies unread.
    ``with deadlines.attempt():`` raises DeadlinePassedError in the task that entered it. All have
    the same time, so the order in which they start is the order in which they fall due.
    """

    def __init__(self, *, timeout_s: float, sweep_s: float, clock: Clock) -> None:
        self._timeout_s = timeout_s
        self._sweep_s = sweep_s
        self._clock = clock
        self._running: dict[Attempt, None] = {}

    def attempt(self) -> Attempt:
        """Return the context of one attempt of the current task."""
        return Attempt(self._running, self._clock.monotonic() + self._timeout_s)

    def renew(self, attempt: Attempt) -> None:
        """Give a running attempt its whole time again: it has been heard of."""
        if attempt in self._running:
            del self._running[attempt]
            attempt.due = self._clock.monotonic() + self._timeout_s
            self._running[attempt] = None

    async def sweep(self) -> None:
        """End what is overdue, once per ``sweep_s``, until cancelled."""
        now = self._clock.monotonic()
        while True:
            before = now
            await self._clock.sleep(self._sweep_s)
            now = self._clock.monotonic()
            late_s = now - before - self._sweep_s
            if late_s > STOPPED_S:
                self._put_off(before + self._timeout_s, late_s)
            for attempt in [*self._running]:
                if attempt.due > now:
                    break
                attempt.expire()

    def _put_off(self, due: float, seconds: float) -> None:
        """Give all that fall due up to ``due`` so many seconds more; their order stays."""
        for attempt in self._running:
            if attempt.due <= due:
                attempt.due += seconds


class Attempt:
    """The context of one attempt. Not to be entered twice."""

    __slots__ = ("_cancelled_before", "_expired", "_running", "_task", "due")

    def __init__(self, running: dict[Attempt, None], due: float) -> None:
        self.due = due
        self._running = running
        self._expired = False

    def expire(self) -> None:
        """Cancel the attempt's task; what arrives in the same turn of the loop comes too late."""
        del self._running[self]
        self._expired = True
        self._task.cancel()

    def __enter__(self) -> Self:
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._cancelled_before = self._task.cancelling()
        self._running[self] = None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Turn our own cancellation into DeadlinePassedError; anyone else's goes on."""
        self._running.pop(self, None)
        if not self._expired:
            return
        only_ours = self._task.uncancel() <= self._cancelled_before
        if only_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise DeadlinePassedError from None
