"""An answer never changes rows: strays, doubled and late answers, through whole runs."""

from __future__ import annotations

import contextlib

import pytest

from tests.evidence import share
from tests.faults.runs import prompt
from tests.faults.strays import WAYS, Belated, Straying

ROWS = 50
RUNS = range(share(10_000, 1_000) // ROWS // len(WAYS))
STORMS = range(share(10_000, 1_000) // 250)
GIVES_UP_S = 0.3
NOBODY_ASKED = "came on a connection that brought answers nobody asked for: see suspect in run.json"


@contextlib.contextmanager
def asked_by(server, runs, rows, **tables):
    """A run of ``rows`` rows against ``server``, which stays until the block ends."""
    runs.server = server
    try:
        runs.job(rows, tables)
        yield runs.run()
    finally:
        server.stop()


def share_of(way: str) -> float:
    """Of the requests after the first stray. A pause takes its time, so one has to do."""
    return 0.0 if way == "resting" else 0.2


def mismatches(runs) -> int:
    """Rows that hold another row's answer."""
    results = runs.results().values()
    return sum(row["text"] != f"saw {row['prompt']}" for row in results)


def check_all_answered(ended, runs, rows):
    assert ended.exit_code == 0
    assert {row["prompt"] for row in runs.results().values()} == {prompt(n) for n in range(rows)}
    assert mismatches(runs) == 0


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", RUNS)
def test_a_stray_on_an_idle_connection_is_nobodys_answer(seed, way, in_flight, bare, evidence):
    server = Straying(way, seed=seed, share=share_of(way), rows=ROWS)
    with asked_by(server, bare, ROWS, limits={"max_in_flight": in_flight}) as ended:
        check_all_answered(ended, bare, ROWS)
        check_suspects(server, ended, bare)
        if in_flight == 1:
            first = next(n for n, spoken in enumerate(server.spoken) if spoken.strayed)
            assert first == 0
            assert all(len(spoken.answered) <= 1 for spoken in server.spoken[1:])
        evidence.add(
            "strays on idle connections",
            requests=len(server.asked),
            mismatches=mismatches(bare),
        )


def check_suspects(server, ended, runs):
    """Those answered over a connection that strayed are named, and nobody else."""
    suspects = {f"row {name[1:]}" for name in runs.standing()["suspect"]}
    strayed = [spoken.answered for spoken in server.spoken if spoken.strayed]
    assert suspects <= {prompt for answered in strayed for prompt in answered}
    assert suspects >= set(strayed[0])
    assert (f"{len(suspects)} answers {NOBODY_ASKED}" in ended.said["line"]) == bool(suspects)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", RUNS)
def test_without_keep_alive_no_connection_brings_more_than_one_answer(seed, way, bare, evidence):
    server = Straying(way, seed=seed, share=share_of(way), rows=ROWS)
    tables = {"limits": {"max_in_flight": 4}, "endpoint": {"keep_alive": False}}
    with asked_by(server, bare, ROWS, **tables) as ended:
        check_all_answered(ended, bare, ROWS)
        assert server.connections == len(server.asked) == ended.said["requests"]
        evidence.add(
            "strays with keep_alive=false",
            requests=len(server.asked),
            mismatches=mismatches(bare),
        )


@pytest.mark.slow
@pytest.mark.parametrize("seed", STORMS)
def test_an_answer_that_comes_too_late_is_never_the_next_ones(seed, bare, evidence):
    rows = 250
    server = Belated(seed=seed, share=0.1, gives_up_s=GIVES_UP_S)
    tables = {
        "limits": {"max_in_flight": 32},
        "retry": {"timeout": f"{GIVES_UP_S}s", "max_ambiguous": 50, "max_attempts": 60},
    }
    with asked_by(server, bare, rows, **tables) as ended:
        check_all_answered(ended, bare, rows)
        cancelled = ended.said["possibly_billed"]
        assert cancelled > 0
        assert ended.said["requests"] >= len(server.asked)
        evidence.add(
            "cancellation storm",
            requests=len(server.asked),
            cancelled=cancelled,
            mismatches=mismatches(bare),
        )
