import asyncio
import gzip
import json
import ssl
import zlib
from pathlib import Path

import pytest

from tests.endpoint.raw_server import (
    KEY,
    always,
    asking,
    body,
    client_of,
    http,
    read_request,
    said,
    serving,
)
from vbatch.errors import (
    AmbiguousError,
    EndpointError,
    Exit,
    FatalError,
    PermanentError,
    TransientError,
    UnreachedError,
)
from vbatch.version import __version__

CERTIFICATE = Path(__file__).with_name("self_signed.pem")


async def refused_by(talk, **options):
    """Ask once and return the error."""
    async with asking(talk, **options) as client:
        with pytest.raises(EndpointError) as caught:
            await client.ask(body())
    return caught.value


async def test_an_answer_comes_with_its_latency_and_what_its_headers_say_of_limits():
    fine = http(said("a cat"), x_ratelimit_limit_requests="60", x_ratelimit_reset_requests="1s")
    async with asking(always(fine), limit_window_s=30) as client:
        answer = await client.ask(body())
    assert answer.completion.text == "a cat"
    assert 0 < answer.latency_s < 5
    assert answer.limits.limit_requests == 120
    assert answer.limits.reset_requests_s == 1


async def test_a_request_bears_key_type_length_and_our_name():
    seen = []

    async def talk(reader, writer):
        seen.append(await read_request(reader))
        writer.write(http(said("ok")))

    async with asking(talk, headers={"X-Team": "night"}) as client:
        await client.ask(body(b'{"a":1}'))
    (request,) = seen
    assert request.line == "POST /v1/chat/completions HTTP/1.1"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept"] == "application/json"
    assert request.headers["user-agent"] == f"vbatch/{__version__}"
    assert request.headers["x-team"] == "night"
    assert "cookie" not in request.headers
    assert request.body == b'{"a":1}'


async def test_cookies_are_never_sent_back():
    seen = []

    async def talk(reader, writer):
        for _ in range(2):
            seen.append(await read_request(reader))
            writer.write(http(said("ok"), set_cookie="a=b"))

    async with asking(talk) as client:
        await client.ask(body())
        await client.ask(body())
    assert "cookie" not in seen[1].headers


async def test_201_is_an_answer_too():
    async with asking(always(http(said("ok"), 201))) as client:
        assert (await client.ask(body())).completion.text == "ok"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "connection"),
        (http(said("a cat"))[:-9], "connection"),
        (http("<html>no</html>"), "bad_response"),
        (http(""), "bad_response"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(said("a cat")).encode()[:-9], "bad_response"),
        (b"HTTP/1.1 200\r\nbroken header\r\n\r\n", "bad_response"),
        (b"HTTP/9.9 what\r\n\r\n", "bad_response"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "bad_response"),
        (http(b"no gzip", content_encoding="gzip"), "bad_response"),
    ],
)
async def test_an_exchange_that_breaks_may_have_been_billed(answer, code):
    error = await refused_by(always(answer))
    assert isinstance(error, AmbiguousError)
    assert error.code == code
    assert error.status in {None, 200}


async def test_gzip_cut_short_is_no_answer():
    packed = gzip.compress(json.dumps(said("a cat" * 500)).encode())[:-20]
    error = await refused_by(always(b"HTTP/1.0 200 OK\r\ncontent-encoding: gzip\r\n\r\n" + packed))
    assert isinstance(error, AmbiguousError)


async def test_a_gzip_bomb_is_left_after_the_cap():
    deflater = zlib.compressobj(wbits=31)
    packed = b"".join(deflater.compress(bytes(1 << 20)) for _ in range(64)) + deflater.flush()
    error = await refused_by(
        always(http(packed, content_encoding="gzip")), max_response_bytes=1 << 20
    )
    assert isinstance(error, PermanentError)
    assert error.code == "response_too_large"


