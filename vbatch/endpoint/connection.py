"""Connections on which an answer that nobody asked for is never taken for somebody's.

aiohttp keeps reading from an idle connection and hands what came to the next request as its answer
(aio-libs/aiohttp#13656). Here such a connection is closed, and after the first of its kind every
request gets a connection of its own.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from aiohttp import TCPConnector
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from aiohttp.client_reqrep import ConnectionKey

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux's

REMEMBERED_ANSWERS = 50
"""Answers per connection that are called suspect once a stray shows on it."""


class GuardedHandler(ResponseHandler):
    """One connection. ``answered`` holds the tags of the last answers that came over it.

    ``idle`` from an answer to the next request: meanwhile nothing may arrive. ``used`` once it had
    a request.
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

    def put(self, data: bytes) -> bool:
        """Write; False once the connection is lost, which whoever reads hears of."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        transport.write(data)
        return True

    async def drained(self) -> None:
        """Wait until the socket takes more; raises a ConnectionError once it is lost."""
        await self._drain_helper()

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
    """Takes no connection back on which anything came. ``strayed`` once anything came unasked."""

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
