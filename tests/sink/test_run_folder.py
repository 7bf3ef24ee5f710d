"""The room's one door: open, keep, start, record, finish, and go on the next night."""

from __future__ import annotations

import asyncio
import errno
import os
import stat

import orjson
import pyarrow.parquet as pq
import pytest

from tests.sink import rows
from tests.sink.clocks import ByHand, until
from tests.sink.disks import Failing
from vbatch.errors import Exit, Locked, Mismatch, StorageFull
from vbatch.records import BadRow, Stop
from vbatch.sink.journal import Rolling
from vbatch.sink.reader import open_run
from vbatch.sink.run_folder import RunFolder
from vbatch.sink.views import Standing
from vbatch.state import Tallies


def row(row_id="a", digest="d1", former=()) -> BadRow:
    return BadRow(id=row_id, row=0, message="", row_digest=digest, former_digests=former)


async def test_a_run_is_a_folder_of_tables_and_views(opened, tmp_path):
    await rows.night(opened(), rows.asked(), rows.completed(), rows.failed("b"))

    found = sorted(
        str(path.relative_to(tmp_path / "run"))
        for path in (tmp_path / "run").rglob("*")
        if path.is_file() and ".vbatch" not in path.parts
    )
    assert found == [
        "README.md",
        "failures/part-000001.parquet",
        "results/part-000001.parquet",
        "run.json",
        "usage.parquet",
    ]
    assert stat.S_IMODE((tmp_path / "run" / ".vbatch").stat().st_mode) == 0o700
    assert (tmp_path / "run" / ".vbatch" / "job.toml").read_text() == 'name = "x"\n'


async def test_the_next_night_knows_what_was_kept_answered_and_failed(opened):
    await rows.night(opened(), rows.asked(), rows.completed(), rows.failed("b", server_errors=2))

    folder = opened("i2")
    history = folder.history()

    assert folder.kept == rows.kept()
    assert folder.has_answers
    assert (history.answered, history.failed) == (1, 1)
    assert history.is_answered(row())
    assert not history.is_answered(row(digest="d2"))
    assert history.is_answered(row(digest="d2", former=("d0", "d1")))
    assert not history.is_answered(row("b"))
    assert (history.has_answer("a"), history.has_answer("z")) == (True, False)
    assert history.failure("a") is None
    past = history.failure("b")
    assert past is not None
    assert (past.code, past.retryable, past.server_errors) == ("timeout", True, 2)
    assert (past.attempts, past.possibly_billed, past.row_digest) == (2, 1, "d1")
    assert past.usage == rows.failed().failure.usage
    assert (past.first_at, past.invocation, past.job_digest) == (rows.T0, "i1", "j" * 32)
    assert list(history.failures()) == [past]
    assert list(history.answers(["finish_reason", "id"])) == [{"id": "a", "finish_reason": "stop"}]


@pytest.mark.parametrize(
    ("row_id", "digest", "former", "keeps"),
    [
        ("a", "d1", (), True),
        ("a", "d2", ("d0", "d1"), True),
        ("a", "d2", ("d0",), False),
        ("b", "d1", (), False),
        ("c", "d1", ("d1",), False),
    ],
)
async def test_an_answer_is_kept_where_the_same_row_fails_later(
    opened, row_id, digest, former, keeps
):
    await rows.night(opened(), rows.completed(), rows.failed("b"))
    failure = rows.failed(row_id, digest=digest, former_digests=former).failure

    assert opened("i2").history().keeps_answer(failure) is keeps


async def test_history_shows_only_what_stands_now(opened):
    folder = opened(rolling=Rolling(outcomes=1))
    folder.keep(rows.kept())
    await folder.start()
    before = folder.history()
    for event in (rows.completed(text="old"), rows.failed("b"), rows.completed("b")):
        await folder.record(event)
    await folder.record(rows.completed(text="new"))
    folder._committer.submit(lambda: None).result()
    history = folder.history()

    assert [r["text"] for r in history.answers(["text"])] == ["yes", "new"]
    assert (history.failed, history.answered) == (0, 2)
    assert (before.answered, list(before.answers(["text"]))) == (0, [])
    await folder.finish(rows.DONE)


