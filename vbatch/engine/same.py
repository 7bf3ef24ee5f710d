"""The same question once: rows that ask what another one asks take its answer."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

from vbatch.engine.answers import is_whole
from vbatch.engine.backoff import waits_as_a_whole
from vbatch.errors import EndpointError
from vbatch.records import PreparedImage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from vbatch.endpoint.body import Body
    from vbatch.records import Completion, SentImage


class Keeper(Protocol):
    """Where answers are kept from one run to the next, or within one. All of it blocks.

    ``get`` and ``keep`` are called from one thread each, at the same time.
    """

    def get(self, key: bytes) -> Completion | None:
        """The answer to what ``key`` is the digest of."""

    def keep(self, answers: Mapping[bytes, Completion]) -> None:
        """Keep answers by their keys."""

    def close(self) -> None:
        """Let go of it."""


class Turn:
    """What is ``known`` of a question; set ``answer`` to what came of asking it."""

    def __init__(self, known: Completion | None = None) -> None:
        self.known = known
        self.answer: Completion | None = None


class _Question:
    """What ``rows`` rows are at. Once it brought no answer for all, each of them asks."""

    __slots__ = ("coming", "each_asks", "rows")

    def __init__(self) -> None:
        self.rows = 0
        self.each_asks = False
        self.coming: asyncio.Future[Completion | None] | None = None

    async def heard(self) -> Completion | None:
        """What the row that asks now got; None where nobody asks any more."""
        while self.coming is not None:
            answer = await asyncio.shield(self.coming)
            if answer is not None:
                return answer
        return None

    def settle(self, answer: Completion | None) -> None:
        """Tell those who wait."""
        if self.coming is not None:
            self.coming.set_result(answer)
            self.coming = None


class Same:
    """Who asks what somebody is asking waits for the answer.

    ``where`` tells apart what a request's bytes do not: endpoints, and what a job makes of answers.
    ``unpaid`` makes of an answer that of a row which did not pay for it. Only whole answers are
    shared: never a refusal, never one that was cut. Close it to let go of ``keeper``.
    """

    def __init__(
        self, keeper: Keeper, *, where: str, unpaid: Callable[[Completion], Completion]
    ) -> None:
        self._keeper = keeper
        self._seed = blake2b(where.encode(), digest_size=20)
        self._unpaid = unpaid
        self._questions: dict[bytes, _Question] = {}
        self._unkept: dict[bytes, Completion] = {}
        self._keeping: asyncio.Task[None] | None = None
        self._reader = ThreadPoolExecutor(1, "answers-read")  # waits for no writing
        self._writer = ThreadPoolExecutor(1, "answers-written")

    def key(self, body: Body, images: tuple[SentImage, ...]) -> bytes:
        """A digest of all that is sent, images by theirs, and of ``where``."""
        digest = self._seed.copy()
        inlined = iter([image.sha256 for image in images if isinstance(image, PreparedImage)])
        for part in body.parts:
            text = part if isinstance(part, bytes) else next(inlined).encode()
            digest.update(b"%d:" % len(text) + text)
        return digest.digest()

    @asynccontextmanager
    async def turn(
        self, key: bytes, fit: Callable[[Completion], Completion | None]
    ) -> AsyncIterator[Turn]:
        """Enter with the answer if there is one, else to ask: for all others, or beside them.

        ``fit`` makes of a kept answer what the job wants of it, None where it does not do.
        """
        question = self._questions.setdefault(key, _Question())
        question.rows += 1
        try:
            known = await question.heard() or self._unkept.get(key)
            if known is not None:
                yield Turn(known)
            elif question.each_asks:
                async with self._asking(key, question, Turn()) as turn:
                    yield turn
            else:
                async with self._first(key, question, fit) as turn:
                    yield turn
        finally:
            question.rows -= 1
            if not question.rows:
                del self._questions[key]

    async def close(self) -> None:
        """Write what is not yet written, and let go of the keeper."""
        try:
            if self._keeping is not None:
                await asyncio.wait({self._keeping})
        finally:
            self._reader.shutdown(wait=False, cancel_futures=True)
            self._writer.shutdown(wait=False, cancel_futures=True)
            self._keeper.close()

    @asynccontextmanager
    async def _first(
        self, key: bytes, question: _Question, fit: Callable[[Completion], Completion | None]
    ) -> AsyncIterator[Turn]:
        """The turn of the one that looks the answer up, or asks, while others wait."""
        loop = asyncio.get_running_loop()
        question.coming = loop.create_future()
        try:
            kept = await loop.run_in_executor(self._reader, self._keeper.get, key)
            if kept is not None and is_whole(kept) and (known := fit(kept)) is not None:
                question.settle(known)
                yield Turn(known)
                return
            async with self._asking(key, question, Turn()) as turn:
                yield turn
        finally:
            question.settle(None)

    @asynccontextmanager
    async def _asking(self, key: bytes, question: _Question, turn: Turn) -> AsyncIterator[Turn]:
        """Share what comes of asking, or have each row ask."""
        try:
            yield turn
        except EndpointError as error:
            if not waits_as_a_whole(error):  # else it says nothing of the question
                question.each_asks = True
            raise
        if turn.answer is None or not is_whole(turn.answer):
            question.each_asks = True
            return
        answer = self._unpaid(turn.answer)
        question.each_asks = False
        self._keep(key, answer)
        question.settle(answer)

    def _keep(self, key: bytes, answer: Completion) -> None:
        self._unkept[key] = answer
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._write())

    async def _write(self) -> None:
        """Write what there is at one go, until there is no more. Rows find it here meanwhile."""
        loop = asyncio.get_running_loop()
        while self._unkept:
            answers = dict(self._unkept)
            try:
                await loop.run_in_executor(self._writer, self._keeper.keep, answers)
            finally:
                for key, answer in answers.items():
                    if self._unkept[key] is answer:
                        del self._unkept[key]
