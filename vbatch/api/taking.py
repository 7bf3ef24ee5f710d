"""Taking a run's folder in a thread, without keeping it where nobody waits for it any more."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.sink.run_folder import RunFolder


async def taken(take: Callable[[], RunFolder], patience_s: float) -> RunFolder:
    """What ``take`` returns. Its thread cannot be called back, and may look after damage for long.

    Cancelled, the folder is let go of again, also by a loop that is torn down meanwhile; that is
    waited for, at most ``patience_s``, so that the run can be taken anew.
    """
    given_up = threading.Event()

    def take_unless_given_up() -> RunFolder:
        folder = take()
        if given_up.is_set():
            folder.close()
        return folder

    taking = asyncio.create_task(asyncio.to_thread(take_unless_given_up))
    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError:
        given_up.set()
        taking.add_done_callback(_let_go)
        await asyncio.wait([taking], timeout=patience_s)
        raise


def _let_go(taking: asyncio.Task[RunFolder]) -> None:
    if not taking.cancelled() and taking.exception() is None:
        taking.result().close()
