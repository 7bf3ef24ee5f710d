"""One run, many processes: one works, the others say which one and send nothing."""

from __future__ import annotations

import fcntl
import os
import random
import time

import pytest

import vbatch
from tests.crash.contest import FAR, NEAR, ROWS, Contest, forge, names
from tests.evidence import SOAK, share
from vbatch.sink.holder import DEAD_AFTER_S

AT_ONCE = 5
CHUNKS = share(100, 20) // AT_ONCE
HOUR_S = 3600.0
MOST_APART_S = 0.15
"""Between the starts of two processes; a run takes longer."""


@pytest.fixture
def contest(workshop, nursery, endpoint):
    return Contest(workshop, nursery, endpoint)


@pytest.fixture
def long_contest(workshop, nursery, endpoint):
    """Runs take long enough for the last of three to find the first at work."""
    return Contest(workshop, nursery, endpoint, contestants=3, latency_s=0.8)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_of_two_processes_on_one_run_one_works(long_contest, chunk, evidence):
    """Pairs go at once; who is who is told by the run's invocation and the endpoints' ledgers."""
    contest, chance = long_contest, random.Random(chunk)
    pairs = []
    for number in range(AT_ONCE):
        first = contest.go(0, name=f"run-{number}")
        time.sleep(chance.choice([0, chance.random() * MOST_APART_S]))
        pairs.append((first, contest.go(1, name=f"run-{number}")))

    worked = sent = 0
    for number, pair in enumerate(pairs):
        codes = [process.wait() for process in pair]
        assert sorted(codes) == [0, 7], [process.err for process in pair]
        winner, loser = sorted(pair, key=lambda process: process.code)
        assert names(loser.err, winner), loser.err
        assert contest.is_whole(f"run-{number}")
        usage = vbatch.open_run(contest.run(f"run-{number}")).usage().to_pylist()
        (asked,) = {row["endpoint"] for row in usage}
        worked += codes.count(0)
        sent += sum(row["requests"] for row in usage)
        assert asked.startswith(contest.servers[pair.index(winner)].base_url)
    by_losers = sum(map(contest.asked, (0, 1))) - sent
    assert (worked, by_losers) == (AT_ONCE, 0)
    evidence.add(
        "two processes on one run",
        pairs=len(pairs),
        both_worked=worked - len(pairs),
        sent_by_the_other=by_losers,
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(share(10, 1)))
def test_of_three_that_begin_afresh_or_go_on_one_works_at_a_time(long_contest, seed):
    contest = long_contest
    contest.killed()
    before = contest.asked(0)
    chance = random.Random(seed)
    processes = []
    for number, words in enumerate((("run",), ("run", "--fresh"), ("run",))):
        processes.append(contest.go(number, *words))
        time.sleep(chance.random() * MOST_APART_S)

    codes = [process.wait() for process in processes]
    assert sorted(codes) == [0, 7, 7], [process.err for process in processes]
    for number, code in enumerate(codes):
        assert code == 0 or contest.asked(number) == (before if number == 0 else 0)
    assert contest.is_whole()


@pytest.mark.slow
def test_looks_at_a_run_at_work_are_possible_and_disturb_nobody(contest):
    running = contest.at_work()
    looking = [contest.look("status", "run") for _ in range(4)]
    with contest.asleep(running):
        looking += [
            contest.look("status", "run"),
            contest.go(1, "run", "--dry-run"),
            contest.go(1, "check"),
        ]
        assert [process.wait() for process in looking] == [0] * len(looking)
    *_, told, rehearsed, checked = looking
    assert "running" in told.out
    for said in (rehearsed.out, checked.out):
        assert f"process {running.pid} on" in said
        assert "taken as still to do" in said
    assert running.wait() == 0
    assert contest.is_whole()
    assert contest.asked(1) == 0
    assert contest.asked(0) == ROWS


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(share(20, 2)))
def test_a_look_at_the_same_moment_keeps_no_run_from_its_work(contest, seed):
    contest.killed()
    chance = random.Random(seed)
    looks = [contest.go(1, "check"), contest.look("status", "run")]
    time.sleep(chance.random() * 0.1)
    running = contest.go()
    looks += [contest.go(1, "run", "--dry-run"), contest.look("status", "run")]

    assert running.wait() == 0, running.err
    assert [look.wait() for look in looks] == [0] * 4, [look.err for look in looks]
    assert contest.is_whole()


# What the dead leave behind


def as_it_is(_lock) -> None:
    """Killed on this machine, a moment ago."""


def with_a_pid_of_the_living(lock) -> None:
    forge(lock, pid=os.getpid())


def in_another_container(lock) -> None:
    forge(lock, host="a-container", pid=2**30)


def before_a_reboot(lock) -> None:
    forge(lock, boot="before", silent_s=HOUR_S * 24 * 365)


def before_a_quick_reboot(lock) -> None:
    forge(lock, boot="before")


def on_another_machine(lock) -> None:
    forge(lock, **FAR, silent_s=DEAD_AFTER_S)


def on_another_machine_with_a_slow_clock(lock) -> None:
    forge(lock, **FAR)
    forge(lock, silent_s=HOUR_S)


def half_way_through_taking(lock) -> None:
    claim = lock.with_name("lock.after-ab")
    claim.write_bytes(lock.read_bytes())
    forge(lock, token="ab", released=True)
    lock.with_name("lock.cd").touch()


def with_nothing_in_it(lock) -> None:
    lock.write_bytes(b"")


LEFT_BEHIND = [
    as_it_is,
    with_a_pid_of_the_living,
    in_another_container,
    before_a_reboot,
    before_a_quick_reboot,
    on_another_machine,
    on_another_machine_with_a_slow_clock,
    half_way_through_taking,
    with_nothing_in_it,
]


