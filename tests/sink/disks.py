"""Disks that are quick, or fail on purpose where a test says so."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from vbatch.sink.storage import Storage

if TYPE_CHECKING:
    from pathlib import Path


class Quick(Storage):
    """A disk without the wait: what reaches the cache is all these tests look at."""

    def sync(self, fd: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass

    def reserve(self, path: Path, size: int) -> int:
        self.close(self.create(path))
        return 0


class Failing(Quick):
    """Refuses with ``error`` what ``fails(what, path)`` says; the rest works."""

    def __init__(self, fails, error=errno.ENOSPC, *, short=0) -> None:
        self._fails = fails
        self._error = error
        self._short = short
        self._paths: dict[int, Path] = {}

    def _check(self, what: str, path: Path) -> None:
        if self._fails(what, path):
            raise OSError(self._error, os.strerror(self._error))

    def create(self, path):
        self._check("create", path)
        fd = super().create(path)
        self._paths[fd] = path
        return fd

    def open(self, path):
        self._check("open", path)
        fd = super().open(path)
        self._paths[fd] = path
        return fd

    def write(self, fd, data, at):
        try:
            self._check("write", self._paths[fd])
        except OSError:
            if self._short:
                done, self._short = super().write(fd, data[: self._short], at), 0
                return done
            raise
        return super().write(fd, data, at)

    def cut(self, fd, size):
        self._check("cut", self._paths[fd])
        super().cut(fd, size)

    def sync(self, fd):
        self._check("sync", self._paths[fd])

    def rename(self, old, new):
        self._check("rename", new)
        super().rename(old, new)
        for fd, path in self._paths.items():
            if path == old:
                self._paths[fd] = new

    def remove(self, path):
        self._check("remove", path)
        super().remove(path)
