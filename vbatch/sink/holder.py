"""Who holds a run: the note in the lock file, and what it is worth as a sign of life."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

if TYPE_CHECKING:
    from vbatch.clock import Clock

DEAD_AFTER_S = 120.0
"""A holder on another machine that was silent this long is taken for dead."""
NOTE_BYTES = 768

_TOKEN = re.compile(r"[0-9a-f]{0,64}")
_LATEST = 1e11
_MOST_PIDS = 1 << 31
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_UPTIME = Path("/proc/uptime")
_SYSCTL = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]

Verdict = Literal["gone", "alive", "unsure"]
"""``unsure``: it looks dead by the clocks, so it is to be watched before it is taken for dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a run. Times in seconds since the epoch; ``boot`` names the machine's start.

    ``token`` is different for every holder there ever was. ``brief`` is one who only looks and will
    let go in a moment; ``released`` one who has let go.
    """

    host: str
    boot: str
    pid: int
    started_at: float
    beat_at: float
    token: str = ""
    brief: bool = False
    released: bool = False

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.started_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"process {self.pid} on {self.host}, since {since}"

    @property
    def is_local(self) -> bool:
        """Whether it ran on this kernel, whose locks then say whether it still does."""
        here = boot_id()
        return self.boot == here and bool(here or self.host == socket.gethostname())

    @property
    def is_seen(self) -> bool:
        """Whether a process with its number is visible from here; another may bear it by now."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True

    def note(self) -> bytes:
        """What stands in the lock file; always of one length, so that it is written over whole."""
        return orjson.dumps(asdict(self)).ljust(NOTE_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What a lock file shows. ``silent_s`` is its age by the clock of the disk it lies on.

    ``locked``: somebody else has the flock on it.
    """

    locked: bool
    silent_s: float

    def judge(self, holder: Holder | None, clock: Clock) -> Verdict:
        """Whether the holder that wrote the note may still be at work."""
        if holder is None or holder.released or holder.is_local:
            return "alive" if self.locked else "gone"
        said_s = clock.time() - holder.beat_at
        silent = max(abs(self.silent_s), abs(said_s)) >= DEAD_AFTER_S
        if holder.host != socket.gethostname():
            return "unsure" if silent else "alive"
        long_silent = min(self.silent_s, said_s) >= DEAD_AFTER_S
        if long_silent and not self.locked and holder.beat_at < booted_at(clock):
            return "gone"
        return "unsure"


def read_note(data: bytes) -> Holder | None:
    """The holder that wrote ``data``; None if it is no note. Notes are not to be trusted."""
    try:
        found: dict[str, Any] = orjson.loads(data)
        holder = Holder(
            host="".join(c if c.isprintable() else "?" for c in str(found["host"])[:255]),
            boot=str(found["boot"]),
            pid=int(found["pid"]),
            started_at=float(found["started_at"]),
            beat_at=float(found["beat_at"]),
            token=str(found.get("token", "")),
            brief=bool(found.get("brief")),
            released=bool(found.get("released")),
        )
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError):
        return None
    times = 0 <= holder.started_at < _LATEST and 0 <= holder.beat_at < _LATEST
    sound = times and 0 < holder.pid < _MOST_PIDS and _TOKEN.fullmatch(holder.token)
    return holder if sound else None


def read_holder(path: Path) -> Holder | None:
    """Who wrote the note in a lock file last, None if nobody has."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return read_note(os.pread(fd, NOTE_BYTES, 0))
    except OSError:
        return None
    finally:
        os.close(fd)


@lru_cache(maxsize=1)
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


def booted_at(clock: Clock) -> float:
    """When this machine started, in seconds since the epoch; 0 where it does not say."""
    with suppress(OSError, ValueError):
        return clock.time() - float(_UPTIME.read_text().split()[0])
    return 0.0
