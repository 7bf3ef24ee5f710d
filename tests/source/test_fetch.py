import asyncio
import errno
import gzip
import socket
from contextlib import asynccontextmanager
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver

from tests.source.drawing import encoded
from tests.source.waiting import QuickClock
from vbatch.errors import ImageError
from vbatch.source import fetch
from vbatch.source.fetch import UrlFetcher

PICTURE = encoded()


class Names(AbstractResolver):
    """What names stand for in these tests; anything else goes to the system's own lookup."""

    def __init__(self, **names) -> None:
        self._names = names

    async def resolve(self, host, port=0, family=socket.AF_INET):
        found = self._names.get(host.partition(".")[0], [host])
        if isinstance(found, Exception):
            raise found
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in found
        ]

    async def close(self):
        pass


class Server:
    """A web server on loopback: ``answers`` are given one after the other, the last for ever."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.base = f"http://127.0.0.1:{port}"
        self.answers: list = []
        self.requests: list[web.BaseRequest] = []

    async def handle(self, request):
        self.requests.append(request)
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        return await answer(request) if callable(answer) else answer


def says(status=200, body=PICTURE, **options):
    async def answer(_request):
        return web.Response(status=status, body=body, **options)

    return answer


def goes_to(location, status=302):
    return says(status, b"", headers={"Location": location} if location else {})


@pytest.fixture
async def server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = Server(listener.getsockname()[1])
        runner = web.ServerRunner(
            web.Server(serving.handle, handler_cancellation=True), shutdown_timeout=1
        )
        await runner.setup()
        await web.SockSite(runner, listener).start()
        yield serving
        await runner.cleanup()


@asynccontextmanager
async def fetching(clock=None, **options):
    options = {"cap_bytes": 100_000, "may_reach": lambda _: True, **options}
    fetcher = UrlFetcher(clock=clock or QuickClock(), **options)
    try:
        yield fetcher
    finally:
        await fetcher.close()


async def refusal(url, **options):
    async with fetching(**options) as fetcher:
        with pytest.raises(ImageError) as caught:
            await fetcher.get(url)
    return caught.value


async def test_an_image_is_fetched_without_cookies_keys_or_compression(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    server.answers = [says(headers={"Set-Cookie": "a=b"})]

    async with fetching() as fetcher:
        for _ in range(2):
            assert await fetcher.get(f"http://me:secret@127.0.0.1:{server.port}/a.jpg") == PICTURE

    headers = server.requests[-1].headers
    assert set(headers) == {"Host", "Accept", "Accept-Encoding", "User-Agent"}
    assert headers["Accept-Encoding"] == "identity"


async def test_a_signed_url_is_asked_for_to_the_letter(server):
    server.answers = [says()]
    path = "/a%2Fb%20c.jpg?X-Amz-Signature=a%2Fb+c%3D&e=%C3%BC"

    async with fetching() as fetcher:
        await fetcher.get(f"{server.base}{path}#fragment")
        await fetcher.get(f"{server.base}/ü b.jpg")

    assert [request.raw_path for request in server.requests] == [path, "/%C3%BC%20b.jpg"]


# --- where it may go -------------------------------------------------------------------------

PRIVATE_HOSTS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0x0.0x0.0x1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "0",
    "0.0.0.0",
    "127.255.255.254",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[fec0::1]",
    "[ff02::1]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "127。0。0。1",
    "①②⑦.0.0.1",
]


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
async def test_no_spelling_of_a_private_address_is_ever_connected_to(server, host):
    server.answers = [says()]
    clock = QuickClock()

    async with fetching(clock, may_reach=fetch.is_public) as fetcher:
        with pytest.raises(ImageError) as caught:
            await fetcher.get(f"http://{host}:{server.port}/a.jpg")

    assert not server.requests
    assert caught.value.code == "image_forbidden"
    assert not clock.naps


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["93.184.216.34", "10.0.0.1"],
        ["2606:4700:4700::1111", "::ffff:127.0.0.1"],
        ["64:ff9b::a9fe:a9fe"],
    ],
)
async def test_a_name_with_any_private_address_is_refused(server, addresses):
    error = await refusal(
        f"http://evil.example:{server.port}/a.jpg",
        may_reach=fetch.is_public,
        resolver=Names(evil=addresses),
    )

    assert error.code == "image_forbidden"
    assert "evil.example" in error.message
    assert "allow_private_urls" in error.message
    assert not server.requests


async def test_the_address_that_was_looked_at_is_the_one_connected_to(server):
    """A name that stands for another address a moment later gains nothing by it."""
    server.answers = [says()]
    asked = []

    class Rebinding(Names):
        async def resolve(self, host, port=0, family=socket.AF_INET):
            asked.append(host)
            self._names = {"fickle": ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]}
            return await super().resolve(host, port, family)

    reached = []
    async with fetching(
        may_reach=lambda address: reached.append(address) or True, resolver=Rebinding()
    ) as fetcher:
        assert await fetcher.get(f"http://fickle.example:{server.port}/") == PICTURE

    assert reached == ["127.0.0.1"] * 2
    assert asked == ["fickle.example"]


async def test_the_address_is_looked_at_again_when_the_connection_is_made(server):
    verdicts = [True, False]

    error = await refusal(
        f"http://a.example:{server.port}/",
        may_reach=lambda _: verdicts.pop(0),
        resolver=Names(a=["127.0.0.1"]),
    )

    assert error.code == "image_forbidden"
    assert not server.requests


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_and_relative_ones_are_understood(server, status):
    server.answers = [goes_to("../b.jpg", status), says()]

    async with fetching() as fetcher:
        assert await fetcher.get(f"{server.base}/sub/a.jpg") == PICTURE

    assert [request.raw_path for request in server.requests] == ["/sub/a.jpg", "/b.jpg"]


@pytest.mark.parametrize("there", ["127.0.0.2", "inner.example", "[::1]"])
async def test_a_redirect_to_a_private_address_is_refused(server, there):
    server.answers = [goes_to(f"http://{there}:{server.port}/b.jpg"), says()]

    error = await refusal(
        f"http://outer.example:{server.port}/a.jpg",
        may_reach=lambda address: address == "127.0.0.1",
        resolver=Names(outer=["127.0.0.1"], inner=["127.0.0.3"]),
    )

    assert error.code == "image_forbidden"
    assert len(server.requests) == 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:,x"])
async def test_a_redirect_to_anything_but_the_web_is_refused(server, target):
    server.answers = [goes_to(target)]

    assert (await refusal(f"{server.base}/a.jpg")).code == "image_forbidden"


def test_a_redirect_from_https_to_http_is_refused():
    with pytest.raises(ImageError) as caught:
        fetch._target(fetch._parsed("https://example.com/a"), "http://example.com/a")

    assert caught.value.code == "image_forbidden"
    assert fetch._target(fetch._parsed("http://example.com/a"), "https://u:p@example.com/") == (
        fetch._parsed("https://example.com/")
    )


async def test_a_redirect_without_target_or_without_end_is_unreadable(server):
    server.answers = [goes_to(None)]
    assert "target" in (await refusal(f"{server.base}/a.jpg")).message

    server.answers = [goes_to("/again")]
    server.requests.clear()
    error = await refusal(f"{server.base}/a.jpg")

    assert error.code == "image_unreadable"
    assert len(server.requests) == fetch.MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a.jpg",
        "file:///etc/passwd",
        "http://",
        "https:///a.jpg",
        "http://[::1/a.jpg",
        "http://example.com:99999/",
        f"http://{'a' * 70}.example/",
        "",
    ],
)
async def test_what_is_no_web_address_is_unreadable_at_once(url):
    clock = QuickClock()
    async with fetching(clock) as fetcher:
        with pytest.raises(ImageError) as caught:
            await fetcher.get(url)

    assert caught.value.code == "image_unreadable"
    assert not clock.naps


# --- what comes back -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "image_not_found"),
        (410, "image_not_found"),
        (401, "image_unreadable"),
        (403, "image_unreadable"),
        (204, "image_unreadable"),
        (206, "image_unreadable"),
        (304, "image_unreadable"),
    ],
)
async def test_an_answer_that_will_not_change_is_final(server, status, code):
    server.answers = [says(status, b"")]

    assert (await refusal(f"{server.base}/a.jpg?Signature=abc")).code == code
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520])
async def test_an_answer_that_may_pass_is_asked_for_again(server, status):
    server.answers = [says(status, b""), says(status, b""), says()]
    clock = QuickClock()

    async with fetching(clock) as fetcher:
        assert await fetcher.get(f"{server.base}/a.jpg") == PICTURE

    assert clock.naps == [0.5, 1.0]


async def test_trouble_that_does_not_pass_is_unreadable_after_four_tries(server):
    server.answers = [says(503, b"")]
    clock = QuickClock()

    error = await refusal(f"{server.base}/a.jpg?Signature=abc", clock=clock)

    assert error.code == "image_unreadable"
    assert "503" in error.message
    assert "Signature" not in error.message
    assert clock.naps == [0.5, 1.0, 2.0]
    assert len(server.requests) == 4


async def test_a_cut_body_is_fetched_again(server):
    async def cut(request):
        reply = web.StreamResponse(headers={"Content-Length": str(len(PICTURE))})
        await reply.prepare(request)
        await reply.write(PICTURE[:50])
        request.transport.close()
        return reply

    server.answers = [cut, says()]

    async with fetching() as fetcher:
        assert await fetcher.get(f"{server.base}/a.jpg") == PICTURE


async def test_a_host_that_refuses_or_has_no_address_is_unreadable_after_all_tries():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    clock = QuickClock()

    refused = await refusal(f"http://127.0.0.1:{port}/", clock=clock)
    unknown = await refusal("http://no.example/", resolver=Names(no=OSError("no such name")))

    assert refused.code == unknown.code == "image_unreadable"
    assert len(clock.naps) == 3
    assert "no.example" in unknown.message


async def test_a_body_over_the_cap_is_given_up_while_it_is_read(server):
    async def endless(request):
        reply = web.StreamResponse()
        await reply.prepare(request)
        while True:
            await reply.write(bytes(50_000))

    server.answers = [endless]

    error = await refusal(f"{server.base}/a.jpg")

    assert error.code == "image_unreadable"
    assert "100000 bytes" in error.message
    assert len(server.requests) == 1


async def test_a_body_that_unpacks_to_too_much_is_given_up(server):
    packed = gzip.compress(bytes(20_000_000))
    server.answers = [says(body=packed, headers={"Content-Encoding": "gzip"})]

    assert (await refusal(f"{server.base}/a.jpg")).code == "image_unreadable"


async def test_a_web_page_instead_of_an_image_is_unreadable(server):
    page = b"<!DOCTYPE html><title>Log in</title>"
    for answer in (says(body=page), says(body=b"please log in", content_type="text/html")):
        server.answers = [answer]
        error = await refusal(f"{server.base}/a.jpg")
        assert error.code == "image_unreadable"
        assert "web page" in error.message


async def test_the_bytes_decide_not_the_declared_type(server):
    server.answers = [says(content_type="text/html")]

    async with fetching() as fetcher:
        assert await fetcher.get(f"{server.base}/a.jpg") == PICTURE


# --- time, descriptors, errors ---------------------------------------------------------------


async def test_what_takes_too_long_as_a_whole_is_given_up(server):
    clock = QuickClock()

    async def stall(request):
        reply = web.StreamResponse()
        await reply.prepare(request)
        await reply.write(PICTURE[:50])
        clock.ring()
        await asyncio.Event().wait()

    server.answers = [stall]

    error = await refusal(f"{server.base}/a.jpg", clock=clock)

    assert error.code == "image_unreadable"
    assert "60 s" in error.message


async def test_the_deadline_begins_when_a_connection_may_be_taken(server, monkeypatch):
    monkeypatch.setattr(fetch, "_CONNECTIONS", 2)
    clock, all_taken = QuickClock(), asyncio.Event()

    async def stall(_request):
        if len(server.requests) == 2:
            all_taken.set()
        await asyncio.Event().wait()

    server.answers = [stall, stall, says()]
    async with fetching(clock) as fetcher:
        tasks = [asyncio.create_task(fetcher.get(f"{server.base}/{n}.jpg")) for n in range(5)]
        await all_taken.wait()
        tasks[2].cancel()
        clock.ring()
        given_up = await asyncio.gather(*tasks[:3], return_exceptions=True)
        in_turn = await asyncio.gather(*tasks[3:])

    assert [getattr(error, "code", None) for error in given_up] == ["image_unreadable"] * 2 + [None]
    assert tasks[2].cancelled()
    assert in_turn == [PICTURE, PICTURE]


async def test_a_cancelled_fetch_leaves_nothing_running(server):
    asked = asyncio.Event()

    async def stall(_request):
        asked.set()
        await asyncio.Event().wait()

    server.answers = [stall]
    async with fetching() as fetcher:
        before = asyncio.all_tasks()
        task = asyncio.create_task(fetcher.get(f"{server.base}/a.jpg"))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        ours = {t for t in asyncio.all_tasks() - before if "UrlFetcher" in repr(t)}

    assert not ours


async def test_without_a_free_descriptor_it_waits_and_no_try_is_lost(server):
    server.answers = [says()]
    short = [OSError(errno.EMFILE, "Too many open files")] * 6

    def scarce(_address):
        if short:
            raise short.pop()
        return True

    clock = QuickClock()
    async with fetching(clock, may_reach=scarce, resolver=Names(a=["127.0.0.1"])) as fetcher:
        assert await fetcher.get(f"http://a.example:{server.port}/a.jpg") == PICTURE

    assert clock.naps == [1.0] * 6


def every_client_error():
    found = [aiohttp.ClientError]
    for kind in found:
        found.extend(sub for sub in kind.__subclasses__() if sub not in found)
    return found


def made(kind):
    """An error as the client would raise it, whatever its makers are given."""
    key = SimpleNamespace(host="example.com", port=443, is_ssl=True, ssl=True)
    request = SimpleNamespace(real_url="https://example.com/")
    refused, bad = (key, OSError(5, "x")), (key, ValueError("x"))
    for args in (("x",), refused, bad, ("path", *refused), (request, ()), (b"",) * 4):
        try:
            error = kind(*args)
            str(error)
        except (TypeError, AttributeError):
            continue
        return error
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", [*every_client_error(), OSError, TimeoutError, ValueError])
def test_every_error_of_the_client_is_ours_or_passing(kind):
    final = issubclass(kind, aiohttp.InvalidURL | aiohttp.ClientSSLError | ValueError)

    ours = fetch._ours(made(kind), fetch._parsed("https://example.com/a?key=1"))

    assert isinstance(ours, ImageError if final else fetch._PassingError)


async def test_a_certificate_that_nobody_vouches_for_is_final(server):
    server.answers = [says()]

    error = await refusal(f"https://127.0.0.1:{server.port}/a.jpg")

    assert error.code == "image_unreadable"
