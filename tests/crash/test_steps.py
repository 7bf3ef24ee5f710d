"""Killed, or refused by the disk, at every single step: nothing recorded is lost or stands twice.

A step is whatever the disk is asked: make, write, cut, sync, rename, remove.
"""

from __future__ import annotations

import random

import pytest

from tests.crash.nights import (
    AGAIN,
    CHANGED,
    FIRST,
    NOTHING_WRONG,
    Night,
    Told,
    check,
    look,
    quiet,
)
from tests.crash.stepwise import Deadly, Killed, Stepwise
from tests.evidence import share
from tests.sink.disks import Quick

WORKERS = 4
STRIDE = share(1, 11)


def two_nights(root, storage, told):
    """A first night, then one with changed rows, a new one, and answers asked for again."""
    first = Night(root, storage, told, "n1")
    first.trouble = True
    first.run(FIRST)
    Night(root, storage, told, "n2").run(CHANGED, AGAIN)


def steps_of_two_nights(tmp_path) -> int:
    disk = Stepwise()
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


@pytest.mark.slow
@pytest.mark.parametrize("how", ["before", "after", "torn"])
@pytest.mark.parametrize("share_of", range(WORKERS))
def test_a_kill_at_any_step_loses_and_doubles_nothing(tmp_path, evidence, how, share_of):
    steps = steps_of_two_nights(tmp_path)
    assert steps > 100
    begin = share_of * STRIDE + random.Random(how).randrange(STRIDE)
    for at in range(1 + begin, steps + 1, WORKERS * STRIDE):
        root, told = tmp_path / f"{how}-{at}", Told()
        with pytest.raises(Killed):
            two_nights(root, Deadly(at, how), told)

        found = look(root, told)
        assert found == NOTHING_WRONG, f"step {at}"
        quiet(root, told, CHANGED, "n3")
        check(root, told, CHANGED)
        evidence.add("kills in the model", kills=1, lost=len(found.lost), twice=len(found.twice))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(share(1_000, 10)))
def test_up_to_eight_kills_in_a_row_lose_and_double_nothing(tmp_path, evidence, seed):
    chance = random.Random(seed)
    told, kills = Told(), 0
    for number in range(chance.randrange(1, 9)):
        wishes = {i: chance.choice(["d1", "d2"]) for i in FIRST}
        disk = Deadly(chance.randrange(1, 160), chance.choice(["before", "after", "torn"]))
        night = Night(tmp_path, disk, told, f"n{number}", seed=seed)
        night.trouble = chance.random() < 0.3
        try:
            night.run(wishes)
        except Killed:
            kills += 1

    found = look(tmp_path, told)
    assert found == NOTHING_WRONG
    quiet(tmp_path, told, CHANGED, "last")
    assert not check(tmp_path, told, CHANGED)["failures"]
    evidence.add("kills in the model", kills=kills, lost=len(found.lost), twice=len(found.twice))


def test_kills_count_what_was_on_its_way_as_possibly_billed(tmp_path):
    told = Told()
    at = _step_after_first_asks(tmp_path)
    with pytest.raises(Killed):
        Night(tmp_path / "run", Deadly(at), told, "n1").run(FIRST)

    quiet(tmp_path / "run", told, FIRST, "n2")

    killed, going_on = check(tmp_path / "run", told, FIRST)["usage"]
    assert (killed["invocation"], killed["requests"], killed["possibly_billed"]) == ("n1", 4, 4)
    assert (going_on["invocation"], going_on["possibly_billed"]) == ("n2", 0)


def _step_after_first_asks(tmp_path) -> int:
    """The step at which the second batch is written."""

    class Counting(Stepwise):
        def write(self, fd, data, at):
            if b"[[" in bytes(data[:20]):
                self.writes.append(self.steps + 1)
            return super().write(fd, data, at)

    disk = Counting()
    disk.writes = []
    Night(tmp_path / "measure", disk, Told(), "n1").run(FIRST)
    return disk.writes[1]
