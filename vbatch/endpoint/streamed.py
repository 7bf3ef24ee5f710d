"""A streamed answer, read from its connection: to its end, or until no more can be expected."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import aiohttp

from vbatch.endpoint.events import BrokenStreamError, Collector
from vbatch.endpoint.strings import dump

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vbatch.endpoint.exchange import Response

LAST_WORD_S = 5.0
"""How long the usage and the end of a stream are waited for once the answer itself is whole."""


class LongStreamError(Exception):
    """The stream is longer than an answer may be."""


class Streamed:
    """One answer as it comes, at most ``cap`` bytes of it."""

    def __init__(self, response: Response, *, cap: int) -> None:
        self._content = response.content
        self._cap = cap
        self._collector = Collector()

    @property
    def begun(self) -> bool:
        """Whether the first word of the answer has come."""
        return self._collector.begun

    async def pieces(self) -> AsyncIterator[None]:
        """Take what comes, and return after each piece of it.

        Raises LongStreamError, BrokenStreamError, and aiohttp's errors while the answer is not
        whole: once it is, it was paid for and is taken, whatever becomes of the connection.
        """
        size = 0
        while not self._content.at_eof():
            data = await self._more()
            if not data:
                return
            size += len(data)
            if size > self._cap:
                raise LongStreamError
            self._collector.feed(data)
            yield

    def body(self) -> bytes:
        """The answer as it would have come at once.

        Raises BrokenStreamError where the stream ended before the answer did.
        """
        document = self._collector.document()
        if not self._collector.whole:
            raise BrokenStreamError("the stream ended before the answer did")
        return dump(document)

    async def _more(self) -> bytes:
        if not self._collector.whole:
            return await self._content.readany()
        reading = asyncio.ensure_future(self._content.readany())
        try:
            await asyncio.wait([reading], timeout=LAST_WORD_S)
            with contextlib.suppress(aiohttp.ClientError, OSError):
                return reading.result() if reading.done() else b""
        finally:
            reading.cancel()
        return b""
