"""A disk that changes nothing once the run belongs to somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbatch.sink.storage import Storage

if TYPE_CHECKING:
    from pathlib import Path

    from vbatch.sink.lock import Lock


class Fenced(Storage):
    """``storage`` behind a ``lock`` that is asked before any file begins, moves or goes.

    Raises as ``Lock.confirm``. Before a write into an open segment the recorder asks.
    """

    def __init__(self, storage: Storage, lock: Lock) -> None:
        self._storage = storage
        self._lock = lock

    def create(self, path: Path) -> int:
        """Ask, then as ``Storage``."""
        self._lock.confirm()
        return self._storage.create(path)

    def open(self, path: Path) -> int:
        """Ask, then as ``Storage``."""
        self._lock.confirm()
        return self._storage.open(path)

    def rename(self, old: Path, new: Path) -> None:
        """Ask, then as ``Storage``."""
        self._lock.confirm()
        self._storage.rename(old, new)

    def remove(self, path: Path) -> None:
        """Ask, then as ``Storage``."""
        self._lock.confirm()
        self._storage.remove(path)

    def reserve(self, path: Path, size: int) -> int:
        """Ask, then as ``Storage``."""
        self._lock.confirm()
        return self._storage.reserve(path, size)

    def free_bytes(self, folder: Path) -> int:
        """As ``Storage``."""
        return self._storage.free_bytes(folder)

    def write(self, fd: int, data: memoryview, at: int) -> int:
        """As ``Storage``."""
        return self._storage.write(fd, data, at)

    def cut(self, fd: int, size: int) -> None:
        """As ``Storage``."""
        self._storage.cut(fd, size)

    def sync(self, fd: int) -> None:
        """As ``Storage``."""
        self._storage.sync(fd)

    def close(self, fd: int) -> None:
        """As ``Storage``."""
        self._storage.close(fd)

    def sync_folder(self, folder: Path) -> None:
        """As ``Storage``."""
        self._storage.sync_folder(folder)
