"""Which answered rows have other pictures under the same paths by now."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from vbatch.errors import ImageError
from vbatch.sink.index import Lookup
from vbatch.source.disk import OutOfFilesError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vbatch.records import Item
    from vbatch.sink.history import History
    from vbatch.source.loader import ImageLoader


class Replaced:
    """Says of an answered row whether its pictures changed since.

    Time tells which files to look at, their bytes as they would be sent tell the rest: a touched
    file is not paid for again. Pictures that cannot be read any more leave the answer as it is.
    """

    def __init__(self, history: History, loader: ImageLoader) -> None:
        self._loader = loader
        self._asked_at, self._digests, self._ends = array("d"), array("q"), array("q", [0])
        self._lookup = Lookup(self._read(history))

    def _read(self, history: History) -> Iterator[str]:
        """Keep when each row was asked and what it showed, in some 50 bytes; yields the ids."""
        for row in history.answers(("started_at", "image_sha256")):
            self._asked_at.append(row["started_at"].timestamp())
            self._digests.extend(_hash(digest) for digest in row["image_sha256"] or ())
            self._ends.append(len(self._digests))
            yield row["id"]

    def __call__(self, row: Item, since: float) -> bool:
        """Whether ``row`` shows something else now, and did not at ``since`` (epoch seconds)."""
        asked_at, digests = self._asked(row.id)
        if self._loader.changed_at(row.images) <= max(asked_at, since):
            return False
        try:
            now = self._loader.digests(row.images)
        except (ImageError, OutOfFilesError):
            return False
        return any(_hash(a) != b for a, b in zip(now, digests, strict=False) if a and b)

    def _asked(self, row_id: str) -> tuple[float, Sequence[int]]:
        place = self._lookup.find(row_id)
        if place < 0:
            return 0.0, ()
        return self._asked_at[place], self._digests[self._ends[place] : self._ends[place + 1]]


def _hash(digest: str | None) -> int:
    """0 for a picture that was not read, and nothing else is."""
    return 0 if digest is None else hash(digest) or 1
