"""A folder of images as a manifest: one row per image, its path as id."""

from __future__ import annotations

import os
from array import array
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vbatch.records import ManifestFile
from vbatch.source.manifest.lines import refusing_unreadable
from vbatch.source.manifest.paths import IMAGE, is_run
from vbatch.source.manifest.raw import RawRow
from vbatch.source.manifest.snapshot import changed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vbatch.job import Columns
    from vbatch.records import JsonValue
    from vbatch.source.manifest.layout import Layout
    from vbatch.source.manifest.look import Look
    from vbatch.source.manifest.paths import Part


class Folder:
    """Reads a folder of images. Those that appear after the scan are not rows of this run."""

    def __init__(self, part: Part, columns: Columns) -> None:
        self._path = part.path
        self._id, self._image = columns.id, columns.image
        self._known = np.empty(0, np.int64)
        self.schema = pa.schema([(columns.id, pa.string()), (columns.image, pa.string())])

    @property
    def file(self) -> ManifestFile:
        """The folder as scanned; it has no size and no time of its own."""
        return ManifestFile(path=self._path, size_bytes=0, mtime_ns=0, rows=len(self._known))

    @property
    def remembered(self) -> JsonValue:
        """Nothing: there is no telling whether a folder changed, so it is scanned every time."""
        return None

    def recall(self, _layout: Layout, _remembered: JsonValue) -> None:
        """Look again: see ``remembered``."""
        self._look()

    def first_values(self, count: int) -> list[dict[str, JsonValue]]:
        """The values of the first rows."""
        return [self._values(name) for name in islice(image_files(self._path), count)]

    def scan(self, look: Look) -> array[int]:
        """Hashes of the ids of all rows, in order."""
        look.survey.see_schema(self.schema)
        return self._look()

    def _look(self) -> array[int]:
        hashes = array("q", map(hash, image_files(self._path)))
        self._known = np.sort(np.frombuffer(hashes, np.int64)) if hashes else self._known
        return hashes

    def rows(self, first: int, skip: bytes | None = None) -> Iterator[RawRow]:
        """The rows that the scan saw, but those whose byte in ``skip`` is not zero.

        Raises:
            ManifestError: an image that the scan saw is gone.
        """
        row = first
        for name in image_files(self._path):
            if self._is_known(name):
                if skip is None or not skip[row]:
                    yield self._raw(row, name)
                row += 1
        if row != first + len(self._known):
            raise changed(self._path)

    def _is_known(self, name: str) -> bool:
        place = np.searchsorted(self._known, hash(name))
        return bool(place < len(self._known) and self._known[place] == hash(name))

    def _values(self, name: str) -> dict[str, JsonValue]:
        return {self._id: name, self._image: name}

    def _raw(self, row: int, name: str) -> RawRow:
        if name.isascii() or _is_text(name):
            return RawRow(row, self._path, None, self._values(name))
        raw = os.fsencode(name)
        return RawRow(row, self._path, None, None, f"the file name {raw!r} is not UTF-8", raw)


def image_files(folder: str) -> Iterator[str]:
    """Paths of the images below a folder, relative to it, with ``/``, in sorted order.

    Hidden files and folders are left out, runs, and links to anything outside.
    """
    root = Path(folder).resolve()
    with refusing_unreadable(folder):
        for here, folders, files in os.walk(folder, onerror=_raise):
            folders[:] = sorted(
                name for name in folders if name[0] != "." and not is_run(f"{here}/{name}")
            )
            below = os.path.relpath(here, folder)
            before = "" if below == "." else f"{below}/"
            for name in sorted(files):
                if not name.startswith(".") and IMAGE.search(name) and _is_inside(here, name, root):
                    yield before + name


def _is_inside(here: str, name: str, root: Path) -> bool:
    path = Path(here, name)
    if not path.is_symlink():
        return True
    target = Path(os.path.realpath(path))  # ``resolve`` raises for a link to itself
    return target.is_file() and target.is_relative_to(root)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _raise(error: OSError) -> None:
    raise error
