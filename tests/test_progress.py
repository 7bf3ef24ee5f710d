"""What a run shows: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
import threading

import pytest

from vbatch.progress import Progress
from vbatch.records import ProgressView


class HandClock:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    def random(self) -> float:
        return 0.0


def view(**figures) -> ProgressView:
    return ProgressView(**({"total": 2000} | figures))


def plain_lines(*steps: tuple[float, ProgressView]) -> list[str]:
    stream, clock = io.StringIO(), HandClock()
    with Progress(stream, quiet=False, clock=clock) as progress:
        for seconds, figures in steps:
            clock.now += seconds
            progress.show(figures)
    return stream.getvalue().splitlines()


def on_terminal(*views: ProgressView, columns: int = 200, color: bool = False) -> str:
    """What a terminal of ``columns`` received."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    received = bytearray()

    def listen() -> None:
        while True:
            try:
                received.extend(os.read(ours, 65536))
            except OSError:  # the other end is closed
                return

    listener = threading.Thread(target=listen)
    listener.start()
    clock = HandClock()
    with (
        os.fdopen(theirs, "w", encoding="utf-8") as stream,
        Progress(stream, quiet=False, color=color, clock=clock) as progress,
    ):
        for figures in views:
            clock.now += 1
            progress.show(figures)
    listener.join(timeout=10)
    os.close(ours)
    return received.decode()


def test_a_line_holds_all_figures():
    figures = view(
        answered=1297,
        failed=3,
        tokens=1_234_567,
        in_flight=64,
        waiting_reason="requests per minute",
        rows_per_s=12.34,
        eta_s=3723.9,
        cost=1.5,
    )
    (line,) = plain_lines((0, figures))
    assert line == (
        "1,300 of 2,000 rows, 12.3 rows/s, 1:02:03 left, 1,297 answered, 3 failed, "
        "1,234,567 tokens, $1.50, 64 in flight, waiting: requests per minute"
    )


def test_what_is_not_known_is_not_said():
    (line,) = plain_lines((0, view()))
    assert line == ("0 of 2,000 rows, 0.0 rows/s, 0 answered, 0 failed, 0 tokens, 0 in flight")


def test_the_first_and_the_last_are_shown_and_between_them_one_in_thirty_seconds():
    steps = [(1.0, view(answered=n)) for n in range(100)]
    done = [line.split(" of ")[0] for line in plain_lines(*steps)]
    assert done == ["0", "30", "60", "90", "99"]


def test_a_notice_is_a_line_of_its_own_at_once_and_only_once():
    waits = ["waiting: endpoint asked to wait"]
    steps = [(1.0, view(answered=n, notices=waits[: n // 10])) for n in range(40)]
    lines = plain_lines(*steps)
    assert lines[1] == "vbatch: waiting: endpoint asked to wait"
    assert len(lines) == 4
    shown = on_terminal(view(), view(answered=3, notices=["a\x1b[2J", "b"]), view(answered=4))
    assert "\x1b[2J" not in shown
    assert shown.count("vbatch: a [2J\n".replace("\n", "\r\n")) == 1
    assert shown.count("vbatch: b\r\n") == 1


def test_a_last_view_that_was_shown_is_not_shown_twice():
    assert len(plain_lines((0, view(answered=5)))) == 1


def test_without_any_view_nothing_is_shown():
    assert plain_lines() == []


def test_quiet_shows_nothing():
    stream = io.StringIO()
    with Progress(stream, quiet=True) as progress:
        progress.show(view())
    assert stream.getvalue() == ""


def test_what_comes_from_outside_cannot_command_the_terminal():
    hostile = view(waiting_reason="\x1b[2J\x1b]0;owned\x07 busy\r\n\u202e\x9b31m")
    (line,) = plain_lines((0, hostile))
    assert all(c.isprintable() for c in line)
    assert "busy" in line
    shown = on_terminal(hostile)
    assert "\x1b[2J" not in shown
    assert "\x1b]" not in shown
    assert "\x9b" not in shown


def test_a_terminal_gets_a_bar_that_ends_on_a_line_of_its_own():
    shown = on_terminal(view(), view(answered=500, failed=20, rows_per_s=8.0, eta_s=60, tokens=9))
    assert "| 0/2000, 0.0 rows/s" in shown
    assert " 26%|" in shown
    assert "| 520/2000, 8.0 rows/s, 01:00 left, 500 answered, 20 failed, 9 tokens" in shown
    assert shown.endswith("\n")
    assert shown.count("\n") == 1


def test_a_narrow_terminal_never_wraps():
    shown = on_terminal(view(), view(answered=500, waiting_reason="in flight " * 20), columns=60)
    assert max(len(part) for part in shown.replace("\n", "\r").split("\r")) <= 60


def test_a_total_that_grows_is_followed():
    assert "| 1/3000" in on_terminal(view(total=0), view(total=3000, answered=1))


@pytest.mark.parametrize("color", [True, False])
def test_color_only_when_asked_for(color):
    assert ("\x1b[32m" in on_terminal(view(), view(answered=9), color=color)) is color


def test_a_terminal_left_before_the_first_view_stays_clean():
    assert on_terminal() == ""


def test_the_bar_starts_no_thread():
    before = threading.active_count()
    seen = []

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    with Progress(Terminal(), quiet=False, clock=HandClock()) as progress:
        progress.show(view())
        seen.append(threading.active_count())
    assert seen == [before]


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("error", [BrokenPipeError, ValueError])
def test_a_stream_that_breaks_ends_the_show_and_never_the_run(error, terminal):
    class Broken(io.StringIO):
        broken = False

        def isatty(self) -> bool:
            return terminal

        def write(self, text: str) -> int:
            if self.broken:
                raise error
            return super().write(text)

    stream, clock = Broken(), HandClock()
    with Progress(stream, quiet=False, clock=clock) as progress:
        progress.show(view())
        stream.broken = True
        for _ in range(3):
            clock.now += 60
            progress.show(view(answered=1))
    assert "answered" in stream.getvalue()

    stream = Broken()
    with Progress(stream, quiet=False, clock=clock) as progress:
        stream.broken = True
        progress.show(view())
    assert stream.getvalue() == ""

    stream = Broken()
    with Progress(stream, quiet=False, clock=clock) as progress:
        progress.show(view())
        stream.broken = True
    assert "answered" in stream.getvalue()
