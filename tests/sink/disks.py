"""Disks that fail on purpose: killed at a given step, cut from power, full, or dying."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from vbatch.sink.storage import Storage

if TYPE_CHECKING:
    import random
    from pathlib import Path


class Killed(BaseException):
    """The process dies here; nothing below may catch it."""


class Quick(Storage):
    """A disk without the wait: what reaches the cache is all these tests look at."""

    def sync(self, fd: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass

    def reserve(self, path: Path, size: int) -> int:
        self.close(self.create(path))
        return 0


class Deadly(Quick):
    """Kills the process at step ``at``: before it, after it, or in the middle of a write."""

    def __init__(self, at: int | None = None, how: str = "before") -> None:
        self.steps = 0
        self._at = at
        self._how = how
        self._open: set[int] = set()

    def _step(self, action, *, torn=None):
        self.steps += 1
        if self.steps != self._at:
            return action()
        if self._how == "torn" and torn is not None:
            torn()
        if self._how == "after":
            action()
        for fd in self._open:
            os.close(fd)
        self._open.clear()
        raise Killed(f"at step {self.steps}")

    def create(self, path):
        fd = self._step(lambda: super(Deadly, self).create(path))
        self._open.add(fd)
        return fd

    def open(self, path):
        fd = super().open(path)
        self._open.add(fd)
        return fd

    def write(self, fd, data, at):
        return self._step(
            lambda: super(Deadly, self).write(fd, data, at),
            torn=lambda: os.pwrite(fd, data[: len(data) // 2], at),
        )

    def cut(self, fd, size):
        self._step(lambda: super(Deadly, self).cut(fd, size))

    def sync(self, fd):
        self._step(lambda: None)

    def close(self, fd):
        if fd in self._open:  # a dead process closes nothing twice
            self._open.remove(fd)
            super().close(fd)

    def rename(self, old, new):
        self._step(lambda: super(Deadly, self).rename(old, new))

    def remove(self, path):
        self._step(lambda: super(Deadly, self).remove(path))

    def sync_folder(self, folder):
        self._step(lambda: None)


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


class _File:
    """One file's bytes: as the disk has them, and the writes since."""

    def __init__(self) -> None:
        self.safe = b""
        self.writes: list[tuple[int, bytes]] = []
        self.written_elsewhere: Path | None = None


class Unplugged(Storage):
    """A disk that keeps, drops or tears what was not synced when the power goes at step ``at``.

    Names are kept or dropped likewise until their folder is synced. ``cut_power`` makes the folder
    what the disk would have.
    """

    def __init__(self, root: Path, chance: random.Random, at: int | None = None) -> None:
        self.steps = 0
        self._at = at
        self._root = root
        self._chance = chance
        self._files: dict[Path, _File] = {}
        self._safe_names: dict[Path, _File] = {}
        self._fds: dict[int, _File] = {}
        for path in root.rglob("*"):
            if path.is_file():
                file = _File()
                file.safe = path.read_bytes()
                self._files[path] = self._safe_names[path] = file

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self._at:
            for fd in self._fds:
                os.close(fd)
            self._fds.clear()
            raise Killed(f"at step {self.steps}")

    def create(self, path):
        self._step()
        fd = super().create(path)
        self._files[path] = self._fds[fd] = _File()
        return fd

    def open(self, path):
        fd = super().open(path)
        if path not in self._files or self._files[path].written_elsewhere:
            self._files[path] = _File()
        self._fds[fd] = self._files[path]
        if not self._fds[fd].safe and not self._fds[fd].writes:
            self._fds[fd].written_elsewhere = path
        return fd

    def write(self, fd, data, at):
        self._step()
        self._fds[fd].writes.append((at, bytes(data)))
        return super().write(fd, data, at)

    def cut(self, fd, size):
        self._step()
        file = self._fds[fd]
        file.safe = _content(file)[:size]
        file.writes = []
        super().cut(fd, size)

    def sync(self, fd):
        self._step()
        file = self._fds[fd]
        if file.written_elsewhere is not None:
            file.safe = file.written_elsewhere.read_bytes()
            file.written_elsewhere = None
        else:
            file.safe = _content(file)
            file.writes = []

    def close(self, fd):
        if self._fds.pop(fd, None) is not None:
            super().close(fd)

    def rename(self, old, new):
        self._step()
        super().rename(old, new)
        self._files[new] = self._files.pop(old)

    def remove(self, path):
        self._step()
        super().remove(path)
        self._files.pop(path, None)

    def sync_folder(self, folder):
        self._step()
        for path in [p for p in self._safe_names if p.parent == folder]:
            del self._safe_names[path]
        self._safe_names |= {p: f for p, f in self._files.items() if p.parent == folder}

    def reserve(self, path, size):
        self.close(self.create(path))
        return 0

    def cut_power(self) -> None:
        names = {}
        for path in {*self._files, *self._safe_names}:
            now, safe = self._files.get(path), self._safe_names.get(path)
            kept = now if now is safe or self._chance.random() < 0.5 else safe
            if kept is not None:
                names[path] = self._survives(kept, path)
        for path in self._root.rglob("*"):
            if path.is_file():
                path.unlink()
        for path, content in names.items():
            path.write_bytes(content)

    def _survives(self, file: _File, path: Path) -> bytes:
        if file.written_elsewhere is not None:
            content = path.read_bytes() if path.exists() else b""
            return content[: self._chance.randrange(len(content) + 1)]
        content = bytearray(file.safe)
        for at, data in file.writes:
            fate = self._chance.random()
            if fate < 0.3:
                continue
            if fate < 0.5:
                _lay(content, at, data[: self._chance.randrange(len(data) + 1)])
            else:
                _lay(content, at, data)
        return bytes(content)


def _content(file: _File) -> bytes:
    content = bytearray(file.safe)
    for at, data in file.writes:
        _lay(content, at, data)
    return bytes(content)


def _lay(content: bytearray, at: int, data: bytes) -> None:
    content.extend(bytes(max(0, at + len(data) - len(content))))
    content[at : at + len(data)] = data
