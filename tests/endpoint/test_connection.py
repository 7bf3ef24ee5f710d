import asyncio
import base64
import contextlib
import gc
import json
import select
import socket
import ssl
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from weakref import ref

import aiohttp
import pytest
from yarl import URL

from tests.endpoint.raw_server import asking, body, http, read_request, said, serving
from vbatch.endpoint.body import Inlined
from vbatch.endpoint.connection import GuardedConnector, GuardedHandler
from vbatch.endpoint.exchange import Exchanges, Upload
from vbatch.engine.backoff import without_frames
from vbatch.errors import EndpointError, UnreachedError

CERTIFICATE = Path(__file__).with_name("self_signed.pem")
STRAY = http(said("an answer to nobody"))


class Echo:
    """Answers each request with its own text; ``after`` is called once the answer is written."""

    def __init__(self, after=None, *, no_delay=True):
        self.connections = 0
        self.after = after
        self.no_delay = no_delay

    async def __call__(self, reader, writer):
        self.connections += 1
        number = 0
        wire = writer.get_extra_info("socket")
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, self.no_delay)
        while True:
            request = await read_request(reader)
            number += 1
            closing = request.headers.get("connection") == "close"
            writer.write(http(said(request.body.decode())))
            await writer.drain()
            if self.after is not None:
                await self.after(writer, number)
            if closing:
                return


async def ask(client, text, **options):
    answer = await client.ask(body(text.encode()), **options)
    return answer.completion.text


async def test_an_idle_connection_is_used_again():
    echo = Echo()
    async with asking(echo) as client:
        assert [await ask(client, text) for text in "abc"] == ["a", "b", "c"]
        assert not client.strayed
    assert echo.connections == 1


async def test_without_keep_alive_every_request_has_a_connection_of_its_own():
    echo = Echo()
    async with asking(echo, keep_alive=False) as client:
        assert [await ask(client, text) for text in "abc"] == ["a", "b", "c"]
    assert echo.connections == 3


async def test_a_stray_answer_is_never_taken_for_somebodys():
    sent = asyncio.Event()

    async def push(writer, number):
        if number == 2:
            writer.write(STRAY)
            await writer.drain()
            sent.set()

    echo = Echo(push)
    async with asking(echo) as client:
        assert await ask(client, "a", tag="row-a") == "a"
        assert await ask(client, "b", tag="row-b") == "b"
        await sent.wait()
        assert [await ask(client, text, tag=text) for text in "cde"] == ["c", "d", "e"]
        assert client.strayed
        assert client.suspect_ids == ("row-a", "row-b")
    assert echo.connections == 4


async def test_a_stray_that_the_loop_has_read_already_closes_its_connection():
    closed = asyncio.Event()

    async def talk(reader, writer):
        request = await read_request(reader)
        writer.write(http(said(request.body.decode())))
        if not closed.is_set() and request.body == b"a":
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.write(STRAY)
            assert await reader.read() == b""
            closed.set()

    async with asking(talk) as client:
        assert await ask(client, "a", tag="row-a") == "a"
        await asyncio.wait_for(closed.wait(), 5)
        assert await ask(client, "b") == "b"
        assert client.suspect_ids == ("row-a",)


async def test_a_stray_that_waits_for_our_acknowledgement_comes_before_the_next_request():
    """Nagle's algorithm holds a second packet back until the first is acknowledged, which our
    system would do together with the next request."""

    async def push(writer, number):
        if number == 2:
            writer.write(STRAY)

    echo = Echo(push, no_delay=False)
    async with asking(echo) as client:
        assert [await ask(client, text, tag=text) for text in "abcde"] == [*"abcde"]
        assert client.suspect_ids == ("a", "b")


async def test_strays_on_idle_connections_spoil_no_row_of_many():
    async def push(writer, number):
        if number % 3 == 0:
            writer.write(STRAY)
            await writer.drain()

    async with asking(Echo(push), connections=8) as client:

        async def many(worker):
            return [await ask(client, f"{worker}-{n}") == f"{worker}-{n}" for n in range(60)]

        rows = await asyncio.gather(*map(many, range(8)))
        assert all(all(row) for row in rows)
        assert client.strayed


async def test_after_a_stray_the_other_idle_connections_are_closed_too():
    async def push(writer, number):
        if number == 2:
            writer.write(STRAY)
            await writer.drain()

    echo = Echo(push)
    async with asking(echo) as client:
        assert await asyncio.gather(ask(client, "a"), ask(client, "b")) == ["a", "b"]
        assert echo.connections == 2
        assert await ask(client, "c") == "c"
        await asyncio.sleep(0.02)
        assert [await ask(client, text) for text in "de"] == ["d", "e"]
    assert echo.connections == 4


