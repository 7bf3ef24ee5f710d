"""Calls that block, also where a loop runs already, and what Ctrl-C does to them."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from vbatch.errors import Exit, printable
from vbatch.records import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from vbatch.api.session import Session
    from vbatch.api.summary import Summary

T = TypeVar("T")

_BY_HAND = Stop(exit_code=Exit.SIGINT, code="signal", message="by KeyboardInterrupt")


def blocking(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end, in a thread of its own where a loop already runs here."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


async def through(session: Session) -> Summary:
    """Take every outcome of ``session``."""
    async with session:
        async for _ in session:
            pass
    return session.summary


def to_its_end(session: Session) -> Summary:
    """Take every outcome of ``session`` in a thread of its own.

    So a KeyboardInterrupt reaches this one, not the loop: the first drains, the second gives up,
    and both say so on standard error.
    """
    loops: list[asyncio.AbstractEventLoop] = []

    async def work() -> Summary:
        loops.append(asyncio.get_running_loop())
        return await through(session)

    with ThreadPoolExecutor(1, thread_name_prefix="vbatch-run") as thread:
        asking = thread.submit(asyncio.run, work())
        try:
            return asking.result()
        except KeyboardInterrupt:
            _come_to_rest(session, asking, lambda act: _in_loop(loops, act))
            raise


def _come_to_rest(
    session: Session, asking: Future[Summary], in_loop: Callable[[Callable[[], None]], None]
) -> None:
    try:
        in_loop(lambda: session.stop(_BY_HAND))
        _say("waiting for answers on their way, again to give up")
        failed = asking.exception()
    except KeyboardInterrupt:
        in_loop(session.cancel)
        failed = asking.exception()
    if failed is None:
        _say(session.summary.line())


def _in_loop(loops: list[asyncio.AbstractEventLoop], act: Callable[[], None]) -> None:
    for loop in loops:
        if not loop.is_closed():
            loop.call_soon_threadsafe(act)


def _say(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"vbatch: {printable(text)}\n")
