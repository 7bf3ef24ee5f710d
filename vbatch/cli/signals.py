"""What signals do to a run: the first drains, the second gives up.

SIGINT waits for all answers on their way, SIGTERM for at most ``drain``. A terminal that is closed
(SIGHUP) counts as SIGTERM, unless it was ignored from the start, as by ``nohup``.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Self

from vbatch.errors import Exit
from vbatch.records import Stop

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from vbatch.api.session import Session
    from vbatch.cli.ending import Ending
    from vbatch.clock import Clock

ECHO_S = 0.05
"""``timeout`` and others tell a process, then its whole group: that is still one signal."""

_CODES = {
    signal.SIGINT: Exit.SIGINT,
    signal.SIGTERM: Exit.SIGTERM,
    signal.SIGHUP: Exit.SIGTERM,
}


class Signals:
    """Has the process's signals while the block lasts.

    Handlers are Python's own, not the loop's, so that they work before and after the loop, and
    while something blocks it.
    """

    def __init__(self, session: Session, ending: Ending, *, clock: Clock) -> None:
        self._session = session
        self._ending = ending
        self._clock = clock
        self._loop: AbstractEventLoop | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._stop: Stop | None = None
        self._last_at = 0.0

    def __enter__(self) -> Self:
        for number in _CODES:
            before = signal.getsignal(number)
            if number != signal.SIGHUP or before != signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def listen(self, loop: AbstractEventLoop) -> None:
        """From now on ``loop`` can be asked to drain."""
        self._loop = loop

    def _on_signal(self, number: int, _frame: object) -> None:
        now = self._clock.monotonic()
        first, echo = self._stop is None, now - self._last_at < ECHO_S
        self._last_at = now
        if first:
            self._drain(signal.Signals(number))
        elif not echo:
            self._give_up()

    def _drain(self, number: signal.Signals) -> None:
        self._stop = Stop(exit_code=_CODES[number], code="signal", message=f"by {number.name}")
        if not self._session.begun:
            self._session.stop(self._stop)
            self._ending.within(0.0, self._stop)
            return
        drain_s = None if number == signal.SIGINT else self._session.job.retry.drain
        if drain_s is not None:
            self._ending.within(drain_s + self._ending.LAST_WORD_S, self._stop)
        self._in_loop(self._stop_session, self._stop, drain_s)

    def _give_up(self) -> None:
        if self._stop is not None:
            self._ending.within(self._ending.LAST_WORD_S, self._stop)
            self._in_loop(self._cancel_session)

    def _stop_session(self, stop: Stop, drain_s: float | None) -> None:
        self._session.stop(stop)
        until = "again to give up"
        if drain_s is not None and self._loop is not None:
            self._loop.call_later(drain_s, self._cancel_session)
            until = f"at most {drain_s:g} s"
        self._ending.tell(f"waiting for answers on their way, {until}")

    def _cancel_session(self) -> None:
        self._ending.tell_given_up()
        self._session.cancel()

    def _in_loop(self, act: Any, *args: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(act, *args)
