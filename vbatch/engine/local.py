"""The bounded pool in this process: workers that pull, and how they come to rest."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Self

from vbatch.engine.worker import Again
from vbatch.errors import Exit, JournalError, Locked, ManifestError, VbatchError
from vbatch.records import Stop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from vbatch.engine.feed import Feed, Row
    from vbatch.engine.worker import Worker
    from vbatch.records import Outcome

WAITING_PER_SLOT = 10
"""Rows waiting for another try, per slot, after which no new row is pulled."""
LEFT = Stop(exit_code=Exit.TRY_LATER, code="left", message="the caller took no more outcomes")
CANCELLED = Stop(exit_code=Exit.SIGINT, code="left", message="the caller was cancelled")


class Engine:
    """Runs a worker over a feed, ``slots`` rows at a time.

    Use as ``async with engine as outcomes: async for outcome in outcomes``. Outcomes are recorded
    before they come out. Leaving the block early drains: answers on their way are paid for, so
    they are waited for and kept, ``drain_s`` at most where the block is cancelled, and no longer
    where it is cancelled again. ``stop`` drains from outside; ``cancel`` gives up at once.
    """

    def __init__(self, feed: Feed, worker: Worker, *, slots: int, drain_s: float = 25.0) -> None:
        self._feed = feed
        self._worker = worker
        self._slots = slots
        self._drain_s = drain_s
        self._out: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._heard = asyncio.Event()
        self._room = asyncio.Semaphore(WAITING_PER_SLOT * slots)
        self._again: set[asyncio.Task[None]] = set()
        self._workers: list[asyncio.Task[None]] = []
        self._whole: asyncio.Task[None] | None = None
        self._bug: BaseException | None = None
        self._left = False
        self.stopped: Stop | None = None
        """Why the run ends before its rows do."""

    async def __aenter__(self) -> Self:
        self._workers = [asyncio.create_task(self._guarded(self._work)) for _ in range(self._slots)]
        self._whole = asyncio.create_task(self._until_done())
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome:
        if self._out.qsize() <= self._slots:
            self._heard.set()
        outcome = await self._out.get()
        if outcome is None:
            self._out.put_nowait(None)
            raise StopAsyncIteration
        return outcome

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left = True
        self._heard.set()
        whole = self._whole or asyncio.create_task(self._until_done())
        if not whole.done():
            cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
            self.stop(CANCELLED if cancelled else LEFT)
            await self._rest(whole, self._drain_s if cancelled else None)
        await self._feed.close()
        if self._bug is not None and error is None:
            raise self._bug

    def stop(self, stop: Stop) -> None:
        """Send nothing more; keep the answers that are on their way.

        The first reason stands; where every row has ended there is nothing to stop.
        """
        if self.stopped is None and not (self._whole and self._whole.done()):
            self.stopped = stop
            self._heard.set()
            self._worker.stop(stop)

    def cancel(self) -> None:
        """Give up the answers that are on their way: they are possibly billed."""
        for task in (*self._workers, *self._again):
            task.cancel()

    async def _rest(self, whole: asyncio.Task[None], drain_s: float | None) -> None:
        """Wait for the workers, for at most ``drain_s`` with a patience that may be cancelled."""
        try:
            await asyncio.wait([whole], timeout=drain_s)
        finally:
            if not whole.done():
                self.cancel()
                await asyncio.wait([whole])

    async def _work(self) -> None:
        while self.stopped is None and (row := await self._pull()) is not None:
            await self._answer(row)

    async def _pull(self) -> Row | None:
        await self._listener_keeps_up()
        return await self._feed.next()

    async def _answer(self, row: Row) -> None:
        ended = await self._worker.answer(row)
        if isinstance(ended, Again):
            await self._room.acquire()
            task = asyncio.create_task(self._guarded(partial(self._once_more, ended)))
            self._again.add(task)
            task.add_done_callback(self._again.discard)
        else:
            self._tell(ended)

    async def _once_more(self, row: Again) -> None:
        try:
            self._tell(await self._worker.again(row))
        finally:
            self._room.release()

    def _tell(self, outcome: Outcome | None) -> None:
        if outcome is not None and not self._left:
            self._out.put_nowait(outcome)

    async def _listener_keeps_up(self) -> None:
        """A slow listener stops the pulling of rows, never the recording of answers."""
        while self._out.qsize() > 2 * self._slots and self.stopped is None:
            self._heard.clear()
            await self._heard.wait()

    async def _guarded(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except VbatchError as error:
            self.stop(stop_for(error))
        except Exception as error:  # noqa: BLE001 - a bug must not cost the answers in flight
            self._bug = self._bug or error
            self.stop(_BUG)

    async def _until_done(self) -> None:
        await asyncio.wait(self._workers)
        while self._again:
            await asyncio.wait(self._again)
        self._out.put_nowait(None)


_CODES: tuple[tuple[type[VbatchError], str], ...] = (
    (Locked, "locked"),
    (JournalError, "storage"),
    (ManifestError, "manifest"),
)
_BUG = Stop(exit_code=Exit.INTERNAL, code="internal", message="an internal error")


def stop_for(error: VbatchError) -> Stop:
    """The reason to stop that an error is."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), "internal")
    return Stop(exit_code=error.exit_code, code=code, message=error.message)