async def test_an_endless_answer_is_left_after_the_cap():
    async def talk(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    error = await refused_by(talk, max_response_bytes=1 << 18)
    assert error.code == "response_too_large"
    assert error.status == 200


async def test_an_endless_refusal_is_still_a_refusal():
    async def talk(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 500 No\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    error = await refused_by(talk)
    assert isinstance(error, TransientError)
    assert (error.code, error.status) == ("server_error", 500)
    assert len(error.body) == 64 * 1024


async def test_an_attempt_ends_at_its_deadline():
    async def talk(reader, writer):
        await read_request(reader)
        await reader.read()

    error = await refused_by(talk, timeout_s=0.05)
    assert isinstance(error, AmbiguousError)
    assert error.code == "timeout"


async def test_a_deadline_counts_while_the_answer_trickles_in():
    async def talk(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    error = await refused_by(talk, timeout_s=0.1)
    assert (type(error), error.code) == (AmbiguousError, "timeout")


async def test_a_deadline_before_there_is_a_connection_costs_nothing():
    async def talk(reader, writer):
        await reader.read()

    async with (
        serving(talk) as base_url,
        client_of(base_url.replace("http:", "https:"), timeout_s=0.05) as client,
    ):
        with pytest.raises(UnreachedError) as caught:
            await client.ask(body())
    assert caught.value.code == "connection"


async def test_cancelling_an_attempt_is_not_taken_for_its_deadline():
    asked = asyncio.Event()

    async def talk(reader, writer):
        await read_request(reader)
        asked.set()
        await reader.read()

    async with asking(talk) as client:
        task = asyncio.create_task(client.ask(body()))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_nobody_there_costs_nothing_and_names_host_and_cause():
    async with serving(always()) as base_url:
        pass
    async with client_of(base_url) as client:
        with pytest.raises(UnreachedError) as caught:
            await client.ask(body())
    assert caught.value.code == "connection"
    assert base_url.split("/")[2] in caught.value.message
    assert "refused" in caught.value.message.lower()


async def test_a_name_that_resolves_to_nothing_costs_nothing():
    async with client_of("http://nowhere.invalid/v1") as client:
        with pytest.raises(UnreachedError, match=r"nowhere\.invalid"):
            await client.ask(body())


async def test_an_address_that_only_looks_like_one_is_bad_usage():
    async with client_of("http://127.1/v1") as client:
        with pytest.raises(FatalError) as caught:
            await client.ask(body())
    assert caught.value.exit_code == Exit.USAGE


async def test_a_certificate_nobody_vouches_for_stops_the_run():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    error = await refused_by(always(http(said("ok"))), tls=tls)
    assert isinstance(error, FatalError)
    assert (error.code, error.exit_code) == ("certificate", Exit.NEEDS_A_PERSON)


async def test_plain_http_where_tls_was_expected_costs_nothing():
    async def talk(reader, writer):
        await reader.read(1)
        writer.write(http("no", 400))

    async with (
        serving(talk) as base_url,
        client_of(base_url.replace("http:", "https:")) as client,
    ):
        with pytest.raises(UnreachedError):
            await client.ask(body())


async def test_a_redirect_is_not_followed_and_names_its_target():
    error = await refused_by(always(http("", 307, location="https://elsewhere.example/v1")))
    assert isinstance(error, FatalError)
    assert error.code == "redirect"
    assert "https://elsewhere.example/v1" in error.message


async def test_an_answer_before_the_whole_request_is_not_believed():
    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(said("hasty")))
        await writer.drain()
        await asyncio.sleep(5)

    async with asking(talk) as client:
        with pytest.raises(AmbiguousError) as caught:
            await client.ask(body(b"", b"x" * 20_000_000))
    assert (caught.value.code, caught.value.status) == ("bad_response", 200)


async def test_a_refusal_before_the_whole_request_is_believed():
    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http({"error": {"message": "too much"}}, 413))
        await writer.drain()
        await asyncio.sleep(5)

    async with asking(talk) as client:
        with pytest.raises(PermanentError) as caught:
            await client.ask(body(b"", b"x" * 20_000_000))
    assert caught.value.code == "request_too_large"


async def test_large_bodies_that_are_answered_at_once_are_believed():
    async def talk(reader, writer):
        for _ in range(20):
            request = await read_request(reader)
            writer.write(http(said(str(len(request.body)))))

    async with asking(talk) as client:
        for size in range(300_000, 3_300_000, 150_000):
            sent = body(b"", b"x" * size)
            assert (await client.ask(sent)).completion.text == str(sent.length)


async def test_a_key_that_the_endpoint_echoes_is_seen_by_nobody():
    escaped = KEY.replace("/", "\\/").replace("=", "\\u003d")
    echo = f'{{"error": {{"message": "bad key {escaped}", "code": "{escaped}"}}}}'
    error = await refused_by(always(http(echo, 401, x_request_id=f"r-{KEY}")))
    shown = [error.message, str(error), error.body, error.provider_code, error.request_id]
    assert not [text for text in shown if KEY in text or escaped in text]
    assert error.message.count("[redacted]") == 1
    async with asking(always(http(said(f"your key is {KEY}")))) as client:
        answer = await client.ask(body())
    assert answer.completion.text == "your key is [redacted]"


async def test_words_of_the_question_stay_in_an_answer():
    async with asking(always(http(said("Bonjour in French"))), secrets=(KEY, "French")) as client:
        assert (await client.ask(body())).completion.text == "Bonjour in French"


async def test_the_models_of_a_gateway_are_listed():
    listed = {"data": [{"id": "sees", "input_modalities": ["text", "image"]}, {"id": "blind"}]}
    seen = []

    async def talk(reader, writer):
        seen.append(await read_request(reader))
        writer.write(http(listed))

    async with asking(talk) as client:
        models = await client.models()
    assert [(model.id, model.vision) for model in models] == [("sees", True), ("blind", None)]
    assert seen[0].line == "GET /v1/models HTTP/1.1"


async def test_a_list_of_models_that_is_refused_or_no_json_is_an_error():
    async with asking(always(http("", 401))) as client:
        with pytest.raises(FatalError):
            await client.models()
    async with asking(always(http("<html>"))) as client:
        with pytest.raises(PermanentError) as caught:
            await client.models()
    assert caught.value.suspect == "wrong_url"


async def test_a_proxy_is_asked_for_the_endpoint():
    seen = []

    async def talk(reader, writer):
        seen.append(await read_request(reader))
        writer.write(http(said("by proxy")))

    async with serving(talk) as proxy:
        address = proxy.removesuffix("/v1").replace("//", "//me:pass%2Fword@")
        async with client_of("http://endpoint.invalid/v1", proxy=address) as client:
            assert (await client.ask(body())).completion.text == "by proxy"
    assert seen[0].line == "POST http://endpoint.invalid/v1/chat/completions HTTP/1.1"
    assert "proxy-authorization" in seen[0].headers


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [(502, UnreachedError, "connection"), (407, FatalError, "authentication")],
)
async def test_a_proxy_that_builds_no_tunnel_costs_nothing(status, kind, code):
    async with (
        serving(always(http("", status))) as proxy,
        client_of("https://endpoint.invalid/v1", proxy=proxy) as client,
    ):
        with pytest.raises(kind) as caught:
            await client.ask(body())
    assert caught.value.code == code
