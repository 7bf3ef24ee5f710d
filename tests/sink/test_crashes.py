"""Killed at every step, cut from power: nothing recorded is lost, nothing stands twice.

With VBATCH_THOROUGH set every step is taken and the chance is thrown far more often.
"""

from __future__ import annotations

import os
import random

import pytest

from tests.sink.disks import Deadly, Killed, Quick, Unplugged
from tests.sink.nights import Night, Told, check, quiet, recovered

FIRST = {f"r{n}": "d1" for n in range(16)}
CHANGED = {**FIRST, "r1": "d2", "r5": "d2", "r9": "d2", "new": "d1"}
THOROUGH = bool(os.environ.get("VBATCH_THOROUGH"))
STRIDE = 1 if THOROUGH else 12
AGAIN = frozenset({"r2", "r3", "r12"})


def two_nights(root, storage, told):
    """A first night, then one with changed rows, a new one, and answers asked for again."""
    Night(root, storage, told, "n1").run(FIRST)
    Night(root, storage, told, "n2").run(CHANGED, AGAIN)


def steps_of_two_nights(tmp_path) -> int:
    disk = Deadly()
    two_nights(tmp_path / "count", disk, Told())
    return disk.steps


def test_undisturbed_nights_end_in_right_tables(tmp_path):
    told = Told()
    two_nights(tmp_path / "run", Quick(), told)

    tables = check(tmp_path / "run", told, CHANGED)

    assert tables["superseded"], "answers were replaced"
    assert tables["failures"], "rows have failed"
    quiet(tmp_path / "run", told, CHANGED, "n3")
    tables = check(tmp_path / "run", told, CHANGED)
    assert not tables["failures"]


@pytest.mark.parametrize(("how", "first"), [("before", 1), ("after", 5), ("torn", 9)])
def test_a_kill_at_any_step_loses_and_doubles_nothing(tmp_path, how, first):
    steps = steps_of_two_nights(tmp_path)
    assert steps > 100
    for at in range(1 if THOROUGH else first, steps + 1, STRIDE):
        root, told = tmp_path / f"{how}-{at}", Told()
        with pytest.raises(Killed):
            two_nights(root, Deadly(at, how), told)

        recovered(root, told)
        quiet(root, told, CHANGED, "n3")
        check(root, told, CHANGED)


@pytest.mark.parametrize("seed", range(1_000 if THOROUGH else 8))
def test_up_to_eight_kills_in_a_row_lose_and_double_nothing(tmp_path, seed):
    chance = random.Random(seed)
    told = Told()
    for kill in range(chance.randrange(1, 9)):
        wishes = {i: chance.choice(["d1", "d2"]) for i in FIRST}
        disk = Deadly(chance.randrange(1, 160), chance.choice(["before", "after", "torn"]))
        try:
            Night(tmp_path, disk, told, f"n{kill}", seed=seed).run(wishes)
        except Killed:
            continue

    recovered(tmp_path, told)
    quiet(tmp_path, told, CHANGED, "last")

    tables = check(tmp_path, told, CHANGED)
    assert not tables["failures"]


def test_kills_count_what_was_on_its_way_as_possibly_billed(tmp_path):
    told = Told()
    disk = Deadly()
    disk._at = _step_after_first_asks(tmp_path)
    with pytest.raises(Killed):
        Night(tmp_path / "run", disk, told, "n1").run(FIRST)

    quiet(tmp_path / "run", told, FIRST, "n2")

    killed, going_on = check(tmp_path / "run", told, FIRST)["usage"]
    assert (killed["invocation"], killed["requests"], killed["possibly_billed"]) == ("n1", 4, 4)
    assert (going_on["invocation"], going_on["possibly_billed"]) == ("n2", 0)


def _step_after_first_asks(tmp_path) -> int:
    """The step at which the second batch is written."""

    class Counting(Deadly):
        writes: list[int]

        def write(self, fd, data, at):
            if b"[[" in bytes(data[:20]):
                self.writes.append(self.steps + 1)
            return super().write(fd, data, at)

    disk = Counting()
    disk.writes = []
    Night(tmp_path / "measure", disk, Told(), "n1").run(FIRST)
    return disk.writes[1]


@pytest.mark.parametrize("seed", range(10_000 if THOROUGH else 24))
def test_a_power_cut_loses_nothing_synced_and_accepts_nothing_torn(tmp_path, seed):
    chance = random.Random(seed)
    told = Told()
    root = tmp_path / "run"
    root.mkdir()
    for cut in range(chance.randrange(1, 4)):
        wishes = {i: chance.choice(["d1", "d2"]) for i in FIRST}
        disk = Unplugged(root, chance, chance.randrange(1, 200))
        try:
            Night(root, disk, told, f"n{cut}", boot=f"b{cut}", seed=seed).run(wishes)
        except Killed:
            disk.cut_power()

    recovered(root, told, lost_unsynced=True, boot="next")
    quiet(root, told, CHANGED, "last", boot="last")

    tables = check(root, told, CHANGED, lost_unsynced=True)
    assert not tables["failures"]
