"""A run that is killed over and over loses nothing and pays for little twice.

``tests/crash`` does this at every step and at random moments; this is how it looks from outside.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter

import pytest

import vbatch
from vbatch.errors import Exit
from vbatch.server import parse_faults

IN_FLIGHT = 32
ROWS = 900
KILLS = 3


def start_run(job):
    command = [sys.executable, "-m", "vbatch", "run", str(job), "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_the_same_command_goes_on_after_every_kill(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.05)
    workshop.rows(ROWS)
    job = workshop.job(server.base_url, limits={"max_in_flight": IN_FLIGHT})
    for _ in range(KILLS):
        asked_before = server.sums["requests"]
        process = start_run(job)
        while server.sums["requests"] < asked_before + 100 and process.poll() is None:
            time.sleep(0.005)
        process.kill()
        process.communicate(timeout=30)
        assert process.returncode < 0, "each kill fell into a run at work"

    last = start_run(job)
    _, errors = last.communicate(timeout=120)

    assert last.returncode == 0, errors
    run = vbatch.open_run(workshop.folder / "run")
    results = run.results().to_pylist()
    assert sorted(row["id"] for row in results) == sorted(f"r{n}" for n in range(ROWS))
    assert all(row["prompt"] == f"row {row['id'][1:]}" for row in results)
    asked = Counter(server.answered_prompts())
    assert set(asked) == {f"row {n}" for n in range(ROWS)}
    assert sum(asked.values()) - ROWS <= IN_FLIGHT * KILLS
    usage = run.usage().to_pylist()
    assert len({row["invocation"] for row in usage}) == len(usage)
    assert sum(row["answered"] for row in usage) == ROWS
    assert sum(row["possibly_billed"] for row in usage) <= IN_FLIGHT * KILLS


@pytest.mark.slow
def test_killed_at_its_first_request_it_no_longer_stands_as_the_invocation_before(
    endpoint, workshop
):
    refusing = endpoint(dialect="openai", api_key="another-key")
    workshop.rows(9)
    assert vbatch.run(workshop.job(refusing.base_url)).exit_code == Exit.NEEDS_A_PERSON
    before = vbatch.open_run(workshop.folder / "run").status()
    assert before["stop"]["code"] == "authentication"

    silent = endpoint(dialect="openai", faults=parse_faults("hang:1"))
    process = start_run(workshop.job(silent.base_url))
    while not silent.sums["requests"] and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    process.communicate(timeout=30)

    status = vbatch.open_run(workshop.folder / "run").status()
    assert (status["state"], status["stop"], status["exit_code"]) == ("killed", None, None)
    assert status["pid"] == process.pid
    assert status["invocation"] != before["invocation"]
