"""A streamed answer, read from its connection: to its end, or until no more can be expected."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING

import aiohttp

from vbatch.endpoint.events import BrokenStreamError, Collector
from vbatch.endpoint.strings import dump

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vbatch.clock import Clock
    from vbatch.endpoint.exchange import Response

AFTER_DONE_S = 0.5
"""How long the connection's own end is waited for after ``[DONE]``; without it, it is not used
again."""
LAST_WORD_S = 5.0
"""How long the usage and the end of a stream are waited for once the answer itself is whole."""


class LongStreamError(Exception):
    """The stream is longer than an answer may be."""


class Streamed:
    """One answer as it comes, at most ``cap`` bytes of it.

    What follows a whole answer is waited for half of ``patience_s`` at most, which is the longest
    silence of an attempt.
    """

    def __init__(self, response: Response, *, cap: int, patience_s: float, clock: Clock) -> None:
        self._content = response.content
        self._cap = cap
        self._clock = clock
        self._last_word_s = min(LAST_WORD_S, patience_s / 2)
        self._collector = Collector()

    @property
    def begun(self) -> bool:
        """Whether the first word of the answer has come."""
        return self._collector.begun

    async def events(self) -> AsyncIterator[None]:
        """Take what comes, and return after each piece that held an event.

        Raises LongStreamError, BrokenStreamError, and aiohttp's errors while the answer is not
        whole: once it is, it was paid for and is taken, whatever becomes of the connection.
        """
        size, end = 0, None
        while not self._content.at_eof():
            if self._collector.whole:
                wait_s = AFTER_DONE_S if self._collector.done else self._last_word_s
                end = min(end or math.inf, self._clock.monotonic() + wait_s)
            data = await self._more(end)
            if not data:
                return
            size += len(data)
            if size > self._cap and not self._collector.whole:
                raise LongStreamError
            before = self._collector.events
            self._collector.feed(data)
            if self._collector.events > before:
                yield

    def body(self) -> bytes:
        """The answer as it would have come at once.

        Raises BrokenStreamError where the stream ended before the answer did.
        """
        document = self._collector.document()
        if not self._collector.whole:
            raise BrokenStreamError("the stream ended before the answer did")
        return dump(document)

    async def _more(self, end: float | None) -> bytes:
        if end is None:
            return await self._content.readany()
        left = end - self._clock.monotonic()
        if left <= 0:
            return b""
        reading = asyncio.ensure_future(self._content.readany())
        try:
            await asyncio.wait([reading], timeout=left)
            with contextlib.suppress(aiohttp.ClientError, OSError):
                return reading.result() if reading.done() else b""
        finally:
            reading.cancel()
        return b""
