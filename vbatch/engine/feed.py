"""Rows out of the manifest and into the workers, read ahead in a thread."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from vbatch.errors import ManifestError
from vbatch.records import BadRow, Item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Row = Item | BadRow

BATCH_ROWS = 256
BATCH_BYTES = 32_000_000
"""Embedded images make rows heavy: a batch ends early when it holds this much."""
SPARSE = 4_096
"""A batch ends so many rows of the manifest after its first, so that few ones are not held up."""

FAR = 200_000
"""Rows of the manifest, at most, that are looked through to say how many are left."""


class Feed:
    """The rows still to do, one at a time, each to one worker.

    ``wanted`` is asked in the reading thread. ``limit`` ends the feed after that many rows.
    Errors of the manifest come out of ``next``.
    """

    def __init__(
        self, rows: Iterator[Row], *, wanted: Callable[[Row], bool], limit: int | None = None
    ) -> None:
        self._rows = rows
        self._wanted = wanted
        self._left = limit
        self._ready: deque[Row] = deque()
        self._coming: asyncio.Task[tuple[list[Row], bool]] | None = None
        self._reading = asyncio.Lock()
        self._ended = False
        self._closed = False
        self._broken = False
        self.handed = 0
        """Rows handed out so far."""

    async def next(self) -> Row | None:
        """The next row to do, None at the end."""
        while not self._ready and not self._ended and not self._closed:
            async with self._reading:
                if not self._ready and not self._ended:
                    await self._refill()
        if not self._ready or self._closed:
            return None
        self.handed += 1
        return self._ready.popleft()

    async def close(self) -> None:
        """Stop reading, so that the manifest's files can be closed."""
        self._closed = True
        if self._coming is not None:
            await asyncio.wait([self._coming])
            self._broken = self._coming.exception() is not None

    def left(self, at_most: int) -> int | None:
        """Wanted rows that were not handed out, for a closed feed; reads on, and so blocks.

        None when more than ``at_most`` rows are unread, or reading them failed. Rows that the
        stream leaves out take time, too: it is not followed beyond ``FAR``.
        """
        if self._broken:
            return None
        count = len(self._ready) + (len(self._coming.result()[0]) if self._coming else 0)
        far = None
        try:
            for number, row in enumerate(self._rows):
                far = row.row + FAR if far is None else far
                if number >= at_most or row.row >= far:
                    return None
                count += self._wanted(row)
        except ManifestError:
            return None
        return count

    async def _refill(self) -> None:
        self._coming = self._coming or self._read_ahead()
        batch, more = await asyncio.shield(self._coming)
        self._coming = None
        self._ready.extend(batch)
        if more:
            self._coming = self._read_ahead()
        else:
            self._ended = True

    def _read_ahead(self) -> asyncio.Task[tuple[list[Row], bool]]:
        return asyncio.create_task(asyncio.to_thread(self._read))

    def _read(self) -> tuple[list[Row], bool]:
        """The next rows, and whether more may come. Sparse ones are handed out a few at a time."""
        batch: list[Row] = []
        held = 0
        end = float("inf")
        row: Row | None = None
        while len(batch) < BATCH_ROWS and held < BATCH_BYTES and not (row and row.row >= end):
            if self._left == 0:
                return batch, False
            if self._closed:
                break
            row = next(self._rows, None)
            if row is None:
                return batch, False
            if self._wanted(row):
                end = min(end, row.row + SPARSE)
                batch.append(row)
                held += _embedded_bytes(row)
                self._left = None if self._left is None else self._left - 1
        return batch, True


def _embedded_bytes(row: Row) -> int:
    return sum(len(image.data or b"") for image in row.images) if isinstance(row, Item) else 0
