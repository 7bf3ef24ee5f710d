"""A streamed answer on the wire: silence ends the wait for it, and what is whole is kept."""

from __future__ import annotations

import asyncio

import pytest

from tests.endpoint.raw_server import asking, body, read_request
from tests.endpoint.test_events import data, delta
from vbatch.endpoint import streamed
from vbatch.errors import AmbiguousError, PermanentError, TransientError

HEAD = (
    b"HTTP/1.1 200 Said\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
END = b"0\r\n\r\n"
WHOLE = [delta(content="a"), delta(content="b"), delta("stop")]


def chunk(piece: bytes) -> bytes:
    return f"{len(piece):x}\r\n".encode() + piece + b"\r\n"


def streaming(*pieces, pause_s=0.0, end=True, asked=None):
    """Answer each request with these pieces, a pause before each, and hold the connection."""

    async def talk(reader, writer):
        while True:
            await read_request(reader)
            if asked is not None:
                asked.append(writer.get_extra_info("peername"))
            writer.write(HEAD)
            for piece in pieces:
                await asyncio.sleep(pause_s)
                writer.write(chunk(piece))
                await writer.drain()
            if end:
                writer.write(END)
            else:
                await asyncio.sleep(3600)

    return talk


async def test_words_that_come_one_by_one_take_longer_than_the_timeout():
    pieces = [data(one) for one in (*[delta(content="a")] * 8, delta("stop"))]
    async with asking(streaming(*pieces, pause_s=0.1), timeout_s=0.5) as client:
        answer = await client.ask(body())

    assert answer.completion.text == "a" * 8
    assert answer.latency_s > 0.5
    assert 0 < answer.first_token_s < answer.latency_s


async def test_silence_in_the_middle_ends_the_attempt():
    async with asking(streaming(data(WHOLE[0]), end=False), timeout_s=0.2) as client:
        with pytest.raises(AmbiguousError) as caught:
            await client.ask(body())

    assert caught.value.code == "timeout"


async def test_connections_are_used_again_after_a_stream():
    asked = []
    async with asking(streaming(data(*WHOLE), b"data: [DONE]\n\n", asked=asked)) as client:
        for _ in range(3):
            await client.ask(body())

    assert len(set(asked)) == 1
    assert len(asked) == 3


@pytest.mark.parametrize("pieces", [[data(*WHOLE)], [data(*WHOLE), b"data: [DONE]\n\n"]])
async def test_a_whole_answer_waits_for_its_usage_but_not_for_ever(pieces, monkeypatch):
    monkeypatch.setattr(streamed, "LAST_WORD_S", 0.05)
    monkeypatch.setattr(streamed, "AFTER_DONE_S", 0.05)
    async with asking(streaming(*pieces, end=False), timeout_s=30) as client:
        answer = await client.ask(body())

    assert answer.completion.text == "ab"


async def test_usage_that_comes_after_the_last_word_is_read():
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    async with asking(streaming(data(*WHOLE), data(usage), pause_s=0.05)) as client:
        answer = await client.ask(body())

    assert answer.completion.usage.total_tokens == 5


async def test_a_connection_that_breaks_after_the_last_word_costs_no_answer():
    async def talk(reader, writer):
        await read_request(reader)
        writer.write(HEAD + chunk(data(*WHOLE)))
        await writer.drain()

    async with asking(talk) as client:
        answer = await client.ask(body())

    assert answer.completion.text == "ab"


@pytest.mark.parametrize("end", [END, b""])
async def test_a_stream_that_ends_before_its_answer_may_have_been_billed(end):
    async def talk(reader, writer):
        await read_request(reader)
        writer.write(HEAD + chunk(data(*WHOLE[:2])) + end)
        await writer.drain()

    async with asking(talk) as client:
        with pytest.raises(AmbiguousError):
            await client.ask(body())


async def test_an_error_in_the_middle_is_read_as_the_endpoints_own():
    error = {"error": {"message": "Rate limit reached", "code": 429}}
    async with asking(streaming(data(WHOLE[0], error))) as client:
        with pytest.raises(TransientError) as caught:
            await client.ask(body())

    assert caught.value.code == "rate_limited"


async def test_a_stream_without_end_is_too_large():
    async with asking(streaming(*[data(WHOLE[0])] * 100), max_response_bytes=1_000) as client:
        with pytest.raises(PermanentError) as caught:
            await client.ask(body())

    assert caught.value.code == "response_too_large"


async def test_what_comes_after_a_whole_answer_takes_nothing_of_it():
    error = {"error": {"message": "overloaded", "code": 529}}
    after = [b"data: {half an ev", b"ent\n\ndata: 5\n\n", data(error)]
    async with asking(streaming(data(*WHOLE), *after)) as client:
        answer = await client.ask(body())

    assert answer.completion.text == "ab"


async def test_a_usage_event_that_is_cut_costs_no_answer():
    async def talk(reader, writer):
        await read_request(reader)
        writer.write(HEAD + chunk(data(*WHOLE) + b'data: {"choices": [], "usa'))
        await writer.drain()

    async with asking(talk) as client:
        answer = await client.ask(body())

    assert answer.completion.text == "ab"


async def test_an_endpoint_that_only_pings_has_the_time_of_one_silence():
    pings = [b": ping\n\n"] * 1_000
    async with asking(streaming(*pings, pause_s=0.01), timeout_s=0.2) as client:
        with pytest.raises(AmbiguousError) as caught:
            await client.ask(body())

    assert caught.value.code == "timeout"


async def test_pings_after_a_whole_answer_are_not_listened_to_for_long(monkeypatch):
    monkeypatch.setattr(streamed, "LAST_WORD_S", 0.1)
    pings = [b": ping\n\n"] * 10_000
    async with asking(streaming(data(*WHOLE), *pings, pause_s=0.01), timeout_s=30) as client:
        answer = await client.ask(body())

    assert answer.completion.text == "ab"


async def test_a_short_patience_keeps_a_whole_answer():
    async with asking(streaming(data(*WHOLE), end=False), timeout_s=0.3) as client:
        answer = await client.ask(body())

    assert answer.completion.text == "ab"
