"""One process per run: an flock, and a note in the locked file that says who holds it.

The lock itself goes with its process, so a dead one never blocks. The heartbeat is for disks that
several machines share, where a holder that slept through its lease may have lost the lock.
"""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from filelock import FileLock, Timeout

from vbatch.errors import Locked
from vbatch.sink.storage import storage_errors

if TYPE_CHECKING:
    from vbatch.clock import Clock

BEAT_EVERY_S = 10.0
STALE_AFTER_S = 60.0
_PATIENCE_S = 0.3
"""Someone who only looks whether the run is held holds it for a moment himself."""
_NOTE_BYTES = 512
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SYSCTL = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a run. Times in seconds since the epoch; ``boot`` names the machine's start."""

    host: str
    boot: str
    pid: int
    started_at: float
    beat_at: float

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.started_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"process {self.pid} on {self.host}, since {since}"


class Lock:
    """The lock of one run, held from construction to ``release``; raises ``Locked``."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = FileLock(path, fallback_to_soft=False, thread_local=False)
        with storage_errors(path):
            try:
                self._lock.acquire(timeout=_PATIENCE_S, poll_interval=_PATIENCE_S / 3)
            except Timeout:
                raise Locked(_held_by(read_holder(path), path)) from None
        now = clock.time()
        self.holder = Holder(
            host=socket.gethostname(), boot=boot_id(), pid=os.getpid(), started_at=now, beat_at=now
        )
        self._write_note(now)

    def beat(self) -> None:
        """Say that this process is alive; raises ``Locked`` if the run was taken meanwhile."""
        now = self._clock.time()
        if now - self._beat_at > STALE_AFTER_S:
            self._check()
        self._write_note(now)

    @property
    def stale(self) -> bool:
        """Whether the heartbeat is so old that ``beat`` has to come before anything is written."""
        return self._clock.time() - self._beat_at > STALE_AFTER_S

    def release(self) -> None:
        """Let another process have the run."""
        self._lock.release()

    def _check(self) -> None:
        found = read_holder(self._path)
        mine = self.holder
        if found is None or (found.boot, found.pid, found.started_at) != (
            mine.boot,
            mine.pid,
            mine.started_at,
        ):
            raise Locked(_held_by(found, self._path))

    def _write_note(self, now: float) -> None:
        note = {
            "host": self.holder.host,
            "boot": self.holder.boot,
            "pid": self.holder.pid,
            "started_at": self.holder.started_at,
            "beat_at": now,
        }
        with storage_errors(self._path):
            fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.pwrite(fd, orjson.dumps(note).ljust(_NOTE_BYTES), 0)
            finally:
                os.close(fd)
        self._beat_at = now


def read_holder(path: Path) -> Holder | None:
    """Who wrote the note in a lock file last, None if nobody has."""
    try:
        note: dict[str, Any] = orjson.loads(path.read_bytes())
        return Holder(**note)
    except (OSError, ValueError, TypeError):
        return None


def is_held(path: Path) -> bool:
    """Whether some process holds the lock right now."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def boot_id() -> str:
    """What names this start of the machine; empty where the machine has no such thing."""
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    if sys.platform == "darwin":
        with suppress(OSError):
            return subprocess.run(  # noqa: S603 - a fixed command of the system
                _SYSCTL, capture_output=True, text=True, check=False
            ).stdout.strip()
    return ""


def _held_by(holder: Holder | None, path: Path) -> str:
    who = "another process" if holder is None else str(holder)
    return f"{path.parent.parent} is being worked on by {who}. Nothing was sent"
