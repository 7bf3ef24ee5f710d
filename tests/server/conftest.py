"""Endpoints to talk to in plain aiohttp, a clock that is moved by hand, and drawn pictures."""

from __future__ import annotations

import base64
import contextlib
import io
import json

import aiohttp
import pytest
from PIL import Image, ImageDraw

from vbatch.server import ServerSettings, start


class SteppedClock:
    """Stands still until someone sleeps or sets ``now``."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept = []

    def time(self) -> float:
        return 1_700_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def random(self) -> float:
        return 0.5


@pytest.fixture
def clock():
    return SteppedClock()


class Said:
    """One reply: ``json`` is None where the body is none."""

    def __init__(self, status: int, headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        with contextlib.suppress(ValueError):
            self.json = json.loads(body)

    @property
    def message(self) -> str:
        """The words of a refusal, whatever its form."""
        return self.json.get("detail") or self.json["error"]["message"]

    @property
    def text(self) -> str:
        return self.json["choices"][0]["message"]["content"]


class Talk:
    def __init__(self, running, session) -> None:
        self.running = running
        self.session = session

    async def ask(self, body, *, query="", **headers) -> Said:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json")
        url = f"{self.running.base_url}/chat/completions{query}"
        async with self.session.post(url, data=data, headers=headers) as reply:
            return Said(reply.status, reply.headers, await reply.read())

    async def get(self, url: str, **headers) -> Said:
        async with self.session.get(url, headers=headers) as reply:
            return Said(reply.status, reply.headers, await reply.read())


@pytest.fixture
async def serve(clock):
    """``await serve(dialect="flexai", ...)`` starts one and returns who talks to it."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(**settings) -> Talk:
            running = await start(ServerSettings(**settings), clock=clock)
            stack.push_async_callback(running.stop)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return Talk(running, session)

        yield begin


@pytest.fixture
def encode():
    """``encode(image, "JPEG", quality=90)`` as bytes."""

    def encoded(image: Image.Image, kind: str = "PNG", **save) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **save)
        return buffer.getvalue()

    return encoded


@pytest.fixture
def draw(encode):
    """``draw("red", (w, h), "PNG")``: a plain picture as bytes."""

    def drawn(colour="teal", size=(64, 48), kind="JPEG", **save) -> bytes:
        return encode(Image.new("RGB", size, colour), kind, **save)

    return drawn


@pytest.fixture
def scene():
    """A white picture with a teal upper part and a black disc: things with edges."""
    image = Image.new("RGB", (640, 480), "white")
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, 640, 300), fill=(0, 128, 128))
    pen.ellipse((200, 320, 280, 400), fill="black")
    return image


@pytest.fixture
def uri():
    """``uri(data, "image/jpeg")``: a data URI."""

    def built(data: bytes, media_type: str = "image/jpeg") -> str:
        return f"data:{media_type};base64,{base64.b64encode(data).decode()}"

    return built


@pytest.fixture
def body(draw, uri):
    """``body("pixels", url, …, max_tokens=5)``; without URLs one teal JPEG is shown."""

    def built(model="pixels", *urls, prompt="What is it?", **fields) -> dict:
        shown = urls or (uri(draw()),)
        parts = [{"type": "text", "text": prompt}]
        parts += [{"type": "image_url", "image_url": {"url": url}} for url in shown]
        return {"model": model, "messages": [{"role": "user", "content": parts}], **fields}

    return built
