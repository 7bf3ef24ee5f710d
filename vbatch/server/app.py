"""The endpoint on a port: routes, delivery, start and stop."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

from aiohttp import web

from vbatch.errors import JobError
from vbatch.server.batch_routes import BatchRoutes
from vbatch.server.batches import Batches
from vbatch.server.desk import Call, Desk, Reply
from vbatch.server.dialects import ABOUT, Dialect, dialect_of, model_list
from vbatch.server.ledger import Ledger
from vbatch.server.refusals import Refusal, told, worded

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from vbatch.clock import Clock
    from vbatch.server.settings import ServerSettings

_MAX_BODY_BYTES = 256 * 2**20
_BACKLOG = 1024
_SHUTDOWN_S = 0.5
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class RunningServer:
    """An endpoint that listens. ``base_url`` holds the dialect's own path prefix."""

    def __init__(self, endpoint: _Endpoint, runner: web.AppRunner, host: str) -> None:
        self._endpoint = endpoint
        self._runner = runner
        self.settings = endpoint.settings
        self.ledger = endpoint.ledger
        self.port: int = runner.addresses[0][1]
        self.root_url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        self.base_url = self.root_url + endpoint.dialect.prefix

    async def stop(self) -> None:
        """Close the port, let go of requests that hang, and close the ledger."""
        await self._endpoint.stop(self._runner)


async def start(
    settings: ServerSettings, *, clock: Clock, host: str = "127.0.0.1", port: int = 0
) -> RunningServer:
    """Listen on ``host`` and ``port`` (0: a free one).

    Raises JobError for an unknown dialect, a ledger that cannot be written or a port in use.
    """
    dialect = dialect_of(settings)
    endpoint = _Endpoint(settings, dialect, clock)
    runner = web.AppRunner(
        endpoint.app(), access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
    except OSError as error:
        await endpoint.stop(runner)
        raise JobError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
    return RunningServer(endpoint, runner, host)


def welcome(running: RunningServer) -> str:
    """Return what ``vbatch serve`` says once it listens."""
    settings = running.settings
    lines = [
        f"The built-in endpoint listens on {running.base_url} and speaks {settings.dialect!r}.",
        ABOUT,
        f"Sums of what it was asked: {running.root_url}/ledger",
    ]
    if settings.ledger is not None:
        lines.append(f"One line per request: {settings.ledger}")
    if settings.api_key is not None:
        lines.append("Requests need the key it was given.")
    return "\n".join(lines)


class _Endpoint:
    def __init__(self, settings: ServerSettings, dialect: Dialect, clock: Clock) -> None:
        self.settings = settings
        self.dialect = dialect
        self.ledger = Ledger(settings.ledger)
        self._desk = Desk(settings, dialect, clock=clock, ledger=self.ledger)
        self._batches = Batches(self._ask_for_batch, clock=clock, window_s=settings.batch_window_s)
        self._stopping = asyncio.Event()
        self._work: set[asyncio.Task[Reply]] = set()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[self._in_dialect])
        app.router.add_post(f"{self.dialect.prefix}/chat/completions", self._chat)
        app.router.add_get(f"{self.dialect.prefix}{self.dialect.models_path}", self._models)
        if self.dialect.batches:
            prefix = self.dialect.prefix
            BatchRoutes(self._batches, prefix=prefix, key_of=self._key_of).add_to(app)
        app.router.add_get("/ledger", self._sums)
        app.router.add_get("/", self._about)
        return app

    async def stop(self, runner: web.AppRunner) -> None:
        self._stopping.set()
        await runner.cleanup()
        await self._batches.close()
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        self._desk.close()
        self.ledger.close()

    @web.middleware
    async def _in_dialect(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            asked = f"{request.method} {request.path}"
            refusal = Refusal(error.status, f"{error.reason}: {asked}")
        except Refusal as error:
            refusal = error
        refusal = worded(refusal, self.dialect)
        body = told(refusal, self.dialect.error_form)
        return web.json_response(body, status=refusal.status, headers=refusal.headers)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        number = self.ledger.came()
        try:
            reply = await self._reply(number, request, raw)
            return await self._deliver(request, reply, number)
        finally:
            self.ledger.went()

    async def _reply(self, number: int, request: web.Request, raw: bytes) -> Reply:
        """Work that was begun is finished and billed, also when the client leaves meanwhile."""
        call = Call(
            key=request.headers.get(self.dialect.key_header, ""),
            content_type=request.content_type,
            version=request.query.get("api-version"),
            raw=raw,
        )
        task = asyncio.create_task(self._desk.reply(number, call))
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return await asyncio.shield(task)

    async def _ask_for_batch(self, call: Call) -> Reply:
        number = self.ledger.came()
        try:
            return await self._desk.reply(number, call)
        finally:
            self.ledger.went()

    def _key_of(self, request: web.Request) -> str:
        key = request.headers.get(self.dialect.key_header, "")
        self._desk.check_key(key)
        return key

    async def _deliver(self, request: web.Request, reply: Reply, number: int) -> web.StreamResponse:
        headers = {
            "Content-Type": reply.content_type,
            "x-request-id": f"req-{number:08d}",
            **reply.headers,
        }
        if reply.delivery == "hang":
            await self._stopping.wait()
        if reply.status is None:
            _hang_up(request, reset=reply.delivery == "reset")
            return web.Response()
        if reply.delivery == "cut":
            head = web.StreamResponse(status=reply.status, headers=headers)
            return await _cut(request, head, reply.body)
        if reply.events:
            head = web.StreamResponse(status=reply.status, headers=headers)
            return await _streamed(request, head, reply.events)
        return web.Response(status=reply.status, headers=headers, body=reply.body)

    async def _models(self, request: web.Request) -> web.Response:
        own = self.dialect.list_key_header
        header = request.headers.get(own or self.dialect.key_header, "")
        self._desk.check_key(header, prefix="" if own else None)
        return web.json_response(model_list(self.dialect))

    async def _sums(self, _request: web.Request) -> web.Response:
        return web.json_response(self.ledger.summary())

    async def _about(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "name": "vbatch's built-in endpoint",
                "about": ABOUT,
                "dialect": self.dialect.name,
                "base_path": self.dialect.prefix,
            }
        )


def _hang_up(request: web.Request, *, reset: bool) -> None:
    """Close the connection without a byte: with FIN, or with RST."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
        )
    transport.abort()


async def _streamed(
    request: web.Request, response: web.StreamResponse, events: list[bytes]
) -> web.StreamResponse:
    await response.prepare(request)
    for event in events:
        await response.write(event)
    await response.write_eof()
    return response


async def _cut(
    request: web.Request, response: web.StreamResponse, body: bytes
) -> web.StreamResponse:
    """Promise the whole body, send half of it and close the connection."""
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
