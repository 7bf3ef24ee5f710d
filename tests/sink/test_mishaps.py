"""What people and accidents do to a run's folder: nothing recorded is lost, nothing theirs goes."""

from __future__ import annotations

import asyncio

import pytest

from tests.sink import rows
from tests.sink.clocks import ByHand
from vbatch.errors import Corrupt, Exit, StorageFull
from vbatch.sink.journal import Rolling
from vbatch.sink.reader import open_run
from vbatch.sink.run_folder import RunFolder


def test_files_of_other_people_in_the_output_stay(opened, tmp_path):
    run = tmp_path / "run"
    (run / "results").mkdir(parents=True)
    (run / ".vbatch").mkdir()
    theirs = [run / "probe", run / "thesis.tmp", run / "results" / "notes.tmp"]
    ours = [run / "run.json.tmp", run / ".vbatch-probe-1a2b", run / ".vbatch-probe-1a2b.tmp"]
    ours += [run / "results" / "part-000001.parquet.tmp", run / ".vbatch" / "kept.json.tmp"]
    for path in (*theirs, *ours):
        path.write_text("x")

    opened()

    assert [path for path in (*theirs, *ours) if path.exists()] == theirs


async def test_without_its_commit_record_a_run_is_refused_and_no_part_is_removed(opened, tmp_path):
    await rows.night(opened(), rows.asked(), rows.completed(), rows.failed("b"))
    parts = set((tmp_path / "run").rglob("*.parquet"))
    for path in (tmp_path / "run" / ".vbatch" / "commits").iterdir():
        path.unlink()

    with pytest.raises(Corrupt, match=r"part-000001\.parquet is there, but no record"):
        opened("i2")
    assert set((tmp_path / "run").rglob("*.parquet")) == parts


async def test_without_what_was_kept_a_run_with_rows_takes_no_other_question(opened, tmp_path):
    await rows.night(opened(), rows.failed())
    (tmp_path / "run" / ".vbatch" / "kept.json").unlink()

    with pytest.raises(Corrupt, match=r"kept\.json is missing"):
        opened("i2")


async def test_fresh_renames_the_run_behind_a_link_and_not_the_link(opened, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk" / "captions")
    (tmp_path / "disk" / "captions").mkdir()
    await rows.night(opened(), rows.completed())

    assert not opened("i2", fresh=True).has_answers

    assert (tmp_path / "run").resolve() == tmp_path / "disk" / "captions"
    old = tmp_path / "disk" / "captions.20231114T221320Z"
    assert open_run(old).results().num_rows == 1


async def test_a_run_that_is_moved_while_at_work_keeps_the_answers_on_their_way(opened, tmp_path):
    folder = opened(rolling=Rolling(outcomes=2))
    folder.keep(rows.kept())
    await folder.start()
    for row_id in "abc":
        await folder.record(rows.asked(row_id))
    (tmp_path / "run").rename(tmp_path / "elsewhere")

    told = await asyncio.gather(
        folder.record(rows.asked("d")), folder.record(rows.completed("a")), return_exceptions=True
    )
    for row_id in "bc":
        await folder.record(rows.completed(row_id))
    with pytest.raises(StorageFull, match="was moved") as caught:
        await folder.record(rows.asked("d"))
    with pytest.raises(StorageFull, match="was moved"):
        await folder.finish(rows.DONE)

    assert isinstance(told[0], StorageFull)
    assert (told[1], caught.value.exit_code) == (None, Exit.STORAGE)
    assert not (tmp_path / "run").exists()
    again = RunFolder.open(tmp_path / "elsewhere", clock=ByHand(), invocation="i2")
    again.close()
    assert sorted(open_run(again.path).results()["id"].to_pylist()) == ["a", "b", "c"]
    assert sum(t.possibly_billed for t in again.tallies.closed().by_key.values()) == 0
