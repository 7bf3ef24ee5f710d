"""A disk that loses its power, and keeps no more than it has promised.

What it promises: bytes of a file that were there when ``sync`` returned, names of a folder that
were there when ``sync_folder`` returned, and that a rename happens whole or not at all. Everything
else is thrown: a write, a name or a removal may be kept or lost in any order, a file may be longer
than what was written of it, and a sector on its way may hold zeros or rubbish. Bytes that were
synced are not harmed by later writes beside them. After a sync that failed, what was written before
is read as if nothing had happened, and is not on the disk, whatever a second sync says.
"""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

from tests.crash.stepwise import RESERVE_BYTES, Stepwise

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path


class File:
    """One file: its bytes as the disk has them, and what was written since."""

    def __init__(self, safe: bytes = b"") -> None:
        self.safe = safe
        self._writes: list[tuple[int, bytes]] = []
        self._sizes: set[int] = set()
        self._forgot = False
        self._now = bytearray(safe)

    @property
    def now(self) -> bytes:
        """What a process reads."""
        return bytes(self._now)

    def write(self, at: int, data: bytes) -> None:
        self._writes.append((at, data))
        self._now.extend(bytes(max(0, at + len(data) - len(self._now))))
        self._now[at : at + len(data)] = data
        self._sizes.add(len(self._now))

    def cut(self, size: int) -> None:
        self._now = self._now[:size].ljust(size, b"\0")
        self._sizes.add(size)

    def sync(self) -> None:
        self.safe = self._laid() if self._forgot else self.now
        self._writes = []
        self._sizes = set()

    def forget(self) -> None:
        """A sync failed: what was written is still read, and never reaches the disk."""
        self._forgot = True
        self._writes = []
        self._sizes = set()

    def _laid(self) -> bytes:
        content = File(self.safe)
        for at, data in self._writes:
            content.write(at, data)
        return content.now

    def survive(self, chance: random.Random) -> bytes:
        """What the disk has after a cut."""
        fate = chance.random()
        if fate < 0.15 or self.safe == self._now:
            return self.safe
        if fate < 0.3:
            return self._laid() if self._forgot else self.now
        if fate < 0.5:
            return self._up_to(chance)
        return self._scattered(chance)

    def _up_to(self, chance: random.Random) -> bytes:
        """The writes in their order, up to one that is torn somewhere."""
        content = File(self.safe)
        for at, data in self._writes[: chance.randrange(len(self._writes) + 1)]:
            content.write(at, data)
        if content._writes:
            at, data = content._writes[-1]
            content.cut(at + chance.randrange(len(data) + 1))
        return content.now

    def _scattered(self, chance: random.Random) -> bytes:
        """Each sector for itself, and one of the sizes the file has had, or one in between."""
        sizes = sorted({len(self.safe), *self._sizes})
        size = chance.choice([*sizes, chance.randint(sizes[0], sizes[-1])])
        content = bytearray(self.safe.ljust(max(size, len(self._now)), b"\0"))
        sector = chance.choice([512, 4096])
        for at, data in self._writes:
            begin = at
            while begin < at + len(data):
                end = min((begin // sector + 1) * sector, at + len(data))
                written = data[begin - at : end - at]
                content[begin:end] = self._sector(chance, content[begin:end], written)
                begin = end
        return bytes(content[:size])

    def _sector(self, chance: random.Random, before: bytes, written: bytes) -> bytes:
        fate = chance.random()
        if fate < 0.5:
            return written
        if fate < 0.8:
            return before.ljust(len(written), b"\0")
        if fate < 0.9:
            return bytes(len(written))
        return chance.randbytes(len(written))


class Folder:
    """One folder: its names as the disk has them, and how they changed since."""

    def __init__(self) -> None:
        self.safe: dict[str, File | Folder] = {}
        self.now: dict[str, File | Folder] = {}
        self._changes: list[dict[str, File | Folder | None]] = []

    def change(self, **names: File | Folder | None) -> None:
        """One step, whole or not at all; None is a name that goes."""
        self._changes.append(names)
        _apply(self.now, names)

    def sync(self) -> None:
        self.safe = dict(self.now)
        self._changes = []

    def survive(self, chance: random.Random) -> dict[str, File | Folder]:
        """The names that the disk has after a cut."""
        names = dict(self.safe)
        in_order = chance.random() < 0.5
        first = chance.randrange(len(self._changes) + 1)
        for number, change in enumerate(self._changes):
            if number < first if in_order else chance.random() < 0.5:
                _apply(names, change)
        return names


def _apply(names: dict[str, File | Folder], change: dict[str, File | Folder | None]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class Unplugged(Stepwise):
    """Everything under ``root``, which itself is there for good. Survives kills; see ``at``."""

    reserve_bytes = RESERVE_BYTES

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.at: int | None = None
        self.bad = False
        """The next sync of a file fails."""
        self._root = root
        self._top = Folder()
        self._fds: dict[int, File] = {}
        self._look(root, self._top)

    def stop_at(self, at: int | None) -> Unplugged:
        """End the process ``at`` steps from now; None: never."""
        self.at = None if at is None else self.steps + at
        return self

    def step(self, action, *, torn=None):
        self.steps += 1
        if self.steps == self.at:
            self._fds.clear()
            self.die()
        return action()

    def create(self, path):
        fd = super().create(path)
        self._fds[fd] = file = File()
        self._folder(path.parent).change(**{path.name: file})
        return fd

    def open(self, path):
        fd = super().open(path)
        self._look(path.parent, self._folder(path.parent))
        self._fds[fd] = self._folder(path.parent).now[path.name]
        return fd

    def write(self, fd, data, at):
        done = super().write(fd, data, at)
        self._fds[fd].write(at, bytes(data[:done]))
        return done

    def cut(self, fd, size):
        super().cut(fd, size)
        self._fds[fd].cut(size)

    def sync(self, fd):
        super().sync(fd)
        if self.bad:
            self.bad = False
            self._fds[fd].forget()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._fds[fd].sync()

    def close(self, fd):
        super().close(fd)
        self._fds.pop(fd, None)

    def rename(self, old, new):
        super().rename(old, new)
        folder = self._folder(old.parent)
        folder.change(**{old.name: None, new.name: folder.now[old.name]})

    def remove(self, path):
        there = path.exists()
        super().remove(path)
        if there:
            self._folder(path.parent).change(**{path.name: None})

    def sync_folder(self, folder):
        super().sync_folder(folder)
        node = self._folder(folder)
        self._look(folder, node)
        node.sync()

    def reserve(self, path, size):
        fd = self.create(path)
        self.write(fd, memoryview(bytes(self.reserve_bytes)), 0)
        self.sync(fd)
        self.close(fd)
        return self.reserve_bytes

    def cut_power(self, chance: random.Random) -> None:
        """Make the folder what the disk has, as the next start of the machine finds it."""
        self._look_everywhere(self._root, self._top)
        self._top = _rebuild(self._root, self._top, chance)

    def at_risk(self) -> list[str]:
        """What is there now, and may be gone or different after a cut."""
        self._look_everywhere(self._root, self._top)
        return sorted(_at_risk(self._top, ""))

    def _folder(self, path: Path) -> Folder:
        node = self._top
        walked = self._root
        for name in path.relative_to(self._root).parts:
            if name not in node.now:
                self._look(walked, node)
            node = node.now[name]
            walked /= name
        return node

    def _look(self, path: Path, folder: Folder) -> None:
        """Notice what was made or written without asking this disk: folders, and tables."""
        for entry in path.iterdir():
            if entry.is_dir():
                if entry.name not in folder.now:
                    folder.change(**{entry.name: Folder()})
                continue
            if entry.name not in folder.now:
                folder.change(**{entry.name: File()})
            file, content = folder.now[entry.name], entry.read_bytes()
            if file.now != content:
                file.cut(0)
                file.write(0, content)

    def _look_everywhere(self, path: Path, folder: Folder) -> None:
        self._look(path, folder)
        for name, node in folder.now.items():
            if isinstance(node, Folder):
                self._look_everywhere(path / name, node)


def _at_risk(folder: Folder, above: str) -> Iterator[str]:
    for name, node in folder.now.items():
        if folder.safe.get(name) is not node:
            yield above + name
        elif isinstance(node, Folder):
            yield from _at_risk(node, f"{above}{name}/")
        elif node.now != node.safe:
            yield above + name


def _rebuild(path: Path, folder: Folder, chance: random.Random) -> Folder:
    names = folder.survive(chance)
    path.mkdir(exist_ok=True)
    for gone in [entry for entry in path.iterdir() if entry.name not in names]:
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    rebuilt = Folder()
    for name, node in names.items():
        if isinstance(node, Folder):
            rebuilt.now[name] = _rebuild(path / name, node, chance)
        else:
            rebuilt.now[name] = file = File(node.survive(chance))
            (path / name).write_bytes(file.safe)
    rebuilt.sync()
    return rebuilt
