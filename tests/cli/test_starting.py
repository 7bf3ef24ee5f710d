"""What is not needed is not imported: a start is felt each time."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import vbatch

HEAVY = (
    "PIL",
    "aiohttp",
    "asyncio",
    "datasets",
    "filelock",
    "jinja2",
    "numpy",
    "orjson",
    "pyarrow",
    "pydantic",
    "tenacity",
    "tqdm",
)


def imported(*words) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words], capture_output=True, text=True, check=True
    )
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize(
    "words",
    [("-c", "import vbatch"), ("-m", "vbatch", "--help"), ("-m", "vbatch", "run", "--help")],
)
def test_help_and_import_load_nothing_heavy(words):
    names = imported(*words)
    assert "vbatch" in names
    assert not names & set(HEAVY)


def test_a_run_imports_no_pandas_which_arrow_would(endpoint, workshop):
    importlib.import_module("pandas")  # it is there
    workshop.rows(2)
    job = workshop.job(endpoint(dialect="openai").base_url)

    names = imported("-m", "vbatch", "run", str(job), "--quiet")

    assert "pyarrow" in names
    assert not {name for name in names if name.startswith("pandas.")}
    assert vbatch.open_run(workshop.folder / "run").results().num_rows == 2


def test_a_run_loads_nothing_that_only_serves_or_computes(endpoint, workshop):
    """Eleven megabytes of its memory, and a tenth of a second."""
    workshop.rows(2)
    job = workshop.job(endpoint(dialect="openai").base_url)

    names = imported("-m", "vbatch", "run", str(job), "--quiet")

    assert "pyarrow.parquet" in names
    assert not names & {"aiohttp.web", "vbatch.server.app", "pyarrow.compute"}
    assert vbatch.open_run(workshop.folder / "run").results().num_rows == 2
