"""A server on loopback that sends whatever bytes a test wants it to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vbatch.clock import SystemClock
from vbatch.endpoint.body import Body, Inlined
from vbatch.endpoint.client import Client
from vbatch.endpoint.settings import ClientSettings

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

KEY = "sk-canary/42+7="


@dataclass(frozen=True)
class Seen:
    """One request as it came in."""

    line: str
    headers: dict[str, str]
    body: bytes


async def read_request(reader: asyncio.StreamReader) -> Seen:
    """Return the next request; raises IncompleteReadError where the client has left."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, *fields = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(line, headers, body)


def http(body: bytes | str | dict | list, status: int = 200, **headers: str) -> bytes:
    """Return a whole answer; underscores in header names stand for hyphens."""
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    body = body.encode() if isinstance(body, str) else body
    fields = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([f"HTTP/1.1 {status} Said", *lines, "", ""]).encode() + body


def said(text: str) -> dict:
    """Return a chat completion."""
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "c-1", "model": "m-1", "choices": [choice]}


def body(text: bytes = b'{"model":"m"}', image: bytes | None = None) -> Body:
    """Return a body of one literal piece, with an image after it if there is one."""
    parts = (text,) if image is None else (text, Inlined(image))
    length = sum(len(part) if isinstance(part, bytes) else part.length for part in parts)
    return Body(
        parts=parts,
        length=length,
        image_bytes=len(image or b""),
        model="m",
        token_field="max_tokens",
    )


@contextlib.asynccontextmanager
async def serving(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[str]:
    """Serve ``talk`` once per connection; yields the base URL."""
    talks: set[asyncio.Task] = set()

    async def meet(reader, writer):
        talks.add(asyncio.current_task())
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await talk(reader, writer)
            writer.close()
        except asyncio.CancelledError:
            writer.transport.abort()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()

    server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=tls)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"{'https' if tls else 'http'}://{host}:{port}/v1"
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def always(*answers: bytes):
    """Answer each request on a connection with the next of ``answers``, then hang up."""

    async def talk(reader, writer):
        for answer in answers:
            await read_request(reader)
            writer.write(answer)
            await writer.drain()

    return talk


@contextlib.asynccontextmanager
async def asking(talk, *, tls=None, **settings) -> AsyncIterator[Client]:
    """Serve ``talk`` and yield a client of it."""
    async with serving(talk, tls) as base_url, client_of(base_url, **settings) as client:
        yield client


def client_of(base_url: str, **settings) -> Client:
    """Return a client whose chores run often enough for a test."""
    chosen = {"api_key": KEY, "secrets": (KEY,), "sweep_s": 0.01, "timeout_s": 5.0, **settings}
    return Client(ClientSettings(base_url=base_url, **chosen), clock=SystemClock())
