"""A byte that changed somewhere in ``.vbatch``, or a file that is gone from there.

It is named by an error of ours, or has no effect.
"""

from __future__ import annotations

import random
import shutil
from typing import NamedTuple

import pytest

from tests.crash.nights import AGAIN, CHANGED, FIRST, Night, Told, read_tables
from tests.crash.stepwise import Deadly, Killed
from tests.evidence import share
from tests.sink.disks import Quick
from vbatch.errors import JournalError
from vbatch.sink.history import History
from vbatch.sink.parts import read_part

CHUNKS = share(20, 4)
FLIPS_PER_CHUNK = share(500, 60)


class Left(NamedTuple):
    """A run as an invocation left it, and what the next one makes of it."""

    root: object
    becomes: dict


def becomes(root) -> dict:
    """What a command finds that asks nothing, on the same start of the machine."""
    night = Night(root, Quick(), Told(), "look")
    books = night.begin()
    history = History(night.layout, books.commit, books.index)
    pasts = [history.past(row_id, digest) for row_id in CHANGED for digest in ("d1", "d2")]
    night.run({})
    usage = read_part(root / "usage.parquet").to_pylist()
    return {**read_tables(root), "usage": usage, "pasts": pasts}


def becomes_or_says(root) -> dict | str:
    """What comes of it, or the error of ours that says why nothing does."""
    try:
        return becomes(root)
    except JournalError as error:
        return str(error)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Left]:
    """One finished, and some that were killed with records in several segments."""
    left = []
    for at in (None, 62, 97, 141):
        root, told = tmp_path_factory.mktemp("left"), Told()
        disk = Deadly(at)
        try:
            Night(root / "run", disk, told, "n1").run(FIRST)
            Night(root / "run", disk, told, "n2").run(CHANGED, AGAIN)
        except Killed:
            assert list((root / "run" / ".vbatch" / "journal").glob("*.seg"))
        shutil.copytree(root / "run", root / "copy")
        left.append(Left(root / "run", becomes(root / "copy")))
    return left


def test_a_file_that_is_gone_is_named_or_without_effect_and_no_table_is_wrong(tmp_path, runs):
    named = 0
    for left in runs:
        for number, path in enumerate(files_of(left.root)):
            if path == last_segment(left.root):
                continue  # nobody can tell it from one that was never begun
            root = tmp_path / f"{runs.index(left)}-{number}"
            shutil.copytree(left.root, root)
            gone = root / path.relative_to(left.root)
            gone.unlink()
            found = becomes_or_says(root)
            if found != left.becomes:
                assert isinstance(found, str), f"{gone} is gone, and nobody says so"
                assert str(gone) in found or str(gone.parent) in found
                named += 1
    assert named


def files_of(root) -> list:
    return [path for path in sorted((root / ".vbatch").rglob("*")) if path.is_file()]


def last_segment(root):
    return max((root / ".vbatch" / "journal").glob("*.seg"), default=None)


def damage(path, chance) -> None:
    """Flip one bit, change a byte, or lose a sector."""
    data = bytearray(path.read_bytes())
    at = chance.randrange(len(data))
    match chance.choice(["bit", "bit", "byte", "sector"]):
        case "bit":
            data[at] ^= 1 << chance.randrange(8)
        case "byte":
            data[at] = (data[at] + chance.randrange(1, 256)) % 256
        case "sector":
            begin = at // 512 * 512
            data[begin : begin + 512] = bytes(len(data[begin : begin + 512]))
    path.write_bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_damage_is_named_or_without_effect_and_never_a_wrong_table(tmp_path, runs, evidence, chunk):
    chance = random.Random(chunk)
    noticed = 0
    for number in range(FLIPS_PER_CHUNK):
        left = chance.choice(runs)
        root = tmp_path / str(number)
        shutil.copytree(left.root, root)
        path = chance.choice([file for file in files_of(root) if file.stat().st_size])
        damage(path, chance)
        found = becomes_or_says(root)
        named = str(path) in found if isinstance(found, str) else False
        silent = not named and found != left.becomes
        assert not silent, f"flip {number} in {path}: {found}"
        noticed += named
        evidence.add("damaged bytes", flips=1, silent=silent)
    assert noticed > FLIPS_PER_CHUNK / 10
