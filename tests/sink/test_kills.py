"""Real processes: killed while they write, and stopped by a real limit on the disk."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

from tests.sink import rows
from tests.sink.disks import Quick
from vbatch.sink.reader import open_run
from vbatch.sink.run_folder import RunFolder
from vbatch.sink.views import Standing

IN_FLIGHT = 8

CHILD = """
import asyncio, resource, sys
from tests.sink import rows
from vbatch.clock import SystemClock
from vbatch.errors import StorageFull
from vbatch.sink.journal import Rolling
from vbatch.sink.run_folder import RunFolder
from vbatch.sink.views import Standing

async def main(path, invocation, last, largest):
    folder = RunFolder.open(
        path, clock=SystemClock(), invocation=invocation, rolling=Rolling(outcomes=50)
    )
    folder.keep(rows.kept())
    history = folder.history()
    await folder.start()
    if int(largest):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest), int(largest)))

    async def worker(number):
        for n in range(number, int(last), 8):
            if history.has_answer(f"r{n}"):
                continue
            await folder.record(rows.asked(f"r{n}", invocation=invocation))
            await asyncio.sleep(0.001)
            await folder.record(
                rows.completed(f"r{n}", invocation=invocation, response_id=f"{invocation}/{n}")
            )
            print(f"r{n}", flush=True)

    stories = await asyncio.gather(*(worker(n) for n in range(8)), return_exceptions=True)
    try:
        await folder.finish(Standing())
    except StorageFull as error:
        stories.append(error)
    sys.exit(6 if any(isinstance(story, StorageFull) for story in stories) else 0)

asyncio.run(main(*sys.argv[1:]))
"""


def start(path, invocation, *, last=100_000, largest=0) -> subprocess.Popen:
    command = [sys.executable, "-c", CHILD, str(path), invocation, str(last), str(largest)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def look_after(path) -> None:
    """Let an invocation come that has nothing to do."""

    async def night() -> None:
        folder = RunFolder.open(path, clock=rows.Still(), invocation="last", storage=Quick())
        folder.keep(rows.kept())
        await folder.finish(Standing())

    asyncio.run(night())


@pytest.mark.slow
def test_real_kills_lose_nothing_anybody_heard_of(tmp_path):
    heard: set[str] = set()
    for number in range(4):
        child = start(tmp_path / "run", f"k{number}")
        heard.add(child.stdout.readline().strip())
        time.sleep(0.05 + 0.1 * number)
        child.kill()
        said, errors = child.communicate(timeout=30)
        assert not errors
        heard |= set(said.split("\n")[:-1])

    look_after(tmp_path / "run")

    results = open_run(tmp_path / "run").results()["id"].to_pylist()
    assert len(results) == len(set(results))
    assert heard <= set(results)
    usage = open_run(tmp_path / "run").usage().to_pylist()
    assert sum(row["answered"] for row in usage) == len(results)
    unknown = sum(row["possibly_billed"] for row in usage)
    assert sum(row["requests"] for row in usage) == len(results) + unknown
    assert all(row["possibly_billed"] <= IN_FLIGHT for row in usage)


@pytest.mark.slow
def test_a_real_limit_on_file_size_ends_in_order_and_loses_nothing(tmp_path):
    child = start(tmp_path / "run", "i1", largest=12_000)
    said, errors = child.communicate(timeout=60)
    assert (child.returncode, errors) == (6, "")
    heard = set(said.split("\n")[:-1])
    assert heard

    look_after(tmp_path / "run")

    usage = open_run(tmp_path / "run").usage().to_pylist()
    assert heard == set(open_run(tmp_path / "run").results()["id"].to_pylist())
    assert sum(row["requests"] for row in usage) == len(heard)
    assert sum(row["possibly_billed"] for row in usage) == 0
