"""How a process becomes the holder of a run: one wins, whatever the disk's locks are worth.

The flock says who is alive on this machine. Between machines it may not reach, or outlive its
holder, so every holder puts a lock file of its own in place of the last one's, and first claims the
right to: ``lock.after-<token of the last holder>`` can be linked once.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from filelock import lock_descriptor

from vbatch.errors import Locked, StorageFull
from vbatch.sink.holder import NOTE_BYTES, Holder, Signs, read_holder, read_note
from vbatch.sink.storage import storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vbatch.clock import Clock

WATCH_S = 25.0
"""Two heartbeats and a half: whoever looks dead by the clocks is watched this long."""
_WATCH_EVERY_S = 1.0
_POLL_S = 0.02
_LIVING_S = 0.2
_PASSING_S = 5.0
"""Somebody who is just taking the run, or looks whether it is held, has the flock for a moment."""
_BRIEF_S = 60.0
_ROUNDS = 100
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


class _MovedError(Exception):
    """Somebody else came first; look again."""


class _Look(NamedTuple):
    holder: Holder | None
    data: bytes
    signs: Signs


def pause(seconds: float) -> None:
    """Wait, in a thread that has nothing else to do."""
    threading.Event().wait(seconds)


class Taking:
    """Puts a lock file of ``mine`` at ``path``; nobody else is the holder then."""

    def __init__(
        self, path: Path, mine: Holder, clock: Clock, pause: Callable[[float], None]
    ) -> None:
        self._path = path
        self._mine = mine
        self._clock = clock
        self._pause = pause
        self._aside = path.with_name(f"{path.name}.{mine.token}")
        self._fd = -1

    def take(self) -> int:
        """Return a descriptor of the file, with its flock.

        Raises ``Locked`` naming the holder, ``StorageFull`` if the folder takes no locks.
        """
        for _ in range(_ROUNDS):
            with storage_errors(self._path), suppress(_MovedError), ExitStack() as stack:
                return self._round(stack)
        return self._refuse(read_holder(self._path))

    def _round(self, stack: ExitStack) -> int:
        self._make_aside(stack)
        last = before = self._wait_until_gone(self._path, stack)
        while not self._link(claim := self._claim_after(before)):
            before = self._wait_until_gone(claim, stack)
        stack.callback(_remove, claim)
        if _token(read_holder(self._path)) != _token(last):
            raise _MovedError
        self._replace()
        self._tidy()
        return os.dup(self._fd)

    def _make_aside(self, stack: ExitStack) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._fd = os.open(self._aside, flags, 0o600)
        except FileNotFoundError:
            raise Locked(
                f"{_run(self._path)} was moved or removed just now. Nothing was sent"
            ) from None
        stack.callback(os.close, self._fd)
        stack.callback(_remove, self._aside)
        os.pwrite(self._fd, self._mine.note(), 0)
        os.fsync(self._fd)  # or on a network disk others would find a claim without a name
        self._flock(self._fd)

    def _link(self, claim: Path) -> bool:
        """Claim the right to follow a holder; False if somebody else has."""
        try:
            os.link(self._aside, claim)
        except FileExistsError:  # a lost reply makes a network disk say so of our own link
            return os.fstat(self._fd).st_nlink > 1
        except FileNotFoundError:
            raise _MovedError from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        return True

    def _replace(self) -> None:
        try:
            self._aside.replace(self._path)
        except FileNotFoundError:
            raise _MovedError from None

    def _tidy(self) -> None:
        """Remove what others left behind who died while they were here."""
        mine = self._claim_after(self._mine)
        for path in self._path.parent.glob(f"{self._path.name}.*"):
            if path != mine:
                _remove(path)

    def _wait_until_gone(self, path: Path, stack: ExitStack) -> Holder | None:
        """Return who held ``path`` last, once it is sure to be gone; ``Locked`` if it is alive."""
        waited = 0.0
        while True:
            with ExitStack() as looking:
                look = self._look(path, looking)
                if look is None:
                    return None
                verdict = look.signs.judge(look.holder, self._clock)
                if verdict == "unsure":
                    self._watch(path, look)
                if verdict != "alive":
                    stack.push(looking.pop_all())
                    return look.holder
            if waited >= _patience(look.holder):
                self._refuse(look.holder)
            self._pause(_POLL_S)
            waited += _POLL_S

    def _look(self, path: Path, stack: ExitStack) -> _Look | None:
        """Try to have the flock of ``path``, and read it; None where there is no lock file."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            if path == self._path:
                return None
            raise _MovedError from None
        stack.callback(os.close, fd)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise StorageFull(f"{path} is in the way: it is no file. Remove it and run again")
        locked = not self._flock(fd)
        data = os.pread(fd, NOTE_BYTES, 0)
        if not _is_at(path, fd):
            raise _MovedError
        holder = read_note(data)
        if holder is None and path != self._path and not locked:
            _remove(path)  # a claim that a power cut has emptied
            raise _MovedError
        foreign = holder is not None and not holder.released and not holder.is_local
        silent_s = self._disk_time() - os.fstat(fd).st_mtime if foreign else 0.0
        return _Look(holder, data, Signs(locked=locked, silent_s=silent_s))

    def _watch(self, path: Path, look: _Look) -> None:
        """Return if whoever holds ``path`` stays silent; ``Locked`` if not."""
        waited = 0.0
        while waited < WATCH_S:
            self._pause(_WATCH_EVERY_S)
            waited += _WATCH_EVERY_S
            if (data := _read(path)) != look.data:
                now = read_note(data)
                if now is None or now.released:
                    raise _MovedError
                self._refuse(now)

    def _disk_time(self) -> float:
        """The clock of the disk, which on a shared one is nobody's own."""
        os.pwrite(self._fd, self._mine.note(), 0)
        os.fsync(self._fd)
        return os.fstat(self._fd).st_mtime

    def _flock(self, fd: int) -> bool:
        try:
            return lock_descriptor(fd, blocking=False)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise StorageFull(
                f"the disk of {_run(self._path)} takes no locks ({error.strerror}), so two "
                "processes could work on the run. Choose an output on another disk"
            ) from error

    def _claim_after(self, holder: Holder | None) -> Path:
        return self._path.with_name(f"{self._path.name}.after-{_token(holder)}")

    def _refuse(self, holder: Holder | None) -> NoReturn:
        who = "another process" if holder is None or holder.released else str(holder)
        raise Locked(f"{_run(self._path)} is being worked on by {who}. Nothing was sent")


def _patience(holder: Holder | None) -> float:
    """How long to wait for one that seems alive: some hold the flock for a moment only."""
    if holder is None or holder.released:
        return _PASSING_S
    if holder.brief:
        return _BRIEF_S
    if holder.is_local:
        return _LIVING_S if holder.is_seen else _PASSING_S
    return 0.0


def _token(holder: Holder | None) -> str:
    return "nobody" if holder is None else holder.token


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _read(path: Path) -> bytes:
    """Open anew each time: only that makes a network disk ask its server."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _run(lock: Path) -> Path:
    return lock.parent.parent
