"""Rows out of the manifest and into the workers, read ahead in a thread."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from vbatch.records import BadRow, Item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Row = Item | BadRow

BATCH_ROWS = 256
BATCH_BYTES = 32_000_000
"""Embedded images make rows heavy: a batch ends early when it holds this much."""


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
        self._coming: asyncio.Task[list[Row]] | None = None
        self._reading = asyncio.Lock()
        self._ended = False

    async def next(self) -> Row | None:
        """The next row to do, None at the end."""
        while not self._ready and not self._ended:
            async with self._reading:
                if not self._ready and not self._ended:
                    await self._refill()
        return self._ready.popleft() if self._ready else None

    async def close(self) -> None:
        """Wait for the reading thread, so that the manifest's files can be closed."""
        self._ended = True
        self._ready.clear()
        if self._coming is not None:
            await asyncio.wait([self._coming])
            self._coming = None

    async def _refill(self) -> None:
        coming, self._coming = self._coming or self._read_ahead(), None
        batch = await coming
        if not batch:
            self._ended = True
            return
        self._ready.extend(batch)
        self._coming = self._read_ahead()

    def _read_ahead(self) -> asyncio.Task[list[Row]]:
        return asyncio.create_task(asyncio.to_thread(self._read))

    def _read(self) -> list[Row]:
        batch: list[Row] = []
        held = 0
        while len(batch) < BATCH_ROWS and held < BATCH_BYTES and self._left != 0:
            row = next(self._rows, None)
            if row is None:
                break
            if self._wanted(row):
                batch.append(row)
                held += _embedded_bytes(row)
                self._left = None if self._left is None else self._left - 1
        return batch


def _embedded_bytes(row: Row) -> int:
    return sum(len(image.data or b"") for image in row.images) if isinstance(row, Item) else 0
