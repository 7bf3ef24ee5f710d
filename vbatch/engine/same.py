"""The same question once: rows that ask what another one asks take its answer."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

from vbatch.engine.answers import is_whole
from vbatch.records import PreparedImage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from vbatch.endpoint.body import Body
    from vbatch.records import Completion, SentImage


class Keeper(Protocol):
    """Where answers are kept from one run to the next, or within one. Blocks."""

    def get(self, key: bytes) -> Completion | None:
        """The answer to what ``key`` is the digest of."""

    def put(self, key: bytes, completion: Completion) -> None:
        """Keep an answer."""


class Same:
    """Who asks what somebody is asking waits for the answer.

    ``where`` tells endpoints apart. ``unpaid`` makes of an answer that of a row which did not pay
    for it. Only whole answers are shared: never a refusal, never one that was cut.
    """

    def __init__(
        self, keeper: Keeper, *, where: str, unpaid: Callable[[Completion], Completion]
    ) -> None:
        self._keeper = keeper
        self._where = where.encode()
        self._unpaid = unpaid
        self._coming: dict[bytes, asyncio.Future[Completion | None]] = {}

    def key(self, body: Body, images: tuple[SentImage, ...]) -> bytes:
        """A digest of all that is sent, images by theirs, and of where to."""
        digest = blake2b(self._where, digest_size=20)
        inlined = iter([image.sha256 for image in images if isinstance(image, PreparedImage)])
        for part in body.parts:
            text = part if isinstance(part, bytes) else next(inlined).encode()
            digest.update(b"%d:" % len(text) + text)
        return digest.digest()

    @asynccontextmanager
    async def turn(self, key: bytes) -> AsyncIterator[Turn]:
        """Enter with the answer if there is one, else as the one who asks for all others."""
        while (coming := self._coming.get(key)) is not None:
            answer = await asyncio.shield(coming)
            if answer is not None:
                yield Turn(answer)
                return
        coming = self._coming[key] = asyncio.get_running_loop().create_future()
        turn = Turn(None)
        try:
            turn.known = await asyncio.to_thread(self._keeper.get, key)
            if turn.known is not None:
                turn.answer = turn.known
            yield turn
        finally:
            del self._coming[key]
            answer = turn.answer
            shared = None if answer is None or not is_whole(answer) else self._unpaid(answer)
            coming.set_result(shared)
        if turn.known is None and shared is not None:
            await asyncio.to_thread(self._keeper.put, key, shared)


class Turn:
    """What is ``known`` of a question; set ``answer`` to what came of asking it."""

    def __init__(self, known: Completion | None) -> None:
        self.known = known
        self.answer = known
