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
from vbatch.errors import printable
from vbatch.records import Stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from vbatch.api.session import Session
    from vbatch.api.summary import Summary
    from vbatch.clock import Clock
    from vbatch.errors import Exit

_STANDARD_STREAMS = 3


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
        self._said = False
        self._saying = threading.Lock()
        self._orders: SimpleQueue[tuple[float, Stop | Exit] | None] = SimpleQueue()
        threading.Thread(target=self._wait, name="vbatch-end", daemon=True).start()

    def tell(self, text: str) -> None:
        """Say something on the way, on standard error."""
        _print(f"vbatch: {text}", err=True)

    def say(self, summary: Summary) -> None:
        """Say the last words, unless they were said."""
        if not self._quiet or summary.stop is not None:
            self._say(summary.line(), summary.as_json())
        else:
            self._say(None, summary.as_json())

    def say_so_far(self, stop: Stop) -> None:
        """Say the last words of a session that does not come to its end."""
        summary = self._session.so_far(stop)
        if summary is not None:
            self.say(summary)
            return
        line = f"stopped ({stop.code}): {stop.message}, before anything was sent"
        if self._session.again:
            line += f" · next: {self._session.again}"
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
            speaker = threading.Thread(target=self.say_so_far, args=[reason], daemon=True)
            speaker.start()
            speaker.join(self._SAYING_S)
            reason = reason.exit_code
        self._give_up(int(reason))

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
                _print(as_document(document))


def _first(orders: list[tuple[float, Stop | Exit]]) -> tuple[float, Stop | Exit]:
    return min(orders, key=lambda order: order[0])


def _print(text: str, *, err: bool = False) -> None:
    """Print; a reader that has gone must not change how the run ends."""
    with contextlib.suppress(OSError):
        say(text, err=err)
        return
    with contextlib.suppress(OSError), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), (sys.stderr if err else sys.stdout).fileno())


def _open_standard_streams() -> None:
    """A stream that was closed by the caller must not become a file of the run."""
    while (fd := os.open(os.devnull, os.O_RDWR)) < _STANDARD_STREAMS:
        os.set_inheritable(fd, True)
    os.close(fd)
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - open as long as the process