async def test_segments_become_parts_while_the_run_goes_on(opened, tmp_path):
    folder = opened(rolling=Rolling(outcomes=3))
    folder.keep(rows.kept())
    await folder.start()
    for number in range(10):
        await folder.record(rows.completed(f"r{number}"))
    folder._committer.submit(lambda: None).result()

    assert open_run(tmp_path / "run").results().num_rows == 9
    assert sum(t.answered for t in folder.tallies.by_key.values()) == 9
    await folder.finish(rows.DONE)
    assert open_run(tmp_path / "run").results().num_rows == 10


async def test_a_second_process_is_refused(opened):
    folder = opened()

    with pytest.raises(Locked, match=str(os.getpid())):
        opened("i2")
    with pytest.raises(Locked):
        opened("i2", fresh=True)
    folder.close()
    opened("i2")


async def test_fresh_renames_the_old_run_and_never_twice_to_one_name(opened, tmp_path):
    await rows.night(opened(), rows.completed())
    for _ in range(2):
        folder = opened("i2", fresh=True)
        assert not folder.has_answers
        assert folder.kept is None
        folder.close()

    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["run", "run.20231114T221320Z", "run.20231114T221320Z-2"]
    assert open_run(tmp_path / names[1]).results().num_rows == 1


async def test_fresh_without_an_old_run_is_a_plain_start(opened, tmp_path):
    opened(fresh=True)

    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["results", "README.md", "run.json"])
def test_a_folder_that_holds_something_else_is_not_touched(opened, tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("mine")

    with pytest.raises(Mismatch, match=f"has {name} but no .vbatch"):
        opened()
    assert [path.name for path in (tmp_path / "run").iterdir()] == [name]


async def test_a_run_of_a_newer_vbatch_is_refused_before_anything_is_touched(opened, tmp_path):
    await rows.night(opened(), rows.completed())
    path = tmp_path / "run" / "run.json"
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), "format_version": 2}))

    with pytest.raises(Mismatch, match="newer vbatch") as caught:
        opened("i2")
    assert caught.value.exit_code is Exit.USAGE


async def test_a_run_json_that_cannot_be_read_stops_nobody(opened, tmp_path):
    await rows.night(opened(), rows.completed())
    (tmp_path / "run" / "run.json").write_text("{")

    assert opened("i2").has_answers


def test_an_output_that_cannot_be_written_is_found_before_anything_is_sent(opened, tmp_path):
    refusing = Failing(lambda what, path: what == "create" and "probe" in path.name, errno.EROFS)
    with pytest.raises(StorageFull, match="Read-only") as caught:
        opened(storage=refusing)
    assert caught.value.exit_code is Exit.STORAGE
    opened().close()

    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFull, match="file: File exists"):
        RunFolder.open(tmp_path / "file" / "run", clock=ByHand(), invocation="i1")


async def test_the_columns_of_a_run_with_rows_are_settled(opened):
    folder = opened()
    folder.keep(rows.kept())
    folder.keep(rows.kept(carried=rows.GIVEN))
    await rows.night(folder, rows.completed())

    folder = opened("i2")
    folder.keep(rows.kept(job_digest="k" * 32))
    with pytest.raises(Mismatch, match="settled"):
        folder.keep(rows.kept(carried=rows.GIVEN))
    assert folder.kept is not None
    assert folder.kept.job_digest == "k" * 32


async def test_recording_needs_a_start(opened):
    folder = opened()
    assert folder.trouble is None

    with pytest.raises(RuntimeError, match="before start"):
        await folder.record(rows.asked())


