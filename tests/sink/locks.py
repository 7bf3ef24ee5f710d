"""Lock files as holders on this machine and on others leave them."""

from __future__ import annotations

import os
from contextlib import contextmanager

from tests.sink.rows import T0, Still
from vbatch.sink.holder import Holder
from vbatch.sink.lock import Lock

HOUR_S = 3600.0


class Waits:
    """Lets time pass at once; ``then`` happens after so many seconds."""

    def __init__(self, after_s=0.0, then=None) -> None:
        self.waited = 0.0
        self._after_s, self._then = after_s, then

    def __call__(self, seconds) -> None:
        self.waited += seconds
        if self._then is not None and self.waited >= self._after_s:
            then, self._then = self._then, None
            then()


def note(**changes) -> Holder:
    """A holder on another machine that has just said that it is alive."""
    fields = {
        "host": "far",
        "boot": "other",
        "pid": 12,
        "started_at": T0,
        "beat_at": T0,
        "token": "abc",
    }
    return Holder(**{**fields, **changes})


def leave(lock_file, holder, *, silent_s=0.0) -> None:
    """Put a lock file there that ``holder`` wrote so long ago."""
    lock_file.write_bytes(holder.note())
    then = lock_file.stat().st_mtime - silent_s
    os.utime(lock_file, (then, then))


def take(lock_file, clock=None, **more) -> Lock:
    return Lock(lock_file, clock or Still(), wait=more.pop("wait", Waits()), **more)


@contextmanager
def held_by_us(lock_file, **more):
    """A lock for as long as the block lasts."""
    lock = take(lock_file, **more)
    try:
        yield lock
    finally:
        lock.release()


def leave_anew(lock_file, holder) -> None:
    """As a holder on another machine takes a run: with a file of its own."""
    aside = lock_file.with_name("aside")
    aside.write_bytes(holder.note())
    aside.replace(lock_file)


def names(lock_file) -> list[str]:
    """What stands beside the lock, itself included."""
    return sorted(found.name for found in lock_file.parent.iterdir())


def fail(number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    return refuse