async def test_a_connection_the_endpoint_has_closed_meanwhile_is_not_taken_for_a_stray():
    echo = Echo()

    async def hang_up(writer, number):
        writer.close()

    echo.after = hang_up
    async with asking(echo) as client:
        assert [await ask(client, text) for text in "abc"] == ["a", "b", "c"]
        assert not client.strayed
    assert echo.connections == 3


async def test_an_interim_answer_is_not_taken_for_the_answer():
    async def talk(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" + http(said("ok")))

    async with asking(talk, headers={"Expect": "100-continue"}) as client:
        assert await ask(client, "what") == "ok"
        assert not client.strayed


class SlowConnector(GuardedConnector):
    """Takes its time to hand a new connection out, so that a greeting is there by then."""

    async def _create_connection(self, *asked):
        handler = await super()._create_connection(*asked)
        await asyncio.sleep(0.02)
        return handler


class LateConnector(GuardedConnector):
    """Something happens on a connection between being handed out and the request's first byte.

    ``meanwhile`` is told the connection, each time one is handed out.
    """

    async def connect(self, req, traces, timeout):  # noqa: ASYNC109 - aiohttp's own signature
        connection = await super().connect(req, traces, timeout)
        await self.meanwhile(connection.protocol)
        return connection


@pytest.fixture
async def late():
    """An endpoint that answers over one connection, and does ``late.then`` when told to."""
    told = asyncio.Event()

    async def then(writer):
        await told.wait()
        late.then(writer)

    async def begin(writer, number):
        if echo.connections == 1:
            late.task = asyncio.create_task(then(writer))

    async def ask(text, meanwhile):
        connector.meanwhile = meanwhile
        late.upload = Upload(body(text))
        return await asked(exchanges_over(connector, base_url), late.upload)

    echo, connector = Echo(begin), LateConnector()
    late = SimpleNamespace(connector=connector, ask=ask, tell=told.set)
    async with serving(echo) as base_url, connector:
        yield late


def exchanges_over(connector, url):
    """Requests that go out over ``connector``."""
    timeout = aiohttp.ClientTimeout(total=None)
    return Exchanges(connector, "POST", URL(url), headers={}, proxy=None, timeout=timeout)


async def asked(exchanges, upload):
    """The text of the answer to ``upload``."""
    exchange = await exchanges.begin(upload)
    try:
        answer = json.loads(await (await exchange.response()).content.read())
    finally:
        exchange.end()
    text = answer["choices"][0]["message"]["content"]
    upload.note_answer(text)
    return text


async def nothing_happens(handler):
    pass


def once(happening):
    """``happening`` to the first connection, nothing to those after it."""
    happenings = iter([happening])

    async def meanwhile(handler):
        await next(happenings, nothing_happens)(handler)

    return meanwhile


async def it_comes(handler, late):
    """What the endpoint does lies unread in the connection."""
    transport = handler.transport
    transport.pause_reading()
    late.tell()
    wire = transport.get_extra_info("socket").fileno()
    while not select.select([wire], [], [], 0)[0]:  # noqa: ASYNC110 - what the system holds
        await asyncio.sleep(0)
    transport.resume_reading()


@pytest.mark.parametrize("read", [False, True], ids=["lies unread", "was read"])
async def test_a_stray_that_comes_just_before_a_request_leaves_is_not_its_answer(read, late):
    late.then = lambda writer: writer.write(STRAY)

    async def a_stray_comes(handler):
        await it_comes(handler, late)
        for _ in range(5 * read):
            await asyncio.sleep(0)

    assert await late.ask(b"a", nothing_happens) == "a"
    assert await late.ask(b"b", once(a_stray_comes)) == "b"
    assert await late.ask(b"c", nothing_happens) == "c"
    assert (late.connector.strayed, late.connector.suspects) == (True, ("a",))


async def test_a_connection_that_ends_just_before_a_request_leaves_took_no_request(late):
    late.then = lambda writer: writer.close()

    assert await late.ask(b"a", nothing_happens) == "a"
    assert await late.ask(b"b", once(lambda handler: it_comes(handler, late))) == "b"
    assert await late.ask(b"c", nothing_happens) == "c"
    assert not late.connector.strayed


@pytest.mark.parametrize("greeting", [b"220 mail.example ESMTP\r\n", b""])
async def test_an_endpoint_that_speaks_or_hangs_up_first_is_asked_nothing(greeting):
    async def talk(reader, writer):
        writer.write(greeting)

    async with serving(talk) as base_url, SlowConnector() as connector:
        upload = Upload(body(b"a"))
        with pytest.raises(UnreachedError, match="before it is asked anything"):
            await exchanges_over(connector, base_url).begin(upload)
        assert upload.handler is None, "certainly not sent"


async def test_an_image_leaves_as_base64_in_the_length_that_was_announced():
    image = bytes(range(256)) * 4096 + b"x"
    seen = []

    async def talk(reader, writer):
        seen.append(await read_request(reader))
        writer.write(http(said("ok")))

    async with asking(talk) as client:
        await client.ask(body(b"prefix,", image))
    assert seen[0].body == b"prefix," + base64.b64encode(image)


def tls_pair():
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(CERTIFICATE)
    return server, ssl.create_default_context(cafile=CERTIFICATE)


async def test_over_tls_connections_are_used_again_until_something_strays():
    server, client = tls_pair()
    sent = asyncio.Event()

    async def push(writer, number):
        if number == 3:
            await asyncio.sleep(0.02)
            writer.write(STRAY)
            await writer.drain()
            sent.set()

    echo = Echo(push)
    connector = GuardedConnector(ssl=client)

    async with serving(echo, server) as base_url, connector:
        exchanges = exchanges_over(connector, base_url)

        async def ask(text):
            return await asked(exchanges, Upload(body(text)))

        assert [await ask(text) for text in (b"a", b"b", b"c")] == ["a", "b", "c"]
        assert (echo.connections, connector.strayed) == (1, False)
        await sent.wait()
        assert [await ask(text) for text in (b"d", b"e")] == ["d", "e"]
        assert (echo.connections, connector.suspects) == (3, ("a", "b", "c"))


async def test_a_handler_without_its_connection_is_not_quiet():
    handler = GuardedHandler(asyncio.get_running_loop(), lambda handler: None)
    assert not handler.is_quiet()


async def test_an_endpoint_that_turns_to_another_protocol_has_answered():
    async def talk(reader, writer):
        await read_request(reader)
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
        )
        await reader.read()

    async with asking(talk) as client:
        with pytest.raises(EndpointError) as told:
            await ask(client, "a")
    assert told.value.status == 101


