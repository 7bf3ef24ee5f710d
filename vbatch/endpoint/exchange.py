"""One HTTP exchange over a guarded connection.

Connections, TLS, proxies, parsing and decompression are aiohttp's. Its session, request and
response objects are left out: they took a third of a small request's CPU, and let other tasks run
between the last look at a connection and the first byte.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

import aiohttp
from aiohttp import hdrs
from aiohttp.client_reqrep import ClientRequest

from vbatch.errors import UnreachedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiohttp.connector import Connection
    from yarl import URL

    from vbatch.endpoint.body import Body
    from vbatch.endpoint.connection import GuardedConnector, GuardedHandler

_OURS = frozenset(map(str.lower, (hdrs.CONTENT_LENGTH, hdrs.TRANSFER_ENCODING, hdrs.EXPECT)))
"""Headers that follow from how we send, whatever a job says."""
_INTERIM = frozenset({100, *range(102, 200)})
"""Statuses that another one follows. After 101 the endpoint would speak another protocol."""


@dataclass(slots=True, eq=False)
class Upload:
    """A body on its way; None: none.

    ``handler`` is its connection once the first byte leaves; ``handed_over`` is set when asyncio
    has all of it.
    """

    body: Body | None
    handler: GuardedHandler | None = None
    handed_over: bool = False

    @property
    def sent(self) -> bool:
        """Whether all of it has left this process: before, nothing can be its answer."""
        transport = None if self.handler is None else self.handler.transport
        return self.handed_over and (transport is None or not transport.get_write_buffer_size())

    def note_answer(self, tag: str) -> None:
        """Remember that the answer to ``tag`` came over this connection."""
        if tag and self.handler is not None:
            self.handler.answered.append(tag)


class Response(NamedTuple):
    """The head of an answer, and its body as it comes in."""

    status: int
    headers: Mapping[str, str]
    content: aiohttp.StreamReader


class Exchanges:
    """Sends requests of one ``method`` to one ``url``; safe to use from many tasks at once."""

    def __init__(
        self,
        connector: GuardedConnector,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str],
        proxy: URL | None,
        timeout: aiohttp.ClientTimeout,
    ) -> None:
        self._connector = connector
        self._method = method
        self._url = url
        self._headers = headers
        self._proxy = proxy
        self._timeout = timeout
        self._way: ClientRequest | None = None
        self._start: bytes | None = None

    async def begin(self, upload: Upload) -> Exchange:
        """Send ``upload``, as far as the socket takes it at once. Raises aiohttp's errors."""
        if self._way is None:
            self._way = self._make_way()
        while True:
            connection = await self._connect(self._way)
            handler = cast("GuardedHandler", connection.protocol)
            if handler.is_quiet():  # and stays so: nobody else runs before the first byte leaves
                return self._begun(connection, upload)
            await _let_it_come(connection)
            if not handler.used:
                raise UnreachedError(
                    "connection",
                    f"{self._url.host} speaks or hangs up before it is asked anything",
                )

    async def _connect(self, way: ClientRequest) -> Connection:
        try:
            return await self._connector.connect(way, [], self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(
                f"Connection timeout to host {self._url.authority}"
            ) from error

    def _begun(self, connection: Connection, upload: Upload) -> Exchange:
        exchange = Exchange(connection)
        try:
            exchange.write(self._head(upload.body), upload)
        except BaseException:
            exchange.end()
            raise
        return exchange

    def _make_way(self) -> ClientRequest:
        """What aiohttp opens connections by."""
        if self._url.scheme not in self._connector.allowed_protocol_schema_set:
            raise aiohttp.NonHttpUrlClientError(self._url)
        return ClientRequest(
            "GET",
            self._url,
            headers=self._headers,
            loop=asyncio.get_running_loop(),
            proxy=self._proxy,
        )

    def _head(self, body: Body | None) -> bytes:
        if self._start is None:
            self._start = self._make_start()
        length = b"" if body is None else b"Content-Length: %d\r\n" % body.length
        last = b"Connection: close\r\n" if self._connector.force_close else b""
        return self._start + length + last + b"\r\n"

    def _make_start(self) -> bytes:
        """Request line and headers, once a connection is there: a proxy adds to them."""
        way = cast("ClientRequest", self._way)
        direct = way.proxy is None or way.is_ssl()
        target = self._url.raw_path_qs if direct else str(self._url)
        fields = [
            f"{name}: {value}" for name, value in way.headers.items() if name.lower() not in _OURS
        ]
        return "\r\n".join([f"{self._method} {target} HTTP/1.1", *fields, ""]).encode()


async def _let_it_come(connection: Connection) -> None:
    """Let what lies in a connection reach its handler, who knows a stray; then close it."""
    try:
        for _ in range(2):
            await asyncio.sleep(0)  # noqa: TID251 - no wait: it only lets others go first
    finally:
        connection.close()


class Exchange:
    """A request on its way over one connection, and its answer. ``end`` it in any case."""

    __slots__ = ("_connection", "_handler", "_response", "_writing")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._handler = cast("GuardedHandler", connection.protocol)
        self._response: Response | None = None
        self._writing: asyncio.Task[None] | None = None

    def write(self, head: bytes, upload: Upload) -> None:
        """Send as much as the socket takes at once; the rest goes while the answer is awaited."""
        handler = self._handler
        handler.set_response_params(read_until_eof=True)
        handler.begin()
        upload.handler = handler
        chunks = upload.body.chunks() if upload.body is not None else iter(())
        handler.put(head + next(chunks, b""))
        while not handler.writing_paused:
            chunk = next(chunks, None)
            if chunk is None:
                upload.handed_over = True
                return
            if not handler.put(chunk):
                return
        self._writing = asyncio.create_task(self._write_on(chunks, upload))

    async def response(self) -> Response:
        """Wait for the head of the answer."""
        while True:
            message, content = await self._handler.read()
            if message.code not in _INTERIM:
                self._response = Response(message.code, message.headers, content)
                return self._response

    def end(self) -> None:
        """Keep the connection if the exchange is whole, else close it."""
        writing, self._writing = self._writing, None  # a task's traceback holds its frame, and us
        if writing is not None:
            writing.cancel()
        whole = writing is None or writing.done()
        if whole and self._response is not None and self._response.content.at_eof():
            self._connection.release()
        else:
            self._handler.abort()  # closing waits until the peer has read what lies ready
            self._connection.close()

    async def _write_on(self, chunks: Iterator[bytes], upload: Upload) -> None:
        try:
            await self._handler.drained()
            for chunk in chunks:
                if not self._handler.put(chunk):
                    return
                await self._handler.drained()
            upload.handed_over = True
        except Exception:  # noqa: BLE001 - whoever reads hears that the connection is lost
            self._handler.abort()
