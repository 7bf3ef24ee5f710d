"""What a run shows while it works: a bar on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self, TextIO

from tqdm import tqdm

from vbatch.clock import SystemClock
from vbatch.costs.rates import dollars

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vbatch.clock import Clock
    from vbatch.records import ProgressView

_BAR_EVERY_S = 0.2
_BAR_FORMAT = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"


class Progress:
    """Shows how far a run is on ``stream``: a bar where that is a terminal.

    Elsewhere the first view becomes a line, then at most one every ``line_every_s`` seconds, and
    the last when the block ends. ``quiet`` shows nothing. A stream that breaks ends the show,
    never the run.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        quiet: bool,
        color: bool = False,
        clock: Clock | None = None,
        line_every_s: float = 30.0,
    ) -> None:
        self._clock = clock or SystemClock()
        self._screen: _Bar | _Lines | None = None
        self._next_at = -math.inf
        self._every_s = line_every_s
        self._kept: ProgressView | None = None
        self._told = 0
        if quiet:
            self._next_at = math.inf
        elif stream.isatty():
            self._screen, self._every_s = _Bar(stream, color=color), _BAR_EVERY_S
        else:
            self._screen = _Lines(stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def show(self, view: ProgressView) -> None:
        """Show ``view`` if it is time to; else it is kept for the end."""
        self._kept = view
        self._tell(view.notices)
        now = self._clock.monotonic()
        if now >= self._next_at:
            self._next_at = now + self._every_s
            self._draw()

    def close(self) -> None:
        """Show the last view if that was not done, and leave the cursor on a line of its own."""
        self._draw()
        self._try(lambda screen: screen.leave())
        self._end()

    def _tell(self, notices: Sequence[str]) -> None:
        """Give each notice a line of its own, at once."""
        for notice in notices[self._told :]:
            self._try(_saying(f"vbatch: {_printable(notice)}"))
        self._told = len(notices)

    def _draw(self) -> None:
        view, self._kept = self._kept, None
        if view is not None:
            self._try(lambda screen: screen.show(view))

    def _try(self, act: Callable[[_Bar | _Lines], None]) -> None:
        if self._screen is None:
            return
        try:
            act(self._screen)
        except (OSError, ValueError):  # the pipe is broken, or somebody closed the stream
            self._end()

    def _end(self) -> None:
        self._screen = None
        self._next_at = math.inf


class _Tqdm(tqdm):  # type: ignore[type-arg]
    monitor_interval = 0  # no thread of its own: it is told when to draw

    def __del__(self) -> None:
        """Closed by its owner; tqdm would write to a stream that may be broken."""


class _Bar:
    def __init__(self, stream: TextIO, *, color: bool) -> None:
        self._stream = stream
        self._color = color
        self._bar: _Tqdm | None = None

    def show(self, view: ProgressView) -> None:
        if self._bar is None:
            self._bar = _Tqdm(
                total=view.total,
                file=self._stream,
                bar_format=_BAR_FORMAT,
                colour="green" if self._color else None,
                dynamic_ncols=True,
            )
        self._bar.total = view.total
        self._bar.n = view.done
        self._bar.set_postfix_str(_figures(view), refresh=False)
        self._bar.refresh()

    def say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.clear()
        self._stream.write(f"{text}\n")
        if self._bar is not None:
            self._bar.refresh()

    def leave(self) -> None:
        if self._bar is not None:
            self._bar.close()


class _Lines:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, view: ProgressView) -> None:
        self.say(f"{view.done:,} of {view.total:,} rows, {_figures(view)}")

    def say(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def leave(self) -> None:
        """Every line is complete already."""


def _saying(line: str) -> Callable[[_Bar | _Lines], None]:
    return lambda screen: screen.say(line)


def _figures(view: ProgressView) -> str:
    """The figures beside the bar, most wanted first, as a narrow terminal cuts off the last."""
    left = None if view.eta_s is None else tqdm.format_interval(int(view.eta_s))
    parts = (
        f"{view.rows_per_s:.1f} rows/s",
        left and f"{left} left",
        f"{view.answered:,} answered",
        f"{view.failed:,} failed",
        f"{view.tokens:,} tokens",
        view.cost is not None and dollars(view.cost),
        f"{view.in_flight} in flight",
        view.waiting_reason and f"waiting: {_printable(view.waiting_reason)}",
    )
    return ", ".join(part for part in parts if part)


def _printable(text: str) -> str:
    """``text`` without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in text)
