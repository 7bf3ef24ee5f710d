"""Places and limits in which a run cannot be, or has to make do with less."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import vbatch

FEW_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from vbatch.cli import main
sys.argv[0] = "vbatch"
main()
"""


@pytest.mark.slow
def test_too_few_file_descriptors_slow_a_run_down_and_end_nothing(endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.1)
    workshop.rows(600)
    job = workshop.job(server.base_url, limits={"max_in_flight": 256})

    done = subprocess.run(
        [sys.executable, "-c", FEW_FILES, "run", str(job), "--quiet"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert vbatch.open_run(workshop.folder / "run").results().num_rows == 600


def test_an_output_whose_name_is_too_long_is_refused(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(1)
    with pytest.raises(vbatch.errors.JobError, match="File name too long"):
        vbatch.run(workshop.job(server.base_url), overrides=[f"output={'x' * 300}"])


def test_a_working_folder_whose_name_is_not_utf_8_is_refused(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.rows(1)
    job = workshop.job(server.base_url)
    odd = workshop.folder / os.fsdecode(b"\xff")
    odd.mkdir()

    done = subprocess.run(
        [sys.executable, "-m", "vbatch", "run", str(job)],
        cwd=odd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert "is not UTF-8" in done.stderr
    assert "Traceback" not in done.stderr


def test_columns_called_as_our_private_ones_are_carried_under_another_name(endpoint, workshop):
    server = endpoint(dialect="openai")
    workshop.picture("one.jpg")
    row = {"id": "a", "image": "one.jpg", "prompt": "hi", "vbatch.row_digest": "mine"}
    workshop.manifest([row, {"id": "b", "image": "none.jpg", "prompt": "hi"}])
    job = workshop.job(server.base_url)
    assert vbatch.run(job).exit_code == 3

    assert vbatch.run(job).answered == 0

    (answer,) = vbatch.open_run(workshop.folder / "run").results().to_pylist()
    assert answer["in_vbatch.row_digest"] == "mine"
