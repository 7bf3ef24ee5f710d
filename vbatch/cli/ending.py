"""How the process ends: its last words, said once, and the exit that waits for nobody."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar

from vbatch.cli.screen import as_document, say
from vbatch.errors import Exit, StorageFull, printable
from vbatch.records import Stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from vbatch.api.session import Session
    from vbatch.api.summary import Summary
    from vbatch.clock import Clock

_STANDARD_STREAMS = 3
_NAMED = 20
_SHOWN = 80


class Ending:
    """The last words of a session's process.

    ``within`` starts a countdown after which ``give_up`` ends the process. Its thread exists from
    the beginning, so that a signal handler has nothing to do but to put a number into a queue.
    """

    LAST_WORD_S: ClassVar[float] = 1.2
    """What is left to a process that was told twice to go, or has said its last word."""
    _SAYING_S: ClassVar[float] = 0.3

    def __init__(
        self,
        session: Session,
        *,
        clock: Clock,
        quiet: bool,
        as_json: bool,
        give_up: Callable[[int], object],
    ) -> None:
        _open_standard_streams()
        self.stderr: TextIO = sys.stderr
        self._session = session
        self._clock = clock
        self._quiet = quiet
        self._as_json = as_json
        self._give_up = give_up
        self._said = self._told_given_up = False
        self._saying = threading.Lock()
        self._orders: SimpleQueue[tuple[float, Stop | Exit] | None] = SimpleQueue()
        threading.Thread(target=self._wait, name="vbatch-end", daemon=True).start()

    def tell(self, text: str) -> None:
        """Say something on the way, on standard error."""
        say(f"vbatch: {text}", err=True)

    def tell_given_up(self) -> None:
        """Name the rows whose requests are given up, unless that was done."""
        ids = () if self._told_given_up else self._session.on_their_way
        self._told_given_up = True
        if ids:
            named = ", ".join(printable(row_id)[:_SHOWN] for row_id in ids[:_NAMED])
            more = f" and {len(ids) - _NAMED:,} more" if len(ids) > _NAMED else ""
            self.tell(f"given up, and possibly billed: {named}{more}")

    def say(self, summary: Summary) -> Exit:
        """Say the last words, unless they were said; returns the exit code.

        That is the session's own, or 6 where all went well but for the document, which could not be
        delivered.
        """
        quiet = self._quiet and summary.exit_code == Exit.OK
        try:
            self._say(None if quiet else summary.line(), summary.as_json())
        except StorageFull as error:
            self.tell(error.message)
            return summary.exit_code or error.exit_code
        return summary.exit_code

    def say_so_far(self, stop: Stop) -> None:
        """Say the last words of a session that does not come to its end."""
        summary = None
        with contextlib.suppress(Exception):  # it may be at work meanwhile, in another thread
            summary = self._session.so_far(stop)
        if summary is not None:
            self.say(summary)
            return
        when = "" if self._session.begun else ", before anything was sent"
        line = f"stopped ({stop.code}): {stop.message}{when}"
        if self._session.again:
            line += f" · next: {self._session.again}"
        with contextlib.suppress(StorageFull):
            self._say(line, {"exit_code": int(stop.exit_code), "line": line})

    def within(self, seconds: float, reason: Stop | Exit) -> None:
        """End the process after ``seconds`` at the latest if it has not ended by itself.

        The earliest deadline holds. ``reason`` is what to say, or only the exit code where all is
        said.
        """
        self._orders.put((self._clock.monotonic() + seconds, reason))

    def rest(self) -> None:
        """The session came to its end by itself."""
        self._orders.put(None)

    def _wait(self) -> None:
        """Wait for the earliest of the deadlines that are set, or for the end."""
        orders: list[tuple[float, Stop | Exit]] = []
        with contextlib.suppress(Empty):
            while (order := self._orders.get(timeout=self._left(orders))) is not None:
                orders.append(order)
            return
        self._end_now(_first(orders)[1])

    def _end_now(self, reason: Stop | Exit) -> None:
        """End the process; nobody waits for a terminal that takes no words."""
        if isinstance(reason, Stop):
            speaker = threading.Thread(target=self._say_last, args=[reason], daemon=True)
            speaker.start()
            speaker.join(self._SAYING_S)
            reason = reason.exit_code
        self._give_up(int(reason))

    def _say_last(self, stop: Stop) -> None:
        self.tell_given_up()
        self.say_so_far(stop)

    def _left(self, orders: list[tuple[float, Stop | Exit]]) -> float | None:
        return max(0.0, _first(orders)[0] - self._clock.monotonic()) if orders else None

    def _say(self, line: str | None, document: Any) -> None:
        with self._saying:
            if self._said:
                return
            self._said = True
            if line is not None:
                self.tell(printable(line))
            if self._as_json:
                say(as_document(document))


def _first(orders: list[tuple[float, Stop | Exit]]) -> tuple[float, Stop | Exit]:
    return min(orders, key=lambda order: order[0])


def _open_standard_streams() -> None:
    """A stream that was closed by the caller must not become a file of the run."""
    while (fd := os.open(os.devnull, os.O_RDWR)) < _STANDARD_STREAMS:
        os.set_inheritable(fd, True)
    os.close(fd)
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - open as long as the process