@pytest.fixture
def keep_flock():
    """Keep the flock of a dead machine, as some servers do."""
    kept = []

    def keep(lock) -> None:
        kept.append(os.open(lock, os.O_RDWR))
        fcntl.flock(kept[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)

    yield keep
    for fd in kept:
        os.close(fd)


@pytest.mark.slow
@pytest.mark.parametrize("left", LEFT_BEHIND)
def test_what_the_dead_leave_behind_blocks_nobody(contest, left, evidence):
    contest.killed()
    left(contest.lock())

    after = contest.go(watch_briefly={"seconds": 0.3})
    blocked = after.wait() == 7
    assert not blocked, after.err
    assert after.code == 0, after.err
    assert contest.is_whole()
    assert [found.name for found in contest.lock().parent.glob("lock*")] == ["lock"]
    evidence.add("locks of the dead", cases=1, blocked=int(blocked))


@pytest.mark.slow
@pytest.mark.parametrize("left", [before_a_quick_reboot, on_another_machine])
def test_a_flock_that_outlived_its_machine_blocks_nobody(contest, left, keep_flock, evidence):
    contest.killed()
    left(contest.lock())
    keep_flock(contest.lock())

    after = contest.go(watch_briefly={"seconds": 0.3})
    blocked = after.wait() == 7
    assert not blocked, after.err
    assert contest.is_whole()
    evidence.add("locks of the dead", cases=1, blocked=int(blocked))


@pytest.mark.slow
@pytest.mark.skipif(not SOAK, reason="waits as long as it truly does")
def test_the_dead_of_another_machine_are_watched_for_two_heartbeats_and_a_half(contest, evidence):
    """As it truly is, with nothing made shorter."""
    contest.killed()
    on_another_machine(contest.lock())
    began = time.monotonic()

    after = contest.go()
    blocked = after.wait() == 7
    assert not blocked, after.err
    assert time.monotonic() - began > 25
    assert contest.is_whole()
    evidence.add("locks of the dead", cases=1, blocked=int(blocked))


# Machines that share a disk and no locks


@pytest.mark.slow
def test_a_living_run_on_a_machine_whose_locks_do_not_reach_us_is_left_alone(contest):
    running = contest.at_work(elsewhere=FAR)
    with contest.asleep(running):  # for less than it takes to be dead
        refused = contest.go(1, elsewhere=NEAR)
        assert refused.wait() == 7
    assert f"process {running.pid} on far" in refused.err
    assert contest.asked(1) == 0
    assert running.wait() == 0
    assert contest.is_whole()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(share(20, 2)))
def test_of_two_machines_that_follow_the_dead_at_once_one_works(long_contest, seed):
    contest = long_contest
    contest.killed()
    on_another_machine(contest.lock())
    before = contest.asked(0)
    chance = random.Random(seed)
    first = contest.go(0, elsewhere=NEAR)
    time.sleep(chance.random() * 0.05)
    second = contest.go(1, elsewhere={"host": "nearer", "boot": "boot of nearer"})

    assert sorted([first.wait(), second.wait()]) == [0, 7], (first.err, second.err)
    winner, loser = sorted((first, second), key=lambda process: process.code)
    assert f"worked on by process {winner.pid} on near" in loser.err
    assert contest.asked(0) == before or contest.asked(1) == 0
    assert contest.is_whole()


def contents(run) -> dict:
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_run_that_was_taken_while_its_process_slept_is_not_touched_by_it_any_more(contest):
    """Its clock does not say that it slept for long; the lock does."""
    sleeper = contest.at_work(elsewhere=FAR)
    with contest.asleep(sleeper):
        forge(contest.lock(), silent_s=DEAD_AFTER_S)
        follower = contest.go(1, elsewhere=NEAR)
        assert follower.wait() == 0, follower.err
        assert contest.is_whole()
        left, asked = contents(contest.run()), contest.asked(0)

    assert sleeper.wait() == 7
    assert f"taken over by process {follower.pid} on near" in sleeper.last_line
    assert contest.asked(0) == asked
    assert contents(contest.run()) == left


@pytest.mark.slow
def test_a_run_of_this_machine_that_sleeps_is_never_taken(contest):
    sleeper = contest.at_work()
    with contest.asleep(sleeper):
        forge(contest.lock(), silent_s=24 * HOUR_S)
        others = [contest.go(1), contest.go(1, "run", "--fresh"), contest.look("retry", "run")]
        assert [other.wait() for other in others] == [7, 7, 7]
    assert all(names(other.err, sleeper) for other in others)
    assert sleeper.wait() == 0, sleeper.err
    assert contest.is_whole()
    assert contest.asked(1) == 0


@pytest.mark.slow
@pytest.mark.parametrize("what", ["lock", "all"])
def test_a_run_whose_lock_somebody_removed_stops_before_another_works_on_it(contest, what):
    running = contest.at_work()
    if what == "lock":
        contest.lock().unlink()
    else:
        contest.run().rename(contest.folder / "elsewhere")
    asked = contest.asked(0)
    follower = contest.go(1)

    assert running.wait() == 7
    assert "was taken" in running.last_line
    assert follower.wait() == 0, follower.err
    assert contest.is_whole()
    assert contest.asked(0) <= asked + 2, "what was on its way, and no more"


@pytest.mark.slow
def test_a_lock_that_is_no_file_is_told_in_one_line(contest):
    contest.lock().mkdir(parents=True)
    refused = contest.go()
    assert refused.wait() == 6
    assert "Traceback" not in refused.err
    assert str(contest.lock()) in refused.last_line
    assert contest.asked(0) == 0
