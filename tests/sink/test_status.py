"""How a run stands, as somebody outside is told: before, while and after a process has it."""

from __future__ import annotations

import errno
import os

import orjson
import pytest

from tests.sink import rows
from tests.sink.locks import fail
from vbatch.errors import Corrupt, JournalError, Mismatch
from vbatch.sink.reader import open_run
from vbatch.sink.views import Standing
from vbatch.state import Counts, Tallies

COUNTS = Counts(rows=5, answered=1, failed=1, left=3)


@pytest.fixture
async def killed(opened, tmp_path):
    """A run that was killed after one more answer than run.json knows of."""
    folder = opened(clock=rows.Still())
    folder.keep(rows.kept())
    await folder.start()
    live = Tallies()
    for event in (rows.asked("a"), rows.completed("a"), rows.asked("b"), rows.failed("b")):
        await folder.record(event)
        live.fold(event)
    await folder.snapshot(Standing(name="n", counts=COUNTS), live)
    await folder.record(rows.asked("c"))
    await folder.record(rows.completed("c"))
    await folder.record(rows.asked("d"))
    folder.close()
    return tmp_path / "run"


def some(status, *names) -> tuple:
    return tuple(status[name] for name in names)


async def test_counts_of_a_killed_run_agree_with_its_totals(killed):
    status = open_run(killed).status()

    assert status["state"] == "killed"
    assert some(status["counts"], "rows", "answered", "failed", "left") == (5, 2, 1, 2)
    assert some(status["totals"], "answered", "failed", "possibly_billed") == (2, 1, 1)
    assert status["counts"]["possibly_billed"] == 1


async def test_rows_that_ended_for_the_second_time_make_no_more_rows_than_there_are(killed):
    path = killed / "run.json"
    stored = orjson.loads(path.read_bytes())
    stored["counts"] |= {"rows": 2, "left": 0}
    path.write_bytes(orjson.dumps(stored))

    counts = open_run(killed).status()["counts"]

    assert some(counts, "rows", "answered", "failed", "left") == (2, 2, 0, 0)


@pytest.mark.parametrize("ended", [False, True])
async def test_a_process_that_has_the_run_is_told_before_it_has_written_run_json(
    opened, killed, ended
):
    folder = opened("i2", clock=rows.Still(rows.T0 + 60))
    if ended:
        await folder.finish(Standing(counts=COUNTS, exit_code=3))
        opened("i3", clock=rows.Still(rows.T0 + 90))

    status = open_run(killed).status()

    begun = "2023-11-14T22:14:50.000Z" if ended else "2023-11-14T22:14:20.000Z"
    assert some(status, "state", "pid", "started_at") == ("running", os.getpid(), begun)
    assert some(status, "exit_code", "stop", "invocation") == (None, None, None)
    assert status["totals"]["answered"] == 2


async def test_a_process_that_scans_for_the_first_time_runs(opened, tmp_path):
    opened()

    assert open_run(tmp_path / "run").status()["state"] == "running"


async def test_one_who_only_looks_does_not_run_it(opened, killed):
    opened("i2", clock=rows.Still(rows.T0 + 60), brief=True)

    assert open_run(killed).status()["state"] == "killed"


async def test_the_last_word_of_a_run_that_lets_go_in_a_moment_holds(opened, killed):
    folder = opened("i2", clock=rows.Still(rows.T0 + 60))
    folder._put_run_json("finished", Standing(counts=COUNTS, exit_code=3), None)

    assert some(open_run(killed).status(), "state", "exit_code") == ("finished", 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": None},
        {"counts": {}},
        {"counts": {"rows": "many"}},
        {"totals": None},
        {"stop": {"code": "quota"}},
        {"stalled": [{"id": "a"}]},
        {"stalled": None},
        {"pid": ...},
    ],
)
async def test_a_run_json_that_somebody_changed_is_named(killed, changes):
    path = killed / "run.json"
    stored = {**orjson.loads(path.read_bytes()), **changes}
    path.write_bytes(orjson.dumps({k: v for k, v in stored.items() if v is not ...}))

    with pytest.raises(Corrupt, match=r"run\.json is not as a run writes it"):
        open_run(killed).status()


@pytest.mark.parametrize("name", ["README.md", "notes.txt", "results/notes.txt"])
def test_a_folder_with_files_like_any_other_is_no_run(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")

    with pytest.raises(Mismatch, match="is no run"):
        open_run(tmp_path)


@pytest.mark.parametrize("look", ["open", "take"])
async def test_a_run_that_may_not_be_looked_at_is_said_in_a_sentence(
    opened, killed, monkeypatch, look
):
    for name in ("stat", "lstat", "listdir", "scandir"):
        monkeypatch.setattr(os, name, fail(errno.EACCES))

    with pytest.raises(JournalError, match=r"cannot be read: Permission denied\. Make it readable"):
        open_run(killed) if look == "open" else opened("i2")


async def test_of_a_run_whose_hidden_folder_is_closed_to_us_what_run_json_says_is_told(
    killed, monkeypatch
):
    there = os.stat

    def look(path, **how):
        if str(path).endswith("lock"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return there(path, **how)

    run = open_run(killed)
    monkeypatch.setattr(os, "stat", look)

    assert run.status()["state"] == "running"
