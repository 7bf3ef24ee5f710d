"""A real run, killed for real at every write, sync and rename of its journal and its parts."""

from __future__ import annotations

import shutil
import sys
from itertools import count

import pytest

from tests.crash.bench import Bench
from tests.crash.books import answers, asked, recorded, settle
from tests.evidence import SOAK, share

ROWS = 24
SEGMENT = 9
STRIDES = {"before": share(1, 16), "after": share(1, 16), "torn": share(1, 4)}
SHARES = 4
"""Each test takes every fourth of the points, so that two processes share them."""
CALLS = ("pwrite64", "fsync", "rename", "unlink", "mkdir", "sendto")


@pytest.fixture
def bench(nursery, endpoint, workshop):
    server = endpoint(dialect="openai")
    return Bench(workshop, nursery, server, rows=ROWS, limits={"max_in_flight": 6})


def gone_on(bench, run) -> list[dict]:
    """What a killed run comes to when it goes on; it asks for nothing that was recorded."""
    settle(bench.server)
    safe, before = recorded(run), bench.server.sums["requests"]
    process = bench.go("-s", f"output={run}", segment=SEGMENT)
    assert process.wait() == 0, process.err
    assert not safe & {*asked(bench.server.entries[before:])}
    found = answers(run)
    shutil.rmtree(run)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("part", range(SHARES))
@pytest.mark.parametrize("how", STRIDES)
def test_a_kill_at_any_step_goes_on_to_the_same_tables(bench, how, part, evidence):
    calm = bench.undisturbed()
    points, wrong = 0, []
    for at in count(1 + part * STRIDES[how], SHARES * STRIDES[how]):
        run = bench.folder / f"run-{at}"
        process = bench.go("-s", f"output={run}", segment=SEGMENT, die={"at": at, "how": how})
        if process.wait() == 0:
            break
        assert process.code == -9, process.err
        again = bench.go(
            "-s", f"output={run}", segment=SEGMENT, die={"at": 1 + at * 7 % 83, "how": how}
        )
        points += 1 + (again.wait() == -9)
        if gone_on(bench, run) != calm:
            wrong.append(at)

    assert points > 0
    assert wrong == []
    evidence.add("kill at every write/fsync/rename", points=points, wrong=len(wrong))


@pytest.mark.slow
@pytest.mark.skipif(not SOAK, reason="the system calls themselves are for the long suite")
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("call", CALLS)
def test_a_kill_at_any_system_call_goes_on_to_the_same_tables(bench, nursery, call, evidence):
    calm = bench.undisturbed()
    points, wrong = 0, []
    for at in count(1):
        run = bench.folder / f"run-{at}"
        inject = f"--inject={call}:signal=SIGKILL:when={at}"
        process = nursery.start(
            *("strace", "-f", "-qq", "-o", "/dev/null", f"--trace={call}", inject),
            *(sys.executable, "-m", "vbatch", "run", bench.job, "-s", f"output={run}"),
            cwd=bench.folder,
        )
        if process.wait() == 0:
            break
        points += 1
        if gone_on(bench, run) != calm:
            wrong.append(at)

    assert points > 0
    assert wrong == []
    evidence.add("kill at every system call", points=points, wrong=len(wrong))
