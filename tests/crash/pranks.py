"""What is played on a run before it begins, in the child that a nursery has forked."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import shutil
import signal
import socket
import threading
import time
from pathlib import Path

from vbatch.engine import worker
from vbatch.sink import holder, lock, run_folder, taking
from vbatch.sink.journal import Rolling
from vbatch.sink.recorder import Recorder
from vbatch.sink.run_folder import RunFolder
from vbatch.sink.storage import ASIDE, Storage
from vbatch.source.loader import ImageLoader


def short_segments(outcomes: int) -> None:
    """Roll the journal after so many outcomes, so that even a short run commits often."""
    RunFolder.open.__func__.__kwdefaults__["rolling"] = Rolling(outcomes=outcomes)


def die(at: int, how: str) -> None:
    """Kill the process for real at its ``at``-th step on the disk: see ``Deadly``."""
    run_folder.Storage = lambda: Deadly(at, how)


class Deadly(Storage):
    """SIGKILL before or after a step, or in the middle of a write (``torn`` counts writes only)."""

    def __init__(self, at: int, how: str) -> None:
        self._left = at
        self._how = how
        self._counting = threading.Lock()

    def _step(self, action, *, torn=None):
        with self._counting:
            self._left -= self._how != "torn" or torn is not None
            now = self._left == 0 and (self._how != "torn" or torn is not None)
        if now and torn is not None and self._how == "torn":
            torn()
        if now and self._how == "after":
            action()
        if now:
            os.kill(os.getpid(), signal.SIGKILL)
        return action()

    def create(self, path):
        return self._step(lambda: super(Deadly, self).create(path))

    def write(self, fd, data, at):
        return self._step(
            lambda: super(Deadly, self).write(fd, data, at),
            torn=lambda: os.pwrite(fd, data[: len(data) // 2], at),
        )

    def cut(self, fd, size):
        self._step(lambda: super(Deadly, self).cut(fd, size))

    def sync(self, fd):
        self._step(lambda: super(Deadly, self).sync(fd))

    def rename(self, old, new):
        self._step(lambda: super(Deadly, self).rename(old, new))

    def remove(self, path):
        self._step(lambda: super(Deadly, self).remove(path))

    def sync_folder(self, folder):
        self._step(lambda: super(Deadly, self).sync_folder(folder))


def slow_parts(seconds: float) -> None:
    """Take so long to sync a part that a signal comes in the middle of a commit."""

    class Slow(Storage):
        def sync(self, fd):
            if path_of(fd).endswith(f"1.parquet{ASIDE}"):
                time.sleep(seconds)
            super().sync(fd)

    run_folder.Storage = Slow


def stuck_pictures() -> None:
    """Never come back from reading a picture, as on a network disk whose server is gone."""

    def stuck(self, sources, shrink, granted):
        Path("stuck").touch()
        threading.Event().wait()

    ImageLoader._each = stuck


def deaf_to_hangup() -> None:
    """What nohup does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def bug(after: int) -> None:
    """A bug that shows once so many answers have come."""
    right = worker.result_of
    calls = itertools.count(1)

    def wrong(*args, **words):
        if next(calls) > after:
            raise ZeroDivisionError("no such luck, sk-test-0123456789")
        return right(*args, **words)

    worker.result_of = wrong


def early_bug() -> None:
    """A bug before there is a run to work on."""

    def wrong(*_args, **_words):
        raise ZeroDivisionError("no such luck, sk-test-0123456789")

    run_folder.make_folders = wrong


def elsewhere(host: str, boot: str, watch_s: float = 0.3) -> None:
    """Be a machine of its own, whose flocks reach no other; it watches the silent more briefly."""
    taking.WATCH_S, taking._WATCH_EVERY_S = watch_s, watch_s / 6
    taking.lock_descriptor = lambda fd, **_: fd > 0
    socket.gethostname = lambda: host
    holder.boot_id = lock.boot_id = lambda: boot


def watch_briefly(seconds: float) -> None:
    """Take less time to make sure that a silent holder on another machine is dead."""
    taking.WATCH_S, taking._WATCH_EVERY_S = seconds, seconds / 6


def witness(path: str) -> None:
    """Write down when the run learns that its disk has failed."""
    refuse = Recorder.refuse

    def refusing(self, trouble):
        if self.trouble is None:
            Path(path).write_text(str(time.time()))
        refuse(self, trouble)

    Recorder.refuse = refusing


def small_files(size_bytes: int) -> None:
    """A limit on file size, as ``ulimit -f`` sets it."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


def full_in_commit(disk: str, left_bytes: int) -> None:
    """Let somebody else fill the disk when the first segment is about to become parts."""

    class Filling(Storage):
        def remove(self, path):
            super().remove(path)
            if path.match("superseded/part-000001.parquet") and not ballast.exists():
                free = shutil.disk_usage(disk).free
                ballast.write_bytes(bytes(max(0, free - left_bytes)))

    ballast = Path(disk) / "ballast"
    run_folder.Storage = Filling


def losing_disk(at: int) -> None:
    """Fail the ``at``-th sync of the journal once, and have lost what was to be synced.

    As Linux does: the pages are dropped, and the next sync calls it a success.
    """

    class Losing(Storage):
        def __init__(self) -> None:
            self._left = at
            self._safe: dict[str, int] = {}

        def sync(self, fd):
            name = path_of(fd)
            size = os.fstat(fd).st_size
            if ".seg" in name:
                self._left -= 1
                if self._left == 0:
                    safe = self._safe.get(name, 0)
                    os.pwrite(fd, bytes(size - safe), safe)
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
            super().sync(fd)
            self._safe[name.removesuffix(ASIDE)] = size

    disk = Losing()
    run_folder.Storage = lambda: disk


def path_of(fd: int) -> str:
    """What file a descriptor stands for."""
    return str(Path(f"/proc/self/fd/{fd}").readlink())
