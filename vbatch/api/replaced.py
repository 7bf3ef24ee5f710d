"""Which answered rows have other pictures under the same paths by now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbatch.errors import ImageError
from vbatch.source.disk import OutOfFilesError

if TYPE_CHECKING:
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
        self._asked = {
            row["id"]: (row["started_at"].timestamp(), row["image_sha256"])
            for row in history.answers(("started_at", "image_sha256"))
        }

    def __call__(self, row: Item, since: float) -> bool:
        """Whether ``row`` shows something else now, and did not at ``since`` (epoch seconds)."""
        asked_at, digests = self._asked.get(row.id, (0.0, None))
        if self._loader.changed_at(row.images) <= max(asked_at, since):
            return False
        try:
            now = self._loader.digests(row.images)
        except (ImageError, OutOfFilesError):
            return False
        return any(a != b for a, b in zip(now, digests or (), strict=False) if a and b)
