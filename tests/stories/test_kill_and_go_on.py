"""A run that is killed over and over loses nothing and pays for little twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

import vbatch

IN_FLIGHT = 32
ROWS = 1_500
KILLS = 12


def start_run(job, *words):
    command = [sys.executable, "-m", "vbatch", "run", str(job), "--quiet", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_twelve_kills_lose_no_answer_and_repeat_at_most_what_was_in_flight(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.05)
    workshop.rows(ROWS)
    job = workshop.job(server.base_url, limits={"max_in_flight": IN_FLIGHT})
    chance = random.Random(12)
    killed = 0
    while killed < KILLS:
        before = server.sums["requests"]
        process = start_run(job)
        while server.sums["requests"] <= before + chance.randrange(100) and process.poll() is None:
            time.sleep(0.005)
        if process.poll() is not None:
            break
        time.sleep(chance.random() * 0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        killed += 1

    last = start_run(job)
    _, errors = last.communicate(timeout=120)

    assert last.returncode == 0, errors
    assert killed == KILLS, "each kill fell into a run at work"
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
