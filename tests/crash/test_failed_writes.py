"""A disk that refuses any single thing it is asked: said as StorageFull, and nothing is lost."""

from __future__ import annotations

import errno
from functools import partial

import pytest

from tests.crash.evenings import Evening
from tests.crash.nights import CHANGED, FIRST, NOTHING_WRONG, Told, check, look, read_tables
from tests.crash.stepwise import Dying, Failing, Forgetful, Stepwise
from tests.evidence import share
from tests.sink.disks import Quick

WORKERS = 2
STRIDE = share(1, 17)
SYNC_STRIDE = share(1, 4)
TROUBLES = {
    "one step finds no room": Failing,
    "no step finds room from then on": partial(Failing, more=float("inf")),
    "a write takes 728 of 1,000 bytes, then there is no room": partial(Failing, short=True),
    "one step meets a bad sector": partial(Failing, error=errno.EIO),
    "three steps meet bad sectors": partial(Failing, error=errno.EIO, more=2),
}


def two_evenings(root, storage, told) -> list[Evening]:
    evenings = [Evening(root, storage, told, "e1"), Evening(root, storage, told, "e2")]
    for evening, wishes in zip(evenings, (FIRST, CHANGED), strict=True):
        evening.run(wishes)
    return evenings


def standing(root) -> list:
    """What the tables say, whoever asked and when."""
    results = read_tables(root)["results"]
    return sorted((row["id"], row["text"], row["row_digest"]) for row in results)


def lost_with(disk, root, expected) -> int:
    """Go through two evenings on this disk and a third on a good one; how many answers are lost."""
    told = Told()
    evenings = two_evenings(root, disk, told)
    heard = [error for evening in evenings for error in evening.troubles]
    assert heard or standing(root) == expected, "a disk that refused in silence has made it good"
    found = look(root, told)
    assert found == NOTHING_WRONG
    Evening(root, Quick(), told, "e3").run(CHANGED)
    check(root, told, CHANGED)
    assert standing(root) == expected
    return len(found.lost)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The tables of a run that nothing happened to, and how many steps it took."""
    root, disk = tmp_path_factory.mktemp("undisturbed"), Stepwise()
    two_evenings(root / "run", disk, Told())
    return standing(root / "run"), disk.steps


@pytest.mark.slow
@pytest.mark.parametrize("share_of", range(WORKERS))
@pytest.mark.parametrize("trouble", TROUBLES)
def test_whatever_the_disk_refuses_nothing_recorded_is_lost(
    tmp_path, undisturbed, evidence, trouble, share_of
):
    expected, steps = undisturbed
    points = 0
    for at in range(1 + share_of * STRIDE, steps, WORKERS * STRIDE):
        disk = TROUBLES[trouble](at)
        lost = lost_with(disk, tmp_path / str(at), expected)
        points += disk.failed
        evidence.add("failed writes", points=disk.failed, lost=lost)
    assert points > 0.8 * steps / (WORKERS * STRIDE), "threads may take some steps fewer"


@pytest.mark.slow
@pytest.mark.parametrize("later", range(1, 25))
def test_a_segment_that_was_not_synced_is_not_lost_while_it_is_written_again(
    tmp_path, undisturbed, evidence, later
):
    whole = Dying()
    two_evenings(tmp_path / "whole", whole, Told())
    points = 0
    for at in range(1 + later % SYNC_STRIDE, whole.syncs, SYNC_STRIDE):
        disk = Dying(at, later)
        lost = lost_with(disk, tmp_path / str(at), undisturbed[0])
        points += disk.failed
        evidence.add("failed writes", points=disk.failed, lost=lost)
    assert points > 0


@pytest.mark.slow
def test_a_table_whose_end_is_gone_though_nobody_said_so_is_noticed_before_it_counts(
    tmp_path, undisturbed, evidence
):
    whole = Forgetful()
    two_evenings(tmp_path / "whole", whole, Told())
    for at in range(1, whole.tables, share(1, 4)):
        disk = Forgetful(at)
        lost = lost_with(disk, tmp_path / str(at), undisturbed[0])
        assert lost == 0
        evidence.add("failed writes", points=disk.failed, lost=lost)
