"""Signals to a run in this very process: what is said, and what is kept."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time

import pytest

import vbatch
from vbatch import api
from vbatch.cli.drive import drive
from vbatch.records import Stop
from vbatch.server import parse_faults


def send_when(condition, *numbers, pause=0.2):
    """Send signals to ourselves once ``condition`` holds, one after another."""

    def send():
        deadline = time.monotonic() + 20
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(pause)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def hanging(endpoint, workshop):
    """A session whose requests are never answered, and the server."""
    server = endpoint(dialect="openai", faults=parse_faults("hang:1"))
    workshop.rows(50)
    return server, api.session(workshop.job(server.base_url, retry={"drain": "300ms"}))


def test_sigterm_waits_for_answers_no_longer_than_drain(hanging, workshop, capsys):
    server, session = hanging
    thread = send_when(lambda: server.sums["requests"] >= 4, signal.SIGTERM)

    code = drive(session, quiet=False, as_json=False)

    thread.join()
    assert code == 143
    assert session.summary.possibly_billed == 4
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "stopped (signal): by SIGTERM" in last
    assert "50 left, 4 possibly billed" in last
    assert vbatch.open_run(workshop.folder / "run").status()["exit_code"] == 143


def test_a_second_signal_gives_up_at_once(hanging, capsys):
    server, session = hanging
    thread = send_when(lambda: server.sums["requests"] >= 4, signal.SIGINT, signal.SIGINT)

    code = drive(session, quiet=True, as_json=True)

    thread.join()
    out, err = capsys.readouterr()
    assert code == 130
    assert '"possibly_billed": 4' in out
    assert "waiting for answers on their way" in err


async def test_a_stop_before_the_first_request_sends_nothing(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(5)
    session = api.session(workshop.job(server.base_url))
    session.stop(Stop(exit_code=130, code="signal", message="by SIGINT"))
    session.cancel()

    async with session:
        assert [outcome async for outcome in session] == []

    assert session.summary.exit_code == 130
    assert session.summary.left == 5
    assert server.sums["requests"] == 0


async def test_a_bug_in_the_caller_still_leaves_a_sound_run(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(100)
    session = api.session(workshop.job(server.base_url))
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - leaving the block is what is tested
        async with session:
            async for _ in session:
                await asyncio.sleep(0)
                raise ZeroDivisionError
    assert vbatch.run(workshop.folder / "job.toml").total_answered == 100
