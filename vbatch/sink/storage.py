"""The few things a run's folder asks of a disk, in one place that a test can break on purpose.

Every failure of the disk becomes ``StorageFull`` here, so that nobody above sees an ``OSError``.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from vbatch.errors import Corrupt, StorageFull

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASIDE = ".tmp"
"""Ending of a file that is not there yet: removed by the next command."""
HIDDEN = ".vbatch"
"""Folder of what a run keeps for itself; whatever is made in it is its owner's only."""
PROBE = f"{HIDDEN}-probe-"
"""Beginning of a file that is there for a moment only."""

_FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", None)
_SMALLEST_RESERVE = 64 << 10
_FEW_FILES = (errno.EMFILE, errno.ENFILE)
_UNKNOWN = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
"""What a disk says that does not know such a thing."""


class Storage:
    """A local disk. Raises ``OSError``; callers translate with ``storage_errors``."""

    def create(self, path: Path) -> int:
        """Open a new file for writing; it must not exist."""
        mode = 0o600 if HIDDEN in path.parts else 0o666
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)

    def open(self, path: Path) -> int:
        """Open a file that exists for writing."""
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    def write(self, fd: int, data: memoryview, at: int) -> int:
        """Write some of ``data`` at offset ``at``; return how many bytes went."""
        return os.pwrite(fd, data, at)

    def cut(self, fd: int, size: int) -> None:
        """Make the file end at ``size`` bytes."""
        os.ftruncate(fd, size)

    def sync(self, fd: int) -> None:
        """Return when the disk itself has the file, not only its cache (macOS: F_FULLFSYNC)."""
        if _FULL_SYNC is None:
            os.fsync(fd)
        else:
            fcntl.fcntl(fd, _FULL_SYNC)

    def close(self, fd: int) -> None:
        """Close the file."""
        os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Give ``old`` the name ``new``, whatever had it before, in one step."""
        old.replace(new)

    def remove(self, path: Path) -> None:
        """Remove the file if it is there."""
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        """Return when the folder's names are on the disk."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno not in _UNKNOWN:  # a disk that syncs no folders is still a disk
                raise
        finally:
            os.close(fd)

    def free_bytes(self, folder: Path) -> int:
        """What this user may still write where ``folder`` is; a disk that cannot say has plenty."""
        try:
            status = os.statvfs(folder)
        except OSError:
            return sys.maxsize
        return status.f_bavail * status.f_frsize if status.f_blocks else sys.maxsize

    def reserve(self, path: Path, size: int) -> int:
        """Make a file of up to ``size`` bytes that truly takes its room; return its size.

        At most a quarter of what is free; raises ``OSError`` below 64 KiB.
        """
        size = max(min(size, shutil.disk_usage(path.parent).free // 4), _SMALLEST_RESERVE)
        fd = self.create(path)
        try:
            size = _allocate(fd, size)
            self.sync(fd)
        finally:
            self.close(fd)
        return size


def _allocate(fd: int, size: int) -> int:
    """Take ``size`` bytes, or half of it, and so on: a quota or file limit may be near."""
    while True:
        try:
            _fill(fd, size)
        except OSError:
            os.ftruncate(fd, 0)
            if size // 2 < _SMALLEST_RESERVE:
                raise
            size //= 2
        else:
            return size


def _fill(fd: int, size: int) -> None:
    try:
        os.posix_fallocate(fd, 0, size)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _UNKNOWN:
            raise
        if os.pwrite(fd, bytes(size), 0) < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn ``OSError`` into ``StorageFull`` that names the file and says what to do."""
    try:
        yield
    except OSError as error:
        few_files = error.errno in _FEW_FILES
        wanted = "Raise `ulimit -n`" if few_files else "Make room (or the folder writable)"
        raise StorageFull(
            f"cannot write {path}: {error.strerror or error}. {wanted}, "
            "then run the same command again: nothing recorded is lost"
        ) from error


def is_out_of_files(error: StorageFull) -> bool:
    """Whether the process, not the disk, had no room: no file descriptor was free just now."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in _FEW_FILES


@contextmanager
def reading(path: Path, other: type[Exception] = OSError) -> Iterator[None]:
    """Turn ``OSError``, ``ValueError`` and ``other`` into ``Corrupt`` that names the file."""
    try:
        yield
    except PermissionError as error:
        raise Corrupt(
            f"{path} cannot be read: {error.strerror or error}. Make it readable for you, then run "
            "the same command again"
        ) from error
    except (OSError, ValueError, other) as error:
        raise Corrupt(
            f"{path} cannot be read: {error}. Restore it from a copy, or start over with --fresh"
        ) from error


def is_there(path: Path) -> bool:
    """Whether something has this name; raises ``OSError`` where that cannot be told.

    Some versions of Python say of what may not be looked at that it does not exist.
    """
    try:
        os.stat(path)  # noqa: PTH116 - as said above
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _is_folder(path: Path) -> bool:
    return is_there(path) and path.is_dir()


def write_all(storage: Storage, fd: int, data: bytes, at: int) -> None:
    """Write all of ``data`` at ``at``: a nearly full disk takes some and says so only later."""
    left = memoryview(data)
    while left:
        done = storage.write(fd, left, at)
        if done <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left, at = left[done:], at + done


def put(storage: Storage, path: Path, data: bytes) -> None:
    """Put a whole small file in place: aside, synced, renamed, folder synced."""
    aside = path.with_name(path.name + ASIDE)
    with storage_errors(path):
        storage.remove(aside)
        fd = storage.create(aside)
        try:
            write_all(storage, fd, data, 0)
            storage.sync(fd)
        except OSError:
            with suppress(OSError):
                storage.remove(aside)
            raise
        finally:
            storage.close(fd)
        publish(storage, aside, path)


def publish(storage: Storage, aside: Path, path: Path) -> None:
    """Give a synced file its name, for good."""
    storage.rename(aside, path)
    storage.sync_folder(path.parent)


def make_folder(storage: Storage, path: Path) -> None:
    """Make a folder, and its parents, if it is not there; its name outlives a power cut."""
    with storage_errors(path):
        if _is_folder(path):
            return
        if not _is_folder(path.parent):
            make_folder(storage, path.parent)
        path.mkdir(0o700 if HIDDEN in path.parts else 0o777, exist_ok=True)
        storage.sync_folder(path.parent)


def probe(storage: Storage, folder: Path) -> None:
    """Find out before anything is paid for whether ``folder`` can be written; ``StorageFull``."""
    path = folder / f"{PROBE}{secrets.token_hex(4)}"
    put(storage, path, b"vbatch")
    with storage_errors(path):
        storage.remove(path)
