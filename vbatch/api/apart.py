"""A session in a loop of a thread of its own, where nobody but its caller breaks it off.

A program that ends cancels every task of its loop before it closes a generator, and a first Ctrl-C
stops the loop's thread wherever it is: in the caller's loop both would throw away answers that
are on their way, and paid for.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from vbatch.engine.local import CANCELLED, LEFT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from vbatch.api.session import Session
    from vbatch.api.summary import Summary
    from vbatch.records import Outcome, Stop

UNHEARD = 16
"""Outcomes that lie ready for a listener; more than these wait in the engine, which then pulls no
more rows."""


class Apart:
    """A session on its way once ``start`` is called. ``ended`` is its summary, or its error.

    ``hear`` is awaited, in that thread, with every outcome.
    """

    def __init__(
        self, session: Session, hear: Callable[[Outcome], Awaitable[None]] | None = None
    ) -> None:
        self._session = session
        self._hear = hear
        self._loop = asyncio.new_event_loop()
        self._work: asyncio.Task[Summary] | None = None
        self._resting = False
        self.ended: Future[Summary] = Future()
        self.ended.set_running_or_notify_cancel()
        self._thread = threading.Thread(target=self._run, name="vbatch-run", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def is_going(self) -> bool:
        """Whether the session is at work, so that its end can be waited for."""
        return self._thread.is_alive()

    def rest(self, stop: Stop) -> None:
        """Send nothing more and keep what is on its way; before anything is sent, end at once."""
        self.do(partial(self._rest, stop))

    def cancel(self) -> None:
        """Give up what is on its way."""
        self.do(self._session.cancel)

    def do(self, act: Callable[[], object]) -> None:
        """Call ``act`` in the session's loop, unless that is over."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(act)

    async def wait(self) -> Summary:
        """Wait for the end; cancelled, it goes on."""
        await asyncio.wait([self._end_here()])
        return self.ended.result()

    async def leave(self, stop: Stop, *patience_s: float | None) -> None:
        """Come to rest within the first patience; a cancellation begins the next, or gives up."""
        self.rest(stop)
        ended = self._end_here()
        cancelled = None
        for seconds in patience_s:
            try:
                await asyncio.wait([ended], timeout=seconds)
                break
            except asyncio.CancelledError as error:
                cancelled = error
        if not ended.done():
            self.cancel()
            await asyncio.wait([ended])
        if cancelled is not None:
            raise cancelled

    def _end_here(self) -> asyncio.Future[Summary]:
        """``ended`` for this loop. What it ended with is raised elsewhere, or of no interest."""
        ended = asyncio.wrap_future(self.ended)
        ended.add_done_callback(lambda future: future.exception())
        return ended

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._through())
        except BaseException as error:  # noqa: BLE001 - whoever waits hears of it
            if not self.ended.done():
                self.ended.set_exception(error)

    async def _through(self) -> None:
        self._work = asyncio.create_task(self._to_the_end())
        if self._resting:
            self._work.cancel()
        await asyncio.wait([self._work])
        if self._work.cancelled():
            self.ended.set_exception(asyncio.CancelledError())
        elif (error := self._work.exception()) is not None:
            self.ended.set_exception(error)
        else:
            self.ended.set_result(self._work.result())

    async def _to_the_end(self) -> Summary:
        async with self._session:
            async for outcome in self._session:
                if self._hear is not None:
                    await self._hear(outcome)
        return self._session.summary

    def _rest(self, stop: Stop) -> None:
        self._resting = True
        if self._session.begun:
            self._session.stop(stop)
        elif self._work is not None:
            self._work.cancel()


async def summary_of(session: Session) -> Summary:
    """Take every outcome of ``session``. Cancelled, wait for ``retry.drain`` at most."""
    apart = Apart(session)
    apart.start()
    try:
        return await apart.wait()
    except asyncio.CancelledError:
        await apart.leave(CANCELLED, session.job.retry.drain)
        raise


async def outcomes_of(session: Session) -> AsyncGenerator[Outcome, None]:
    """Yield each outcome of ``session``; left early, wait for what is on its way."""
    listener = _Listener()
    apart = Apart(session, listener.hear)
    apart.ended.add_done_callback(listener.end)
    apart.start()
    try:
        while (outcome := await listener.next()) is not None:
            yield outcome
            apart.do(listener.room.release)
    except asyncio.CancelledError:
        apart.do(listener.leave)
        await apart.leave(CANCELLED, session.job.retry.drain)
        raise
    except BaseException:
        apart.do(listener.leave)
        await apart.leave(LEFT, None, session.job.retry.drain)
        raise
    apart.ended.result()


class _Listener:
    """Brings outcomes from the session's loop into the caller's, a few ahead of it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._left = False
        self.room = asyncio.Semaphore(UNHEARD)

    async def next(self) -> Outcome | None:
        """The next outcome; None after the last."""
        return await self._heard.get()

    async def hear(self, outcome: Outcome) -> None:
        """Called in the session's loop."""
        if not self._left:
            await self.room.acquire()
        self._tell(outcome)

    def leave(self) -> None:
        """Nobody listens any more. Called in the session's loop."""
        self._left = True
        self.room.release()

    def end(self, _: object) -> None:
        """No outcome follows."""
        self._tell(None)

    def _tell(self, outcome: Outcome | None) -> None:
        with contextlib.suppress(RuntimeError):  # the caller's loop is closed
            self._loop.call_soon_threadsafe(self._heard.put_nowait, outcome)
