"""The list of sabotages fits the code, and what tries them would tell if one got through."""

from __future__ import annotations

import ast

import pytest

from tests.mutants.__main__ import ROOT, catcher
from tests.mutants.sabotages import SABOTAGES, Sabotage

NAMES = [sabotage.name for sabotage in SABOTAGES]


def test_names_are_unique():
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=NAMES)
def test_each_sabotage_fits_and_is_still_python(sabotage):
    sound = (ROOT / sabotage.path).read_text(encoding="utf-8")

    broken = sabotage.applied(sound)

    assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(sound))
    assert all((ROOT / test.partition("::")[0]).exists() for test in sabotage.caught_by)


def test_a_sabotage_that_does_not_fit_any_more_is_told():
    with pytest.raises(ValueError, match="holds the text 0 times"):
        Sabotage("gone", "a.py", "nowhere", "x", ()).applied("text")


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "small.py").write_text("ANSWER = 42\n")
    (tmp_path / "test_small.py").write_text(
        "import small\n\ndef test_the_answer():\n    assert small.ANSWER > 40\n"
    )
    return tmp_path


def test_the_test_that_catches_is_named_and_the_tree_is_mended(tree):
    loud = Sabotage("loud", "small.py", "42", "2", ("test_small.py",))

    assert catcher(loud, tree) == "test_small.py::test_the_answer"
    assert (tree / "small.py").read_text() == "ANSWER = 42\n"


def test_a_sabotage_that_no_test_notices_survives(tree):
    assert catcher(Sabotage("quiet", "small.py", "42", "43", ("test_small.py",)), tree) is None


def test_what_a_sabotaged_tree_reaches_is_no_evidence(tree, monkeypatch, tmp_path_factory):
    evidence = tmp_path_factory.mktemp("evidence")
    monkeypatch.setenv("VBATCH_EVIDENCE", str(evidence))
    (tree / "test_small.py").write_text(
        "import os\n\ndef test_it():\n    assert 'VBATCH_EVIDENCE' not in os.environ\n"
    )

    assert catcher(Sabotage("quiet", "small.py", "42", "43", ("test_small.py",)), tree) is None
