"""Every fault of the table, for the first, a middle and the last row of a run."""

from __future__ import annotations

import pytest

from tests.faults.checks import Play, check, check_again, wrong_rows
from tests.faults.runs import prompt
from tests.faults.table import TABLE

IN_ANSWERS = [fault for fault in TABLE if fault.place == "http"]


def plays():
    for fault in IN_ANSWERS:
        middle, last = fault.rows // 2, fault.rows - 1
        first = fault.first or fault.once
        for where, row, outcome in (
            ("first", 0, first),
            ("middle", middle, fault.once),
            ("last", last, fault.once),
        ):
            play = Play(fault=fault, outcome=outcome, row=row)
            yield pytest.param(play, fault.times, id=f"{fault.name}, {where} row")
        if fault.for_good:
            play = Play(fault=fault, outcome=fault.for_good, row=middle)
            yield pytest.param(play, float("inf"), id=f"{fault.name}, whenever a row is asked")
        if fault.everywhere:
            play = Play(fault=fault, outcome=fault.everywhere, row=None)
            yield pytest.param(play, float("inf"), id=f"{fault.name}, for all rows")


@pytest.mark.parametrize(("play", "times"), [*plays()])
def test_a_fault_costs_and_becomes_what_the_table_says(play, times, runs, evidence):
    fault = play.fault
    job = fault.job if play.row is not None else fault.job_everywhere or fault.job
    runs.job(fault.rows, job, profile=fault.profile)
    rows = None if play.row is None else {prompt(play.row)}
    runs.server.meet(fault.wire, rows, times)

    ended = runs.run()

    check(play, ended, runs)
    assert ended.said["elapsed_s"] >= fault.least_s
    if fault.mends and play.outcome.ends == "answered":
        check_mended(play, runs)
    runs.server.heal()
    check_again(play, runs)
    wrong = wrong_rows(play, runs)
    assert wrong == []
    evidence.add("fault server", faults=int(play.row == 0), runs=2, wrong=len(wrong))


def check_mended(play, runs):
    """What was changed is changed for all that follow."""
    before, after = runs.server.bodies[play.row], runs.server.bodies[play.row + 1 :]
    if play.fault.job:
        assert "max_tokens" in before
        assert all("max_completion_tokens" in body for body in after)
    else:
        assert all(len(body) < len(before) for body in after)
