"""Endpoints that bring answers which nobody asked for, each with another row's words in it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

from tests.endpoint.raw_server import http, read_request
from tests.faults.server import FaultServer
from tests.faults.wire import USAGE

PAUSE_S = 0.25
"""Asked for where a stray shall come on a connection that surely rests."""
WAYS = ("doubled", "early", "pipelined", "resting")


@dataclass(eq=False)
class Connection:
    """One connection: what was answered over it, and whether anything came unasked."""

    answered: list[str] = field(default_factory=list)
    strayed: bool = False


def answer_to(prompt: str) -> bytes:
    """A complete answer."""
    choice = {"message": {"content": f"saw {prompt}"}, "finish_reason": "stop"}
    return http({"id": prompt, "model": "m", "choices": [choice], "usage": USAGE})


class Straying(FaultServer):
    """Answers well, and then some: a request of the first half brings strays, in one ``way``, and
    then a ``share`` of those that follow.

    *doubled*: the same answer again. *early*: the answer to another of ``rows`` rows. *pipelined*:
    three of those. *resting*: asks for a pause, and the stray comes while nothing can be sent.
    """

    def __init__(self, way: str, *, seed: int, share: float, rows: int, **options) -> None:
        self.spoken: list[Connection] = []
        self._way = way
        self._chance = random.Random(seed)
        self._share = share
        self._most = rows
        self._first = self._chance.randrange(2, rows // 2)
        self._others_may_go = asyncio.Event()
        self._others_may_go.set()
        super().__init__(**options)

    async def _talk(self, reader, writer) -> None:
        connection = Connection()
        self.spoken.append(connection)
        while await self._exchange(connection, reader, writer):
            pass

    async def _exchange(self, connection: Connection, reader, writer) -> bool:
        seen = await read_request(reader)
        prompt = self._note(seen).prompt
        await self._others_may_go.wait()
        strays = self._is_to_stray(len(self.asked))
        if strays and self._way == "resting":
            await self._rest(writer)
        else:
            connection.answered.append(prompt)
            writer.write(answer_to(prompt) + (self._more(prompt) if strays else b""))
            await writer.drain()
        connection.strayed |= strays
        return seen.headers.get("connection") != "close"

    def _is_to_stray(self, number: int) -> bool:
        return number == self._first or (
            number > self._first and self._chance.random() < self._share
        )

    def _more(self, prompt: str) -> bytes:
        others = [f"row {self._chance.randrange(self._most)}" for _ in range(3)]
        prompts = {"doubled": [prompt], "early": others[:1], "pipelined": others}
        return b"".join(map(answer_to, prompts[self._way]))

    async def _rest(self, writer) -> None:
        """A pause, and a stray within it. Those in flight meanwhile are answered after that."""
        self._others_may_go.clear()
        writer.write(http({"error": "slow"}, 429, retry_after_ms=str(int(PAUSE_S * 1000))))
        await asyncio.sleep(self._chance.random() * PAUSE_S / 8)
        writer.write(answer_to(f"row {self._chance.randrange(self._most)}"))
        self._others_may_go.set()


class Belated(FaultServer):
    """Answers a ``share`` of all requests at about the time when their askers give up.

    It never hangs up by itself, and so answers over whatever connection is still there.
    """

    def __init__(self, *, seed: int, share: float, gives_up_s: float) -> None:
        self.late = 0
        self._chance = random.Random(seed)
        self._share = share
        self._gives_up_s = gives_up_s
        super().__init__()

    async def _talk(self, reader, writer) -> None:
        while True:
            seen = await read_request(reader)
            prompt = self._note(seen).prompt
            if self._chance.random() < self._share:
                self.late += 1
                await asyncio.sleep(self._gives_up_s * (0.8 + 1.2 * self._chance.random()))
            writer.write(answer_to(prompt))
            await writer.drain()