async def test_run_json_tells_how_the_run_stands(opened, tmp_path):
    folder = opened()
    folder.keep(rows.kept())
    await folder.start()
    live = Tallies()
    for event in (rows.asked(), rows.completed(), rows.asked("b")):
        await folder.record(event)
        live.fold(event)
    await folder.snapshot(Standing(name="captions", waiting="paused"), live)
    run = open_run(tmp_path / "run")
    working = run.status()
    stop = Stop(exit_code=Exit.NEEDS_A_PERSON, code="quota", message="no money", advice="pay")
    await folder.finish(Standing(stop=stop, exit_code=4, suspects=["a"]))
    stopped = run.status()

    assert (working["state"], working["waiting"], working["name"]) == (
        "running",
        "paused",
        "captions",
    )
    assert (working["pid"], working["exit_code"]) == (os.getpid(), None)
    assert working["totals"]["total_tokens"] == 15
    assert working["totals"]["possibly_billed"] == 0, "an answer may well come yet"
    assert working["started_at"] == "2023-11-14T22:13:20.000Z"
    assert (stopped["state"], stopped["exit_code"]) == ("stopped", 4)
    assert stopped["stop"] == {"code": "quota", "message": "no money", "advice": "pay"}
    assert stopped["suspect"] == ["a"]
    assert stopped["digests"] == {"job": "j" * 32}
    assert stopped["totals"]["total_tokens"] == 15
    assert stopped["totals"]["possibly_billed"] == 1
    assert not stopped["totals"]["at_least"]


async def test_at_work_after_a_kill_what_the_kill_left_open_is_possibly_billed(opened, tmp_path):
    folder = opened()
    folder.keep(rows.kept())
    await folder.start()
    await folder.record(rows.asked("a"))
    await folder.record(rows.asked("b"))
    folder.close()

    folder = opened("i2")
    await folder.start()
    live = Tallies()
    live.fold(rows.asked("a", invocation="i2"))
    for now in (live, None):
        await folder.snapshot(rows.DONE, now)
        assert open_run(tmp_path / "run").status()["totals"]["possibly_billed"] == 2


async def test_a_snapshot_after_the_end_has_begun_is_not_the_last_word(opened, tmp_path):
    folder = opened()
    folder.keep(rows.kept())
    await folder.start()
    await folder.record(rows.completed())
    finishing = asyncio.create_task(folder.finish(rows.DONE))
    while not finishing.done():
        await folder.snapshot(Standing(name="late"))
        await asyncio.sleep(0)
    await finishing
    await folder.snapshot(Standing(name="later still"))

    status = orjson.loads((tmp_path / "run" / "run.json").read_bytes())
    assert (status["state"], status["name"]) == ("finished", "captions")


async def test_half_characters_in_what_is_said_of_a_run_become_whole(opened, tmp_path):
    half = "go to \udce9"
    stop = Stop(exit_code=Exit.NEEDS_A_PERSON, code="redirect", message=half, advice=half)
    folder = opened()
    folder.keep(rows.kept())
    await folder.start()
    await folder.snapshot(Standing(name=half, waiting=half))
    working = open_run(tmp_path / "run").status()
    await folder.finish(Standing(name=half, stop=stop, suspects=[half], exit_code=4))
    stopped = open_run(tmp_path / "run").status()

    whole = "go to \ufffd"
    assert (working["name"], working["waiting"]) == (whole, whole)
    assert stopped["stop"] == {"code": "redirect", "message": whole, "advice": whole}
    assert (stopped["suspect"], stopped["exit_code"]) == ([whole], 4)
    assert f"# {whole}\n" in (tmp_path / "run" / "README.md").read_text("utf-8")


