"""The page on reliability says what was counted, and admits what was not reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import reliability
from tests.claims import CLAIMS, Claim
from tests.evidence import Evidence, totals

KILLS = Claim(
    method="kills",
    does="kill -9",
    tests="tests/kills.py",
    words={"kills": "kills", "lost": "lost", "again": "asked again", "open": "in flight"},
    at_least={"kills": 2},
    none_of=("lost",),
    within={"again": "open"},
)
GOOD = {"kills": 3, "lost": 0, "again": 4, "open": 8}


@pytest.mark.parametrize(
    ("counts", "reached"),
    [
        (GOOD, True),
        (GOOD | {"kills": 1}, False),
        (GOOD | {"lost": 1}, False),
        (GOOD | {"again": 9}, False),
        ({"kills": 3, "lost": 0}, False),
        ({}, False),
    ],
)
def test_a_figure_is_reached_by_counts_alone(counts, reached):
    assert KILLS.is_reached(counts) is reached


def test_counts_of_many_processes_are_added_up(tmp_path):
    Evidence(str(tmp_path)).add("kills", kills=2, lost=0)
    Evidence(str(tmp_path)).add("kills", kills=1, lost=1)
    (tmp_path / "other.jsonl").write_text('{"method": "kills", "kills": 4}\n')

    assert totals(tmp_path) == {"kills": {"kills": 7, "lost": 1}}


def test_what_was_not_reached_is_said_on_the_page_and_by_the_exit_code(tmp_path, monkeypatch):
    monkeypatch.setattr(reliability, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(reliability, "CLAIMS", (KILLS,))
    Evidence(str(tmp_path / "counts")).add("kills", **GOOD)
    assert reliability.main(str(tmp_path / "counts")) == 0
    assert "3 kills, 0 lost, 4 asked again, 8 in flight" in (tmp_path / "page.md").read_text()

    Evidence(str(tmp_path / "counts")).add("kills", kills=0, lost=2)

    assert reliability.main(str(tmp_path / "counts")) == 1
    assert "**not reached:** 3 kills, 2 lost" in (tmp_path / "page.md").read_text()


def test_every_claim_names_tests_that_are_there():
    root = Path(__file__).resolve().parents[1]
    assert [claim.tests for claim in CLAIMS if not (root / claim.tests).exists()] == []
    assert len({claim.method for claim in CLAIMS}) == len(CLAIMS)
