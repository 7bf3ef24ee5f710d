"""Somebody breaks off a run from Python: what was paid for is kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

import vbatch
from vbatch import api

IN_FLIGHT = 16
SCRIPT = """
import asyncio, sys, vbatch

def cell():
    try:
        vbatch.run(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(9)

async def notebook():
    cell()

if sys.argv[2] == "notebook":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(notebook())
else:
    cell()
"""


@pytest.fixture
def busy(endpoint, workshop):
    """A job whose answers take a while, and the server that gives them."""
    server = endpoint(dialect="openai", latency_s=0.3)
    workshop.rows(400)
    return server, workshop.job(server.base_url, limits={"max_in_flight": IN_FLIGHT})


def wait_for_requests(server, count):
    deadline = time.monotonic() + 60
    while server.sums["requests"] < count and time.monotonic() < deadline:
        time.sleep(0.01)


def kept(workshop) -> int:
    return vbatch.open_run(workshop.folder / "run").results().num_rows


def paid(server) -> int:
    asked = Counter(server.answered_prompts())
    assert max(asked.values()) == 1
    return len(asked)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["script", "notebook"])
def test_ctrl_c_waits_for_what_was_asked_and_asks_no_more(busy, workshop, where):
    server, job = busy
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(job), where], stderr=subprocess.PIPE, text=True
    )
    wait_for_requests(server, 2 * IN_FLIGHT)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 9, said
    assert "waiting for answers on their way, again to give up" in said
    assert "stopped (signal): by KeyboardInterrupt" in said
    assert kept(workshop) == paid(server) < 400


@pytest.mark.slow
def test_a_second_ctrl_c_gives_up(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=30.0)
    workshop.rows(40)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(workshop.job(server.base_url)), "script"],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_requests(server, 4)
    os.kill(process.pid, signal.SIGINT)
    assert "waiting for answers" in process.stderr.readline()
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=20)

    assert process.returncode == 9, said
    assert "4 possibly billed" in said


async def test_an_error_of_the_callers_own_waits_for_what_was_asked(busy, workshop):
    server, job = busy

    async def caller():
        async with api.session(job) as session:
            await anext(session)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await caller()

    assert kept(workshop) == paid(server)


async def test_a_timeout_of_the_callers_own_waits_for_what_was_asked(busy, workshop):
    server, job = busy
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(vbatch.arun(job), 1.5)

    assert kept(workshop) == paid(server) > 0


async def test_cancelled_twice_it_ends_at_once(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=30.0)
    workshop.rows(40)
    running = asyncio.create_task(vbatch.arun(workshop.job(server.base_url)))
    await asyncio.to_thread(wait_for_requests, server, 4)
    running.cancel()
    await asyncio.sleep(0.1)
    assert not running.done()

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(20):
            await running
    (usage,) = vbatch.open_run(workshop.folder / "run").usage().to_pylist()
    assert usage["possibly_billed"] == 4


async def test_a_stream_that_is_closed_early_waits_for_what_was_asked(busy, workshop):
    server, job = busy
    async with contextlib.aclosing(vbatch.stream(job)) as outcomes:
        async for _ in outcomes:
            break

    assert kept(workshop) == paid(server)
