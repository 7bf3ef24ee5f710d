"""Disks that fail on purpose: killed at a given step, refusing it, or losing what was written."""

from __future__ import annotations

import errno
import os

from tests.sink.disks import Quick

RESERVE_BYTES = 8192


class Killed(BaseException):
    """The process dies here; nothing below may catch it."""


class Stepwise(Quick):
    """Counts what is asked of the disk; a subclass says what becomes of each step."""

    def __init__(self) -> None:
        self.steps = 0
        self._open: set[int] = set()

    def step(self, action, *, torn=None):
        """Take one step; ``torn`` does part of it."""
        self.steps += 1
        return action()

    def die(self):
        """End the process: its files are closed and nothing else happens."""
        for fd in self._open:
            os.close(fd)
        self._open.clear()
        raise Killed(f"at step {self.steps}")

    def create(self, path):
        fd = self.step(lambda: super(Stepwise, self).create(path))
        self._open.add(fd)
        return fd

    def open(self, path):
        fd = self.step(lambda: super(Stepwise, self).open(path))
        self._open.add(fd)
        return fd

    def write(self, fd, data, at):
        return self.step(
            lambda: super(Stepwise, self).write(fd, data, at),
            torn=lambda: os.pwrite(fd, data[: max(1, len(data) * 728 // 1000)], at),
        )

    def cut(self, fd, size):
        self.step(lambda: super(Stepwise, self).cut(fd, size))

    def sync(self, fd):
        self.step(lambda: None)

    def close(self, fd):
        if fd in self._open:  # a dead process closes nothing twice
            self._open.remove(fd)
            super().close(fd)

    def rename(self, old, new):
        self.step(lambda: super(Stepwise, self).rename(old, new))

    def remove(self, path):
        self.step(lambda: super(Stepwise, self).remove(path))

    def sync_folder(self, folder):
        self.step(lambda: None)

    def reserve(self, path, size):
        """As large as a real one: zeros follow what is written over it."""
        size = super().reserve(path, size)
        os.truncate(path, RESERVE_BYTES)
        return size


class Deadly(Stepwise):
    """Kills the process at step ``at``: before it, after it, or in the middle of a write."""

    def __init__(self, at: int | None = None, how: str = "before") -> None:
        super().__init__()
        self._at = at
        self._how = how

    def step(self, action, *, torn=None):
        self.steps += 1
        if self.steps != self._at:
            return action()
        if self._how == "torn" and torn is not None:
            torn()
        if self._how == "after":
            action()
        return self.die()


class Failing(Stepwise):
    """Refuses step ``at`` with ``error``, and ``more`` steps after it.

    ``short``: a write that is refused takes 728 of 1,000 bytes first, without a word.
    """

    def __init__(self, at=None, error=errno.ENOSPC, *, more: float = 0, short=False) -> None:
        super().__init__()
        self._at = at
        self._error = error
        self._more = more
        self._short = short

    @property
    def failed(self) -> bool:
        """Whether the step has come."""
        return self._at is not None and self.steps >= self._at

    def step(self, action, *, torn=None):
        self.steps += 1
        if self._at is None or not self._at <= self.steps <= self._at + self._more:
            return action()
        if self._short and torn is not None:
            self._short = False
            self._at += 1
            return torn()
        raise OSError(self._error, os.strerror(self._error))


class Dying(Stepwise):
    """Does not sync a segment for the ``at``-th time, and nothing at all ``later`` steps after."""

    def __init__(self, at: int | None = None, later: int = 0, error=errno.EIO) -> None:
        super().__init__()
        self.syncs = 0
        self._at = at
        self._later = later
        self._error = error
        self._dead_from = float("inf")
        self._segments: set[int] = set()

    @property
    def failed(self) -> bool:
        """Whether the sync has come."""
        return self._at is not None and self.syncs >= self._at

    def step(self, action, *, torn=None):
        self.steps += 1
        if self.steps >= self._dead_from:
            raise OSError(self._error, os.strerror(self._error))
        return action()

    def rename(self, old, new):
        super().rename(old, new)
        if new.suffix == ".seg":
            self._segments.add(new.stat().st_ino)

    def sync(self, fd):
        super().sync(fd)
        self.syncs += os.fstat(fd).st_ino in self._segments
        if self.syncs == self._at and self._dead_from > self.steps + self._later:
            self._dead_from = self.steps + self._later
            raise OSError(self._error, os.strerror(self._error))


class Forgetful(Stepwise):
    """Loses the end of the ``at``-th table without a word, as a full disk does to pyarrow."""

    def __init__(self, at: int | None = None) -> None:
        super().__init__()
        self.tables = 0
        self._at = at

    @property
    def failed(self) -> bool:
        """Whether the table has come."""
        return self._at is not None and self.tables >= self._at

    def open(self, path):
        if path.name.endswith(".parquet.tmp"):
            self.tables += 1
            if self.tables == self._at:
                os.truncate(path, path.stat().st_size * 3 // 4)
        return super().open(path)
