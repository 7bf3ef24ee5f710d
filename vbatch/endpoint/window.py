"""How many requests may be on their way at once: as many as are of use, fewer when refused."""

from __future__ import annotations

import math

_CALM_S = 60.0
"""After so long without another shortage the width that was given up comes back by a quarter."""

_INSTANT_S = 1e-6

START = 4
"""In flight until the first answer: a wrong key or an empty budget costs a handful of requests."""


_JUDGED = 16
"""Narrower than this the width doubles unseen: so few answers say little of a rate."""
_GAIN = 1.25
"""Twice the width has to bring so many times the answers a second, or doubling ends."""
_ENOUGH = 64
"""Answers at least that a rate is measured by."""
_THRIFT = 0.1
"""A tenth more in flight has to bring a hundredth more answers a second."""
_REST = 8
"""Rounds until a width that proved best is doubted again."""


class Window:
    """The number of requests that may be in flight, between 1 and ``most``.

    ``most`` itself is cut for a while by ``squeeze``.

    It doubles each time as many answers have come back as it is wide. Once it was shrunk it grows
    by a quarter instead, and only if it was filled in the meantime: width that nobody used says
    nothing about what the endpoint bears. With ``seeks`` it ends doubling where that brings no more
    answers a second, and from there goes up or down by a quarter towards the least that brings
    nearly all of them: a server that queues would only answer later.
    """

    __slots__ = (
        "_answers",
        "_best",
        "_doubling",
        "_doubts",
        "_filled",
        "_full",
        "_grows",
        "_paced",
        "_rate",
        "_rest",
        "_seeks",
        "_settling",
        "_since",
        "_squeezed_at",
        "_start",
        "most",
        "size",
    )

    def __init__(self, most: int, *, slow_start: bool = True, seeks: bool = False) -> None:
        self.most = self._full = most
        self._squeezed_at = -math.inf
        self._start = START if slow_start else most
        self._seeks = seeks
        self._paced = False
        self._answers = self._filled = self._settling = 0
        self.restart()

    def restart(self) -> None:
        """Begin anew, as at the start of a run."""
        self.size = min(self._start, self.most)
        self._doubling = True
        self._doubts = False
        self._rate = 0.0
        self._since = -math.inf
        self._best: tuple[float, int] | None = None
        self._grows = False
        self._rest = 0
        self._begin_round()

    def unpaced(self, in_flight: int) -> None:
        """The rate was let go: seek a width anew, from what is ``in_flight`` and thus borne."""
        self._paced = False
        self.restart()
        self.size = min(max(self.size, in_flight), self.most)

    def sent(self, in_flight: int) -> None:
        """A request has gone, ``in_flight`` are now on their way."""
        if in_flight >= self.size:
            self._filled += 1

    def answered(self, now: float) -> None:
        """An answer came back."""
        if self.most < self._full and now - self._squeezed_at >= _CALM_S:
            self.most = min(self.most + _step(self.most), self._full)
            self._squeezed_at = now
        if self._settling:  # sent when the width was another
            self._settling -= 1
            if not self._settling:
                self._begin_round()
                self._since = now
            return
        self._answers += 1
        if self._doubling:
            if self._answers >= (max(self.size, _ENOUGH) if self._doubts else self.size):
                self._double(now)
        elif self._seeks and not self._paced:
            if self._answers >= max(self.size, _ENOUGH):
                self._seek(now)
        elif self._answers >= self.size:
            if self._filled:
                self.size = min(self.size + _step(self.size), self.most)
            self._begin_round()

    def _double(self, now: float) -> None:
        """Go on doubling, unless the last time brought nothing: after a second, closer look."""
        rate = self._answers / max(now - self._since, _INSTANT_S)
        full = self._is_full()
        judged = self._seeks and not self._paced and full and self.size >= _JUDGED
        self._begin_round()
        self._since = now
        if not judged or rate >= _GAIN * self._rate:
            self.size = min(2 * self.size, self.most)
            self._rate = rate if full else 0.0  # else answers to what was sent when it was wider
            self._doubts = False
            return
        self._doubling, self._doubts = not self._doubts, True
        self._settling = self.size

    def _seek(self, now: float) -> None:
        """Go on as long as each step is worth more than the last; else back, and rest."""
        worth = self._answers / max(now - self._since, _INSTANT_S) / self.size**_THRIFT
        if not self._is_full():
            self._best = None
        elif self._rest:
            self._rest -= 1
        elif self._best is None or worth > self._best[0]:
            self._best = worth, self.size
            self._go_on()
        else:
            self.size = min(self._best[1], self.most)
            self._turn_round()
        self._begin_round()
        self._settling = self.size

    def _go_on(self) -> None:
        step = _step(self.size)
        wanted = self.size + (step if self._grows else -step)
        self.size = max(1, min(wanted, self.most))
        if self.size != wanted:
            self._turn_round()

    def _turn_round(self) -> None:
        self._grows = not self._grows
        self._best = None
        self._rest = _REST

    def _is_full(self) -> bool:
        """Whether it was the width that held most requests back."""
        return 2 * self._filled > self._answers

    def shrink(self, *, paced: bool = False) -> None:
        """The endpoint said "too many requests": one step back, unless the width was not used.

        The first time half of it goes, later a quarter: by then the found pace does the braking.
        A width that is sought grows unjudged once the rate is ``paced``, which does the braking
        from then on: where answers take 8 s, half of the width would cost a minute.
        """
        if paced and self._seeks:
            self._paced = True
            return
        if self._filled:
            self.size = max(1, self.size // 2 if self._doubling else self.size - _step(self.size))
        self._doubling = False
        self._grows, self._best, self._rest = True, None, 0
        self._begin_round()

    def squeeze(self, now: float, most: int) -> None:
        """This process lacks something: at most ``most`` (at least 1), until calm returns."""
        self.most = max(1, min(most, self._full))
        self.size = min(self.size, self.most)
        self._squeezed_at = now

    def _begin_round(self) -> None:
        self._answers = self._filled = self._settling = 0


def _step(size: int) -> int:
    return max(1, size // 4)
