"""An endpoint below HTTP that answers well until it is told to misbehave, and keeps a ledger.

It has a thread and a loop of its own, so that a run can be a blocking call.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import socket
import struct
import threading
from collections import Counter
from typing import TYPE_CHECKING

from tests.endpoint.raw_server import http, read_request, said
from tests.faults.wire import HEALTHY, Asked

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection

    from tests.endpoint.raw_server import Seen
    from tests.faults.wire import Wire

_DRIP_S = 0.03
_LOOK_S = 0.002
_TOGETHER = 3
_FLOOD = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
_RESET = struct.pack("ii", 1, 0)


class FaultServer:
    """Answers each prompt with a text that holds it, but for those that ``meet`` a fault.

    With a ``greeting`` it says only that, to every client, once that has said something.

    ``asked`` and ``answered`` are the prompts of all requests, and of those answered well;
    ``bodies`` and ``targets`` what was sent, and where to.
    ``on_request`` is told the number of each request before it is answered.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        *,
        no_delay: bool = True,
        greeting: bytes | None = None,
    ) -> None:
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.targets: list[str] = []
        self.bodies: list[str] = []
        self.keys: set[str] = set()
        self.connections = 0
        self.on_request: Callable[[int], None] = lambda count: None
        self._tls = tls
        self._faults: list[tuple[Wire, Collection[str] | None, float]] = []
        self._waiting = 0
        self._cut_at = 0.0
        self._met: Counter[str] = Counter()
        self._talks: set[asyncio.Task] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._no_delay = no_delay
        self._greeting = greeting
        self.port = 0
        self._bind()
        self._call(self._listen())

    @property
    def base_url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    def meet(self, fault: Wire, rows: Collection[str] | None = None, times: float = 1) -> None:
        """From now on requests for ``rows`` (prompts; None: all) meet ``fault``, ``times`` each."""
        self._faults.append((fault, rows, times))

    def heal(self) -> None:
        """Answer well from now on."""
        self._faults.clear()

    def close_port(self) -> None:
        """Refuse connections from now on, and keep the port."""
        self._listener.close()
        self._bind()

    def open_port(self) -> None:
        """Take connections again."""
        self._call(self._listen())

    def open_port_once(self, ready: Callable[[], bool]) -> None:
        """Take connections again as soon as ``ready`` says so."""
        asyncio.run_coroutine_threadsafe(self._listen_once(ready), self._loop)

    def stop(self) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    def _bind(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, self._no_delay)
        self._socket.bind(("127.0.0.1", self.port))
        self.port = self._socket.getsockname()[1]

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(
            self._meet_client, sock=self._socket, ssl=self._tls
        )

    async def _listen_once(self, ready: Callable[[], bool]) -> None:
        await _until(ready)
        await self._listen()

    async def _end(self) -> None:
        self._listener.close()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def _meet_client(self, reader, writer) -> None:
        self._talks.add(asyncio.current_task())
        self.connections += 1
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._talk(reader, writer)
        finally:
            writer.transport.abort() if writer.is_closing() else writer.close()
            self._talks.discard(asyncio.current_task())

    async def _talk(self, reader, writer) -> None:
        if self._greeting is not None:
            await reader.read(1)
            writer.write(self._greeting)
            return
        while await self._serve(reader, writer):
            pass

    async def _serve(self, reader, writer) -> bool:
        """One request; whether the connection can be used for another."""
        seen = await read_request(reader)
        asked = self._note(seen)
        fault = self._drawn(asked.prompt)
        wire = fault or HEALTHY
        if fault is None:
            self.answered.append(asked.prompt)
        self.on_request(len(self.asked))
        stray = http(said("an answer to nobody")) if wire.then == "stray" else b""
        writer.write(wire.send(asked) + stray)  # together: before the run can have ended
        await writer.drain()
        await getattr(self, f"_then_{wire.then}")(reader, writer)
        return wire.then in {"keep", "stray"} and seen.headers.get("connection") != "close"

    def _note(self, seen: Seen) -> Asked:
        body = json.loads(seen.body)
        parts = body["messages"][-1]["content"]
        prompt = next(part["text"] for part in parts if part["type"] == "text")
        self.asked.append(prompt)
        self.targets.append(seen.line.split()[1])
        self.bodies.append(seen.body.decode())
        key = seen.headers.get("authorization", "").removeprefix("Bearer ")
        self.keys.add(key)
        return Asked(prompt=prompt, key=key)

    def _drawn(self, prompt: str) -> Wire | None:
        for fault, rows, times in self._faults:
            if (rows is None or prompt in rows) and self._met[prompt] < times:
                self._met[prompt] += 1
                return fault
        return None

    async def _then_keep(self, reader, writer) -> None:
        """The next request may come."""

    async def _then_close(self, reader, writer) -> None:
        """FIN, once the reading side has nothing left that would make it an RST."""

    async def _then_reset(self, reader, writer) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()

    async def _then_hang(self, reader, writer) -> None:
        await reader.read()

    async def _then_drip(self, reader, writer) -> None:
        while not reader.at_eof():
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(_DRIP_S)

    async def _then_flood(self, reader, writer) -> None:
        while not reader.at_eof():
            writer.write(_FLOOD)
            await writer.drain()

    async def _then_cut_together(self, reader, writer) -> None:
        """Hang up a second after the third of those who wait here has come."""
        self._waiting += 1
        await _until(lambda: self._waiting >= _TOGETHER)
        self._cut_at = self._cut_at or self._loop.time() + 1.0
        await asyncio.sleep(self._cut_at - self._loop.time())

    async def _then_race(self, reader, writer) -> None:
        """Hang up once the next request is here, and before it is read."""
        writer.transport.pause_reading()
        wire = writer.get_extra_info("socket").fileno()
        await _until(lambda: bool(select.select([wire], [], [], 0)[0]))

    async def _then_stray(self, reader, writer) -> None:
        """Nothing more: it went with the answer."""


async def _until(ready: Callable[[], bool]) -> None:
    while not ready():  # noqa: ASYNC110 - what it looks at is another thread's, or on disk
        await asyncio.sleep(_LOOK_S)
