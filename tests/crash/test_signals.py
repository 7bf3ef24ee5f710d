"""Signals to real runs: the first wastes no answer, the second ends them within two seconds."""

from __future__ import annotations

import json
import random
import signal
import time

import pytest

from tests.crash.bench import IN_FLIGHT, Bench
from tests.crash.books import asked, delivered, recorded, settle
from tests.crash.processes import vbatch_command, wait_until
from tests.evidence import share
from vbatch.server import parse_faults

SIGNALS_PER_ROUND = 5
ROUNDS = share(10, 2)
ROWS = 150
AT_ONCE_S = 2.0
EXITS = {signal.SIGINT: {130, -signal.SIGINT}, signal.SIGTERM: {143, -signal.SIGTERM}}
"""By itself, or of the signal before there is anybody to handle it: a shell sees no difference."""
BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture
def bench(nursery, endpoint, workshop):
    server = endpoint(dialect="openai", latency_s=0.05)
    return Bench(workshop, nursery, server, rows=ROWS)


@pytest.fixture
def silent(nursery, endpoint, workshop):
    """A run whose requests are never answered."""
    server = endpoint(dialect="openai", faults=parse_faults("hang:1"))
    return Bench(workshop, nursery, server, rows=50, retry={"timeout": "300s"})


def wasted(bench, asked_before) -> set[str]:
    """Ids that the endpoint has answered since, and that do not stand in the run."""
    settle(bench.server)
    return {*delivered(bench.server.entries[asked_before:])} - recorded(bench.run)


def twice(process, *numbers) -> float:
    """Send two signals, the second when the first has been taken; return how long it then took."""
    process.send(numbers[0])
    wait_until(lambda: "waiting for answers" in process.err or process.ended)
    time.sleep(0.1)
    started = time.monotonic()
    process.send(numbers[1])
    process.wait()
    return time.monotonic() - started


def check_paid_once(bench) -> None:
    """In the end every row is answered, and the endpoint was asked for each of them once."""
    bench.go_on_to_the_end()
    settle(bench.server)
    assert sorted(delivered(bench.server.entries)) == sorted(bench.ids)
    assert bench.usage("answered") == bench.rows
    assert bench.usage("possibly_billed") == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", BOTH)
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_one_signal_at_a_random_moment_wastes_no_answer(bench, number, seed, evidence):
    chance = random.Random(f"{seed} {number}")
    lost: set[str] = set()
    sent = 0
    while sent < SIGNALS_PER_ROUND:
        asked_before = bench.server.sums["requests"]
        process = bench.go()
        bench.wait_for_moment(process, chance)
        if process.ended:
            bench.grow(bench.rows + 50)
            continue
        process.send(number)
        assert process.wait() in {0, *EXITS[number]}, process.err
        lost |= wasted(bench, asked_before)
        assert "Traceback" not in process.err
        if process.code in {130, 143}:
            assert process.last_line.startswith("vbatch: stopped"), process.err
        if bench.server.sums["requests"] > asked_before and process.code:
            assert "next: vbatch run" in process.last_line, process.err
        sent += 1

    assert not lost
    check_paid_once(bench)
    evidence.add("one signal", signals=sent, wasted=len(lost))


@pytest.mark.slow
@pytest.mark.parametrize("number", BOTH)
@pytest.mark.parametrize("seed", range(share(5, 2)))
def test_one_signal_to_a_process_with_its_imports_wastes_no_answer(
    bench, nursery, number, seed, evidence
):
    asked_before = bench.server.sums["requests"]
    process = nursery.start(*vbatch_command("run", bench.job), cwd=bench.folder)
    time.sleep(random.Random(f"{seed} {number}").random() * 1.5)
    process.send(number)

    assert process.wait() in {0, *EXITS[number]}, process.err
    lost = wasted(bench, asked_before)
    assert not lost
    check_paid_once(bench)
    evidence.add("one signal", signals=1, wasted=len(lost))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(share(20, 4)))
