"""The job files people start from run as they are, offline."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import vbatch

ROOT = Path(__file__).resolve().parents[2]
JOBS = sorted((ROOT / "jobs").glob("*.toml"))


@pytest.mark.parametrize("job", JOBS, ids=[job.stem for job in JOBS])
def test_a_job_runs_as_it_is(job, tmp_path):
    summary = vbatch.run(job, overrides=[f"output={tmp_path}/run"])
    assert summary.exit_code == 0, summary.line()
    assert summary.answered > 0
    texts = vbatch.open_run(tmp_path / "run").results()["text"].to_pylist()
    assert all(texts)


def test_the_demo_shows_a_table_of_answers(tmp_path):
    vbatch.run(ROOT / "jobs" / "sample.toml", overrides=[f"output={tmp_path}/run"])
    shown = subprocess.run(
        [sys.executable, str(ROOT / "jobs" / "show.py"), str(tmp_path / "run")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert len(shown.splitlines()) == vbatch.open_run(tmp_path / "run").results().num_rows
    assert "pixels" in shown
