"""Two runs with one key: together they live by its limit, and neither has to know of the other."""

from __future__ import annotations

import itertools
import os
import stat
import subprocess
import sys

import pytest

import vbatch
from vbatch import api
from vbatch.api.sharing import state_folder

ROWS = 60
A_SECOND = 20
LIMITS = {"requests_per_minute": 60 * A_SECOND}


@pytest.fixture
def state(tmp_path, monkeypatch):
    """The user's state folder, empty."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "vbatch" / "limits"


def begin(job, run):
    command = [sys.executable, "-m", "vbatch", "run", str(job), "--quiet", "-s", f"output={run}"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_take_turns_at_one_limit(endpoint, workshop, state):
    server = endpoint(dialect="openai")
    workshop.rows(ROWS)
    job = workshop.job(server.base_url, limits=LIMITS)
    runs = [workshop.folder / name for name in ("one", "two")]
    processes = [begin(job, run) for run in runs]
    told = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told

    times = [sorted(_answered_at(run)) for run in runs]
    both = sorted(itertools.chain(*times))
    assert len(both) == 2 * ROWS
    turns_s = (len(both) - 1) / (1.0 * A_SECOND)
    assert both[-1] - both[0] >= 0.95 * turns_s
    start, end = max(times[0][0], times[1][0]), min(times[0][-1], times[1][-1])
    shares = [sum(start <= at <= end for at in each) for each in times]
    assert min(shares) >= 0.7 * max(shares)
    (file,) = state.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def _answered_at(run):
    rows = vbatch.open_run(run).results().to_pylist()
    return [row["finished_at"].timestamp() for row in rows]


async def test_a_state_folder_that_cannot_be_used_is_said_once_and_costs_nothing(
    endpoint, workshop, state
):
    state.parent.parent.write_text("in the way")
    server = endpoint(dialect="openai")
    workshop.rows(5)
    session = api.session(workshop.job(server.base_url, limits=LIMITS))
    async with session:
        assert len([outcome async for outcome in session]) == 5
        for _ in range(3):
            session._watch.look()
        notices = session.view().notices
    assert len(notices) == 1
    assert notices[0].startswith("limits are not shared with other runs: ")


def test_an_endpoint_of_ones_own_needs_no_sharing(workshop, state):
    workshop.rows(2)
    job = workshop.folder / "job.toml"
    job.write_text('manifest = "manifest.jsonl"\noutput = "run"\n[endpoint]\nprofile = "local"\n')
    assert vbatch.run(job).total_answered == 2
    assert not state.exists()


def test_the_state_folder_is_where_the_platform_wants_it(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setattr(sys, "platform", "linux")
    assert str(state_folder()) == "/home/somebody/.local/state/vbatch"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert str(state_folder()) == "/home/somebody/Library/Application Support/vbatch"
    monkeypatch.setenv("XDG_STATE_HOME", os.sep + "named")
    assert str(state_folder()) == "/named/vbatch"
