"""One process per run: a lock file that says who holds it, and a heartbeat in it.

The flock on it goes with its process, so a dead one never blocks. The heartbeat is for disks that
several machines share. Whoever takes the run puts a file of its own there: a holder that slept
through it sees another file and stops.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn
from weakref import WeakSet

from vbatch.clock import Clock, SystemClock
from vbatch.errors import Locked, StorageFull
from vbatch.sink.holder import (
    DEAD_AFTER_S,
    NOTE_BYTES,
    Holder,
    Signs,
    boot_id,
    read_note,
)
from vbatch.sink.storage import storage_errors
from vbatch.sink.taking import Taking, pause

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BEAT_EVERY_S = 10.0
STALE_AFTER_S = 60.0
_CLOCK = SystemClock()


class Moved(StorageFull):
    """The run's folder has another name now: this process holds it still, and finds no file."""


class Lock:
    """The lock of one run, held from construction to ``release``.

    Raises ``Locked`` naming the holder, ``StorageFull``. ``brief`` is for one who only looks:
    others wait for it. ``wait`` is given seconds to let pass.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        brief: bool = False,
        wait: Callable[[float], None] = pause,
    ) -> None:
        self._path, self._name = path, str(path)
        self._clock = clock
        now = clock.time()
        self.holder = Holder(
            host=socket.gethostname(),
            boot=boot_id(),
            pid=os.getpid(),
            started_at=now,
            beat_at=now,
            token=secrets.token_hex(8),
            brief=brief,
        )
        self._lost: str | None = None
        self._released = threading.Event()
        self._writing = threading.Lock()
        self._fd = Taking(path, self.holder, clock, wait).take()
        self._file = os.fstat(self._fd)
        self._note_time()
        _HELD.add(self)
        threading.Thread(target=self._beat_on, name="vbatch-heartbeat", daemon=True).start()

    def beat(self) -> None:
        """Say that this process is alive.

        Raises ``Locked`` if the run was taken meanwhile, ``Moved`` if it lies elsewhere now.
        """
        with self._writing, storage_errors(self._path):
            if self._released.is_set():
                return
            try:
                fd = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                self._follow()
            try:  # closing it makes a network disk send what was written
                found = read_note(os.pread(fd, NOTE_BYTES, 0))
                other = found is not None and found.token != self.holder.token
                if other or not os.path.samestat(os.fstat(fd), self._file):
                    self._lose(found)
                os.pwrite(fd, replace(self.holder, beat_at=self._clock.time()).note(), 0)
            finally:
                os.close(fd)
            self._note_time()

    def confirm(self) -> None:
        """Raise as ``beat`` if need be. Cheap: before every write and every request."""
        if self._lost is not None:
            raise Locked(self._lost)
        try:
            same = os.path.samestat(os.stat(self._name), self._file)  # noqa: PTH116 - half the time
        except OSError:
            same = False
        if self.stale or not same:
            self.beat()

    @property
    def stale(self) -> bool:
        """Whether the heartbeat is so old, or the clock so odd, that another may have the run."""
        said = self._clock.time() - self._beat_at
        passed = self._clock.monotonic() - self._beat_tick
        return self._lost is not None or not 0 <= said <= STALE_AFTER_S or passed > STALE_AFTER_S

    def release(self) -> None:
        """Let another process have the run."""
        with self._writing:
            if self._released.is_set():
                return
            self._released.set()
            _HELD.discard(self)  # a child born later closes nothing that bears our number then
            gone = replace(self.holder, beat_at=self._clock.time(), released=True)
            with suppress(OSError):
                os.pwrite(self._fd, gone.note(), 0)
            with suppress(OSError):  # for a child that was born just now, too
                fcntl.flock(self._fd, fcntl.LOCK_UN)
            with suppress(OSError):
                os.close(self._fd)

    def _beat_on(self) -> None:
        """A thread of its own: no slow sync, long commit or busy loop makes a holder look dead."""
        while not self._released.wait(BEAT_EVERY_S):
            try:
                self.beat()
            except Locked:
                return
            except StorageFull:
                continue  # if it lasts, ``stale`` says so before the next write

    def _follow(self) -> NoReturn:
        """The lock file is not where it was: it was removed, or went with the whole folder."""
        if os.fstat(self._fd).st_nlink == 0:
            self._lose(None)
        os.pwrite(self._fd, replace(self.holder, beat_at=self._clock.time()).note(), 0)
        self._note_time()
        raise Moved(
            f"{self._path.parent.parent} was moved while this process worked on it: nothing more "
            "is sent, and answers on their way are kept where it is now. Move it back, or name "
            "its new place as the output, then run the same command again"
        )

    def _lose(self, holder: Holder | None) -> NoReturn:
        run = self._path.parent.parent
        if holder is None or holder.token == self.holder.token:
            who = f"the lock of {run} was taken away while this process held it"
        else:
            who = f"{run} was taken over by {holder}"
        self._lost = f"{who}. Nothing more is sent or written"
        raise Locked(self._lost)

    def _note_time(self) -> None:
        self._beat_at, self._beat_tick = self._clock.time(), self._clock.monotonic()

    def _forked(self) -> None:
        """A child keeps no flock of its parent's alive."""
        with suppress(OSError):
            os.close(self._fd)
        self._fd = -1
        self._writing, self._released = threading.Lock(), threading.Event()
        self._released.set()


def is_held(path: Path, clock: Clock = _CLOCK) -> bool:
    """Whether some process holds the lock right now, as far as a look can tell."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _seems_held(fd, clock)
    except OSError:
        return False
    finally:
        os.close(fd)


def _seems_held(fd: int, clock: Clock) -> bool:
    holder = read_note(os.pread(fd, NOTE_BYTES, 0))
    if holder is not None and holder.released:
        return False
    signs = Signs(locked=_is_locked(fd), silent_s=clock.time() - os.fstat(fd).st_mtime)
    verdict = signs.judge(holder, clock)
    if verdict == "unsure":
        return signs.locked and signs.silent_s < DEAD_AFTER_S
    return verdict == "alive"


def _is_locked(fd: int) -> bool:
    """Asked by having it for a moment, together with others who only ask."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


_HELD: WeakSet[Lock] = WeakSet()


def _let_go_in_child() -> None:
    for lock in list(_HELD):
        lock._forked()  # noqa: SLF001 - of this module


os.register_at_fork(after_in_child=_let_go_in_child)
