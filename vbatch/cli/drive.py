"""Runs a session under signals, with progress on standard error and a closing line."""

from __future__ import annotations

import asyncio
import os
import traceback
from typing import TYPE_CHECKING

from vbatch.cli.ending import Ending
from vbatch.cli.signals import Signals
from vbatch.cli.tuning import collect_garbage_rarely
from vbatch.clock import SystemClock
from vbatch.errors import Exit, VbatchError, redact
from vbatch.progress import Progress
from vbatch.records import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.api.session import Session


def drive(
    session: Session,
    *,
    quiet: bool,
    as_json: bool,
    give_up: Callable[[int], object] = os._exit,
) -> int:
    """Run ``session`` to its end, say how it ended, and return the exit code.

    ``give_up`` ends the process where waiting for the end would take too long.
    """
    clock = SystemClock()
    ending = Ending(session, clock=clock, quiet=quiet, as_json=as_json, give_up=give_up)
    try:
        with Signals(session, ending, clock=clock) as signals:
            return asyncio.run(_drive(session, signals, ending, quiet=quiet))
    except VbatchError:
        raise
    except Exception as bug:
        if isinstance(bug, OSError) and not session.begun:  # a place that is closed to us
            raise
        return _confess(session, ending, bug)
    finally:
        ending.rest()


async def _drive(session: Session, signals: Signals, ending: Ending, *, quiet: bool) -> int:
    signals.listen(asyncio.get_running_loop())
    with Progress(ending.stderr, quiet=quiet, color="NO_COLOR" not in os.environ) as progress:
        session.on_tick = lambda: progress.show(session.view())
        async with session:
            collect_garbage_rarely()
            async for _ in session:
                pass
            progress.show(session.view())
    code = ending.say(session.summary)
    ending.within(Ending.LAST_WORD_S, code)  # a thread may hang, all is kept
    return code


def _confess(session: Session, ending: Ending, bug: Exception) -> int:
    """Say that vbatch itself is at fault, where to read how, and what is kept."""
    story = redact("".join(traceback.format_exception(bug)), session.job.secrets)
    log = session.confess(story)
    brief = redact(repr(bug), session.job.secrets)
    where = f"The traceback is in {log}" if log else f"The traceback:\n{story}"
    ending.tell(f"internal error, please report it: {brief}. {where}")
    ending.say_so_far(Stop(exit_code=Exit.INTERNAL, code="internal", message="an internal error"))
    return Exit.INTERNAL