async def test_a_killed_invocation_gets_its_row_from_the_next_one(opened, tmp_path):
    folder = opened()
    folder.keep(rows.kept())
    await folder.start()
    for event in (rows.asked(), rows.asked("b"), rows.completed()):
        await folder.record(event)
    await folder.snapshot(rows.DONE)
    folder.close()
    assert open_run(tmp_path / "run").status()["state"] == "killed"

    again = {"row_id": "b", "invocation": "i2"}
    await rows.night(opened("i2"), rows.asked(**again), rows.completed(**again))

    killed, later = open_run(tmp_path / "run").usage().to_pylist()[:2]
    assert (killed["invocation"], killed["answered"], killed["possibly_billed"]) == ("i1", 1, 1)
    assert (later["invocation"], later["requests"], later["possibly_billed"]) == ("i2", 1, 0)
    assert open_run(tmp_path / "run").results().num_rows == 2


async def test_a_disk_that_fills_up_ends_in_order_and_the_next_night_loses_nothing(
    opened, tmp_path
):
    full = set()
    disk = Failing(lambda what, path: (what, path.suffix) in full)
    folder = opened(storage=disk)
    folder.keep(rows.kept())
    await folder.start()
    await folder.record(rows.asked())
    full |= {("write", ".seg"), ("sync", ".tmp"), ("create", ".tmp")}
    with pytest.raises(StorageFull):
        await folder.record(rows.asked("b"))
    await _emptied(full, folder)
    with pytest.raises(StorageFull):
        await folder.finish(rows.DONE)

    folder = opened("i2")
    assert folder.history().answered == 1
    assert not folder.at_least


async def _emptied(full, folder) -> None:
    """The reserve has room of its own."""
    full.remove(("write", ".seg"))
    await folder.record(rows.completed())


async def test_a_view_that_cannot_be_written_is_trouble_too(opened):
    full = set()
    disk = Failing(lambda what, path: (what, path.name) in full)
    folder = opened(storage=disk)
    folder.keep(rows.kept())
    await folder.start()
    full.add(("create", "run.json.tmp"))

    await folder.snapshot(rows.DONE)

    assert isinstance(folder.trouble, StorageFull)
    with pytest.raises(StorageFull):
        await folder.record(rows.asked())
    full.clear()
    await folder.finish(rows.DONE)


async def test_a_commit_that_fails_stops_requests_and_is_done_at_the_end(opened, tmp_path):
    full = set()
    disk = Failing(lambda what, path: (what, path.name) in full)
    folder = opened(storage=disk, rolling=Rolling(outcomes=1))
    folder.keep(rows.kept())
    await folder.start()
    full.add(("open", "part-000001.parquet.tmp"))
    await folder.record(rows.completed())
    await until(lambda: folder.trouble)
    await folder.record(rows.completed("b"))
    full.clear()
    await folder.finish(rows.DONE)

    assert sorted(open_run(tmp_path / "run").results()["id"].to_pylist()) == ["a", "b"]


async def test_a_run_taken_by_another_is_left_alone(opened, tmp_path):
    folder = opened()
    folder.keep(rows.kept())
    await folder.start()
    await folder.record(rows.completed())
    folder._recorder.refuse(Locked("taken"))

    with pytest.raises(Locked, match="taken"):
        await folder.finish(rows.DONE)
    assert not (tmp_path / "run" / "run.json").exists()


async def test_finishing_what_never_started_says_so_in_run_json(opened, tmp_path):
    await opened().finish(Standing(exit_code=2))

    assert open_run(tmp_path / "run").status()["exit_code"] == 2


async def test_parts_of_a_table_have_one_schema_even_where_all_is_null(opened, tmp_path):
    folder = opened(rolling=Rolling(outcomes=1))
    await rows.night(
        folder,
        rows.completed("a", text=None, passthrough={}),
        rows.completed("b", images=(), image_sha256=()),
    )

    schemas = [pq.read_schema(p) for p in sorted((tmp_path / "run" / "results").iterdir())]
    assert len(schemas) == 2
    assert schemas[0].equals(schemas[1], check_metadata=True)
