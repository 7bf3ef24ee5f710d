"""Whoever leaves a run from Python, and however: what was asked is kept, and the run let go of."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter

import pytest

import vbatch
from vbatch import api
from vbatch.errors import Exit
from vbatch.records import Stop
from vbatch.sink import run_folder
from vbatch.sink.storage import Storage

IN_FLIGHT = 8


@pytest.fixture
def busy(endpoint, workshop):
    """A job whose answers take a while, and the server that gives them."""
    server = endpoint(dialect="openai", latency_s=0.2)
    workshop.rows(200)
    return server, workshop.job(server.base_url, limits={"max_in_flight": IN_FLIGHT})


def wait_for_an_answer(server):
    while not server.sums["answered"]:
        time.sleep(0.01)


def kept(workshop) -> int:
    return vbatch.open_run(workshop.folder / "run").results().num_rows


def paid(server) -> int:
    asked = Counter(server.answered_prompts())
    assert max(asked.values()) == 1
    return len(asked)


def ended(workshop) -> tuple[int, str]:
    stands = json.loads((workshop.folder / "run" / "run.json").read_text())
    return stands["exit_code"], stands["stop"]["message"]


def test_an_error_in_a_bare_loop_that_ends_the_program_loses_no_answer(busy, workshop):
    server, job = busy

    async def program():
        async for _ in vbatch.stream(job):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(program())

    assert kept(workshop) == paid(server) < 200
    assert ended(workshop) == (5, "the caller took no more outcomes")


def test_a_bare_break_as_the_last_act_loses_no_answer(busy, workshop):
    server, job = busy

    async def program():
        async for _ in vbatch.stream(job):
            break

    asyncio.run(program())

    assert kept(workshop) == paid(server) < 200


def test_a_program_that_ends_beside_a_run_loses_no_answer(busy, workshop):
    server, job = busy

    async def program():
        running = asyncio.create_task(vbatch.arun(job))
        await asyncio.to_thread(wait_for_an_answer, server)
        assert not running.done()

    asyncio.run(program())

    assert kept(workshop) == paid(server) < 200
    assert ended(workshop) == (130, "the caller was cancelled")


def test_a_stream_that_is_cancelled_says_so(busy, workshop):
    server, job = busy

    async def listen(heard):
        async for _ in vbatch.stream(job):
            heard.set()

    async def program():
        heard = asyncio.Event()
        listening = asyncio.create_task(listen(heard))
        await heard.wait()
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening

    asyncio.run(program())

    assert kept(workshop) == paid(server) < 200
    assert ended(workshop) == (130, "the caller was cancelled")


async def test_a_listener_who_is_slow_hears_everything(busy):
    server, job = busy
    heard = []
    async for outcome in vbatch.stream(job, limit=40):
        await asyncio.sleep(0.005)
        heard.append(outcome.id)

    assert len({*heard}) == len(heard) == 40 == server.sums["answered"]


async def test_an_error_before_the_first_request_reaches_the_listener(busy):
    _, job = busy
    with pytest.raises(vbatch.errors.JobError, match=r"images\.root"):
        await anext(vbatch.stream(job, overrides=["images.root=nowhere"]))


@pytest.fixture
def slow_opening(monkeypatch):
    """Opening a run takes until ``go`` is set, as when damage is looked after."""
    begun, go = threading.Event(), threading.Event()
    recover = run_folder.recover

    def slowly(*words, **more):
        begun.set()
        go.wait(30)
        return recover(*words, **more)

    monkeypatch.setattr(run_folder, "recover", slowly)
    return begun, go


@pytest.mark.parametrize("verb", ["arun", "stream", "session"])
async def test_a_run_cancelled_while_it_is_opened_can_be_taken_anew(
    endpoint, workshop, slow_opening, verb
):
    server = endpoint(dialect="openai")
    workshop.rows(2)
    job = workshop.job(server.base_url)
    begun, go = slow_opening

    async def enter():
        match verb:
            case "arun":
                await vbatch.arun(job)
            case "stream":
                await anext(vbatch.stream(job))
            case "session":
                await api.session(job).__aenter__()

    running = asyncio.create_task(enter())
    await asyncio.to_thread(begun.wait)
    running.cancel()
    await asyncio.sleep(0)
    go.set()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await vbatch.arun(job)).answered == 2


def test_a_loop_torn_down_while_a_run_is_opened_does_not_keep_it(endpoint, workshop, slow_opening):
    server = endpoint(dialect="openai")
    workshop.rows(2)
    job = workshop.job(server.base_url, retry={"drain": "0s"})
    begun, go = slow_opening

    async def program():
        entering = asyncio.create_task(api.session(job).__aenter__())
        await asyncio.to_thread(begun.wait)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        go.set()  # the thread comes to its end in a loop that nobody runs

    asyncio.run(program())

    assert vbatch.run(job).answered == 2


async def test_an_answer_that_is_being_written_while_all_is_given_up_is_counted(
    endpoint, workshop, monkeypatch
):
    server = endpoint(dialect="openai")
    workshop.rows(1)
    session = api.session(workshop.job(server.base_url))
    writing, go = threading.Event(), threading.Event()
    write = Storage.write

    def slowly(self, fd, data, at):
        if b'"C"' in bytes(data[:80]):
            writing.set()
            go.wait(30)
        return write(self, fd, data, at)

    monkeypatch.setattr(Storage, "write", slowly)

    async def second_signal():
        await asyncio.to_thread(writing.wait)
        session.stop(Stop(exit_code=Exit.SIGINT, code="signal", message="by SIGINT"))
        session.cancel()
        go.set()

    signalled = asyncio.create_task(second_signal())
    async with session:
        async for _ in session:
            pass
    await signalled

    assert kept(workshop) == 1
    summary = session.summary
    assert (summary.answered, summary.possibly_billed, summary.left) == (1, 0, 0)
    counts = json.loads((workshop.folder / "run" / "run.json").read_text())["counts"]
    assert (counts["answered"], counts["possibly_billed"], counts["left"]) == (1, 0, 0)
