"""Runs that are killed over and over lose nothing, double nothing and pay for little twice."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.crash.bench import IN_FLIGHT, Bench
from tests.crash.books import answers, asked, delivered, in_commit, recorded, settle
from tests.evidence import share
from vbatch.server import parse_faults

ROUNDS = share(40, 10)
KILLS_PER_ROUND = 5
ROWS = 150
TROUBLE = "503:0.03,429:0.03,reset-before:0.02,close-after:0.02,cut:0.02,garbage:0.01"
PATIENT = {"retry": {"max_attempts": 12, "max_ambiguous": 8}}


@pytest.fixture
def bench(nursery, endpoint, workshop, seed):
    """A run: JSONL and Parquet take turns, and every third meets a gateway in trouble."""
    trouble = {"faults": parse_faults(TROUBLE), "retry_after": "0.02"} if seed % 3 == 2 else {}
    server = endpoint(dialect="openai", latency_s=0.04, fault_seed=seed, **trouble)
    kind = ("jsonl", "parquet")[seed % 2]
    return Bench(workshop, nursery, server, rows=ROWS, kind=kind, **PATIENT)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_kills_at_random_moments_lose_nothing_and_double_nothing(bench, seed, endpoint, evidence):
    chance = random.Random(seed)
    safe_since: list[tuple[int, set[str]]] = []
    mid_commit = 0
    while len(safe_since) < KILLS_PER_ROUND:
        known = recorded(bench.run)
        process = bench.go()
        asked_before = bench.server.sums["requests"]
        bench.wait_for_moment(process, chance)
        if not process.kill():
            assert process.code in {0, 3}, process.err
            bench.grow(bench.rows + 50)
            continue
        settle(bench.server)
        mid_commit += in_commit(bench.run)
        safe = recorded(bench.run)
        assert known <= safe, "what was recorded stays recorded"
        answered = delivered(bench.server.entries[asked_before:])
        assert len({*answered} - safe) <= IN_FLIGHT
        safe_since.append((bench.server.sums["requests"], safe))

    bench.go_on_to_the_end()
    settle(bench.server)

    entries = bench.server.entries
    for number, safe in safe_since:
        assert not safe & {*asked(entry for entry in entries if entry.n > number)}
    found = answers(bench.run)
    assert found == bench.undisturbed(endpoint(dialect="openai"))
    times = Counter(row["id"] for row in found)
    again = len(delivered(entries)) - bench.rows
    allowed = IN_FLIGHT * KILLS_PER_ROUND
    assert again <= allowed
    check_usage(bench, entries)
    evidence.add(
        "random kill -9",
        kills=len(safe_since),
        in_commit=mid_commit,
        lost=len(bench.ids - times.keys()),
        twice=sum(count > 1 for count in times.values()),
        re_asked=again,
        allowed=allowed,
    )


def check_usage(bench, entries) -> None:
    """What the run says it spent, against what the endpoint knows it was asked."""
    paid = sum(entry.answered for entry in entries)
    assert bench.usage("answered") == bench.rows
    assert bench.usage("requests") >= len(entries)
    assert paid - bench.rows <= bench.usage("possibly_billed")
    tokens = sum(entry.prompt_tokens + entry.completion_tokens for entry in entries)
    in_results = sum(row["total_tokens"] for row in answers(bench.run))
    assert in_results == bench.usage("total_tokens") <= tokens
