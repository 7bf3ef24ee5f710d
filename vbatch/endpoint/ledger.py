"""What the processes that share one limit know of each other: some figures in a small file."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import stat
import struct
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from vbatch.endpoint.waiting import LONGEST_WAIT_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vbatch.endpoint.settings import ClientSettings

_FORM = struct.Struct("<8s10d")
_MARK = b"vbatch 1"
_FARTHEST_S = 1.1 * LONGEST_WAIT_S
"""A turn further ahead was never given: the machine was started anew, or the file is damaged."""
_FORGOTTEN_S = 60.0
"""What nobody has looked at for so long was another day's."""
_LEAST_RATE, _CALM_S, _MOST_SENT = 1e-4, (1e-3, 1e6), 1e15
"""What no run can find lies beyond."""
_TRIES = 3
_REMOVED_S = 1.0


@dataclass(slots=True)
class Common:
    """Times on the monotonic clock, which all processes of a machine share; rates a second.

    ``requests_due`` and ``tokens_due`` say when the next one's turn is. The rest is the curve of a
    rate that one of them found (see ``found.FoundRate``), cut at ``cut_at``.
    """

    looked_at: float = -math.inf
    requests_due: float = -math.inf
    tokens_due: float = -math.inf
    quiet_until: float = -math.inf
    sent: float = 0.0
    cut_at: float = -math.inf
    free_at: float = -math.inf
    kept: float = math.inf
    base: float = math.inf
    calm_s: float = 1.0

    def is_sound(self, now: float) -> bool:
        """Whether this was written by one of us, and lately."""
        ahead = max(self.requests_due, self.tokens_due, self.quiet_until, self.free_at)
        return (
            not math.isnan(sum(map(abs, _figures(self))))
            and now - _FORGOTTEN_S <= self.looked_at <= now + 1
            and ahead <= now + _FARTHEST_S
            and self.cut_at <= now + 1
            and min(self.kept, self.base) >= _LEAST_RATE
            and _CALM_S[0] <= self.calm_s <= _CALM_S[1]
            and 0 <= self.sent <= _MOST_SENT
        )


_figures = attrgetter(*(field.name for field in fields(Common)))
"""All of them, in their order; ``astuple`` would cost a request 10 µs."""


class Ledger(Protocol):
    """Where the figures are kept."""

    def change(self, now: float, change: Callable[[Common], None]) -> None:
        """Let ``change`` see the figures as they are, and keep what it makes of them.

        Raises OSError.
        """


class Memory:
    """Figures that only this process knows."""

    def __init__(self) -> None:
        self._common = Common()

    def change(self, now: float, change: Callable[[Common], None]) -> None:
        """See ``Ledger``."""
        if not self._common.is_sound(now):
            self._common = Common()
        self._common.looked_at = now
        change(self._common)


class LedgerFile:
    """Figures in a file of the user's own; raises OSError where there can be none.

    Nothing in it outlives its use: a process that dies has taken one turn at most. The lock is
    held for microseconds and never waited for: who is suspended with it stops nobody, and what is
    lost where two write at once is a turn.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked_at = -math.inf
        self._file = self._opened()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _opened(self) -> int:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        how = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.open(self._path, how, 0o600)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            os.close(file)
            raise PermissionError(f"{self._path} is no file of this user's")
        if found.st_mode & 0o077:
            os.fchmod(file, 0o600)
        return file

    def change(self, now: float, change: Callable[[Common], None]) -> None:
        """See ``Ledger``."""
        if now - self._looked_at > _REMOVED_S:
            self._look_at_the_name(now)
        held = self._lock()
        try:
            common = _read(os.pread(self._file, _FORM.size, 0), now)
            common.looked_at = now
            change(common)
            os.pwrite(self._file, _FORM.pack(_MARK, *_figures(common)), 0)
        finally:
            if held:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _look_at_the_name(self, now: float) -> None:
        """Who removed the file parted us from those who come: begin another with them."""
        self._looked_at = now
        if os.fstat(self._file).st_nlink == 0:
            opened = self._opened()
            self.close()
            self._file = opened

    def _lock(self) -> bool:
        for _ in range(_TRIES):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
        return False


def _read(data: bytes, now: float) -> Common:
    if len(data) == _FORM.size and data.startswith(_MARK):
        common = Common(*_FORM.unpack(data)[1:])
        if common.is_sound(now):
            return common
    return Common()


def ledger_name(settings: ClientSettings) -> str:
    """What the file of an endpoint and its key is called; neither can be read from it."""
    sent = json.dumps(sorted(settings.sent_headers().items()))
    key = hashlib.sha512(sent.encode()).digest()
    return hashlib.blake2b(settings.base_url.encode(), key=key, digest_size=16).hexdigest()
