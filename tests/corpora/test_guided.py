"""The coverage-guided fuzzer, in the long suite and where it is installed."""

import importlib.util
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.corpora.fuzzing import SOAK_S
from tests.evidence import SOAK

HERE = SOAK and importlib.util.find_spec("atheris") is not None


@pytest.mark.skipif(not HERE, reason="for the long suite, with atheris installed")
@pytest.mark.parametrize("reader", ["jsonl", "parquet", "images", "replies"])
def test_a_reader_stands_what_a_guided_fuzzer_thinks_of(reader, tmp_path, evidence):
    command = [sys.executable, "-m", "tests.corpora.guided", reader]
    done = subprocess.run(
        [*command, f"-max_total_time={SOAK_S:.0f}", "-timeout=60", "-rss_limit_mb=4096"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        text=True,
        errors="replace",
    )
    crashes = [path.name for path in tmp_path.glob("*-*")]
    assert crashes == [], done.stderr[-5000:]
    assert done.returncode == 0, done.stderr[-5000:]
    runs, seconds = map(int, re.search(r"Done (\d+) runs in (\d+)", done.stderr).groups())
    evidence.add("fuzzed readers", examples=runs, uncaught=len(crashes), seconds=seconds)
