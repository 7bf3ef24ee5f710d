"""Connections on which an answer that nobody asked for is never taken for somebody's.

aiohttp keeps reading from an idle connection and hands what came to the next request as its answer
(aio-libs/aiohttp#13656). Here such a connection is closed, and after the first of its kind every
request gets a connection of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from aiohttp import TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.hdrs import EXPECT
from aiohttp.payload import Payload

from vbatch.errors import UnreachedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import ClientRequest, ClientTimeout
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from vbatch.endpoint.body import Body

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux's

REMEMBERED_ANSWERS = 50
"""Answers per connection that are called suspect once a stray shows on it."""


class GuardedHandler(ResponseHandler):
    """One connection. ``answered`` holds the tags of the last answers that came over it.

    ``idle`` until a request leaves, and again after its answer: meanwhile nothing may arrive.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_stray: Callable[[GuardedHandler], None]
    ) -> None:
        super().__init__(loop)
        self.answered: deque[str] = deque(maxlen=REMEMBERED_ANSWERS)
        self.idle = False
        self.used = False
        self._poll: select.poll | None = None
        self._on_stray = on_stray

    def begin(self) -> None:
        """An exchange begins."""
        self.idle = False
        self.used = True

    def rest(self) -> None:
        """An exchange has ended; a second answer that came with the first is a stray.

        One that the endpoint's system holds back until we acknowledge the first is let go, so that
        it comes now and not together with the next request.
        """
        self.idle = True
        if self._buffer:
            self._found_stray()
        elif self.transport is not None and _QUICKACK is not None:
            wire = self.transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                wire.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    def data_received(self, data: bytes) -> None:
        """Let bytes through to the parser, but never while nothing is asked."""
        if self.idle and data:
            self._found_stray()
        else:
            super().data_received(data)

    def is_quiet(self) -> bool:
        """Whether the connection is open and nothing lies unread in it.

        What lies unread in a new one over TLS is the protocol's own.
        """
        transport = self.transport
        if transport is None or transport.is_closing() or self._tail:
            return False
        if not self.used and transport.get_extra_info("sslcontext") is not None:
            return True
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._poll.poll(0)

    def _found_stray(self) -> None:
        self.abort()
        self._on_stray(self)


class GuardedConnector(TCPConnector):
    """Hands out quiet connections only. ``strayed`` once anything came unasked."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        make = partial(GuardedHandler, self._loop, self._note_stray)
        self._factory = make  # type: ignore[assignment]
        self.strayed = False
        self._suspects: list[deque[str]] = []

    @property
    def suspects(self) -> tuple[str, ...]:
        """Tags of answers given on connections that strayed."""
        return tuple(tag for answered in self._suspects for tag in answered)

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> Connection:
        """Return a quiet connection; others are closed.

        Raises UnreachedError for an endpoint that speaks before it is asked.
        """
        while True:
            connection = await super().connect(req, traces, timeout)
            handler = cast("GuardedHandler", connection.protocol)
            try:
                quiet = await _is_quiet(handler)
            except BaseException:
                connection.close()
                raise
            if quiet:
                break
            connection.close()
            if not handler.used:
                raise UnreachedError(
                    "connection", f"{req.url.host} speaks or hangs up before it is asked anything"
                )
        if not isinstance(req.body, Upload):
            handler.begin()
        elif EXPECT in req.headers:  # then leave to send the body comes before it
            req.body.begin(handler)
        else:
            handler.idle = True
            req.body.given = handler
        return connection

    def drop_idle(self) -> None:
        """Close every connection that waits for its next request."""
        for waiting in self._conns.values():
            for handler, _ in waiting:
                handler.close()
        self._conns.clear()

    def _release(
        self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False
    ) -> None:
        """Take a connection back."""
        if not should_close:
            cast("GuardedHandler", protocol).rest()
        super()._release(key, protocol, should_close=should_close)

    def _note_stray(self, handler: GuardedHandler) -> None:
        self.strayed = True
        self._suspects.append(handler.answered)
        self._force_close = True
        self.drop_idle()


async def _is_quiet(handler: GuardedHandler) -> bool:
    """Whether nothing came; what did is let reach its handler, who knows a stray."""
    if handler.is_quiet():
        return True
    for _ in range(2):
        await asyncio.sleep(0)  # noqa: TID251 - no wait: it only lets others go first
    return False


class Upload(Payload):
    """A request's body on its way: images become base64 step by step, as the socket takes them.

    ``given`` is its connection, ``handler`` the same once the first byte leaves; ``sent`` is set
    when all of it was handed over.
    """

    _autoclose = True

    def __init__(self, body: Body) -> None:
        super().__init__(body, content_type="application/json")
        self._size = body.length
        self._body = body
        self.sent = False
        self.given: GuardedHandler | None = None
        self.handler: GuardedHandler | None = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the body as text."""
        return b"".join(self._body.chunks()).decode(encoding, errors)

    def note_answer(self, tag: str) -> None:
        """Remember that the answer to ``tag`` came over this connection."""
        if tag and self.handler is not None:
            self.handler.answered.append(tag)

    def begin(self, handler: GuardedHandler) -> None:
        """From now on what comes over ``handler`` may be an answer."""
        handler.begin()
        self.handler = handler

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write the body.

        Raises UnreachedError where something came over the connection since it was handed out.
        """
        for chunk in self._body.chunks():
            if self.handler is None:
                await self._look_once_more()
            await writer.write(chunk)
        self.sent = True

    async def _look_once_more(self) -> None:
        """What has come until now was never an answer to this."""
        if self.given is not None:
            if not await _is_quiet(self.given):
                raise UnreachedError(
                    "connection", "the endpoint spoke or hung up just before it was asked"
                )
            self.begin(self.given)
