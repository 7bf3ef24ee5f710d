"""What was tried in vain for a row is known to the next invocations, whatever ended this one."""

from __future__ import annotations

import orjson
import pytest

from tests.sink import rows
from tests.sink.disks import Quick
from vbatch.errors import Fault
from vbatch.records import Usage
from vbatch.sink.commits import newest_commit
from vbatch.sink.layout import Layout
from vbatch.sink.reader import open_run
from vbatch.sink.run_folder import RunFolder
from vbatch.sink.views import Standing
from vbatch.state import Counts, Past

NOTHING = Past()


@pytest.fixture
def night(tmp_path):
    """An invocation: what it finds of row ``a`` before its events, and how it ends."""

    async def go(*events, killed=False, digest="d1") -> Past:
        folder = RunFolder.open(
            tmp_path / "run", clock=rows.Still(), invocation="x", storage=Quick()
        )
        folder.keep(rows.kept())
        found = folder.history().past("a", digest)
        await folder.start()
        for event in events:
            await folder.record(event)
        if killed:
            await folder.snapshot(Standing(counts=Counts(rows=3), waiting="for the endpoint"))
            folder.close()
        else:
            await folder.finish(Standing())
        return found

    return go


def maybe(invocation="i1", **more):
    return rows.tried(fault=Fault.MAYBE, code="timeout", invocation=invocation, **more)


async def test_attempts_of_a_row_that_was_stopped_midway_count_in_the_next_invocation(night):
    await night(
        rows.asked(), maybe(usage=rows.usage(7)), rows.asked(attempt=2, at=rows.T0 + 5), maybe()
    )

    past = await night()

    assert (past.attempts, past.possibly_billed, past.first_at) == (2, 2, rows.T0)
    assert past.usage == rows.usage(7)


async def test_they_are_there_after_any_number_of_invocations(night):
    for number in range(3):
        await night(rows.asked(invocation=f"i{number}"), maybe(f"i{number}"))

    assert (await night()).possibly_billed == 3


async def test_what_was_refused_counts_as_an_attempt_and_not_as_billed(night):
    await night(rows.asked(), rows.tried())

    past = await night()

    assert (past.attempts, past.possibly_billed, past.usage) == (1, 0, Usage())


@pytest.mark.parametrize("killed", [False, True])
async def test_an_outcome_holds_all_of_it_from_then_on(night, killed):
    await night(rows.asked(), maybe())
    outcome = rows.failed(attempts=2, possibly_billed=2, usage=rows.usage(7))

    await night(rows.asked(), outcome, killed=killed)

    past = await night()
    assert (past.attempts, past.possibly_billed, past.usage.total_tokens) == (2, 2, 7)
    await night(rows.asked(), rows.completed())
    assert await night() == NOTHING


async def test_what_comes_after_a_failure_is_added_to_it(night):
    await night(rows.asked(), rows.failed(attempts=3, possibly_billed=1, server_errors=1))
    await night(rows.asked(), maybe())

    past = await night()

    assert (past.attempts, past.possibly_billed, past.server_errors) == (4, 2, 1)


async def test_a_request_left_open_by_a_kill_may_have_been_billed(night):
    await night(rows.asked(at=rows.T0 + 9), killed=True)

    found = await night()
    assert (found.attempts, found.possibly_billed, found.first_at) == (1, 1, rows.T0 + 9)
    assert await night() == found, "counted once, however often it is looked at"


async def test_a_row_that_changed_begins_anew(night):
    await night(rows.asked(), maybe())
    assert await night(digest="d2") == NOTHING

    await night(rows.asked(digest="d2"), maybe())

    assert (await night(digest="d2")).attempts == 1
    assert await night() == NOTHING


@pytest.fixture
def setback(night, tmp_path):
    """How the answered row ``a`` failed last, as the next invocation finds it."""

    def find():
        folder = RunFolder.open(
            tmp_path / "run", clock=rows.Still(), invocation="x", storage=Quick()
        )
        found = folder.history().setback("a")
        folder.close()
        return found

    return find


@pytest.mark.parametrize("in_one_segment", [False, True])
async def test_a_failure_that_leaves_an_answer_standing_is_known_with_what_it_took(
    night, setback, in_one_segment
):
    answer = [rows.asked(), rows.completed()]
    failing = [rows.asked(invocation="i2"), rows.failed(invocation="i2", code="empty_answer")]
    if not in_one_segment:
        await night(*answer)
        assert setback() is None
        answer = []
    await night(*answer, *failing)

    found = setback()
    assert (found.invocation, found.code, found.row_digest) == ("i2", "empty_answer", "d1")
    assert (found.job_digest, found.retryable, found.last_at) == ("j" * 32, True, rows.T0 + 2)
    assert await night() == found.past
    assert (found.past.attempts, found.past.possibly_billed) == (2, 1)
    assert found.past.usage == rows.failed().failure.usage
    assert await night(digest="d2") == NOTHING


@pytest.mark.parametrize("next_outcome", [rows.completed(), rows.failed(digest="d2")])
async def test_it_is_forgotten_with_the_next_answer_and_with_the_answer_that_stood(
    night, setback, next_outcome
):
    await night(rows.completed(), rows.failed())
    assert setback() is not None

    await night(rows.asked(), next_outcome)

    assert setback() is None


async def test_the_commit_record_forgets_rows_that_have_an_outcome(night, tmp_path):
    await night(rows.asked(), maybe(), rows.asked("b"), rows.completed("b"))
    layout = Layout(root=tmp_path / "run")
    assert list(newest_commit(layout).tallies.pasts) == ["a"]

    await night(rows.asked(attempt=2), rows.completed())

    assert not newest_commit(layout).tallies.pasts


async def test_a_commit_record_from_before_pasts_and_checksums_is_read(night, tmp_path):
    await night(rows.asked(), rows.failed())
    layout = Layout(root=tmp_path / "run")
    path = layout.commit(newest_commit(layout).n)
    stored = orjson.loads(path.read_bytes())
    del stored["pasts"], stored["setbacks"], stored["crc32"]
    path.write_bytes(orjson.dumps(stored))

    assert (await night()).attempts == 2


async def test_the_status_of_a_killed_run_counts_what_was_on_its_way(night, tmp_path):
    await night(rows.asked(), maybe(), rows.asked(), rows.asked("b"), killed=True)

    status = open_run(tmp_path / "run").status()

    assert (status["state"], status["waiting"], status["stalled"]) == ("killed", None, [])
    assert status["counts"]["possibly_billed"] == status["totals"]["possibly_billed"] == 3
    assert status["totals"]["requests"] == 3
    await night()
    assert open_run(tmp_path / "run").status()["totals"] == status["totals"]


async def test_the_status_of_a_killed_run_that_is_damaged_is_what_was_written_last(night, tmp_path):
    await night(rows.asked(), killed=True)
    layout = Layout(root=tmp_path / "run")
    layout.segment(1).write_bytes(b"torn")

    status = open_run(tmp_path / "run").status()

    assert (status["state"], status["counts"]["possibly_billed"]) == ("killed", 0)
