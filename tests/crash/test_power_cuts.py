"""Cut from power again and again: nothing synced is lost, nothing torn is taken for an answer."""

from __future__ import annotations

import random

import pytest

from tests.crash.nights import CHANGED, FIRST, NOTHING_WRONG, Night, Told, check, look, quiet
from tests.crash.power import Unplugged
from tests.crash.stepwise import Killed, Stepwise
from tests.evidence import share

CHUNKS = share(200, 8)
CUTS_PER_CHUNK = share(50, 38)
STEPS = (20, 60, 120, 240)
"""Up to which step of an invocation a cut comes; one that begins with nothing takes about 200."""


def one_run(root, seed: int) -> tuple[int, Told]:
    """A run through cuts and kills, up to fifteen in a row; how many cuts there were."""
    chance = random.Random(seed)
    root.mkdir()
    told, disk, cuts = Told(), Unplugged(root), 0
    for number in range(chance.randrange(2, 16)):
        wishes = {i: chance.choice(["d1", "d2"]) for i in FIRST}
        disk.stop_at(chance.randrange(1, chance.choice(STEPS)))
        night = Night(root / "run", disk, told, f"n{number}", boot=f"b{cuts}", seed=seed)
        night.trouble, disk.bad = chance.random() < 0.3, False
        try:
            night.run(wishes)
        except Killed:
            if chance.random() < 0.3:
                continue
        disk.cut_power(chance)
        cuts += 1
    return cuts, told


@pytest.mark.parametrize("first", range(4))
def test_what_a_killed_command_left_is_on_the_disk_before_the_next_one_goes_on(tmp_path, first):
    """Else a power cut could take back the commit for whose sake a segment was removed."""
    whole = Stepwise()
    Night(tmp_path / "whole", whole, Told(), "n1").run(FIRST)
    for at in range(1 + first, whole.steps, share(4, 20)):
        root = tmp_path / str(at)
        root.mkdir()
        disk = Unplugged(root).stop_at(at)
        with pytest.raises(Killed):
            Night(root / "run", disk, Told(), "n1").run(FIRST)

        Night(root / "run", disk.stop_at(None), Told(), "n2").begin()

        at_risk = {path for path in disk.at_risk() if not path.endswith("/reserve")}
        assert at_risk == set(), f"step {at}"


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_power_cuts_lose_nothing_synced_and_accept_nothing_torn(tmp_path, evidence, chunk):
    cuts = number = 0
    while cuts < CUTS_PER_CHUNK:
        seed = chunk * 1_000 + number
        root = tmp_path / str(number)
        more, told = one_run(root, seed)
        run = root / "run"
        found = look(run, told, lost_unsynced=True, boot="next")
        assert found == NOTHING_WRONG, f"seed {seed}"
        quiet(run, told, CHANGED, "last", boot="last")
        assert not check(run, told, CHANGED, lost_unsynced=True)["failures"]
        cuts, number = cuts + more, number + 1
        evidence.add(
            "power cuts", cuts=more, synced_lost=len(found.lost), torn_accepted=len(found.torn)
        )
