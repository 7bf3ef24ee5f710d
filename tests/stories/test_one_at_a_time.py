"""A run that somebody else is at work on, seen from this very process."""

from __future__ import annotations

import os

import pytest

import vbatch
from vbatch import api
from vbatch.clock import SystemClock
from vbatch.errors import Locked
from vbatch.server import parse_faults
from vbatch.sink.lock import Lock


@pytest.fixture
def held(endpoint, workshop):
    """A finished run that is held, its job and its endpoint."""
    server = endpoint(dialect="openai")
    workshop.rows(3)
    job = workshop.job(server.base_url)
    assert vbatch.run(job).total_answered == 3
    lock = Lock(workshop.folder / "run" / ".vbatch" / "lock", SystemClock())
    yield job, server, lock
    lock.release()


def test_a_run_at_work_is_not_worked_on_twice(held):
    job, server, lock = held
    with pytest.raises(Locked, match=f"worked on by process {os.getpid()} on"):
        vbatch.run(job)
    assert server.sums["requests"] == 3
    lock.release()
    assert vbatch.run(job).total_answered == 3


def test_looking_ahead_says_that_what_is_done_cannot_be_told(held):
    job, _, lock = held
    ahead = api.rehearse(api.load(job))
    assert ahead.held_by == str(lock.holder)
    assert ahead.as_json()["held_by"] == str(lock.holder)
    assert (ahead.done, ahead.requests) == (0, 3)
    assert f"taken as still to do because {lock.holder}, is at work on this run" in ahead.line()

    (warning,) = [line for line in api.check(api.load(job)).warnings if "output" in line]
    assert str(lock.holder) in warning
    assert "all are taken as still to do" in warning
    lock.release()

    ahead = api.rehearse(api.load(job))
    assert (ahead.held_by, ahead.done, ahead.requests) == (None, 3, 0)
    assert "3 done already" in ahead.line()


async def test_a_run_that_loses_its_lock_stops_though_nothing_moves(endpoint, workshop):
    """No answer comes that would have to be written: it looks by itself."""
    server = endpoint(dialect="openai", faults=parse_faults("hang:1"))
    workshop.rows(20)
    session = api.session(workshop.job(server.base_url, retry={"timeout": "2s"}))
    hidden = workshop.folder / "run" / ".vbatch"

    async with session:
        log = (hidden / "log").read_text()
        (hidden / "lock").unlink()
        assert [outcome async for outcome in session] == []

    assert session.summary.exit_code == 7
    assert session.summary.stop.code == "locked"
    assert "was taken away while this process held it" in session.summary.line()
    assert (hidden / "log").read_text() == log
