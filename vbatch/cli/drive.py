"""Runs a session under signals, with progress on standard error and a closing line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from vbatch.errors import Exit
from vbatch.progress import Progress
from vbatch.records import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.api.session import Session
    from vbatch.api.summary import Summary

LAST_WORD_S = 1.5
"""After a second signal the process ends within this time, whatever still runs."""

_CODES = {signal.SIGINT: Exit.SIGINT, signal.SIGTERM: Exit.SIGTERM}


def drive(
    session: Session,
    *,
    quiet: bool,
    as_json: bool,
    give_up: Callable[[int], object] = os._exit,
) -> int:
    """Run ``session`` to its end, say how it ended, and return the exit code.

    ``give_up`` ends the process when a second signal has not within ``LAST_WORD_S``.
    """
    signals = _Signals(session, give_up)
    try:
        summary = asyncio.run(_drive(session, signals, quiet=quiet))
    finally:
        signals.rest()
    if not quiet or summary.stop is not None:
        _say(f"vbatch: {summary.line()}", err=True)
    if as_json:
        _say(orjson.dumps(summary.as_json(), option=orjson.OPT_INDENT_2).decode())
    return summary.exit_code


def _say(text: str, *, err: bool = False) -> None:
    """Print; a reader that has gone must not change how the run ends."""
    with contextlib.suppress(OSError):
        click.echo(text, err=err)
        return
    with contextlib.suppress(OSError), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), (sys.stderr if err else sys.stdout).fileno())


async def _drive(session: Session, signals: _Signals, *, quiet: bool) -> Summary:
    signals.listen()
    with Progress(sys.stderr, quiet=quiet, color="NO_COLOR" not in os.environ) as progress:
        session.on_tick = lambda: progress.show(session.view())
        async with session:
            async for _ in session:
                pass
            progress.show(session.view())
    return session.summary


class _Signals:
    """The first signal drains, the second gives up, and the process is gone soon after."""

    def __init__(self, session: Session, give_up: Callable[[int], object]) -> None:
        self._session = session
        self._give_up = give_up
        self._seen = 0
        self._last_word: threading.Timer | None = None

    def listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _CODES:
            loop.add_signal_handler(number, self._on_signal, number)

    def rest(self) -> None:
        """The session came to its end by itself."""
        if self._last_word is not None:
            self._last_word.cancel()

    def _on_signal(self, number: signal.Signals) -> None:
        self._seen += 1
        if self._seen == 1:
            self._drain(number)
        else:
            self._cancel(number)

    def _cancel(self, number: signal.Signals) -> None:
        self._session.cancel()
        if self._last_word is None:
            self._last_word = threading.Timer(LAST_WORD_S, self._give_up, [_CODES[number]])
            self._last_word.daemon = True
            self._last_word.start()

    def _drain(self, number: signal.Signals) -> None:
        self._session.stop(
            Stop(exit_code=_CODES[number], code="signal", message=f"by {number.name}")
        )
        if number == signal.SIGTERM:
            drain_s = self._session.job.retry.drain
            asyncio.get_running_loop().call_later(drain_s, self._cancel, number)
            until = f"at most {drain_s:g} s"
        else:
            until = "again to give up"
        click.echo(f"vbatch: waiting for answers on their way, {until}", err=True)