LARGE = bytes(8_000_000)
"""More than the system takes from us before somebody reads it."""


class Watched(Inlined):
    """An image of which can be told whether it is gone."""

    __slots__ = ("__weakref__",)


async def fails(client, image=LARGE):
    with pytest.raises(EndpointError):
        await client.ask(body(b"prefix,", image))


def sockets():
    """How many this process has open."""
    kinds = []
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            kinds.append(str(fd.readlink()))
    return sum(kind.startswith("socket:") for kind in kinds)


async def test_a_body_that_nobody_reads_leaves_no_socket_behind():
    done = asyncio.Event()

    async def deaf(reader, writer):
        await done.wait()

    async with asking(deaf, timeout_s=0.2) as client:
        before = sockets()
        for _ in range(5):
            await fails(client)
        await asyncio.sleep(0)
        theirs = 5
        assert sockets() - before <= theirs
        done.set()


@pytest.mark.parametrize(
    "answer",
    [
        http(said("cut"))[:-9],
        b"HTTP/1.1 what\r\n\r\n",
        http(b"no gzip", content_encoding="gzip"),
        http(said("hasty")),
    ],
    ids=["cut", "garbled", "no gzip", "hasty"],
)
async def test_an_attempt_that_failed_holds_no_image(answer):
    async def talk(reader, writer):
        await reader.read(1000)
        writer.write(answer)
        await writer.drain()

    async with asking(talk) as client:
        gc.collect()
        gc.disable()
        try:
            sent = replace(body(b"prefix,", LARGE), parts=(b"prefix,", Watched(LARGE)))
            gone = ref(sent.parts[1])
            with pytest.raises(EndpointError) as told:
                await client.ask(sent)
            without_frames(told.value)
            del sent, told
            await asyncio.sleep(0.05)
            assert gone() is None
        finally:
            gc.enable()


async def test_what_is_still_in_this_process_was_not_sent():
    async def talk(reader, writer):
        await reader.read(1)
        writer.write(http(said("an answer to the first of it")))
        await reader.read()

    async with serving(talk) as base_url, GuardedConnector() as connector:
        upload = Upload(body(b"x" * 100))
        exchange = await exchanges_over(connector, base_url).begin(upload)
        await exchange.response()
        assert upload.sent
        upload.handler.transport.write(LARGE)
        assert not upload.sent
        exchange.end()


async def test_nothing_is_put_into_a_connection_that_is_lost():
    async def talk(reader, writer):
        await reader.read()

    async with serving(talk) as base_url, GuardedConnector() as connector:
        upload = Upload(body(b"x" * 100))
        exchange = await exchanges_over(connector, base_url).begin(upload)
        assert upload.handler.put(b"y")
        upload.handler.transport.abort()
        assert not upload.handler.put(b"z")
        exchange.end()
        assert not upload.handler.put(b"z")
