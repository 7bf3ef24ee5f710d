"""A few threads that work for the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from queue import SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_Job = tuple["asyncio.Future[Any]", "Callable[[], Any]", float]

GATHER_S = 0.02
"""The longest that finished work waits for the rest of what is under way."""
PATIENCE_S = 0.05
"""The longest that work waits for the first thread before another one helps."""
LIGHT_S = 0.01
"""What takes no longer, and has not waited, is better done by one thread."""


class Threads:
    """Runs work in up to ``count`` threads, started when first needed, first come, first served.

    Python runs one thread at a time, and threads that want to run wake each other up at every
    system call: on two idle cores a small image took twice its CPU. So results come to the loop
    together, which works while the threads rest; and what is soon done is done by one thread. The
    threads hold up no exit of the process.
    """

    def __init__(self, count: int, name: str) -> None:
        self._most = count
        self._name = name
        self._todo: SimpleQueue[_Job | None] = SimpleQueue()
        self._calls: SimpleQueue[None] = SimpleQueue()
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._started = 0
        self._resting = 0
        self._counting = threading.Lock()
        self._put = 0
        self._under_way = 0
        self._looking = False
        self._waking = False
        self._closed = False

    async def run(self, work: Callable[[], T]) -> T:
        """What ``work`` returns or raises. Cancelled, nobody waits for work that has begun."""
        if not self._started:
            self._start(self._work)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._todo.put((future, work, perf_counter()))
        self._put += 1
        self._look_later()
        self._under_way += 1
        try:
            return await future
        finally:
            self._under_way -= 1

    def close(self) -> None:
        """Begin nothing more; what is being worked on is not waited for."""
        self._closed = True
        for _ in range(self._started):
            self._calls.put(None)
            self._todo.put(None)

    def _start(self, work: Callable[[], None]) -> None:
        name = f"{self._name}_{self._started}"
        threading.Thread(target=work, name=name, daemon=True).start()
        self._started += 1

    def _look_later(self) -> None:
        if not self._looking and self._most > 1:
            self._looking = True
            asyncio.get_running_loop().call_later(PATIENCE_S, self._look, self._put)

    def _look(self, put: int) -> None:
        """Have another thread help where what was ``put`` by then still waits."""
        self._looking = False
        waiting = self._todo.qsize()
        if self._put - waiting < put:
            self._call_for_help()
        if waiting:
            self._look_later()

    def _call_for_help(self) -> None:
        with self._counting:
            resting = self._resting
            self._resting = max(0, resting - 1)
        if resting:
            self._calls.put(None)
        elif self._started < self._most:
            with contextlib.suppress(RuntimeError):  # the system gives no more of them
                self._start(self._help)

    def _work(self) -> None:
        while self._next() is not None:
            pass

    def _help(self) -> None:
        while (seconds := self._next()) is not None:
            if seconds <= LIGHT_S:
                with self._counting:
                    self._resting += 1
                self._calls.get()

    def _next(self) -> float | None:
        """One job, in a frame of its own: who waits for the next one holds nothing of the last.

        Returns how long it waited or took, whichever is more; None at the end.
        """
        job = self._todo.get()
        if job is None:
            return None
        future, work, put_at = job
        if self._closed or future.cancelled():
            return 0.0
        began_at = perf_counter()
        try:
            self._done.append((future, work(), None))
        except BaseException as error:  # noqa: BLE001 - it belongs to who waits
            self._done.append((future, None, error))
        self._wake(future.get_loop())
        return max(perf_counter() - began_at, began_at - put_at)

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop take what is done: at once where that is all, else a moment later."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            if len(self._done) >= self._under_way:
                loop.call_soon_threadsafe(self._deliver)
            elif not self._waking:
                self._waking = True
                loop.call_soon_threadsafe(loop.call_later, GATHER_S, self._deliver)

    def _deliver(self) -> None:
        self._waking = False  # before looking: what is done from here on wakes the loop again
        while self._done:
            future, result, error = self._done.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
