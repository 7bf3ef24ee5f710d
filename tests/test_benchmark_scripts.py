"""The benchmarks' own scripts still fit the house, and leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vbatch.sink import segments
from vbatch.sink.layout import Layout

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(*command) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_journal_of_the_benchmark_holds_an_intent_and_an_answer_of_every_row(tmp_path):
    done = run(BENCHMARKS / "recording.py", tmp_path, 300, 64)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().isdigit()
    entries = segments.read_entries(Layout(root=tmp_path).segment(1), None)
    kinds = [entry[0] for some, _ in entries for entry in some]
    assert (kinds.count("A"), kinds.count("C")) == (300, 300)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans on")
def test_what_a_driver_leaves_behind_ends_with_it():
    done = run(BENCHMARKS / "peers" / "tree.py", 60, "sh", "-c", "sleep 600 >&- 2>&- & echo $!")
    assert done.returncode == 0, done.stderr
    assert not Path(f"/proc/{int(done.stdout)}").exists()


def test_a_driver_that_takes_too_long_is_ended():
    done = run(BENCHMARKS / "peers" / "tree.py", 0.2, "sleep", "600")
    assert done.returncode == 124
    assert "not done within" in done.stderr


def test_a_driver_finds_no_way_to_the_world():
    asked = "import urllib.request as u; u.urlopen('https://example.com', timeout=5)"
    done = run(BENCHMARKS / "peers" / "tree.py", 60, sys.executable, "-c", asked)
    assert done.returncode != 0
    assert "Connection refused" in done.stderr
