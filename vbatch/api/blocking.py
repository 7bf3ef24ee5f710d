"""Calls that block, also where a loop runs already, and what Ctrl-C does to them."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from vbatch.api.apart import Apart
from vbatch.errors import Exit, printable
from vbatch.records import Stop

if TYPE_CHECKING:
    from collections.abc import Coroutine

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


def to_its_end(session: Session) -> Summary:
    """Take every outcome of ``session``, in a thread of its own.

    So a KeyboardInterrupt reaches this one, not the loop: the first drains, the second gives up,
    and both say so on standard error.
    """
    apart = Apart(session)
    try:
        apart.start()
        return apart.ended.result()
    except KeyboardInterrupt:
        _come_to_rest(session, apart)
        raise


def _come_to_rest(session: Session, apart: Apart) -> None:
    try:
        apart.rest(_BY_HAND)
        if not apart.is_going:  # interrupted while it starts: then it ends by itself
            return
        if session.begun:
            _say("waiting for answers on their way, again to give up")
        failed = apart.ended.exception()
    except KeyboardInterrupt:
        apart.cancel()
        failed = apart.ended.exception()
    if failed is None:
        _say(session.summary.line())


def _say(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"vbatch: {printable(text)}\n")