def test_two_signals_end_a_run_whose_endpoint_hangs(silent, seed, evidence):
    chance = random.Random(seed)
    slow = []
    for _ in range(share(5, 3)):
        before = silent.server.sums["requests"]
        process = silent.go()
        silent.wait_for_requests(before + chance.randrange(1, 5), process)
        numbers = chance.choices(BOTH, k=2)
        slow.append(twice(process, *numbers) > AT_ONCE_S)
        assert process.code in EXITS[numbers[0]]
        assert "possibly billed" in process.last_line
        assert "next: vbatch run" in process.last_line

    assert not any(slow)
    evidence.add("two signals", signals=len(slow), over_2s=sum(slow))


@pytest.mark.slow
@pytest.mark.parametrize("number", BOTH)
def test_two_signals_end_a_run_in_the_middle_of_a_commit(bench, number, evidence):
    process = bench.go(slow_parts={"seconds": 30.0})
    wait_until(lambda: any((bench.run / "results").glob("part-000001.*.tmp")))

    took = twice(process, number, number)

    assert process.code in EXITS[number]
    assert took <= AT_ONCE_S
    assert "next: vbatch run" in process.last_line
    assert len(wasted(bench, 0)) <= IN_FLIGHT
    known, before = recorded(bench.run), bench.server.sums["requests"]
    bench.go_on_to_the_end()
    assert not known & {*asked(bench.server.entries[before:])}
    evidence.add("two signals", signals=1, over_2s=int(took > AT_ONCE_S))


@pytest.mark.slow
@pytest.mark.parametrize("number", BOTH)
@pytest.mark.parametrize("signals", [1, 2])
def test_signals_end_a_run_whose_thread_is_stuck(bench, number, signals, evidence):
    process = bench.go(stuck_pictures={})
    wait_until((bench.folder / "stuck").exists)

    if signals == 2:
        took = twice(process, number, number)
    else:
        started = time.monotonic()
        process.send(number)
        process.wait()
        took = time.monotonic() - started

    assert process.code in EXITS[number]
    assert took <= AT_ONCE_S
    assert f"{ROWS} left" in process.last_line
    assert not bench.server.sums["requests"]
    if signals == 2:
        evidence.add("two signals", signals=1, over_2s=int(took > AT_ONCE_S))


@pytest.mark.slow
@pytest.mark.parametrize("number", BOTH)
def test_one_signal_ends_a_long_scan_at_once_as_nothing_is_on_its_way(bench, number):
    bench.grow(400_000)
    process = bench.go()
    wait_until((bench.run / ".vbatch" / "lock").exists)
    started = time.monotonic()
    process.send(number)

    assert process.wait() in EXITS[number]
    assert time.monotonic() - started <= AT_ONCE_S
    assert f"by {number.name}, before anything was sent · next: vbatch run" in process.last_line
    assert not (bench.run / ".vbatch" / "kept.json").exists(), "the scan was not over"
    assert not bench.server.sums["requests"]


@pytest.mark.slow
def test_sigterm_waits_for_answers_no_longer_than_drain(silent):
    job = silent.job.read_text().replace("[retry]", '[retry]\ndrain = "500ms"')
    silent.job.write_text(job)
    process = silent.go("--json")
    silent.wait_for_requests(4, process)
    started = time.monotonic()
    process.send(signal.SIGTERM)

    assert process.wait() == 143
    assert time.monotonic() - started <= 0.5 + AT_ONCE_S
    assert json.loads(process.out)["possibly_billed"] == 4


@pytest.mark.slow
def test_a_terminal_that_is_closed_counts_as_sigterm(bench):
    process = bench.go()
    bench.wait_for_requests(20, process)
    process.send(signal.SIGHUP)

    assert process.wait() == 143
    assert "by SIGHUP" in process.last_line
    assert not wasted(bench, 0)
    check_paid_once(bench)


@pytest.mark.slow
def test_nohup_keeps_a_run_going(bench):
    process = bench.go(deaf_to_hangup={})
    bench.wait_for_requests(20, process)
    process.send(signal.SIGHUP)

    assert process.wait() == 0, process.err
    check_paid_once(bench)


@pytest.mark.slow
def test_a_signal_that_comes_twice_at_once_is_one(bench):
    """As ``timeout`` sends it: to the process, and to the group that the process is in."""
    process = bench.go()
    bench.wait_for_requests(20, process)
    for _ in range(3):
        process.send(signal.SIGTERM)
        time.sleep(0.005)

    assert process.wait() == 143
    assert not wasted(bench, 0)
    check_paid_once(bench)
