"""A run of a million rows, killed once and picked up: complete, paid for once, and small."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import vbatch
from tests.evidence import SOAK

fast = pytest.importorskip("benchmarks.endpoint", reason="the benchmarks are not here")
measure = pytest.importorskip("benchmarks.measure", reason="the benchmarks are not here")

ROWS = int(os.environ.get("VBATCH_SOAK_ROWS", "1_000_000"))
IN_FLIGHT = 64
MOST_MB = 130 + ROWS * 32 / (1 << 20)
READING_MB = 10
"""More for whoever picks a run up: Parquet is read, by threads that keep memory of their own."""
TOKENS = 839
"""Of every answer of the benchmark's endpoint."""
HERE = SOAK and any(map(shutil.which, ("cc", "gcc", "clang")))


def write_manifest(path) -> None:
    with path.open("w") as file:
        for n in range(ROWS):
            row = {"id": f"row-{n:08d}", "image": f"https://images.example.com/{n:08d}.jpg"}
            file.write(json.dumps({**row, "prompt": "What is this?"}) + "\n")


def watched(job, *, until=lambda: False) -> tuple[int, float]:
    """Run ``job`` to its end, or kill it; its exit code and the most memory it took, in MB."""
    process = subprocess.Popen([sys.executable, "-m", "vbatch", "run", str(job), "--quiet"])
    most = 0.0
    while process.poll() is None:
        most = max(most, measure.peak_mb(process.pid))
        if until():
            process.kill()
        time.sleep(0.05)
    return process.returncode, most


@pytest.mark.skipif(not HERE, reason="takes minutes, and a C compiler for its endpoint")
def test_a_million_rows_killed_half_way_are_answered_once_in_little_memory(workshop):
    write_manifest(workshop.folder / "manifest.jsonl")
    with fast.serving() as endpoint:
        job = workshop.job(endpoint.base_url, limits={"max_in_flight": IN_FLIGHT})
        killed, peak_before = watched(job, until=lambda: endpoint.requests() >= ROWS // 2)
        ended, peak_after = watched(job)
        seen = endpoint.requests()

    assert (killed, ended) == (-signal.SIGKILL, 0)
    ids = pq.read_table(workshop.folder / "run" / "results", columns=["id"])["id"]
    assert len(ids) == pc.count_distinct(ids).as_py() == ROWS
    assert (pc.min(ids).as_py(), pc.max(ids).as_py()) == ("row-00000000", f"row-{ROWS - 1:08d}")
    status = vbatch.open_run(workshop.folder / "run").status()
    counts, totals = status["counts"], status["totals"]
    assert status["state"] == "finished"
    assert (counts["answered"], counts["failed"], counts["left"]) == (ROWS, 0, 0)
    assert (totals["answered"], totals["total_tokens"]) == (ROWS, ROWS * TOKENS)
    assert totals["requests"] == ROWS + totals["possibly_billed"]
    assert ROWS <= seen <= totals["requests"] <= ROWS + IN_FLIGHT
    assert peak_before <= MOST_MB
    assert peak_after <= MOST_MB + READING_MB
